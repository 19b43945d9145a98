"""Learning rate over a run, and the rules that choose its peak and the batch from the size and the tokens."""

from __future__ import annotations

import math

from .config import Recipe, Schedule
from .config.recipe import ConstantBatch, ConstantRate


def batch_sequences(recipe: Recipe, tokens: float, context: int) -> int:
    """Sequences a batch for a run of about `tokens` tokens: the rule's batch in whole sequences, at least one."""
    rule = recipe.batch
    wanted = rule.tokens if isinstance(rule, ConstantBatch) else rule.coefficient * tokens**rule.exponent
    return max(1, round(wanted / context))


def peak_learning_rate(recipe: Recipe, width: int, batch_tokens: int) -> float:
    """The schedule's highest rate for a model of `width` at `batch_tokens` a step."""
    rule = recipe.learning_rate
    if isinstance(rule, ConstantRate):
        return rule.value
    scale = (batch_tokens / rule.batch_reference) ** rule.batch_exponent
    return rule.coefficient * width**rule.width_exponent * scale


def rate_at(step: int, steps: int, schedule: Schedule) -> float:
    """Fraction of the peak rate at `step` (from 0) of a run of `steps`.

    Warmup rises linearly and reaches 1 on its last step. Decays are timed so that the value *after* the last
    step would be `final`: the run uses its whole horizon, and no step is taken at rate 0.
    """
    warmup = round(schedule.warmup * steps)
    if step < warmup:
        return (step + 1) / warmup
    if schedule.kind == "constant":
        return 1.0
    decay_steps = steps - warmup if schedule.kind != "wsd" else min(steps - warmup, round(schedule.cooldown * steps))
    left = min(1.0, (steps - step) / max(1, decay_steps))  # 1 at the start of the decay, 0 after the last step
    shape = (1 - math.cos(math.pi * left)) / 2 if schedule.kind == "cosine" else left
    return schedule.final + (1 - schedule.final) * shape


def phase(schedule: Schedule) -> str:
    """`cooled` where the rate has decayed by the end, else `hot`; the two never belong in one fit."""
    return "hot" if schedule.kind == "constant" else "cooled"
