"""One estimate of the exponents, ours or published, as comparisons hold it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..published import PublishedEstimate
from ..shown import Shown

if TYPE_CHECKING:
    from .differences import Difference


@dataclass(frozen=True)
class Exponent:
    """An exponent as its source gives it; `interval` says what `low` and `high` are ("95 %", "1 SE", ...)."""

    value: float
    low: float | None = None
    high: float | None = None
    interval: str = ""

    @classmethod
    def from_report(cls, found: Mapping[str, Any] | None) -> Exponent | None:
        """From an estimate of fit.json, {"value", "low", "high", "level"}; None where it has no value."""
        if not found or found.get("value") is None:
            return None
        low, high = found.get("low"), found.get("high")
        if low is None or high is None:
            return cls(found["value"])
        return cls(found["value"], low, high, f"{100 * found.get('level', 0.95):g} %")


@dataclass(frozen=True, repr=False)
class ComparisonRow(Shown, says="answers.row"):
    """One estimate; `n_params`, `flops` and `training` name the convention it speaks.

    On a row of ours, whose `params_exponent` is None where the fit failed, `words` says what a reader should know of
    the fit; one whose exponents were imposed is not `comparable`. A published row is `comparable` with our row
    `beside` (its label and its count of C) where the three agree: then `difference` is its params exponent minus
    ours, and `words` the verdict. Elsewhere `words` is "not comparable: " and the reason. `differs` names which of N,
    C and training differ, slightly where the row is comparable (`remark` says how, `count_size` how far a count of C
    moves a). `doubtful` marks numbers or conventions that were not verified.
    """

    ours: bool
    name: str
    label: str
    n_params: str
    flops: str
    params_exponent: Exponent | None
    tokens_exponent: Exponent | None
    words: str
    training: str = ""
    comparable: bool = True
    difference: Difference | None = None
    beside: str | None = None
    differs: tuple[str, ...] = ()
    remark: str = ""
    count_size: str = ""
    source: str = ""
    doubtful: bool = False


def published_exponents(estimate: PublishedEstimate) -> tuple[Exponent | None, Exponent | None]:
    """Its a and b, with their intervals as its source gives them."""
    kind = estimate.interval
    return (
        _published_exponent(estimate.params_exponent, estimate.params_low, estimate.params_high, kind),
        _published_exponent(estimate.tokens_exponent, estimate.tokens_low, estimate.tokens_high, kind),
    )


def _published_exponent(value: float | None, low: float | None, high: float | None, interval: str) -> Exponent | None:
    if value is None:
        return None
    return Exponent(value, low, high, interval if low is not None else "")
