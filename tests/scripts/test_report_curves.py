"""The training curves that a fit's folder holds are in its report, also where approach 1 is not fitted to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from isoflop.fitting import RunTable
from isoflop.fitting.curves import curves_of
from isoflop.fitting.fit_folder import FIT_NAME, write_rows
from isoflop.fitting.jsonio import write_json_atomic
from isoflop.fitting.reporting.pictures.every import pictures_of
from isoflop.scripts.reading import Reading
from isoflop.scripts.report_source import take

from ..fitting.report_subjects import planted
from ..fitting.sweeps import HOFFMANN, sweep


def test_curves_of_a_fits_folder_are_drawn(tmp_path: Path) -> None:
    table = sweep(HOFFMANN, budgets=[1e18, 1e19], sizes=5)
    frame = table.frame[["n_params", "tokens"]].assign(run=[f"run {place}" for place in range(10)])
    shares = np.geomspace(0.1, 1, 12)
    rows = frame.loc[frame.index.repeat(12)].reset_index(drop=True)
    rows["tokens"] *= np.tile(shares, 10)
    rows["loss"] = HOFFMANN.loss(rows["n_params"].to_numpy(), rows["tokens"].to_numpy())
    report = planted(table, ("parametric",), resamples=0).to_json()
    write_json_atomic(tmp_path / FIT_NAME, report | write_rows(tmp_path, table, curves_of(RunTable(rows))))
    taken = take([str(tmp_path)], Reading())
    assert taken.analysis.curves is None  # approach 1 was not asked for
    pictures = {picture.name: picture for picture in pictures_of(taken.analysis, taken.curves)}
    assert "along 10 training curves" in pictures["training_curves"].caption
    largest = float(frame["n_params"].max())
    some = take([str(tmp_path)], Reading(where=f"n_params < {largest}"))
    assert some.curves is not None
    assert some.curves.fitted["n_params"].max() < largest
