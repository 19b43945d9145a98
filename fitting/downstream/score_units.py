"""Whether a column of scores holds shares or percentages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..errors import InputError

_NAMED = re.compile(r"percent|(^|[^a-z])pct([^a-z]|$)|%", re.IGNORECASE)
_LOW = 10.0  # scores that are no shares, and none above this: ratings, or percentages of a hard task


@dataclass(frozen=True)
class Unit:
    """Of the scores of one column: whether they run to 100 rather than 1, and what to say of that."""

    percent: bool
    note: str = ""

    @property
    def top(self) -> float:
        return 100.0 if self.percent else 1.0


def unit_of(parts: Sequence[pd.DataFrame], score: str) -> Unit:
    """One unit for all rows of the column or formula `score`: each part has `score`, `task` and `place`, row by row.

    A column whose name says percent is that; else most scores above 1 say so. Raises InputError for scores outside of
    the unit, for none above 1 in one task and percentages in another, and for a highest score of 1 to 10, which may be
    a rating.
    """
    rows = pd.concat(parts)
    values = rows["score"].to_numpy(dtype=float)
    if not len(values):
        return Unit(percent=False)
    # A formula may have divided the column already.
    named = _NAMED.search(score) is not None and not any(sign in score for sign in "*/+`")
    percent = named or bool(np.median(values) > 1)
    unit = Unit(percent)
    bad = np.flatnonzero(~((values >= 0) & (values <= unit.top)))
    if len(bad):
        row = rows.iloc[int(bad[0])]
        place = row["place"] or f"row {rows.index[int(bad[0])] + 1}"
        raise InputError(
            f"{place}: --score {score} of task {row['task']} is {row['score']:g}, outside 0 to {unit.top:g} "
            f"(most are {'percentages' if percent else 'shares'}); give accuracies, as in --score '1 - error'"
        )
    if not percent:
        return unit
    if named:
        note = f"scores are percentages by the name {score!r}, read as shares of 1"
        if values.max() <= 1:
            note += f", though none is above 1: if they are shares already, --score '1 * {score}'"
        return Unit(percent, note)
    if values.max() <= _LOW:
        raise InputError(
            f"--score {score}: the scores go up to {values.max():g}, which are neither shares (0 to 1) nor clearly "
            "percentages; divide them to shares in --score, as in 'score / 100'"
        )
    of_task = rows["task"].to_numpy()
    highest = {str(task): float(values[of_task == task].max()) for task in dict.fromkeys(of_task.tolist())}
    low, high = min(highest, key=lambda task: highest[task]), max(highest, key=lambda task: highest[task])
    if highest[low] <= 1:
        raise InputError(
            f"--score {score}: task {low} scores at most {highest[low]:g} and task {high} up "
            f"to {highest[high]:g}: shares and percentages in one column, or percentages of a hard task; choose tasks "
            "with --where, or divide to shares in --score, as in 'score / 100'"
        )
    return Unit(percent, "scores are percentages, read as shares of 1")
