"""The histories of a tracker's runs as points of curves: a loss, the tokens seen by then, the FLOPs spent."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..cells import numbers_of
from ..errors import InputError
from ..quality import flagged
from ..quality.restarted import restarted
from ..quality.rows import Rows
from ..query import values_of
from ..run_columns import COUNTS, FLOPS_COLUMNS
from . import run_frame
from .columns import ALIASES, TRAINING_LOSSES, columns_in, name_columns
from .log import Log
from .mapping import ColumnMap
from .sweep_curves import thinning_note
from .thinning import thinned

_FEW = 3  # points make a curve; a loss logged less often is one of the run's end
_OF_THE_END = ("loss_se", "bits_per_byte", "lowest_loss", "step", "epochs")


def history_points(log: Log, names: ColumnMap, keep_flagged: bool = False) -> tuple[pd.DataFrame, list[str]]:
    """Every logged loss in `log` as rows of a table, thinned, and notes on what was taken and assumed.

    Flags of a run are those of its points, unless `keep_flagged`; a run whose tokens fall along it is flagged. Raises
    InputError where no loss was logged more than twice in a run, and where the tokens seen by then cannot be told.
    """
    assert log.history is not None
    history = log.history()  # first: a history that cannot be had is told in the run's flag
    frame, notes = run_frame(log, names)
    frame, more = flagged(frame)
    if keep_flagged:
        frame = frame.assign(flag="")
    found, _ = name_columns(log, names)
    key = _loss_key(log, found, names, history)
    row = history["row"].to_numpy(dtype=np.int64)
    step = _steps(history, row)
    logged = history[key].notna().to_numpy()
    context = _Context(log, frame, history, row, step, logged)
    tokens, how = context.tokens(found, "tokens" in names.exact or "tokens" in names.columns)
    flops, shared = context.flops(found, tokens)
    points = pd.DataFrame(
        {"row": row[logged], "step": step[logged], "tokens": tokens, "loss": history[key].to_numpy(dtype=float)[logged]}
        | ({} if flops is None else {"flops": flops})
    )
    if not keep_flagged:
        frame = _restarted_flagged(frame, points)
    short, dense = thinned(points, points["row"].to_numpy(), np.zeros(len(points), dtype=int))
    runs = frame.iloc[np.asarray(short["row"], dtype=np.intp)].reset_index(drop=True)
    kept = [name for name in runs if name not in (*_OF_THE_END, "flops")]
    values = short.drop(columns="row").reset_index(drop=True)
    share = values["tokens"].to_numpy() / runs["tokens"].to_numpy(dtype=float)
    for name in kept:
        if name in FLOPS_COLUMNS:  # any count of FLOPs grows as the tokens
            runs[name] = runs[name].to_numpy(dtype=float) * share
    table = pd.DataFrame(runs[kept]).assign(curve=runs["run"], **{str(name): values[name] for name in values})
    without = len(frame) - len(np.unique(points["row"]))
    more += [f"{without} of {len(frame)} runs have no {key!r} in their history"] if without else []
    said = "; ".join([f"curves are the histories of {key!r}", *filter(None, (how, shared))])
    return table, [*notes, *more, *history.attrs.get("notes", ()), said, *thinning_note(dense)]


def _restarted_flagged(frame: pd.DataFrame, points: pd.DataFrame) -> pd.DataFrame:
    """`frame` with a reason at the runs whose tokens fall along their points, which its own rows do not tell."""
    rows = Rows(points.assign(run=points["row"], n_params=0.0))
    where, reasons = restarted(rows, np.ones(len(points), dtype=bool))
    reason = dict(zip(points["row"].to_numpy()[where].tolist(), reasons, strict=True))
    flags = [flag or reason.get(row, "") for row, flag in enumerate(frame["flag"])]
    return frame.assign(flag=flags) if reason else frame


def _loss_key(log: Log, found: dict[str, str], names: ColumnMap, history: pd.DataFrame) -> str:
    """The key of the history that is the curve: the run's own loss, or a training's where that was not followed."""
    own = found["loss"].removeprefix("summary.")
    given = "loss" in names.exact or "loss" in names.columns
    keys = [own] if given else [own, *(key for key in TRAINING_LOSSES if key != own)]
    for key in keys:
        if key in history and history.loc[history[key].notna(), "row"].value_counts().median() >= _FEW:
            return key
    raise InputError(
        f"{log.source}: {' and '.join(keys[:2])} are logged fewer than {_FEW} times a run: there are no curves; name "
        "the history's loss with --columns loss=KEY"
    )


def _steps(history: pd.DataFrame, row: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each point's step; its number within the run where none was logged."""
    number = np.arange(len(row)) - np.maximum.accumulate(
        np.where(np.diff(row, prepend=-1) != 0, np.arange(len(row)), 0)
    )
    if "step" not in history:
        return number.astype(float)
    step = history["step"].to_numpy(dtype=float)
    return np.where(np.isnan(step), number, step)


