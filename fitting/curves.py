"""The table of training curves that the envelope reads: rows are checkpoints, or the end points of one size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .arguments import require_table
from .errors import InputError
from .runs import RunTable
from .shown import Shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Sizes chained by gaps of less than 1 % are one: published sizes are read off figures.
SIZE_TOLERANCE = 0.01


class CurveKind(StrEnum):
    """What the points of one curve are."""

    CHECKPOINTS = "checkpoints"  # of one run: not independent of each other
    END_POINTS = "end_points"  # of runs of one size, each trained to its own number of tokens


@dataclass(frozen=True, repr=False)
class CurveTable(Shown, says="runs.curve_table"):
    """Losses along training: a `RunTable` whose rows are the points of curves, named in its column `curve`.

    `table` keeps columns, units, conventions and flags as they are for runs; `flops` is the compute spent up to the
    point. `kind` says whether a curve is one run's checkpoints or the end points of one size. Points that must not
    be fitted (warm-up, repeated data, numbers that are none) are flagged there and counted by `excluded`.
    `curves_of` and `readers.curves.load_curves` make it. Raises InputError for a table without `curve`, and where
    no curve has two points.
    """

    table: RunTable
    kind: CurveKind

    def __post_init__(self) -> None:
        if "curve" not in self.table.frame:
            raise InputError("no column 'curve' says which rows are one curve: make the table with curves_of")
        if not self._is_whole().any():
            if self.kind is CurveKind.CHECKPOINTS:
                raise InputError("no run has two checkpoints with different tokens: an envelope needs curves")
            raise InputError(
                "no size has two numbers of tokens: these are run ends, and an envelope needs curves; name the columns "
                "that tell a run's checkpoints apart with --columns run=COL,tokens=COL, if there are any"
            )

    def __len__(self) -> int:
        return len(self.table)

    def plot(self) -> Figure:
        """Loss against compute along every curve, and the least loss of all sizes, as a matplotlib figure."""
        from .reporting.pictures.paper import draw
        from .reporting.pictures.training_curves import training_curves_picture

        return draw(training_curves_picture(self, self.table.counted_n_params, self.table.counted_flops))

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed."""
        return self.table.notes

    @property
    def fitted(self) -> pd.DataFrame:
        """The points to fit, of curves that have two or more of them, with a fresh index."""
        return self.table.fitted.loc[self._is_whole()].reset_index(drop=True)

    @property
    def excluded(self) -> list[dict[str, str | int]]:
        """What is not fitted: of each curve the reasons, and how many of its `points` each of them takes."""
        frame = self.table.frame
        out = frame.loc[~self.table.usable, ["curve", "flag"]]
        reasons = [{"curve": str(name), "reason": str(flag)} for name, flag in out.itertuples(index=False)]
        short = self.table.fitted.loc[~self._is_whole(), "curve"]
        reasons += [{"curve": str(name), "reason": "a curve of one point"} for name in short]
        counted: dict[tuple[str, str], int] = {}
        for row in reasons:
            counted[row["curve"], row["reason"]] = counted.get((row["curve"], row["reason"]), 0) + 1
        return [{"curve": name, "reason": why, "points": count} for (name, why), count in counted.items()]

    @property
    def decaying(self) -> bool | None:
        """Whether the points come from the middle of schedules that decay later; None where the table does not say.

        Such a loss lies above that of a run which ends there, so their envelope is biased. End points are not, nor
        are checkpoints at a constant rate: there every `phase` is "hot".
        """
        if self.kind is CurveKind.END_POINTS:
            return False
        if "phase" not in self.table.frame:
            return None
        phases = set(self.fitted["phase"].dropna().map(str))
        if "cooled" in phases:
            return True
        return False if phases == {"hot"} else None

    def with_conventions(self, n_params: str = "n_params", flops: str = "flops") -> CurveTable:
        """The same curves counted differently; see `RunTable.with_conventions`."""
        return replace(self, table=self.table.with_conventions(n_params, flops))

    def where(self, query: str) -> CurveTable:
        """The points for which `query` holds; see `RunTable.where`."""
        return replace(self, table=self.table.where(query))

    def _is_whole(self) -> NDArray[np.bool_]:
        """Per fitted row of the table, whether its curve has two numbers of tokens or more."""
        frame = self.table.fitted
        return pd.Series(frame.groupby("curve")["tokens"].transform("nunique")).to_numpy() >= 2


