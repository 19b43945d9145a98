"""Runs whose count of tokens began again, as it does where a script that counts from 0 was resumed."""

from __future__ import annotations

import numpy as np

from .rows import NOTHING, Found, Mask, Rows

_ROUNDING = 1e-9


def restarted(rows: Rows, free: Mask) -> Found:
    """Rows of runs whose tokens fall where their steps rise, from one row to the next of one size.

    Where steps fall too the rows may be in any order, or of several runs under one name: nothing is said of those.
    """
    columns = [rows.numbers(name) for name in ("step", "tokens", "n_params")]
    if not rows.several or any(column is None for column in columns):
        return NOTHING
    mine = slice(None)  # ten million rows in order are not copied
    if not free.all() or (rows.run[1:] < rows.run[:-1]).any():
        mine = np.flatnonzero(free)
        mine = mine[np.argsort(rows.run[mine], kind="stable")]
    run = rows.run[mine]
    step, tokens, size = (column[mine] for column in columns if column is not None)
    fell = (run[1:] == run[:-1]) & (size[1:] == size[:-1]) & (step[1:] > step[:-1]) & (tokens[1:] < tokens[:-1])
    (at,) = np.nonzero(fell)
    at = at[tokens[at + 1] < (1 - _ROUNDING) * tokens[at]]
    texts = {int(run[i]): f"tokens fall from {tokens[i]:.6g} to {tokens[i + 1]:.6g}" for i in at[::-1]}
    if not texts:
        return NOTHING
    (found,) = np.nonzero(free & np.isin(rows.run, list(texts)))
    return found, [f"{texts[each]} as the run's steps rise: their counter began again" for each in rows.run[found]]