class _Context:
    """What a formula of columns may see at each logged loss: the history there, and the run's own columns."""

    def __init__(
        self,
        log: Log,
        frame: pd.DataFrame,
        history: pd.DataFrame,
        row: NDArray[np.int64],
        step: NDArray[np.float64],
        logged: NDArray[np.bool_],
    ) -> None:
        self.log, self.frame, self.history, self.row, self.step, self.logged = log, frame, history, row, step, logged
        self.last = np.zeros(len(frame))
        np.maximum.at(self.last, row, step)

    def tokens(self, found: dict[str, str], given: bool) -> tuple[NDArray[np.float64], str]:
        """Tokens seen by each logged loss, and how they were told where that is a guess."""
        values, followed = self._values("tokens", found["tokens"])
        if followed:
            return values, ""
        counted = [key for key in ALIASES["tokens"] if key in self.history and self._varies(key)]
        if counted and not given:
            return self._column(counted[0], "tokens")[0], f"their tokens are {counted[0]!r}"
        part = self.step[self.logged] / self.last[self.row[self.logged]]
        return values * part, "their tokens are the run's, in proportion to the step"

    def flops(self, found: dict[str, str], tokens: NDArray[np.float64]) -> tuple[NDArray[np.float64] | None, str]:
        """FLOPs spent by each logged loss; None where the runs have none of their own."""
        if "flops" not in found:
            return None, ""
        values, followed = self._values("flops", found["flops"])
        if followed:
            return values, ""
        total = self.frame["tokens"].to_numpy(dtype=float)[self.row[self.logged]]
        return values * tokens / total, "their FLOPs are the run's, in proportion to the tokens"

    def _values(self, ours: str, theirs: str) -> tuple[NDArray[np.float64], bool]:
        """Their column or formula at each logged loss, and whether anything in it is followed along the run."""
        names = columns_in(theirs, [str(name) for name in self.log.frame.columns])
        seen = {name: self._column(name, ours) for name in names}
        there = pd.DataFrame({name: values for name, (values, _) in seen.items()})
        followed = any(along for _, along in seen.values())
        if theirs in seen:
            return there[theirs].to_numpy(dtype=float), followed
        return values_of(there, theirs, f"{self.log.source}: column {ours}").to_numpy(dtype=float), followed

    def _column(self, name: str, ours: str) -> tuple[NDArray[np.float64], bool]:
        key = re.sub(r"^summary\.", "", name)
        if key == "step" and key not in self.history.columns[1:]:
            return self.step[self.logged], True
        if key in self.history and bool(self.history[key].notna().any()):
            values = self.history[key].to_numpy(dtype=float)
            return self._along(values), self._varies(key)
        of_runs = numbers_of(self.log.frame, name, suffixes=ours in COUNTS).to_numpy(dtype=float)
        return of_runs[self.row[self.logged]], False

    def _varies(self, key: str) -> bool:
        """Whether most runs have several values of it."""
        rows = pd.Series(self.history[key].to_numpy(dtype=float)).groupby(self.row).nunique()
        return bool((rows > 1).mean() > 0.5)

    def _along(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Between the steps at which it was logged, and after them, it goes on in a straight line; before them, from
        0 at step 0."""
        out = np.full(len(values), np.nan)
        for mine in np.split(np.arange(len(values)), np.flatnonzero(np.diff(self.row)) + 1):
            known = mine[~np.isnan(values[mine])]
            if len(known):
                at, logged = self.step[known], values[known]
                if at[0] > 0:
                    at, logged = np.concatenate([[0.0], at]), np.concatenate([[0.0], logged])
                beyond = np.maximum(self.step[mine] - at[-1], 0.0)
                out[mine] = np.interp(self.step[mine], at, logged) + beyond * _last_slope(at, logged)
        return out[self.logged]


def _last_slope(at: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """By how much the values last rose a step; 0 for one point."""
    before = np.flatnonzero(at < at[-1])
    return float((values[-1] - values[before[-1]]) / (at[-1] - at[before[-1]])) if len(before) else 0.0
