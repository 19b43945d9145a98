"""How every cell is trained."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .parts import Fraction, Part, Positive, PositiveInt
from .schedule import Schedule


class ConstantBatch(Part):
    rule: Literal["constant"]
    tokens: PositiveInt


class TokensPowerBatch(Part):
    """batch tokens = coefficient x D^exponent (the exponent is .383 to .571 in published laws)."""

    rule: Literal["tokens_power"]
    coefficient: Positive = 1.0
    exponent: Annotated[float, Field(gt=0, le=1)] = 0.5


class ConstantRate(Part):
    rule: Literal["constant"]
    value: Positive


class WidthPowerRate(Part):
    """LR = coefficient x width^width_exponent x (batch tokens / batch_reference)^batch_exponent."""

    rule: Literal["width_power"]
    coefficient: Positive
    width_exponent: Annotated[float, Field(ge=-4, le=4)] = -1.0
    batch_exponent: Annotated[float, Field(ge=-4, le=4)] = 0.5
    batch_reference: Positive = 512.0


class Optimizer(Part):
    """AdamW; weight decay on matrices, the embedding among them, and not on norms."""

    beta1: Fraction = 0.9
    beta2: Fraction = 0.95
    eps: Positive = 1e-8
    weight_decay: Annotated[float, Field(ge=0)] = 0.1
    clip: Positive = 1.0  # of the gradient's norm


class Recipe(Part):
    """How every cell is trained."""

    batch: Annotated[ConstantBatch | TokensPowerBatch, Field(discriminator="rule")] = TokensPowerBatch(
        rule="tokens_power"
    )
    learning_rate: Annotated[ConstantRate | WidthPowerRate, Field(discriminator="rule")]
    schedule: Schedule = Schedule()
    optimizer: Optimizer = Optimizer()
    precision: Literal["fp32", "bf16"] = "fp32"
