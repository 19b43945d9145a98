"""An estimate with its interval, in words."""

from __future__ import annotations

import math
from collections.abc import Callable

from ..results import Estimate
from .style import interval_text

NONE = "-"


def estimate_text(estimate: Estimate | None, number: Callable[[float], str], between: str = " ") -> str:
    """Such as "2.1M [1.7M, 3M]", `between` before the bracket; the value alone without an interval; "-" for None.

    An end that is not known is "none", one that is left open "...".
    """
    if estimate is None:
        return NONE
    if estimate.low is None and estimate.high is None:
        return number(estimate.value)
    low, high = (
        "none" if end is None else number(end) if math.isfinite(end) else "..." for end in (estimate.low, estimate.high)
    )
    return f"{number(estimate.value)}{between}[{low}, {high}]"


def level_text(level: float) -> str:
    """Such as "95 %"."""
    return f"{100 * level:g} %"


def exponent_text(estimate: Estimate | None) -> str:
    """Such as ".49 [.46, .53] 95 %": two decimals, with the level of the interval."""
    if estimate is None:
        return NONE
    return interval_text(estimate.value, estimate.low, estimate.high, level_text(estimate.level))


def number_text(value: float) -> str:
    """Any number to four digits: 1.693, 482, 1.2e10."""
    mantissa, e, exponent = f"{value:.4g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if e else mantissa


def leveled_text(estimate: Estimate | None) -> str:
    """Any estimate to four digits, such as "1.693 [1.61, 1.75] 95 %"."""
    text = estimate_text(estimate, number_text)
    return f"{text} {level_text(estimate.level)}" if estimate is not None and text.endswith("]") else text
