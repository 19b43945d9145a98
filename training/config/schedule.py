"""The learning rate over a run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .parts import Fraction, Part, PositiveInt
from .rules import Warmup


class Schedule(Part):
    """Warmup, then the decay by which the run's last step ends; `wsd` holds and decays over `cooldown`."""

    kind: Literal["linear", "cosine", "wsd", "constant"] = "linear"
    warmup: Warmup = 0.1  # a number: of the run's steps
    cooldown: Annotated[float, Field(gt=0, le=1)] = 0.2  # wsd: of the run's steps
    cooldown_shape: Literal["linear", "sqrt"] = "linear"  # wsd: straight, or 1 - sqrt (Hägele 2024)
    final: Fraction = 0.0  # of the peak rate, at the end of linear, cosine and wsd
    horizon_tokens: PositiveInt | None = (
        None  # linear, cosine: the decay ends there and not with the run, which stays hot
    )
    trunk: bool = (
        False  # the budgets of one size share the steps before their cooldowns: batch and rate of the smallest
    )

    @model_validator(mode="after")
    def _consistent(self) -> Schedule:
        if self.horizon_tokens is not None and self.kind not in ("linear", "cosine"):
            raise ValueError(f"horizon_tokens: {self.kind} has no decay to time by it; leave it out")
        if self.trunk and self.kind in ("linear", "cosine") and self.horizon_tokens is None:
            raise ValueError(
                f"trunk: {self.kind} begins to decay at once, timed to each run's own end; nothing can be shared: "
                "use kind wsd, constant, or a horizon_tokens for all"
            )
        return self
