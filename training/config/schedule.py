"""The learning rate over a run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .parts import Fraction, Part


class Schedule(Part):
    """Warmup, then the decay by which the run's last step ends; `wsd` holds and decays over `cooldown`."""

    kind: Literal["linear", "cosine", "wsd", "constant"] = "linear"
    warmup: Fraction = 0.1  # of the run's steps
    cooldown: Annotated[float, Field(gt=0, le=1)] = 0.2  # wsd: of the run's steps
    final: Fraction = 0.0  # of the peak rate, at the end of linear, cosine and wsd
