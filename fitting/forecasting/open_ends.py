"""What is told of an answer's bounds: those that resamples leave open, and how far it lies beyond the runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..results import Estimate
from .questions import ENDLESS

if TYPE_CHECKING:
    from .answers import Answer

NEVER = 700.0  # ln of a count that no run has: what resamples say that never reach a loss
_FAR = 1e-6  # decades beyond the runs that are rounding
_COUNTS = ("flops", "size", "tokens")


def with_open_ends(found: Answer) -> Answer:
    """The same, without upper bounds where resamples never reach the loss, for `NEVER` in them stands for no number.

    Where one of compute, size and tokens has no upper bound, none of them that has an interval has one, and what is
    made of two of them has no interval.
    """
    counts = {name: getattr(found, name) for name in _COUNTS}
    if not any(each is not None and each.high is not None and not each.high < ENDLESS for each in counts.values()):
        return found
    excess = found.excess
    if excess is not None:
        excess = replace(excess, **{name: _bare(each) for name, each in vars(excess).items()})
    opened = {name: _open(each) for name, each in counts.items()}
    return replace(found, **opened, tokens_per_param=_bare(found.tokens_per_param), excess=excess)


def _open(estimate: Estimate | None) -> Estimate | None:
    if estimate is None or estimate.high is None:
        return estimate
    return replace(estimate, high=float("inf"))


def _bare(estimate: Estimate | None) -> Estimate | None:
    return None if estimate is None else Estimate(estimate.value, level=estimate.level)


def warnings_of(found: Answer) -> tuple[tuple[str, str], ...]:
    """Pairs of code and text: no upper bound, then how far compute, size and tokens lie outside the measured."""
    return (*_unbounded(found), *_beyond_runs(found))


def _unbounded(found: Answer) -> list[tuple[str, str]]:
    if found.flops.high is None or np.isfinite(found.flops.high):
        return []
    return [("no_upper_bound", "some resamples of the law never reach this: the compute has no upper bound")]


def _beyond_runs(found: Answer) -> list[tuple[str, str]]:
    """The compute first; sizes and tokens of runs alone, as those of an optimum follow from its compute."""
    law = found.predictor
    warnings: list[tuple[str, str]] = []
    beyond = law.beyond(found.flops.value)
    if beyond is not None and abs(beyond) > _FAR and law.flops_range is not None:
        side, edge = ("above", law.flops_range[1]) if beyond > 0 else ("below", law.flops_range[0])
        ends = "end" if beyond > 0 else "begin"
        warnings.append(
            ("extrapolation", f"{abs(beyond):.1f} decades {side} the runs, which {ends} at {edge:.3g} FLOPs")
        )
    if found.excess is None:
        return warnings
    for count, known, words in ((found.size, law.params_range, "N"), (found.tokens, law.tokens_range, "D")):
        if count is None or known is None or known[0] <= count.value <= known[1]:
            continue
        times = count.value / known[1] if count.value > known[1] else known[0] / count.value
        side = "above" if count.value > known[1] else "below"
        code = "beyond_sizes" if words == "N" else "beyond_tokens"
        warnings.append((code, f"{words} is {times:.3g} times {side} the runs'"))
    return warnings
