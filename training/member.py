"""One run's own account while it trains, alone or in a stack: losses not yet logged, and its training curve."""

from __future__ import annotations

import math
from typing import Any

from .evaluate import Evaluation
from .plan import RunPlan


class Member:
    """What one cell of a `state.Run` has seen so far."""

    def __init__(self, cell: RunPlan) -> None:
        self.cell = cell
        self.fetched: list[list[float]] = []  # (loss, gradient norm) of each step since the last row of the curve
        self.curve: list[dict[str, Any]] = []
        self.diverged_at: int | None = None  # the first step (from 0) whose loss or gradient was not finite

    def take(self, fetched: list[list[float]], step: int) -> None:
        """Losses and gradient norms of the latest steps, after which the run is at `step`."""
        if self.diverged_at is not None:
            return
        self.fetched += fetched
        bad = (i for i, (loss, norm) in enumerate(self.fetched) if not (math.isfinite(loss) and math.isfinite(norm)))
        if (place := next(bad, None)) is not None:
            self.diverged_at = step - len(self.fetched) + place

    def log(self, step: int, rate: float, score: Evaluation | None = None) -> dict[str, Any]:
        """The curve's next row, after `step` steps: means since the last one, and what was scored there."""
        losses, norms = zip(*self.fetched, strict=True)
        row = {
            "step": step,
            "tokens": step * self.cell.batch_tokens,
            "flops": self.cell.flops * step / self.cell.steps,
            "loss": math.fsum(losses) / len(losses),
            "learning_rate": self.cell.learning_rate * rate,
            "gradient_norm": math.fsum(norms) / len(norms),
        }
        if score is not None:
            row |= {"validation_loss": score.loss, "validation_loss_se": score.loss_se}
        self.fetched = []
        self.curve.append(row)
        return row
