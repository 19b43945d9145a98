"""Approach 1: the envelope of training curves."""

from .fit import fit_envelope

__all__ = ["fit_envelope"]
