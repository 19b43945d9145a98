"""Where the ticks of an axis lie, and how they are written."""

from __future__ import annotations

import math
from collections.abc import Callable

from ..style import count_text, flops_text
from .levels import round_levels
from .picture import Written

WORDS: dict[Written, Callable[[float], str]] = {
    "number": lambda value: f"{value:.4g}",
    "count": count_text,
    "flops": flops_text,
    "percent": lambda value: f"{100 * value:.4g} %",
}
_FEWEST, _MOST = 3, 6


def log_ticks(low: float, high: float) -> list[float]:
    """Three to six ticks of a log axis from `low` to `high`: at 1, 2 and 5 of each decade, or at every n-th decade.

    Where that leaves less than three, as over a tenth of a decade, they are evenly spaced.
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for digits in ((1, 2, 5), (1, 3), (1,)):
        ticks = [digit * 10.0**power for power in range(first, last + 1) for digit in digits]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) <= _MOST:
            break
    if len(ticks) < _FEWEST:
        return [float(level) for level in round_levels(low, high, _MOST - 1) if low <= level <= high]
    return ticks[:: -(-len(ticks) // _MOST)]
