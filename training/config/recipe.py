"""How every cell is trained."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .parts import Fraction, Part, Positive, PositiveInt
from .rules import Batch, Beta2, Rate, TokensPowerBatch, WeightDecay
from .schedule import Schedule


class BracketedSize(Part):
    """What was found at one size: its best rate among those tried, with a 95 % interval where there is one."""

    width: PositiveInt
    n_params: PositiveInt
    tokens: PositiveInt  # D of the runs
    batch_tokens: PositiveInt
    learning_rate: Positive
    low: Positive | None = None
    high: Positive | None = None
    cost: float | None  # nats (none: it diverged) that the rate of the recipe it was tried on lay above the best
    verdict: Literal["interior", "on edge"]


class Bracket(Part):
    """Where a tuned recipe comes from; a sweep whose sizes lie outside, or that has other rules, says so."""

    command: str
    learning_rate: Rate | None = None  # the rules it vouches for
    batch: Batch | None = None
    sizes: Annotated[list[BracketedSize], Field(min_length=1)]


class Optimizer(Part):
    """AdamW; weight decay on matrices, the embedding among them, and not on norms."""

    beta1: Fraction = 0.9
    beta2: Beta2 = 0.95
    eps: Positive = 1e-8
    weight_decay: WeightDecay = 0.1
    clip: Positive = 1.0  # of the gradient's norm


class Recipe(Part):
    """How every cell is trained."""

    batch: Batch = TokensPowerBatch(rule="tokens_power")
    learning_rate: Rate
    schedule: Schedule = Schedule()
    optimizer: Optimizer = Optimizer()
    precision: Literal["fp32", "bf16"] = "fp32"
    bracket: Bracket | None = None  # written by `tune`
