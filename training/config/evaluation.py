"""When the loss is measured before a run's end."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .parts import Part


class Evaluation(Part):
    """Points along a run at which its validation loss is measured; they change no loss and are in no run's id."""

    points_per_decade: Annotated[int, Field(ge=0, le=100)] = 0  # of tokens, the same D for all runs; 0: the end alone
