"""Long tables made shorter: dense curves to means over equal steps of ln tokens, in which every point counts; or to
the last row of each run.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

POINTS = 128  # of one curve; over four decades of tokens a mean then spans 7 % of them, where a loss is a straight line
_MEANS = ("tokens", "loss", "flops")  # and what begins with flops_


def thinned(
    frame: pd.DataFrame, curve: NDArray[np.integer], flag: NDArray[np.integer], points: int = POINTS
) -> tuple[pd.DataFrame, int]:
    """`frame` with each curve of more than `points` rows averaged to at most so many, and the number of such curves.

    `curve` and `flag` number each row's curve and its reason not to be fitted: points of different reasons are never
    averaged together, nor are losses with NaN. Tokens, losses and FLOPs are means; of all other columns the last row's
    value stands. `points` in the result counts the rows that each one stands for. Rows are sorted by curve and tokens.
    """
    tokens = frame["tokens"].to_numpy(dtype=float)
    order = _order(curve, tokens)
    curve, flag, tokens = curve[order], flag[order], tokens[order]
    starts = np.flatnonzero(np.diff(curve, prepend=-1))
    counts = np.diff(starts, append=len(curve))
    dense = counts > points
    if not dense.any():
        return frame.iloc[order].assign(points=1), 0
    group = curve.astype(np.int64)
    for code in (
        _bins(tokens, starts, counts, dense, points),
        flag,
        np.isnan(frame["loss"].to_numpy(dtype=float)[order]),
    ):
        group *= int(code.max()) + 1
        group += code
    again = _order(group, tokens)
    group, order = group[again], np.arange(len(group), dtype=np.int32)[order][again]
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    size = np.diff(starts, append=len(group))
    short = frame.iloc[order[starts + size - 1]].copy()
    for name in frame.columns:
        if name in _MEANS or str(name).startswith("flops_"):
            short[name] = np.add.reduceat(frame[name].to_numpy(dtype=float)[order], starts) / size
    return short.assign(points=size), int(dense.sum())


def last_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Of each run (of one size) the row of most tokens, with `lowest_loss` the least loss of all its rows."""
    run, tokens = pd.factorize(frame["run"])[0], frame["tokens"].to_numpy(dtype=float)
    size, sizes = pd.factorize(frame["n_params"], use_na_sentinel=False)
    code = run * len(sizes) + size
    order = _order(code, np.where(np.isnan(tokens), -np.inf, tokens))
    starts = np.flatnonzero(np.diff(code[order], prepend=-1))
    last = np.append(starts[1:], len(code)) - 1
    lowest = np.fmin.reduceat(frame["loss"].to_numpy(dtype=float)[order], starts)
    short = frame.iloc[last if isinstance(order, slice) else order[last]]
    return short.assign(lowest_loss=lowest) if "lowest_loss" not in frame else short


def _order(first: NDArray[np.integer], then: NDArray[np.float64]) -> NDArray[np.int_] | slice:
    """What sorts by `first`, then `then`; of ten million rows in order already, nothing is made."""
    rises = np.diff(first)
    if (rises >= 0).all() and not (np.diff(then)[rises == 0] < 0).any():
        return slice(None)
    return np.lexsort((then, first))


def _bins(
    tokens: NDArray[np.float64],
    starts: NDArray[np.int_],
    counts: NDArray[np.int_],
    dense: NDArray[np.bool_],
    points: int,
) -> NDArray[np.int_]:
    """The number of each row's bin: even in ln tokens in dense curves, a bin a row in others."""
    within = np.arange(len(tokens)) - np.repeat(starts, counts)
    with np.errstate(divide="ignore", invalid="ignore"):
        x = np.log(tokens)
    usable = np.isfinite(x)
    low = np.minimum.reduceat(np.where(usable, x, np.inf), starts)
    high = np.maximum.reduceat(np.where(usable, x, -np.inf), starts)
    width = np.where(high > low, (high - low) / points, 1.0)
    place = (x - np.repeat(low, counts)) / np.repeat(width, counts)
    place = np.clip(np.where(usable, place, 0.0), 0, points - 1).astype(np.int32)
    return np.where(np.repeat(dense, counts), place, within.astype(np.int32))
