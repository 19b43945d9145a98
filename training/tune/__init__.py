"""The bracket: a few learning rates (and batches) at a few sizes, and the recipe that follows from them."""

from .law import RateLaw, batch_law, law_rate, rate_law, tuned_recipe
from .results import SizeResult, extend, measure
from .trials import Trials, choose_spots, powers

__all__ = [
    "RateLaw",
    "SizeResult",
    "Trials",
    "batch_law",
    "choose_spots",
    "extend",
    "law_rate",
    "measure",
    "powers",
    "rate_law",
    "tuned_recipe",
]
