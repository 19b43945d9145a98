"""The difference of two exponents whose intervals may be of different levels, and what may be concluded from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import ndtri

from .rows import Exponent

SIGNIFICANT = 1.96  # standard errors: a difference within is what chance gives 95 times of 100


@dataclass(frozen=True)
class Difference:
    """`value` is theirs minus ours.

    Where one of the two has no interval, `standard_error` is the other's: the least that the difference's can be
    (`lower_bound`), and |z| the most. Both are None where neither has one.
    """

    value: float
    standard_error: float | None
    lower_bound: bool
    z: float | None
    verdict: str


def standard_error_of(exponent: Exponent) -> float | None:
    """From the interval by its level; None where there is none, or it is a range over variants.

    "1 SE" is the half width; a central interval of level p is divided by the normal quantile of (1 + p)/2, as 1.96
    for 95 % and 1.2816 for 80 %, which takes the estimate's error as normal.
    """
    if exponent.low is None or exponent.high is None or not exponent.high > exponent.low:
        return None
    half = (exponent.high - exponent.low) / 2
    if exponent.interval == "1 SE":
        return half
    share, percent, _ = exponent.interval.partition(" %")
    return half / float(ndtri((1 + float(share) / 100) / 2)) if percent else None


def difference_between(theirs: Exponent, ours: Exponent) -> Difference:
    """Theirs minus ours, taken as independent, with a verdict in words."""
    value = theirs.value - ours.value
    errors = {"theirs": standard_error_of(theirs), "ours": standard_error_of(ours)}
    known = [error for error in errors.values() if error is not None]
    if not known:
        return Difference(value, None, True, None, "cannot be told: neither states an error")
    error = math.hypot(*known)
    unknown = next((side for side, each in errors.items() if each is None), None)
    return Difference(value, error, unknown is not None, value / error, _verdict(value / error, unknown))


def _verdict(z: float, unknown: str | None) -> str:
    known = {"theirs": "ours", "ours": "theirs"}.get(unknown or "")
    if abs(z) < SIGNIFICANT:
        return "the same within error" if known is None else f"the same within the error of {known} alone"
    size = f"{abs(z):.1f} standard errors"
    if known is None:
        return f"{'higher' if z > 0 else 'lower'}, {size}"
    return f"cannot be told: {unknown} states no error, {known} alone gives {size}"
