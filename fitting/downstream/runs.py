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
from ..readers.columns import formula_hint
from ..reporting.style import count_text
from ..runs import RunTable
from ..uncertainty import resampling_units
from .score_units import Unit, unit_of

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


def tasks_of(
    table: RunTable, scores: Sequence[str], task: str | None, *, beside: RunTable | None = None
) -> list[TaskRuns]:
    """One for each value of the column `task`, or else for each of `scores` (columns, or formulas of columns).

    Whether scores are shares (0 to 1) or percentages (0 to 100) is told once a column or formula, from all its rows and
    those of `beside`, the part of the table kept apart. Rows without a score are left out, which a note says. Raises
    InputError for a column that is not there, several scores beside a task column, scores that are neither, and rows
    that look like several tasks.
    """
    frame = table.fitted
    if task is not None and len(scores) > 1:
        raise InputError(f"--task {task}: goes with one --score, not with {', '.join(scores)}")
    if task is not None and task not in frame:
        raise InputError(f"--task {task}: no such column; there are {', '.join(frame.columns)}")
    frames = [frame, *([beside.fitted] if beside is not None else [])]
    units = {score: unit_of([_scored(each, score, task) for each in frames], score) for score in scores}
    if task is None:
        return [_task(frame, score, score, units[score]) for score in scores]
    groups = frame.groupby(task, sort=False, dropna=False)
    parts = [(str(key), pd.DataFrame(part).reset_index(drop=True)) for key, part in groups]
    return [_task(part, scores[0], name, units[scores[0]]) for name, part in parts]


def _scored(frame: pd.DataFrame, score: str, task: str | None) -> pd.DataFrame:
    """The rows with a score: their `score`, `task` and `place`."""
    values = _values(frame, score)
    tasks = frame[task].astype(str) if task is not None and task in frame else score
    found = pd.DataFrame({"score": values, "task": tasks, "place": places(frame)}, index=frame.index)
    return found.loc[values.notna().to_numpy()]


def _values(frame: pd.DataFrame, score: str) -> pd.Series:
    if score in frame:
        return numbers_of(frame, score)
    try:
        return values_of(frame, score, "--score")
    except InputError as error:
        hint = formula_hint(score, list(map(str, frame.columns))) if "no column" in str(error) else ""
        raise InputError(f"{error}{hint}") from error


def _task(frame: pd.DataFrame, score: str, name: str, unit: Unit) -> TaskRuns:
    values = _values(frame, score).to_numpy(dtype=float)
    has = ~np.isnan(values)
    if not has.any():
        raise InputError(f"task {name}: no row has a number in --score {score}; name another column or --where")
    notes = [] if has.all() else [f"{len(has) - has.sum()} of {len(has)} rows have no score: left out"]
    frame = frame.iloc[np.flatnonzero(has)].reset_index(drop=True)
    scores = values[has] / unit.top
    notes += [unit.note] if unit.note else []
    numbers = {key: frame[key].to_numpy(dtype=float, copy=True) for key in ("loss", "n_params", "tokens", "flops")}
    run = frame["run"].to_numpy(dtype=object, copy=True)
    _require_one_task(run, numbers["tokens"], scores, name)
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
        percent=unit.percent,
        notes=tuple(notes),
        **numbers,
    )
    return replace(found, unit=_units(found, frame))


def _require_one_task(run: NDArray[np.object_], tokens: Array, scores: Array, name: str) -> None:
    """InputError where a run has several scores at one token count: those of several tasks, or of several runs."""
    rows = pd.DataFrame({"run": run, "tokens": tokens, "score": scores})
    grouped = rows.groupby(["run", "tokens"])["score"]
    low, high = (grouped.transform(end).to_numpy(dtype=float) for end in ("min", "max"))
    apart = np.flatnonzero(high > low)
    if len(apart):
        row = int(apart[0])
        at = f"{run[row]} at {count_text(float(tokens[row]))} tokens: {low[row]:.4g} to {high[row]:.4g}"
        raise InputError(
            f"task {name}: rows of one run and token count have several scores ({at}): name the task column with "
            "--task, or with --run what makes a run"
        )


def _units(runs: TaskRuns, frame: pd.DataFrame) -> NDArray[np.intp]:
    """The unit of each row's run: runs that end in one cell are one. Checkpoints of several runs may share a cell."""
    ends = runs.ends
    of_end = resampling_units(frame.iloc[ends].reset_index(drop=True))
    of_run = dict(zip(runs.run[ends], of_end, strict=True))
    return np.array([of_run[name] for name in runs.run], dtype=np.intp)
