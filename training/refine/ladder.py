"""The widths a sweep's sizes may have, and which of them is nearest to a number of parameters."""

from __future__ import annotations

import bisect
import functools
import math
from collections.abc import Iterable

from ..config import SweepConfig
from ..models import counts_for
from ..shapes import shape_for_width

_MOST_WIDTHS = 1 << 16


class Ladder:
    """Multiples of `model.width_multiple` that divide into heads, and of a finer step where the grid's widths have one.

    N is counted as the sweep's fit counts it, and grows with the width.
    """

    def __init__(self, config: SweepConfig, vocab_size: int, widths: Iterable[int]) -> None:
        model = config.model
        heads = 2 * model.heads if model.heads else (model.head_dim or 1) * (model.kv_heads or 1)
        self.step = math.gcd(math.lcm(model.width_multiple, heads), *widths)

        @functools.cache
        def log_n(width: int) -> float:
            shape = shape_for_width(width, model, vocab_size)
            return math.log(getattr(counts_for(shape, model).params, config.fit.n_params))

        self.log_n = log_n

    def nearest(self, log_n: float, low: int, high: int | None) -> int | None:
        """The width whose ln N is nearest to `log_n`, of those above `low` and, unless that is None, below `high`."""
        first = low // self.step + 1
        last = self._enough(first, log_n) if high is None else -(-high // self.step) - 1
        if last < first:
            return None
        above = bisect.bisect_left(range(last + 1), log_n, lo=first, hi=last, key=lambda m: self.log_n(m * self.step))
        near = [multiple * self.step for multiple in (above - 1, above) if multiple >= first]
        return min(near, key=lambda width: abs(self.log_n(width) - log_n))

    def _enough(self, multiple: int, log_n: float) -> int:
        """A multiple of the step, from `multiple` on, whose N is at least that."""
        while self.log_n(multiple * self.step) < log_n and multiple < _MOST_WIDTHS:
            multiple *= 2
        return multiple
