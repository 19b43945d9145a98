"""Training curves from wherever they are kept, as one `CurveTable`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from ..curves import CurveKind, CurveTable, curve_names, curves_of
from ..errors import InputError
from ..quality import flagged
from ..runs import RunTable
from . import column_map, from_source, require, run_frame
from .history import history_points
from .log import Log
from .mapping import ColumnMap
from .sources import read_log
from .sweep_curves import SCORED_KEYS, folder_points, own_points, thinning_note, trained_points
from .thinning import thinned


def load_curves(
    *sources: str | Path,
    columns: Mapping[str, str] | None = None,
    mapping: str | Path | None = None,
    keep_flagged: bool = False,
) -> CurveTable:
    """The curves of all `sources`, which are those of `load_runs`, in one table.

    Of our own sweeps these are the validation losses along the runs (`evaluation` in the config) and at their ends,
    where most runs have three or more. Else they are the logged training losses: means over the steps since the row
    before, so each is placed at the middle of its tokens. On data not yet repeated they estimate the test loss; what
    lies beyond the first epoch is flagged, the warm-up always. The notes say which. The ends alone are
    `curves_of(load_runs(folder))`. Of W&B and Trainer logs they are the full histories: the loss that the run's end is
    read from, or the training's where that was logged at the end alone. Of tables, rows as they are.

    A run's flag is that of all its points, unless `keep_flagged`; points of the warm-up stay flagged.
    Curves of more than 128 points are averaged to that many, even in ln tokens, which the notes say. `columns` and
    `mapping` are those of `load_runs`. Raises InputError, one line, for a source that cannot be used.
    """
    names = column_map(columns, mapping)
    logs = [read_log(source) for source in require(sources)]
    if len({log.ours for log in logs}) > 1:
        raise InputError(
            "our own sweeps and logs of others together: their losses are of different kinds; fit them one by one"
        )
    parts = [_curves(log, names, keep_flagged) for log in logs]
    if len(parts) == 1:
        return parts[0]
    if len({part.kind for part in parts}) > 1:
        raise InputError(
            "checkpoints of runs and run ends together: their losses are of different kinds; fit them one by one"
        )
    frames = [
        part.table.frame.assign(
            **{name: from_source(pd.Series(part.table.frame[name]), log.source) for name in ("run", "curve")}
        )
        for log, part in zip(logs, parts, strict=True)
    ]
    notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
    return replace(parts[0], table=RunTable(pd.concat(frames, ignore_index=True), notes, parts[0].table.keep_flagged))


def _curves(log: Log, names: ColumnMap, keep_flagged: bool) -> CurveTable:
    if log.history is None and not log.ours:
        return _of_rows(log, names, keep_flagged)
    points, notes = (_own if log.ours else history_points)(log, names, keep_flagged)
    if points.empty:
        raise InputError(f"{log.source}: {log.kind} without a history: there are no curves in it")
    return CurveTable(RunTable(points, tuple(notes)), CurveKind.CHECKPOINTS)


def _own(log: Log, names: ColumnMap, keep_flagged: bool) -> tuple[pd.DataFrame, list[str]]:
    if (chosen := names.exact.get("loss", "loss")) != "loss":
        raise InputError(f"{log.source}: --loss {chosen}: curves have no such loss, the runs' ends have; fit those")
    if log.history is None:
        frame, notes = run_frame(log, names)
        points, more = folder_points(Path(log.source), frame.assign(flag="") if keep_flagged else frame)
        return points, [*notes, *more]
    history = log.history().rename(columns={"train_loss": "loss"})
    frame, notes = run_frame(log, names)  # after the history, which may flag a run
    missing = [name for name in ("step", "tokens", "loss") if name not in history]
    if missing:
        raise InputError(f"{log.source}: the histories have no {', '.join(missing)}: were they logged by a sweep?")
    logged = history.reindex(columns=["row", "step", "tokens", "loss", *SCORED_KEYS])
    logged = logged.loc[logged["loss"].notna() | logged["tokens"].notna()].reset_index(drop=True)
    records = frame.assign(flag="") if keep_flagged else frame
    scored = logged.loc[logged["validation_loss"].notna()]
    points, more = own_points(records, scored, trained_points(records, logged))
    points["source"] = frame["source"].to_numpy()[points.pop("row").to_numpy()]
    return points, [*notes, *history.attrs.get("notes", ()), *more]


def _of_rows(log: Log, names: ColumnMap, keep_flagged: bool) -> CurveTable:
    """The rows of a table that names its runs, thinned; else the run ends of each size."""
    frame, notes = run_frame(log, names)
    frame, more = flagged(frame)
    table = RunTable(frame, (*notes, *more), keep_flagged)
    del frame  # ten million rows are a gigabyte
    curve, kind = curve_names(table)
    if kind is not CurveKind.CHECKPOINTS:
        return curves_of(table)
    code, flag = (pd.factorize(column)[0].astype(np.int32) for column in (curve, table.frame["flag"]))
    short, dense = thinned(table.frame.assign(curve=pd.Series(curve, dtype=object)), code, flag)
    return CurveTable(RunTable(short, (*table.notes, *thinning_note(dense)), keep_flagged), kind)
