"""Ours beside the published estimates, and sweeps beside each other."""
