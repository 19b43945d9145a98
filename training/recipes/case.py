"""What a rule may look at."""

from __future__ import annotations

from dataclasses import dataclass

from ...fitting.counting import ModelCounts, ModelShape


@dataclass(frozen=True)
class Case:
    """One cell. For cells that share a trunk, `tokens` and `flops` are those of the smallest budget."""

    shape: ModelShape
    counts: ModelCounts
    tokens: float  # D asked for
    flops: float  # C asked for, in the grid's convention
