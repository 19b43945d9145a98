"""The law that a plan is simulated on."""

from __future__ import annotations

from ..errors import InputError
from ..prediction import Predictor, predictors_of

DEFAULT_PRIOR = "published:besiroglu"


def prior_surface(source: str = DEFAULT_PRIOR) -> Predictor:
    """The first law of `source`, a fit.json, fitted sweep or published:NAME, that gives L(N, D).

    Raises InputError where none does, and what `predictors_of` raises.
    """
    found = predictors_of(source)
    for predictor in found:
        if predictor.scaling.surface is not None:
            return predictor
    raise InputError(
        f"{source}: gives no L(N, D), only {found[0].says}; a prior needs it: fit with --method parametric, or take "
        f"{DEFAULT_PRIOR}"
    )
