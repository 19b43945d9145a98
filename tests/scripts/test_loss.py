"""Which of several losses is fitted: `--loss`, on a sweep with two validation sets, on its mirror and on tables."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from isoflop.fitting import Options, analyse, load_runs
from isoflop.fitting.laws import ChinchillaLaw
from isoflop.fitting.schema import MARK

TEXT = ChinchillaLaw(1.69, 406.4, 410.7, 0.34, 0.28)
CODE = ChinchillaLaw(0.8, 80.0, 500.0, 0.30, 0.34)  # its optima lie within a factor 1.5 of the text's
BYTES = 4.2  # a token of the text


def records() -> list[dict[str, Any]]:
    out = []
    for budget in np.geomspace(1e17, 1e20, 4):
        for size in np.geomspace(0.2, 5.0, 9):
            n = round(float(TEXT.optimum(budget)[0] * size))
            d = budget / 6 / n
            loss, code = float(TEXT.loss(n, d)), float(CODE.loss(n, d))
            record = {
                "schema_version": 1,
                "run_id": f"{budget:.0e}-{n}",
                "status": "finished",
                "budget": budget,
                "n_params": n,
                "tokens": d,
                "flops": {"exact": budget, "6nd": budget},
                "steps": 100,
            }
            for suffix, value, error in (("", loss, 0.01), ("_code", code, 0.02)):
                scores = {"loss": value, "loss_se": error, "bits_per_byte": value / math.log(2) / BYTES}
                record |= {f"{name}{suffix}": score for name, score in scores.items()}
            out.append(record)
    return out


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    folder = tmp_path / "sweep"
    folder.mkdir()
    cells = [{"run_id": record["run_id"], "budget": record["budget"]} for record in records()]
    plan = {"schema_version": 1, "cells": cells, "config": {"grid": {"flops": "exact"}}}
    (folder / "plan.json").write_text(json.dumps(plan))
    for record in records():
        (folder / record["run_id"]).mkdir()
        (folder / record["run_id"] / "record.json").write_text(json.dumps(record))
    return folder


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "runs.csv"
    pd.DataFrame(records()).drop(columns=["flops", "schema_version"]).to_csv(path, index=False)
    return path


def fitted(command: Callable[..., Any], *words: Any) -> dict[str, Any]:
    done = command("fit", *words, "--resamples", 0, "--method", "isoflop", "--no-holdout", "--json", "-")
    assert done.status == 0, done.err
    return json.loads(done.out)


def exponent(report: dict[str, Any]) -> float:
    return report["fits"]["isoflop"]["params_exponent"]["value"]


def test_the_loss_named_is_the_one_fitted(command: Callable[..., Any], table: Path) -> None:
    main, code = fitted(command, table), fitted(command, table, "--loss", "loss_code")
    assert exponent(main) == pytest.approx(TEXT.params_exponent, abs=0.005)
    assert exponent(code) == pytest.approx(CODE.params_exponent, abs=0.005)
    assert "the loss fitted is 'loss_code'" in code["notes"]
    assert not any("loss fitted" in note for note in main["notes"])
    assert main["conventions"]["loss_unit"] is None


def test_bits_per_byte_are_fitted_and_named(command: Callable[..., Any], sweep: Path) -> None:
    report = fitted(command, sweep, "--loss", "bits_per_byte")
    assert exponent(report) == pytest.approx(TEXT.params_exponent, abs=0.005)
    lowest = report["fits"]["isoflop"]["minima"][0]
    best = float(TEXT.loss(*TEXT.optimum(lowest["flops"])))
    assert lowest["loss"] == pytest.approx(best / math.log(2) / BYTES, rel=1e-3)
    assert report["conventions"]["loss_unit"] == "bits_per_byte"
    assert report["excluded"] == []
    assert report["n_runs"] == len(records())


def test_the_tables_say_the_unit(command: Callable[..., Any], table: Path) -> None:
    done = command("fit", table, "--loss", "bits_per_byte_code", "--resamples", 0, "--method", "isoflop")
    assert done.status == 0
    assert "loss, bits per byte" in done.out
    assert "note: the loss fitted is 'bits_per_byte_code'" in done.out
    assert max(len(line) for line in done.out.splitlines() if not line.startswith(("note", "warning", "wrote"))) <= 100


def test_a_loss_brings_its_own_standard_error(sweep: Path, table: Path) -> None:
    for source in (sweep, table):
        main, code, in_bytes = (
            load_runs(source, columns={"loss": loss}).frame for loss in ("loss", "loss_code", "bits_per_byte")
        )
        assert set(main["loss_se"]) == {0.01}
        assert set(code["loss_se"]) == {0.02}
        assert "loss_se" not in in_bytes


def test_another_table_names_its_errors_as_it_likes(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text("n_params,tokens,val,val_stderr,test,loss_se\n1e6,1e8,3,.1,4,.3\n2e6,1e8,2.9,.1,3.9,.3\n")
    assert set(load_runs(path, columns={"loss": "val"}).frame["loss_se"]) == {0.1}
    # The table's only error, of the only loss that it has no other error for.
    assert set(load_runs(path, columns={"loss": "test"}).frame["loss_se"]) == {0.3}
    assert set(load_runs(path, columns={"loss": "val", "loss_se": "loss_se"}).frame["loss_se"]) == {0.3}


def test_the_mirror_has_the_same_losses(sweep: Path, tmp_path: Path) -> None:
    from tests.fitting.wandb_logs import written

    for number, record in enumerate(records()):
        path = tmp_path / "wandb" / f"offline-run-20260101_0000{number:02}-{number}" / f"run-{number}.wandb"
        written(path, run=str(number), config=record | {MARK: 1}, summary=record)
    for loss in ("loss_code", "bits_per_byte"):
        ours, theirs = (
            load_runs(source, columns={"loss": loss}).frame.drop(columns="source")
            for source in (sweep, tmp_path / "wandb")
        )
        pd.testing.assert_frame_equal(theirs, ours, check_like=True)


def test_a_loss_that_is_not_there_lists_those_that_are(command: Callable[..., Any], sweep: Path, table: Path) -> None:
    done = command("fit", sweep, "--loss", "loss_cod")
    assert done.status == 2
    assert done.err.endswith(
        "(or --loss loss_cod): no column 'loss_cod' among loss, bits_per_byte, loss_code, bits_per_byte_code; "
        "did you mean loss_code?\n"
    )
    done = command("compare", table, "--loss", "nothing")
    assert done.status == 2
    assert "loss_code" in done.err
    done = command("fit", sweep, "--loss", "loss_code", "--columns", "loss=loss")
    assert done.status == 2
    assert "give one of them" in done.err


def test_an_error_column_taken_for_the_loss_is_read_as_any_other(sweep: Path) -> None:
    assert set(load_runs(sweep, columns={"loss": "loss_se"}).fitted["loss"]) == {0.01}


def test_a_set_that_some_cells_were_not_scored_on_leaves_them_out(sweep: Path) -> None:
    first = records()[0]
    without = {key: None if key.endswith("_code") else value for key, value in first.items()}
    (sweep / first["run_id"] / "record.json").write_text(json.dumps(without))
    [row] = load_runs(sweep, columns={"loss": "loss_code"}).excluded
    assert (row["run"], row["reason"]) == (first["run_id"], "loss is nan")


def test_compare_fits_the_loss_named_though_the_sweep_was_fitted(command: Callable[..., Any], sweep: Path) -> None:
    def found(*words: str) -> set[float]:
        done = command("compare", sweep, "--json", "-", *words)
        assert done.status == 0, done.err
        rows = [row for section in json.loads(done.out)["sections"] for row in section["rows"] if row["ours"]]
        return {round(row["params_exponent"]["value"], 2) for row in rows if row["params_exponent"]}

    options = Options(methods=("isoflop",), resamples=0, by_convention=False, holdout=False)
    (sweep / "fit.json").write_text(json.dumps(analyse(load_runs(sweep), options).to_json()))
    assert found() == {0.45}
    assert found("--loss", "loss_code") == {0.53}
