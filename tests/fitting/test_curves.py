"""Tables of curves: which rows are one curve, what is left out and why, and what a sweep folder's curves are."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from isoflop.fitting import InputError, RunTable
from isoflop.fitting.curves import CurveKind, curves_of, size_groups
from isoflop.fitting.readers.curves import load_curves

from .sweeps import HOFFMANN, selected

TOKENS = np.geomspace(1e9, 1e10, 5)


def rows(name: str, n_params: float, tokens=TOKENS, **more) -> pd.DataFrame:
    loss = HOFFMANN.loss(n_params, tokens)
    return pd.DataFrame({"run": name, "n_params": n_params, "tokens": tokens, "loss": loss, **more})


def table(*parts: pd.DataFrame) -> RunTable:
    return RunTable(pd.concat(parts, ignore_index=True))


def test_a_run_with_several_rows_is_a_curve():
    curves = curves_of(table(rows("small", 1e8), rows("large", 1e9)))
    assert curves.kind is CurveKind.CHECKPOINTS
    assert sorted(curves.fitted["curve"].unique()) == ["large", "small"]
    assert list(curves.fitted["flops"]) == pytest.approx(list(6 * curves.fitted["n_params"] * curves.fitted["tokens"]))
    assert any("6 N D is assumed" in note for note in curves.notes)


def test_without_such_runs_the_end_points_of_a_size_are_a_curve():
    frame = pd.concat([rows("", 1e8), rows("", 1.005e8, TOKENS * 3), rows("", 1e9)], ignore_index=True)
    curves = curves_of(RunTable(frame.drop(columns="run")))
    assert curves.kind is CurveKind.END_POINTS
    assert curves.decaying is False
    assert sorted(curves.fitted["curve"].value_counts()) == [5, 10]
    assert any("one size" in note for note in curves.notes)
    assert len(set(curves_of(curves.table, size_tolerance=1e-6).fitted["curve"])) == 3


def test_a_run_name_used_for_two_sizes_is_two_curves():
    curves = curves_of(table(rows("seed 0", 1e8), rows("seed 0", 1e9)))
    assert curves.fitted.groupby("curve")["n_params"].nunique().tolist() == [1, 1]


def test_what_is_left_out_is_counted_with_its_reason():
    bad = rows("diverged", 1e8).assign(loss=[3.0, 2.9, np.nan, np.nan, np.nan])
    curves = curves_of(table(bad, rows("fine", 1e9), rows("single", 2e9, TOKENS[:1])))
    assert curves.excluded == [
        {"curve": "diverged", "reason": "loss is nan", "points": 3},
        {"curve": "single", "reason": "a curve of one point", "points": 1},
    ]
    assert len(curves) == 11
    assert len(curves.fitted) == 7


@pytest.mark.parametrize(
    ("phases", "decaying"),
    [(("hot", "hot"), False), (("cooled", "cooled"), True), (("hot", "cooled"), True), ((None, None), None)],
)
def test_a_decaying_schedule_is_known_by_its_phase(phases, decaying):
    one, other = phases
    assert curves_of(table(rows("a", 1e8, phase=one), rows("b", 1e9, phase=other))).decaying is decaying


def test_nothing_is_known_of_a_schedule_that_the_table_does_not_name():
    assert curves_of(table(rows("a", 1e8), rows("b", 1e9))).decaying is None


def test_conventions_can_be_chosen_and_conditions_set():
    curves = curves_of(table(rows("a", 1e8, n_params_non_embedding=6e7), rows("b", 1e9, n_params_non_embedding=9e8)))
    bare = curves.with_conventions("n_params_non_embedding", "6nd_non_embedding")
    assert set(bare.fitted["n_params"]) == {6e7, 9e8}
    assert list(bare.fitted["flops"]) == pytest.approx(list(6 * bare.fitted["n_params"] * bare.fitted["tokens"]))
    assert set(curves.where("n_params > 5e8").fitted["curve"]) == {"b"}


@pytest.mark.parametrize("tokens", [TOKENS[:1], TOKENS[[0, 0, 0]]])
def test_points_without_a_second_number_of_tokens_make_no_curve(tokens):
    with pytest.raises(InputError, match=r"no size has two numbers of tokens.*--columns"):
        curves_of(table(rows("a", 1e8, tokens), rows("b", 1e9, tokens)))


def test_sizes_are_chained_by_small_gaps():
    assert size_groups(np.array([1.02e8, 1e9, 1e8, 1.01e8])).tolist() == [0, 1, 0, 0]
    assert size_groups(np.array([1.02e8, 1e9, 1e8]), 0.0).tolist() == [1, 2, 0]


# Sweep folders


def sweep_folder(folder: Path, *, epochs: float = 0.5, schedule: str = "cosine") -> Path:
    cells = [{"run_id": name, "budget": 1e12} for name in ("aa", "bb")]
    plan = {"schema_version": 1, "cells": cells, "config": {"grid": {"flops": "exact"}}}
    folder.mkdir()
    (folder / "plan.json").write_text(json.dumps(plan))
    for name, n in (("aa", 1000), ("bb", 2000)):
        record = {
            "schema_version": 1,
            "run_id": name,
            "status": "finished",
            "n_params": n,
            "n_params_non_embedding": n // 2,
            "tokens": 4000,
            "unique_tokens": round(4000 / max(epochs, 1)),
            "steps": 40,
            "flops": {"exact": 7.0 * n * 4000, "6nd": 6.0 * n * 4000},
            "loss": 2.0,
            "loss_se": 0.1,
            "phase": "hot" if schedule == "constant" else "cooled",
            "config": {"recipe": {"schedule": {"kind": schedule, "warmup": 0.1}}},
        }
        (folder / name).mkdir()
        (folder / name / "record.json").write_text(json.dumps(record))
        curve = [{"step": step, "tokens": 100 * step, "loss": 4 - 0.02 * step} for step in range(2, 41, 2)]
        (folder / name / "curve.jsonl").write_text("".join(json.dumps(row) + "\n" for row in curve))
    return folder


def test_the_curves_of_a_sweep_are_its_training_losses(tmp_path):
    curves = load_curves(sweep_folder(tmp_path / "x"))
    one = selected(curves.fitted, curves.fitted["curve"] == "aa")
    # A logged loss is the mean since the row before, so it belongs to the middle of those tokens.
    assert list(one["tokens"]) == [100.0 * step - 100 for step in range(6, 41, 2)]
    assert list(one["flops"]) == pytest.approx(list(7.0 * 1000 * one["tokens"]))
    assert list(one["flops_6nd"]) == pytest.approx(list(6.0 * 1000 * one["tokens"]))
    assert "loss_se" not in one
    assert curves.decaying is True
    assert {"curve": "aa", "reason": "in the warm-up", "points": 2} in curves.excluded
    assert any("losses are the training's own" in note for note in curves.notes)
    assert load_curves(sweep_folder(tmp_path / "y", schedule="constant")).decaying is False


def test_repeated_data_are_flagged(tmp_path):
    curves = load_curves(sweep_folder(tmp_path / "x", epochs=2.0))
    assert max(curves.fitted["tokens"]) < 2000
    assert any("repeats data" in str(row["reason"]) and row["points"] == 10 for row in curves.excluded)


def test_runs_without_a_curve_are_counted(tmp_path):
    folder = sweep_folder(tmp_path / "x")
    (folder / "bb" / "curve.jsonl").unlink()
    curves = load_curves(folder)
    assert set(curves.fitted["curve"]) == {"aa"}
    assert "1 of 2 recorded runs have no curve.jsonl" in curves.notes


@pytest.mark.parametrize("line", ["{", "[1]", '{"step": 1, "loss": 2}', "3"])
def test_a_torn_curve_is_named(tmp_path, line):
    folder = sweep_folder(tmp_path / "x")
    (folder / "aa" / "curve.jsonl").write_text('{"step": 1, "tokens": 5, "loss": 2}\n' + line + "\n")
    with pytest.raises(InputError, match=r"aa/curve\.jsonl:2: no object"):
        load_curves(folder)


def test_two_folders_are_one_table_of_different_runs(tmp_path):
    both = load_curves(sweep_folder(tmp_path / "x"), sweep_folder(tmp_path / "y"))
    assert len(set(both.fitted["curve"])) == 4


def test_files_are_read_too_but_not_beside_folders(tmp_path):
    path = tmp_path / "curves.csv"
    pd.concat([rows("a", 1e8), rows("b", 1e9)]).to_csv(path, index=False)
    assert load_curves(path).kind is CurveKind.CHECKPOINTS
    with pytest.raises(InputError, match="one by one"):
        load_curves(path, sweep_folder(tmp_path / "x"))
    with pytest.raises(InputError, match=r"name its tables one by one \(curves\.csv, \.\.\.\), or all as one: hf:"):
        load_curves(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no plan\.json"):
        load_curves(tmp_path / "empty")
