"""One-dimensional laws: any metric against any one resource, with a floor or a ceiling."""

from .fit import fit_power

__all__ = ["fit_power"]
