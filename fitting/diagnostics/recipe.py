"""Doubts about how the runs were trained: a loss that a recipe bent bends the law."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ..runs import RunTable
from ..schema import NOTES_BETWEEN, RECIPE_EDGE, RECIPE_RANGE
from .warn import Warn

REMEDIES = {
    RECIPE_RANGE: "used outside the range it was found in, a recipe may suit some sizes better than others, which "
    "bends the curves; bracket it with `isoflop tune`",
    RECIPE_EDGE: "a rate on the edge of its bracket is not known to be near the best; extend the bracket with "
    "`isoflop tune --extend`",
}


def recipe_warnings(table: RunTable) -> list[Warn]:
    """What the fitted runs' `recipe_notes` say, one warning a code, and batches too large for their loss."""
    frame = table.fitted
    found = [_noted(frame, code, remedy) for code, remedy in REMEDIES.items()]
    return [warning for warning in [*found, _large_batches(table)] if warning is not None]


def _noted(frame: pd.DataFrame, code: str, remedy: str) -> Warn | None:
    if "recipe_notes" not in frame:
        return None
    by_run = [str(text).split(NOTES_BETWEEN) if isinstance(text, str) else [] for text in frame["recipe_notes"]]
    notes = [[note.removeprefix(f"{code}: ") for note in run if note.startswith(f"{code}: ")] for run in by_run]
    concerned = [run for run in notes if run]
    if not concerned:
        return None
    examples: dict[str, str] = {}
    for note in (note for run in concerned for note in run):
        examples.setdefault(note.rsplit(": ", 1)[0], note)  # key and rule come before the numbers of their own run
    return Warn(code, f"{len(concerned)} of {len(frame)} runs, as {'; '.join(examples.values())}: {remedy}")


def critical_batch(loss: ArrayLike) -> NDArray[np.float64]:
    """B_crit = 2e8 L^(-1 / .21) tokens at losses L in nats per token (Kaplan 2020, arXiv:2001.08361, equation 1.4)."""
    return 2e8 * np.asarray(loss, dtype=float) ** (-1 / 0.21)


def _large_batches(table: RunTable) -> Warn | None:
    """Batches above Kaplan's critical one."""
    frame = table.fitted
    if table.loss_unit == "bits_per_byte":
        return None
    if "batch_tokens" not in frame or not pd.api.types.is_numeric_dtype(frame["batch_tokens"]):
        return None
    batch, loss = (frame[name].to_numpy(dtype=float) for name in ("batch_tokens", "loss"))
    critical = critical_batch(loss)
    above = batch > critical
    if not above.any():
        return None
    worst = int(np.nanargmax(batch / critical))
    return Warn(
        "large_batch",
        f"{int(above.sum())} of {len(frame)} runs have a batch above Kaplan's critical one, 2e8 L^-4.76 tokens "
        f"({frame['run'].iloc[worst]}: {batch[worst]:.3g}, critical {critical[worst]:.3g} at its loss): such runs take "
        "too few steps for their tokens; lower recipe.batch",
    )