def require_curves(curves: object) -> None:
    """Raises InputError for what is no CurveTable."""
    if not isinstance(curves, CurveTable):
        remedy = "curves_of(table), or load_curves(path)"
        raise InputError(f"a CurveTable is wanted, not {type(curves).__name__}: {remedy}")


def curves_of(table: RunTable, *, size_tolerance: float = SIZE_TOLERANCE) -> CurveTable:
    """The curves in a table of runs.

    Where some run has rows at several numbers of tokens, rows are checkpoints and one run (at one size) is one
    curve. Else each row is a run of its own, and the end points of one size are one curve; sizes chained by gaps
    of less than `size_tolerance` (a fraction) are one. Raises InputError where neither gives a curve of two points.
    """
    require_table(table)
    names, kind = curve_names(table, size_tolerance)
    notes = table.notes
    if kind is CurveKind.END_POINTS:
        notes = (*notes, f"no run has several rows: the runs of one size (to {size_tolerance:.2g}) make one curve")
    return CurveTable(replace(table, frame=table.frame.assign(curve=pd.Series(names, dtype=object)), notes=notes), kind)


def curve_names(table: RunTable, size_tolerance: float = SIZE_TOLERANCE) -> tuple[NDArray[np.object_], CurveKind]:
    """The curve that each row of `table` is of, shape (n,), and what a curve's points are; see `curves_of`."""
    if not 0 <= size_tolerance < 1:
        raise InputError(f"size_tolerance {size_tolerance} must be a fraction from 0 to below 1")
    frame = table.frame
    usable = table.usable.to_numpy(dtype=bool)
    sizes = _size_names(frame["n_params"].to_numpy(dtype=float), usable, size_tolerance)
    runs = frame["run"].to_numpy(dtype=object)
    tokens = frame["tokens"].to_numpy(dtype=float)
    mine = slice(None) if usable.all() else usable  # ten million rows are not copied for nothing
    (run, run_names), (size, size_names) = _coded(runs[mine]), _coded(sizes[mine])
    pair, pairs = _coded(run * len(size_names) + size)
    first = np.empty(len(pairs))
    first[pair[::-1]] = tokens[mine][::-1]
    if not (tokens[mine] != first[pair]).any():
        return sizes, CurveKind.END_POINTS
    return runs if len(pairs) == len(run_names) else _joined(runs, sizes), CurveKind.CHECKPOINTS


def _coded(values: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[Any]]:
    """The number of each one's kind, and the kinds."""
    codes, kinds = pd.factorize(values)
    return codes, np.asarray(kinds)


def _joined(runs: NDArray[np.object_], sizes: NDArray[np.object_]) -> NDArray[np.object_]:
    """A run's name and its size; equal ones are one object."""
    (run, run_names), (size, size_names) = _coded(runs), _coded(sizes)
    pair, known = _coded(run * len(size_names) + size)
    names = [f"{run_names[code // len(size_names)]}, {size_names[code % len(size_names)]}" for code in known]
    return np.array(names, dtype=object)[pair]


def size_groups(n_params: NDArray[np.float64], tolerance: float = SIZE_TOLERANCE) -> NDArray[np.int_]:
    """The number of the size of each, rising, shape (n,): a gap of more than `tolerance` starts the next."""
    log_n = np.log(n_params)
    order = np.argsort(log_n, kind="stable")
    group = np.empty(len(log_n), dtype=int)
    group[order] = np.concatenate([[0], np.cumsum(np.diff(log_n[order]) > np.log1p(tolerance) + 1e-12)])
    return group


def _size_names(n_params: NDArray[np.float64], usable: NDArray[np.bool_], tolerance: float) -> NDArray[np.object_]:
    """Each row's size as a name; rows that are not fitted name their own. Equal names are one object."""
    names = np.empty(len(n_params), dtype=object)
    code, sizes = pd.factorize(n_params[usable])
    group = size_groups(np.asarray(sizes, dtype=float), tolerance)
    of_row = group[code]
    centres = np.exp(np.bincount(of_row, np.log(n_params[usable])) / np.bincount(of_row))
    names[usable] = np.array([f"N={centres[each]:.6g}" for each in group], dtype=object)[code]
    code, sizes = pd.factorize(n_params[~usable], use_na_sentinel=False)
    names[~usable] = np.array([f"N={value:.6g}" for value in sizes], dtype=object)[code]
    return names
