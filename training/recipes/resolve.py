"""A recipe's rules, resolved for one cell."""

from __future__ import annotations

from dataclasses import dataclass

from ...fitting.counting import ModelCounts, ModelShape
from ..config import Recipe
from ..config.recipe import ConstantBatch, ConstantRate


@dataclass(frozen=True)
class Case:
    """What a rule may look at. For cells that share a trunk, `tokens` and `flops` are those of the smallest budget."""

    shape: ModelShape
    counts: ModelCounts
    tokens: float  # D asked for
    flops: float  # C asked for, in the grid's convention


@dataclass(frozen=True)
class Hyperparameters:
    """What the rules came to. `notes` say where a rule is used outside the range it was found in."""

    learning_rate: float  # peak
    beta2: float
    weight_decay: float
    warmup_steps: int
    notes: tuple[str, ...] = ()


def batch_for(recipe: Recipe, case: Case) -> int:
    """Sequences a batch: the rule's tokens in whole sequences, at least one."""
    rule = recipe.batch
    wanted = rule.tokens if isinstance(rule, ConstantBatch) else rule.coefficient * case.tokens**rule.exponent
    return max(1, round(wanted / case.shape.context))


def hyperparameters(recipe: Recipe, case: Case, batch_tokens: int, steps: int) -> Hyperparameters:
    """All that the recipe says of a run of `steps` steps of `batch_tokens` tokens."""
    optimizer = recipe.optimizer
    return Hyperparameters(
        learning_rate=_learning_rate(recipe, case, batch_tokens),
        beta2=optimizer.beta2,
        weight_decay=optimizer.weight_decay,
        warmup_steps=round(recipe.schedule.warmup * steps),
    )


def _learning_rate(recipe: Recipe, case: Case, batch_tokens: int) -> float:
    rule = recipe.learning_rate
    if isinstance(rule, ConstantRate):
        return rule.value
    scale = (batch_tokens / rule.batch_reference) ** rule.batch_exponent
    return rule.coefficient * case.shape.width**rule.width_exponent * scale
