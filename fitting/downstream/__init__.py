"""Benchmark scores from losses, and from compute through losses."""
