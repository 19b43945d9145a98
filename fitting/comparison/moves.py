"""How far one sweep's estimate lies from another's: the difference, its interval, and what it says in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from ..reporting.style import exponent_number
from ..results import Estimate
from ..uncertainty import MIN_SUCCESS, bias_corrected_estimate, generator, percentile_estimate
from .rows import Exponent

COMBINED_NOTE = (
    "* combines two intervals, for want of resamples under one count. Kaplan's law keeps none; an older fit, or one "
    "counted otherwise than it was fitted, has them when fitted again, with --n-params and --flops"
)


@dataclass(frozen=True)
class Move:
    """The second estimate minus the first.

    `low` and `high` are None where one of the two has no interval; `method` says how they were made: "resamples",
    "bias-corrected resamples", "intervals" (`combined`), "standard errors", or "" for none.
    """

    value: float
    low: float | None = None
    high: float | None = None
    level: float = 0.95
    method: str = ""

    @property
    def standard_error(self) -> float | None:
        """Half the interval's width over the normal quantile of its level."""
        if self.low is None or self.high is None:
            return None
        return (self.high - self.low) / 2 / float(ndtri((1 + self.level) / 2))

    @property
    def verdict(self) -> str:
        """Whether the second is "higher" or "lower", or "not told apart"; "no interval" where there is none."""
        if self.low is None or self.high is None:
            return "no interval"
        return "higher" if self.low > 0 else "lower" if self.high < 0 else "not told apart"

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, texts, numbers and None."""
        bounds = {"value": self.value, "low": self.low, "high": self.high, "level": self.level}
        return bounds | {"standard_error": self.standard_error, "method": self.method, "verdict": self.verdict}


@dataclass(frozen=True)
class Sampled:
    """An estimate with the resamples behind its interval, shape (n_successful,), where they are kept.

    `freedom` is of bias-corrected intervals, None where they are percentiles.
    """

    estimate: Estimate
    draws: NDArray[np.float64] | None = None
    n_resamples: int = 0
    freedom: int | None = None


def move_between(first: Sampled, second: Sampled) -> Move:
    """`second` minus `first`, which were estimated from runs of their own.

    Where both hold resamples, the interval is that of their differences, made as the two's own intervals are;
    else the two intervals are combined.
    """
    value, level = second.estimate.value - first.estimate.value, first.estimate.level
    if first.draws is None or second.draws is None or not (_enough(first) and _enough(second)):
        return combined(first.estimate, second.estimate)
    n = min(len(first.draws), len(second.draws))
    draws = second.draws[shuffled(len(second.draws))[:n]] - first.draws[:n]
    return of_draws(value, draws, level, least_freedom(first.freedom, second.freedom))


def _enough(sampled: Sampled) -> bool:
    """Whether so many resamples had a fit that their percentiles mean something (`uncertainty.MIN_SUCCESS`)."""
    draws = sampled.draws
    return draws is not None and np.isfinite(draws).sum() >= max(MIN_SUCCESS * sampled.n_resamples, 2)


def shuffled(count: int) -> NDArray[np.intp]:
    """An order for the second's resamples: two fits of one seed draw the same numbers, so i with i would agree."""
    return generator(0).permutation(count)


def least_freedom(first: int | None, second: int | None) -> int | None:
    """The smaller degrees of freedom; None where neither interval is bias-corrected."""
    return min((each for each in (first, second) if each is not None), default=None)


def of_draws(value: float, draws: NDArray[np.float64], level: float, freedom: int | None) -> Move:
    """`value` with the interval of `draws`: percentiles, or bias-corrected ones of `freedom`.

    No interval where more than 1 of 10 draws has no number.
    """
    if freedom is None:
        found, method = percentile_estimate(value, draws, len(draws), level), "resamples"
    else:
        found, method = bias_corrected_estimate(value, draws, len(draws), level, freedom), "bias-corrected resamples"
    return Move(value, found.low, found.high, level, method if found.low is not None else "")


def combined(first: Estimate, second: Estimate) -> Move:
    """The difference from two intervals alone, each side by its own half-widths in quadrature.

    Lower half-widths of the second go with upper ones of the first (Zou and Donner 2008, Statistics in Medicine 27,
    1693). An interval of another level is first made as wide as a normal one would be at the first's.
    """
    value, level = second.value - first.value, first.level
    here, there = _half_widths(first, level), _half_widths(second, level)
    if here is None or there is None:
        return Move(value, level=level)
    low, high = value - np.hypot(there[0], here[1]), value + np.hypot(there[1], here[0])
    return Move(value, float(low), float(high), level, "intervals")


def _half_widths(estimate: Estimate, level: float) -> tuple[float, float] | None:
    """Below and above the value."""
    if estimate.low is None or estimate.high is None:
        return None
    scale = float(ndtri((1 + level) / 2) / ndtri((1 + estimate.level) / 2))
    return scale * (estimate.value - estimate.low), scale * (estimate.high - estimate.value)


def estimate_of(exponent: Exponent) -> Estimate:
    """An exponent of ours, whose interval is called by its level ("95 %")."""
    if not exponent.interval:
        return Estimate(exponent.value)
    level = float(exponent.interval.removesuffix("%")) / 100
    return Estimate(exponent.value, exponent.low, exponent.high, level)


def move_text(move: Move) -> str:
    """Such as "-.08 [-.41, +.25] 95 %"."""
    if move.low is None or move.high is None:
        return f"{exponent_number(move.value, signed=True)}, without an interval"
    value, low, high = (exponent_number(each, signed=True) for each in (move.value, move.low, move.high))
    return f"{value} [{low}, {high}] {100 * move.level:g} %"


def sampled_exponents(fit: Mapping[str, Any], method: str) -> tuple[Sampled, Sampled]:
    """a and b of one entry of fit.json's `fits`, with their resamples where the file holds them."""
    resampling: Mapping[str, Any] = fit.get("resampling") or {}
    columns: Mapping[str, Sequence[float]] = fit.get("resamples") or {}
    found: list[Sampled] = []
    for name, exponent in (("params_exponent", "beta"), ("tokens_exponent", "alpha")):
        draws = None
        if columns and method == "parametric":
            alpha, beta = (np.asarray(columns[letter], dtype=float) for letter in ("alpha", "beta"))
            draws = np.asarray(columns[exponent], dtype=float) / (alpha + beta)
        elif columns:
            draws = np.asarray(columns[name], dtype=float)
        found.append(Sampled(Estimate(**fit[name]), draws, resampling.get("n_resamples", 0), resampling.get("freedom")))
    return found[0], found[1]
