"""Approach 2: the size of least loss at each budget, and the power laws through those minima."""

from .fit import MINIMUM_METHODS, WINDOW, fit_groups, fit_isoflop

__all__ = ["MINIMUM_METHODS", "WINDOW", "fit_groups", "fit_isoflop"]
