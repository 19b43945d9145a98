"""Which runs must not be fitted, by what their own columns say of them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .diverged import diverged
from .ended import short, unfinished
from .repeated import repeated
from .rows import Rows, words_of
from .units import mixed_units

# In this order: a row keeps the first reason it is given.
_RULES = (
    (unfinished, "are of runs whose state says that they did not finish"),
    (short, "are of runs that ended before their schedule"),
    (repeated, "are runs that the table has already"),
    (diverged, "are of runs that diverged"),
    (mixed_units, "have counts or losses in another unit than most"),
)


def flagged(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """`frame` with the reason in `flag` of every row that must not be fitted, and a note on each kind found.

    Reads the columns that `RunTable` names; a row that has a flag keeps it.
    """
    rows = Rows(frame)
    flags = _own_flags(frame)
    free = flags == ""
    notes = []
    for rule, what in _RULES:
        where, reasons = rule(rows, free)
        if len(where):
            flags[where] = np.array(reasons, dtype=object)
            free[where] = False
            notes.append(f"{len(where)} of {len(frame)} rows {what}: not fitted; --keep-flagged fits them too")
    return (frame.assign(flag=pd.Series(flags, index=frame.index, dtype=object)), notes) if notes else (frame, notes)


def _own_flags(frame: pd.DataFrame) -> np.ndarray:
    flags = np.full(len(frame), "", dtype=object)
    if "flag" in frame:
        codes, words = words_of(pd.Series(frame["flag"]))
        flags = np.array([*words, ""], dtype=object)[codes]
    return flags
