"""Which runs must not be fitted, by what their own columns say of them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .diverged import diverged
from .ended import short, unfinished
from .repeated import repeated
from .restarted import restarted
from .rows import Rows, words_of
from .units import mixed_units, units_of_all

# In this order: a row keeps the first reason it is given.
_RULES = (
    (unfinished, "are of runs whose state says that they did not finish"),
    (short, "are of runs that ended before their schedule"),
    (restarted, "are of runs whose count of tokens began again"),
    (repeated, "are runs that the table has already"),
    (diverged, "are of runs that diverged"),
    (mixed_units, "have counts or losses in another unit than most"),
)


def flagged(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """`frame` with the reason in `flag` of every row that must not be fitted, and notes: on each kind found, and
    on columns that most rows have in another unit than ours.

    Reads the columns that `RunTable` names; a row that has a flag keeps it.
    """
    rows = Rows(frame)
    flags = _own_flags(frame)
    free = flags == ""
    given = free.copy()
    notes: list[str] = []
    for rule, what in _RULES:
        where, reasons = rule(rows, free)
        if len(where):
            flags[where] = np.array(reasons, dtype=object)
            free[where] = False
            notes.append(f"{len(where)} of {len(frame)} rows {what}: not fitted; --keep-flagged fits them too")
    if (free != given).any():
        frame = frame.assign(flag=pd.Series(flags, index=frame.index, dtype=object))
    return frame, [*notes, *units_of_all(rows, free)]


def _own_flags(frame: pd.DataFrame) -> np.ndarray:
    flags = np.full(len(frame), "", dtype=object)
    if "flag" in frame:
        codes, words = words_of(pd.Series(frame["flag"]))
        flags = np.array([*words, ""], dtype=object)[codes]
    return flags
