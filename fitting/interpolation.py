"""Runs at chosen amounts of compute, read off their curves: isoFLOP rows from training logs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from .curves import CurveKind, CurveTable
from .errors import InputError
from .estimators.envelope.grid import curves_at
from .run_columns import FLOPS_SPENT
from .runs import RunTable

SMOOTHING = 0.2  # in ln tokens, as for approach 1
SKIP = 0.05  # of a run's tokens: its start
# In ln C after a curve's last point, which stands for the middle of what was logged last: a run reaches its own end.
BEYOND = 0.05
_OF_A_POINT = ("step", "points", "source_line", "flag")
_END = "flops at the curve's end"


def runs_at(curves: CurveTable, flops: ArrayLike, *, smoothing: float = SMOOTHING, skip: float = SKIP) -> RunTable:
    """A row for each curve and each value of `flops` (training FLOPs) that lies between its points.

    Curves of 20 checkpoints or more are smoothed by local lines within `smoothing` in ln tokens (0: not), others are
    interpolated by cubics in ln C; the first `skip` of each run's tokens are left out; no curve is read further than
    5 % of C beyond its last point (Hoffmann 2022, section 3.1, reads its isoFLOP profiles so; Porian 2024 likewise).
    A row's `run` is the curve and the value, its `curve` the curve: rows of one curve share its noise. `budget` and
    `flops` of a row are the value asked for, `tokens` those that the curve had seen by then; other columns are the
    run's. A curve of a decaying schedule lies above a run that ends there: rows before the last 5 % of such a run
    are "hot" in `phase`, and the notes say so.

    Raises InputError for a value that is no positive number or that no curve covers, FitError where no curve has two
    points after its start.
    """
    wanted = np.unique(np.asarray(flops, dtype=float))
    if not len(wanted) or not (np.isfinite(wanted) & (wanted > 0)).all():
        raise InputError(f"--at-flops {flops}: give positive numbers of training FLOPs")
    read, notes = curves_at(curves, np.log(wanted), smoothing=smoothing, skip=skip, beyond=BEYOND)
    ends = curves.fitted.sort_values("tokens").drop_duplicates("curve", keep="last").set_index("curve")
    place = {str(name): i for i, name in enumerate(ends.index)}
    rows = [
        _row(ends.iloc[place[curve.name]], curve.name, float(c), float(np.exp(log_d)), float(loss))
        for curve in read
        for c, log_d, loss in zip(wanted, curve.log_d, curve.loss, strict=True)
        if np.isfinite(loss)
    ]
    covered = {row["budget"] for row in rows}
    for value in wanted:
        if value not in covered:
            low, high = curves.fitted["flops"].min(), curves.fitted["flops"].max()
            raise InputError(
                f"--at-flops {value:g}: no curve has points to both sides of it; they span {low:.3g} to {high:.3g}"
            )
    frame = pd.DataFrame(rows).sort_values(["budget", "n_params"], ignore_index=True)
    said = f"{len(frame)} rows read off {len(read)} curves at {', '.join(f'{value:g}' for value in wanted)} FLOPs"
    if curves.kind is CurveKind.CHECKPOINTS and curves.decaying is not False:
        said += "; losses in the middle of a decaying schedule lie above those of runs that end there"
    if curves.decaying:
        early = frame["flops"] < np.exp(-BEYOND) * frame[_END]
        frame["phase"] = frame["phase"].where(~early, "hot")
    return RunTable(frame.drop(columns=_END), (*curves.notes, said, *notes))


def _row(end: pd.Series, name: str, flops: float, tokens: float, loss: float) -> dict[str, Any]:
    """Any count of FLOPs grows as the tokens, so at this point each has the share of its end that `flops` has."""
    share = flops / float(np.asarray(end["flops"]))
    of_run: dict[str, Any] = {str(column): value for column, value in end.items() if column not in _OF_A_POINT}
    counts = {column: end[column] * share for column in FLOPS_SPENT if column in end}
    here = {"run": f"{name} at {flops:g}", "curve": name, "flops": flops, "budget": flops}
    return of_run | counts | here | {"tokens": tokens, "loss": loss, _END: end["flops"]}
