"""The learning rate over a run, as a fraction of its peak."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .config import Schedule


@dataclass(frozen=True)
class Timeline:
    """When a run's rate changes, in steps. A run may end before its decay does, or begin none (both None)."""

    warmup_steps: int
    decay_start: int | None
    decay_end: int | None


def timeline(schedule: Schedule, steps: int, warmup_steps: int, batch_tokens: int) -> Timeline:
    """The timeline of a run of `steps` steps of `batch_tokens` tokens."""
    if schedule.kind == "constant":
        return Timeline(warmup_steps, None, None)
    if schedule.kind == "wsd":
        cooldown = min(steps - warmup_steps, max(1, round(schedule.cooldown * steps)))
        return Timeline(warmup_steps, steps - cooldown, steps)
    horizon = steps if schedule.horizon_tokens is None else round(schedule.horizon_tokens / batch_tokens)
    return Timeline(warmup_steps, warmup_steps, horizon)


def rate_at(step: int, when: Timeline, schedule: Schedule) -> float:
    """Fraction of the peak rate at `step` (from 0).

    Warmup rises linearly and reaches 1 on its last step. Decays are timed so that the value *after* the last
    step would be `final`: the run uses its whole horizon, and no step is taken at rate 0.
    """
    if step < when.warmup_steps:
        return (step + 1) / when.warmup_steps
    if when.decay_start is None or when.decay_end is None or step < when.decay_start:
        return 1.0
    left = max(0.0, (when.decay_end - step) / max(1, when.decay_end - when.decay_start))  # 1 .. 0 after the last step
    if schedule.kind == "cosine":
        left = (1 - math.cos(math.pi * left)) / 2
    elif schedule.kind == "wsd" and schedule.cooldown_shape == "sqrt":
        left = 1 - math.sqrt(1 - left)
    return schedule.final + (1 - schedule.final) * left


def shared_steps(schedule: Schedule, steps: int, when: Timeline) -> int:
    """The first steps of a run that a longer one of the same trunk takes too: all but its own cooldown."""
    return when.decay_start or 0 if schedule.kind == "wsd" else steps


def phase(steps: int, when: Timeline) -> str:
    """`cooled` where the rate has decayed by the end of a run of `steps`, else `hot`: never both in one fit.

    A warmup as long as the run leaves no step to decay in.
    """
    if when.decay_start is None or when.decay_end is None:
        return "hot"
    return "cooled" if when.decay_start < when.decay_end <= steps else "hot"


def evaluation_steps(points_per_decade: int, steps: int, batch_tokens: int, when: Timeline) -> frozenset[int]:
    """After which steps, past the warmup, a run is scored: the first to reach each of a grid even in log tokens.

    The grid is one for all runs, whatever their length: D = 10^(i / points_per_decade).
    """
    if not points_per_decade:
        return frozenset()
    most = math.floor(points_per_decade * math.log10(steps * batch_tokens))
    reached = (math.ceil(10 ** (i / points_per_decade) / batch_tokens) for i in range(most + 1))
    return frozenset(step for step in reached if when.warmup_steps < step <= steps)
