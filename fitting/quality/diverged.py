"""Runs whose loss went up and stayed there."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .rows import NOTHING, Found, Mask, Rows

# Times the run's own lowest loss, where most runs end at theirs. Runs that diverge end at 1.3 (tiny models, which are
# not far below a guess by frequency) to 3 times it; validation losses of healthy ones within 2 %.
DIVERGED = 1.25
# A batch's own loss scatters, and the lowest of a thousand lies 3 such scatters below the mean: most runs then end
# above their lowest, and the threshold rises with them, as far as this.
_MOST_SCATTER = 1.4
# Data repeated up to 4 times is nearly as good as new (Muennighoff 2023, arXiv:2305.16264); beyond, a loss may rise by
# overfitting, which the data-constrained law is there for.
_MOST_EPOCHS = 4.0


def diverged(rows: Rows, free: Mask) -> Found:
    """Rows whose loss is over `DIVERGED` times the lowest of their run: of its history, or of its rows before."""
    loss = rows.numbers("loss")
    if loss is None:
        return NOTHING
    lowest = rows.numbers("lowest_loss")
    low = _lowest_before(rows, loss, free) if rows.several else np.full(len(loss), np.nan)
    if lowest is not None:
        low = np.fmin(low, np.where(lowest > 0, lowest, np.nan))
    with np.errstate(all="ignore"):
        times = loss / low
    known = times[free & np.isfinite(times)]
    if not len(known):
        return NOTHING
    known.partition((len(known) - 1) // 2)
    middle = float(known[(len(known) - 1) // 2])
    limit = DIVERGED * min(max(middle, 1.0), _MOST_SCATTER)
    (found,) = np.nonzero(free & (times > limit) & np.isfinite(loss) & ~_overfitting(rows))
    return found, [
        f"diverged: loss {loss[i]:.4g} is {times[i]:.3g} times its run's lowest, {low[i]:.4g}" for i in found
    ]


def _lowest_before(rows: Rows, loss: NDArray[np.float64], free: Mask) -> NDArray[np.float64]:
    """The lowest of the free rows up to each in runs that are curves, NaN elsewhere.

    A curve has one size, and a row for each count of tokens: rows of several tasks or models under one name are none.
    """
    tokens, sizes = rows.numbers("tokens"), rows.numbers("n_params")
    if tokens is None or sizes is None:
        return np.full(len(loss), np.nan)
    # Of ten million rows each of these is 80 MB: one at a time.
    order = rows.order if free.all() else rows.order[free[rows.order]]
    run = rows.run[order]
    within = run[1:] == run[:-1]
    ordered = tokens[order]
    broken = ordered[1:] == ordered[:-1]
    ordered = sizes[order]
    broken |= ordered[1:] != ordered[:-1]
    curve = np.ones(rows.n_runs, dtype=bool)
    curve[run[1:][within & broken]] = False
    del ordered, broken, within
    low = np.full(len(loss), np.nan)
    low[order] = pd.Series(loss[order]).groupby(run).cummin().to_numpy()
    low[order[~curve[run]]] = np.nan
    return low


def _overfitting(rows: Rows) -> Mask:
    epochs, unique, tokens = (rows.numbers(name) for name in ("epochs", "unique_tokens", "tokens"))
    if epochs is not None:
        return epochs > _MOST_EPOCHS
    if unique is None or tokens is None:
        return np.zeros(len(rows.frame), dtype=bool)
    return tokens > _MOST_EPOCHS * unique
