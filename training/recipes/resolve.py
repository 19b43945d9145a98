"""A recipe's rules, resolved for one cell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...fitting.errors import InputError
from ...fitting.schema import RECIPE_EDGE, RECIPE_RANGE
from ..config import Recipe
from ..config.rules import (
    ConstantBatch,
    ConstantRate,
    ParamsPowerRate,
    ParamsWarmup,
    PowerLinesBatch,
    PublishedBatch,
    PublishedBeta2,
    PublishedRate,
    TokensPowerBatch,
    TokensWarmup,
    WidthPowerDecay,
    WidthPowerRate,
)
from .case import Case
from .published import BATCHES, BETA2S, MARIN_MOST, POWER_LINES_EXPONENT, RATES, outside

BRACKET_REACH = 2.0  # a tuned recipe may be used for sizes up to this factor beyond those it was tuned at


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
    return max(1, round(_batch_tokens(recipe, case) / case.shape.context))


def hyperparameters(recipe: Recipe, case: Case, batch_tokens: int, steps: int) -> Hyperparameters:
    """All that the recipe says of a run of `steps` steps of `batch_tokens` tokens.

    Raises:
        InputError: a published law gives a rate that is not positive, or that its authors refuse.
    """
    rate = _learning_rate(recipe, case, batch_tokens)
    rule = recipe.optimizer.beta2
    return Hyperparameters(
        learning_rate=rate,
        beta2=BETA2S[rule.rule].value(case, batch_tokens) if isinstance(rule, PublishedBeta2) else rule,
        weight_decay=_weight_decay(recipe, case, rate, steps),
        warmup_steps=min(steps, _warmup_steps(recipe, case, batch_tokens, steps)),
        notes=(*_range_notes(recipe, case, batch_tokens), *_bracket_notes(recipe, case)),
    )


def _batch_tokens(recipe: Recipe, case: Case) -> float:
    match recipe.batch:
        case ConstantBatch(tokens=tokens):
            return tokens
        case TokensPowerBatch(coefficient=coefficient, exponent=exponent):
            return coefficient * case.tokens**exponent
        case PowerLinesBatch(reference_batch=batch, reference_tokens=tokens):
            return batch * (case.tokens / tokens) ** POWER_LINES_EXPONENT
        case PublishedBatch(rule=name, multiplier=multiplier):
            return multiplier * BATCHES[name].value(case, 0.0)


def _learning_rate(recipe: Recipe, case: Case, batch_tokens: int) -> float:
    rule = recipe.learning_rate
    if isinstance(rule, ConstantRate):
        return rule.value
    if isinstance(rule, PublishedRate):
        return _published_rate(rule, case, batch_tokens)
    scale = (batch_tokens / rule.batch_reference) ** rule.batch_exponent
    if isinstance(rule, WidthPowerRate):
        return rule.coefficient * case.shape.width**rule.width_exponent * scale
    assert isinstance(rule, ParamsPowerRate)
    return rule.coefficient * getattr(case.counts.params, rule.n_params) ** rule.params_exponent * scale


def _published_rate(rule: PublishedRate, case: Case, batch_tokens: int) -> float:
    rate = rule.multiplier * RATES[rule.rule].value(case, batch_tokens)
    where = f"recipe.learning_rate: {rule.rule} gives {rate:.3g} at width {case.shape.width}, "
    if rate <= 0:
        raise InputError(f"{where}which is no rate: its law ends below that size; choose another rule")
    if rule.rule == "marin" and rate > MARIN_MOST:
        raise InputError(
            f"{where}above the {MARIN_MOST:g} over which it refuses a size; lower recipe.batch or the multiplier"
        )
    return rate


def _weight_decay(recipe: Recipe, case: Case, rate: float, steps: int) -> float:
    rule = recipe.optimizer.weight_decay
    if isinstance(rule, float | int):
        return rule
    if isinstance(rule, WidthPowerDecay):
        return rule.coefficient * case.shape.width**rule.width_exponent
    over = case.tokens / (20 * case.counts.params.n_params)
    return 1 / (rule.timescale * over**rule.tokens_per_param_exponent * rate * steps)


def _warmup_steps(recipe: Recipe, case: Case, batch_tokens: int, steps: int) -> int:
    rule = recipe.schedule.warmup
    if isinstance(rule, TokensWarmup):
        return round(rule.tokens / batch_tokens)
    if isinstance(rule, ParamsWarmup):
        return round(rule.factor * case.counts.params.n_params / batch_tokens)
    return round(rule * steps)


def _range_notes(recipe: Recipe, case: Case, batch_tokens: int) -> Iterator[str]:
    """One note a published law that is used outside its range, which is normal at small scale."""
    for key, rule, known in (
        ("learning_rate", recipe.learning_rate, RATES),
        ("batch", recipe.batch, BATCHES),
        ("beta2", recipe.optimizer.beta2, BETA2S),
    ):
        if isinstance(rule, PublishedRate | PublishedBatch | PublishedBeta2):
            found = outside(known[rule.rule], case, batch_tokens)
            if found:
                yield f"{RECIPE_RANGE}: {key} {rule.rule}: {found}"


def _bracket_notes(recipe: Recipe, case: Case) -> Iterator[str]:
    """What a tuned recipe's bracket does not vouch for."""
    bracket = recipe.bracket
    if bracket is None:
        return
    for key in ("learning_rate", "batch"):
        if getattr(bracket, key) not in (None, getattr(recipe, key)):
            yield f"{RECIPE_RANGE}: tuned: {key} is not the rule that was tuned"
    n_params = case.counts.params.n_params
    sizes = [size.n_params for size in bracket.sizes]
    if not min(sizes) / BRACKET_REACH <= n_params <= max(sizes) * BRACKET_REACH:
        yield f"{RECIPE_RANGE}: tuned: N = {n_params:.3g}, tuned at {min(sizes):.3g} to {max(sizes):.3g}"
    nearest = min(bracket.sizes, key=lambda size: max(size.n_params / n_params, n_params / size.n_params))
    if nearest.verdict != "interior":
        yield (
            f"{RECIPE_EDGE}: tuned: no minimum inside the rates and batches tried at N = {nearest.n_params:.3g} "
            f"(best rate {nearest.learning_rate:.3g})"
        )
