"""How precise a planned sweep will be, before it is trained."""

from .grid import PlannedGrid
from .noise import NoiseModel
from .prior import DEFAULT_PRIOR, prior_surface
from .results import BudgetPrecision, ExpectedInterval, MethodPrecision, Precision, Spread
from .simulate import SIMS, simulate

__all__ = [
    "DEFAULT_PRIOR",
    "SIMS",
    "BudgetPrecision",
    "ExpectedInterval",
    "MethodPrecision",
    "NoiseModel",
    "PlannedGrid",
    "Precision",
    "Spread",
    "prior_surface",
    "simulate",
]
