"""Whether approaches, conventions and a held-out budget tell the same story."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import combinations
from typing import Any

from ..holdout import Holdout
from ..law_results import DataConstrainedFit, KaplanFit, OvertrainingFit, SaturatingFit
from ..results import EnvelopeFit, Estimate, IsoflopFit, ParametricFit
from ..shown import Shown
from .warn import Warn, shown

COUNTING_TOLERANCE = 0.05  # of a: what the choice of N may move it without a word
_WORSE = 3.0  # held-out error over the error of the fit itself


@dataclass(frozen=True, repr=False)
class Fits(Shown, says="fits.fits"):
    """What was fitted to one table; None where a method was not asked for or has no answer."""

    isoflop: IsoflopFit | None = None
    parametric: ParametricFit | None = None
    envelope: EnvelopeFit | None = None
    kaplan: KaplanFit | None = None
    saturating: SaturatingFit | None = None
    data_constrained: DataConstrainedFit | None = None
    overtraining: OvertrainingFit | None = None

    def any(self) -> bool:
        """Whether anything was fitted."""
        return any(getattr(self, field.name) is not None for field in fields(self))

    @property
    def params_exponents(self) -> dict[str, Estimate]:
        """a by approach: the three that estimate the same quantity without assuming Kaplan's form."""
        found = {"envelope": self.envelope, "isoflop": self.isoflop, "parametric": self.parametric}
        return {name: fit.params_exponent for name, fit in found.items() if fit is not None}


def overlap(one: Estimate, other: Estimate) -> bool | None:
    """Whether two intervals share a number; None where either estimate has none."""
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return None
    return one.low <= other.high and other.low <= one.high


def disagreements(fits: Fits) -> list[Warn]:
    """A warning for each pair of approaches whose intervals of a exclude each other."""
    pairs = combinations(fits.params_exponents.items(), 2)
    found = [disagreement(one, other, (name, second)) for (name, one), (second, other) in pairs]
    return [warning for warning in found if warning is not None]


def disagreement(one: Estimate, other: Estimate, names: tuple[str, str] = ("isoflop", "parametric")) -> Warn | None:
    """A warning where the intervals of two approaches' a exclude each other."""
    if overlap(one, other) is not False:
        return None
    return Warn(
        "disagreement",
        f"{names[0]} a = {shown(one)} and {names[1]} a = {shown(other)} exclude each other: look at the residuals "
        "before using either",
    )


def counting(fits: Fits, n_params: str, pairs: Sequence[Mapping[str, Any]]) -> Warn | None:
    """What N counts decides the exponent; `pairs` are the other conventions' rows of fit.json."""
    for method, own in (("isoflop", fits.isoflop), ("parametric", fits.parametric)):
        if own is None:
            continue
        exponents = {n_params: own.params_exponent.value}
        for pair in pairs:
            found = pair.get(method, {}).get("params_exponent")
            if found and pair["n_params"] not in exponents:
                exponents[pair["n_params"]] = found["value"]
        if max(exponents.values()) - min(exponents.values()) > COUNTING_TOLERANCE:
            listed = ", ".join(f"{value:.3f} with {name}" for name, value in exponents.items())
            return Warn(
                "counting_decides",
                f"the same runs give {method} a = {listed}: always say what N counts, and compare only with estimates "
                "that count alike",
            )
    return None


def poor_prediction(held: Holdout | None) -> Warn | None:
    """The largest budget lies further off the law of the others than their own runs do."""
    if held is None or "chinchilla" not in held.largest:
        return None
    found = held.largest["chinchilla"]
    if found.rms_error <= _WORSE * found.rms_fitted or abs(found.mean_error) <= found.rms_fitted:
        return None
    return Warn(
        "poor_prediction",
        f"fitted without it, the law misses the budget {held.budget:.3g} by {found.rms_error:.2%} (bias "
        f"{found.mean_error:+.2%}), the other runs by {found.rms_fitted:.2%}: do not extrapolate by as much again",
    )


def biased_envelope(fit: EnvelopeFit | None) -> Warn | None:
    """An envelope of curves whose rate decays later."""
    if fit is None or not fit.decaying_schedule:
        return None
    return Warn(
        "decaying_envelope",
        f"approach 1 reads runs at {fit.run_fraction:.0%} of their tokens (median), before their rate has decayed: "
        "those losses are too high and its exponent is biased; prefer the other approaches, or a constant rate",
    )
