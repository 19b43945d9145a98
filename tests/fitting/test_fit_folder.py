"""fit.json with the rows it fitted: read back, the fit is the same to the last digit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from isoflop.fitting import InputError, Options, RunTable, analyse, load_runs
from isoflop.fitting.curves import CurveTable, curves_of
from isoflop.fitting.fit_folder import options_in, read_fit_folder, write_rows
from isoflop.fitting.jsonio import write_json_atomic

from .sweeps import HOFFMANN, sweep

OPTIONS = Options(methods=("isoflop", "parametric"), resamples=60, window=None, by_convention=False, keep_flagged=True)


def odd_table() -> RunTable:
    """Names that look like numbers, commas, quotes and lines in cells, a flag, an infinity, a truth, missing cells."""
    frame = sweep(HOFFMANN, sizes=7, noise=0.004).frame.copy()
    names = [f"{i:03d}" for i in range(len(frame))]
    names[1], names[2] = 'a, "b"', "line\nbreak"
    frame = frame.assign(run=names, ok=[i % 2 == 0 for i in range(len(frame))], seed=range(len(frame)))
    frame.loc[3, "loss"] = np.inf
    frame["note"] = pd.Series([None, "x", *[""] * (len(frame) - 2)], dtype=object)
    frame["flag"] = ["", "broken cable", *[""] * (len(frame) - 2)]
    return RunTable(frame, ("a note",), keep_flagged=True)


def some_curves() -> CurveTable:
    """Three runs of five checkpoints each."""
    n, d = (each.reshape(-1) for each in np.meshgrid([1e7, 1e8, 1e9], np.geomspace(1e9, 1e10, 5), indexing="ij"))
    names = np.repeat(["a", "b", "c"], 5)
    frame = pd.DataFrame({"run": names, "n_params": n, "tokens": d, "loss": HOFFMANN.loss(n, d), "phase": "hot"})
    return curves_of(RunTable(frame))


def written(folder: Path, table: RunTable, curves: CurveTable | None = None, fit: bool = False) -> Path:
    report = analyse(table, OPTIONS, ("own.csv",)).to_json() if fit else {"source": ["own.csv"], "fits": {}}
    write_json_atomic(folder / "fit.json", report | write_rows(folder, table, curves))
    return folder


def test_a_folder_is_read_back_as_it_was_fitted(tmp_path: Path) -> None:
    table = odd_table()
    curves = some_curves()
    found = read_fit_folder(written(tmp_path, table, curves, fit=True))
    same = table.frame["note"].replace({"": None})  # a missing text has one form
    pd.testing.assert_frame_equal(found.table.frame, table.frame.assign(note=same), check_exact=True)
    assert (found.table.notes, found.table.keep_flagged) == (table.notes, True)
    assert found.options == OPTIONS
    again = analyse(found.table, found.options, ("own.csv",)).to_json()
    assert all(found.report[name] == value for name, value in again.items())
    assert again["kept_flagged"] == [{"run": 'a, "b"', "reason": "broken cable"}]
    assert found.curves is not None
    pd.testing.assert_frame_equal(found.curves.fitted, curves.fitted, check_exact=True, check_dtype=False)
    assert (found.curves.kind, found.curves.decaying) == (curves.kind, False)


def test_the_rows_are_a_table_for_anyone(tmp_path: Path) -> None:
    table = sweep(HOFFMANN, sizes=7, noise=0.004)
    written(tmp_path, table)
    read = load_runs(tmp_path / "runs.csv")
    for name in ("n_params", "tokens", "loss", "flops", "budget"):
        assert read.fitted[name].tolist() == table.fitted[name].tolist()


def test_what_is_missing_or_broken_is_one_line_with_a_remedy(tmp_path: Path) -> None:
    written(tmp_path, sweep(HOFFMANN, sizes=7))
    report = json.loads((tmp_path / "fit.json").read_text())
    rows = (tmp_path / "runs.csv").read_text()
    (tmp_path / "runs.csv").write_text(rows.replace("1e+17", "1e+17x"))
    with pytest.raises(InputError, match=r"runs\.csv: cannot be read .*: fit its source again"):
        read_fit_folder(tmp_path)
    (tmp_path / "runs.csv").unlink()
    with pytest.raises(InputError, match=r"no runs\.csv.*isoflop fit own\.csv --out"):
        read_fit_folder(tmp_path)
    (tmp_path / "runs.csv").write_text(rows)
    write_json_atomic(tmp_path / "fit.json", {name: report[name] for name in report if name != "runs_file"})
    with pytest.raises(InputError, match=r"does not say how runs\.csv is read"):
        read_fit_folder(tmp_path)
    (tmp_path / "fit.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        read_fit_folder(tmp_path)


def test_fits_of_before_have_no_options() -> None:
    assert options_in({"fits": {}}) is None
    assert options_in({"options": {"level": 0.8, "of_a_later_version": 1}}) == Options(level=0.8)
