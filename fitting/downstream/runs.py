"""The rows of one benchmark: what was run, its loss and its score, checked once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..cells import numbers_of, places
from ..errors import InputError
from ..query import values_of
from ..runs import RunTable
from ..uncertainty import resampling_units

Array = NDArray[np.float64]
_SAME_SIZE = 1e-6  # relative


@dataclass(frozen=True)
class TaskRuns:
    """One benchmark's rows, shape (n,) each: run ends, or checkpoints of runs.

    `score` is a share from 0 to 1, `n_params` and `tokens` are counts, `flops` training FLOPs, `loss` in any one unit.
    Rows of one `unit` are resampled together: those of one run, and runs of seeds of one cell. `percent`: the scores
    were given from 0 to 100.
    """

    task: str
    loss: Array
    score: Array
    n_params: Array
    tokens: Array
    flops: Array
    run: NDArray[np.object_]
    unit: NDArray[np.intp]
    percent: bool = False
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.loss)

    def only(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> TaskRuns:
        """Those rows alone."""
        kept = {name: getattr(self, name)[rows] for name in ("loss", "score", "n_params", "tokens", "flops")}
        return replace(self, **kept, run=self.run[rows], unit=self.unit[rows])

    @property
    def ends(self) -> NDArray[np.intp]:
        """The row of most tokens of each run, in the order of the table."""
        order = np.lexsort((np.arange(len(self)), self.tokens))
        last = dict(zip(self.run[order], order, strict=True))
        return np.sort(np.array(list(last.values()), dtype=np.intp))

    @property
    def n_units(self) -> int:
        return len(np.unique(self.unit))

    @property
    def largest(self) -> NDArray[np.bool_]:
        """Which rows are of the largest size."""
        return self.n_params >= self.n_params.max() * (1 - _SAME_SIZE)


def named_runs(table: RunTable, columns: Sequence[str]) -> RunTable:
    """The table with runs named by the values of `columns`, together. Raises InputError for a column it lacks."""
    for name in columns:
        if name not in table.frame:
            raise InputError(f"--run {name}: no such column; there are {', '.join(table.frame.columns)}")
    parts = [table.frame[name].fillna("").astype(str) for name in columns]
    return replace(
        table, frame=table.frame.assign(run=[" ".join(filter(None, row)) for row in zip(*parts, strict=True)])
    )


def tasks_of(table: RunTable, scores: Sequence[str], task: str | None) -> list[TaskRuns]:
    """One for each value of the column `task`, or else for each of `scores` (columns, or formulas of columns).

    Rows without a score are left out, which a note says. Raises InputError for a column that is not there, several
    scores beside a task column, and scores that are neither shares (0 to 1) nor percentages (0 to 100).
    """
    frame = table.fitted
    if task is None:
        return [_task(frame, score, score) for score in scores]
    if len(scores) > 1:
        raise InputError(f"--task {task}: goes with one --score, not with {', '.join(scores)}")
    if task not in frame:
        raise InputError(f"--task {task}: no such column; there are {', '.join(frame.columns)}")
    groups = frame.groupby(task, sort=False, dropna=False)
    return [_task(pd.DataFrame(part).reset_index(drop=True), scores[0], str(key)) for key, part in groups]


def _task(frame: pd.DataFrame, score: str, name: str) -> TaskRuns:
    values = numbers_of(frame, score) if score in frame else values_of(frame, score, "--score")
    has = values.notna().to_numpy()
    if not has.any():
        raise InputError(f"task {name}: no row has a number in --score {score}; name another column or --where")
    notes = [] if has.all() else [f"{len(has) - has.sum()} of {len(has)} rows have no score: left out"]
    frame = frame.loc[has].reset_index(drop=True)
    scores, percent = _shares(values[has].to_numpy(dtype=float), frame, score, name)
    if percent:
        notes.append("scores are percentages, read as shares of 1")
    numbers = {key: frame[key].to_numpy(dtype=float, copy=True) for key in ("loss", "n_params", "tokens", "flops")}
    run = frame["run"].to_numpy(dtype=object, copy=True)
    if len(frame) > 1 and all(str(each).rpartition(":")[2].startswith("row ") for each in run):
        notes.append(
            "no column says which rows are of one run: each is taken for a run of its own; where they are checkpoints, "
            "name its columns with --run, for intervals are else too narrow"
        )
    found = TaskRuns(
        task=name,
        score=scores,
        run=run,
        unit=np.arange(len(run)),
        percent=percent,
        notes=tuple(notes),
        **numbers,
    )
    return replace(found, unit=_units(found, frame))


def _units(runs: TaskRuns, frame: pd.DataFrame) -> NDArray[np.intp]:
    """The unit of each row's run: runs that end in one cell are one. Checkpoints of several runs may share a cell."""
    ends = runs.ends
    of_end = resampling_units(frame.iloc[ends].reset_index(drop=True))
    of_run = dict(zip(runs.run[ends], of_end, strict=True))
    return np.array([of_run[name] for name in runs.run], dtype=np.intp)


def _shares(values: Array, frame: pd.DataFrame, score: str, name: str) -> tuple[Array, bool]:
    percent = bool(np.median(values) > 1)
    top = 100.0 if percent else 1.0
    bad = np.flatnonzero(~((values >= 0) & (values <= top)))
    if len(bad):
        row = int(bad[0])
        place = places(frame.iloc[[row]])[0] or f"row {row + 1}"
        raise InputError(
            f"{place}: --score {score} of task {name} is {values[row]:g}, outside 0 to {top:g} "
            f"(most are {'percentages' if percent else 'shares'}); give accuracies, as in --score '1 - error'"
        )
    return values / top, percent
