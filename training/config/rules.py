"""The rules by which a cell's batch, rate, beta2, warmup and weight decay follow from its size and its tokens.

Formulas, sources and the ranges they were fitted in are in `training.recipes.published`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Discriminator, Field, Tag

from .parts import Fraction, Part, Positive, PositiveInt

Exponent = Annotated[float, Field(ge=-4, le=4)]


def _tag(value: Any) -> Any:
    """Which form a key has that is a plain number or a rule."""
    if isinstance(value, dict):
        return value.get("rule")
    return value.rule if isinstance(value, BaseModel) else "number"  # type: ignore[attr-defined]


class ConstantBatch(Part):
    rule: Literal["constant"]
    tokens: PositiveInt


class TokensPowerBatch(Part):
    """batch tokens = coefficient x D^exponent (the exponent is .383 to .571 in published laws)."""

    rule: Literal["tokens_power"]
    coefficient: Positive = 1.0
    exponent: Annotated[float, Field(gt=0, le=1)] = 0.5


class PowerLinesBatch(Part):
    """batch tokens = reference_batch x (D / reference_tokens)^.383."""

    rule: Literal["power_lines"]
    reference_batch: PositiveInt  # tokens, found good at
    reference_tokens: Positive  # so many training tokens


class PublishedBatch(Part):
    """A published law's batch, times `multiplier`."""

    rule: Literal["deepseek", "step_law", "porian"]
    multiplier: Positive = 1.0


class ConstantRate(Part):
    rule: Literal["constant"]
    value: Positive


class WidthPowerRate(Part):
    """LR = coefficient x width^width_exponent x (batch tokens / batch_reference)^batch_exponent."""

    rule: Literal["width_power"]
    coefficient: Positive
    width_exponent: Exponent = -1.0
    batch_exponent: Exponent = 0.5
    batch_reference: Positive = 512.0


class ParamsPowerRate(Part):
    """LR = coefficient x N^params_exponent x (batch tokens / batch_reference)^batch_exponent."""

    rule: Literal["params_power"]
    coefficient: Positive
    params_exponent: Exponent
    n_params: Literal["n_params", "n_params_non_embedding", "n_params_blocks_and_head"] = "n_params"
    batch_exponent: Exponent = 0.0
    batch_reference: Positive = 512.0


class PublishedRate(Part):
    """A published law's peak rate, times `multiplier`."""

    rule: Literal["deepseek", "step_law", "porian", "marin", "kaplan"]
    multiplier: Positive = 1.0


class PublishedBeta2(Part):
    """beta2 by the batch."""

    rule: Literal["marin", "porian"]


class WidthPowerDecay(Part):
    """Weight decay = coefficient x width^width_exponent."""

    rule: Literal["width_power"]
    coefficient: Positive
    width_exponent: Exponent


class TimescaleDecay(Part):
    """Weight decay that makes AdamW average its updates over this fraction of the run: 1 / (timescale x LR x steps).

    The fraction is `timescale` at 20 tokens a parameter and follows (D / N)^tokens_per_param_exponent elsewhere.
    """

    rule: Literal["timescale"]
    timescale: Positive
    tokens_per_param_exponent: Exponent = 0.0


class TokensWarmup(Part):
    """Warmup over a fixed number of tokens."""

    rule: Literal["tokens"]
    tokens: Positive


class ParamsWarmup(Part):
    """Warmup over `factor` tokens a parameter."""

    rule: Literal["params"]
    factor: Positive = 1.0


Batch = Annotated[ConstantBatch | TokensPowerBatch | PowerLinesBatch | PublishedBatch, Field(discriminator="rule")]
Rate = Annotated[ConstantRate | WidthPowerRate | ParamsPowerRate | PublishedRate, Field(discriminator="rule")]
Beta2 = Annotated[
    Annotated[Fraction, Tag("number")]
    | Annotated[PublishedBeta2, Tag("marin")]
    | Annotated[PublishedBeta2, Tag("porian")],
    Discriminator(_tag),
]
WeightDecay = Annotated[
    Annotated[float, Field(ge=0), Tag("number")]
    | Annotated[WidthPowerDecay, Tag("width_power")]
    | Annotated[TimescaleDecay, Tag("timescale")],
    Discriminator(_tag),
]
Warmup = Annotated[  # a number is a fraction of the run's steps
    Annotated[Fraction, Tag("number")]
    | Annotated[TokensWarmup, Tag("tokens")]
    | Annotated[ParamsWarmup, Tag("params")],
    Discriminator(_tag),
]
