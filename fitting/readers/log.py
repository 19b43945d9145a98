"""What a source holds before it is known which of its columns is which of ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Log:
    """One source as its reader found it: `kind` says what it was taken for.

    `frame` has a row a run, or whatever rows a table has. Of runs with a history (W&B, Trainer) the columns are
    `run` (id), `source` (the file or address), `flag` (why the source itself says not to fit it, "" for nothing),
    `config.KEY` and `summary.KEY` (nested keys joined by dots), `run.KEY` (what the tracker knows of the run: name,
    group, tags, state) and, plainly `KEY`, the last value in its history. Of tables they are the table's own, beside
    `source` and `source_line`.

    `history`, where there is one, gives every logged point: `row` (of `frame`), `step` (NaN where unknown) and a
    float column a KEY, in the order of rows and steps. `lowest` has the least value of each KEY, rows as `frame`.
    """

    source: str
    kind: str
    frame: pd.DataFrame
    notes: tuple[str, ...] = ()
    history: Callable[[], pd.DataFrame] | None = None
    lowest: pd.DataFrame | None = None
    ours: bool = False  # the columns are named as ours already: nothing is to be guessed
