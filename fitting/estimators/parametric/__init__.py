"""Approach 3: L(N, D) = E + A/N^alpha + B/D^beta, the exact optimum of the objective named."""

from .chinchilla import LawFit, fit_law
from .fit import fit_parametric

__all__ = ["LawFit", "fit_law", "fit_parametric"]
