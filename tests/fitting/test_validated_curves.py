"""Curves of validation losses measured along our own runs, from the sweep folder and from its mirror in W&B."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from isoflop.fitting import CurveTable, InputError, load_curves
from isoflop.fitting.schema import MARK

from .sweeps import selected

SCORED = (4, 8, 16, 32)  # steps of 40; the first 4 are the warm-up's


def record(name: str, n_params: int, **changes: Any) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "run_id": name,
        "status": "finished",
        "budget": 1e12,
        "n_params": n_params,
        "tokens": 4000,
        "unique_tokens": 2000,
        "steps": 40,
        "warmup_steps": 4,
        "flops": {"exact": 7.0 * n_params * 4000},
        "loss": 2.0,
        "loss_se": 0.1,
        "loss_code": 1.5,
        "bits_per_byte_code": 0.7,
        "phase": "cooled",
    } | changes


def curve(scored: Sequence[int]) -> list[dict[str, float | None]]:
    """A row each second step; a validation loss where `scored`."""
    rows: list[dict[str, float | None]] = [
        {"step": step, "tokens": 100 * step, "loss": 4 - 0.02 * step} for step in range(2, 41, 2)
    ]
    for row in rows:
        if row["step"] in scored:
            row |= {"validation_loss": 5 - 0.01 * (row["step"] or 0), "validation_loss_se": 0.2}
    return rows


def sweep_folder(folder: Path, runs: Mapping[str, Sequence[int]], **changes: Any) -> Path:
    """Runs by name, each with the steps at which it is scored."""
    folder.mkdir()
    plan = {"schema_version": 1, "cells": [{"run_id": name, "budget": 1e12} for name in runs]}
    (folder / "plan.json").write_text(json.dumps(plan | {"config": {"grid": {"flops": "exact"}}}))
    for number, (name, scored) in enumerate(runs.items(), start=1):
        (folder / name).mkdir()
        (folder / name / "record.json").write_text(json.dumps(record(name, 1000 * number, **changes)))
        (folder / name / "curve.jsonl").write_text("".join(json.dumps(row) + "\n" for row in curve(scored)))
    return folder


def one(curves: CurveTable, name: str) -> pd.DataFrame:
    return selected(curves.table.frame, curves.table.frame["curve"] == name)


def test_validated_points_are_taken_where_they_were_measured(tmp_path: Path) -> None:
    curves = load_curves(sweep_folder(tmp_path / "x", {"aa": SCORED, "bb": SCORED}))
    points = one(curves, "aa")
    # The run's end is the record's; what was measured on repeated data is a test loss still.
    assert points["tokens"].tolist() == [400, 800, 1600, 3200, 4000]
    assert points["loss"].tolist() == pytest.approx([4.96, 4.92, 4.84, 4.68, 2.0])
    assert points["loss_se"].tolist() == [0.2, 0.2, 0.2, 0.2, 0.1]
    assert points["flops"].tolist() == pytest.approx([7.0 * 1000 * tokens for tokens in points["tokens"]])
    assert points["flag"].tolist() == ["in the warm-up", "", "", "", ""]
    assert not {"loss_code", "bits_per_byte_code", "unique_tokens"} & set(points.columns)
    assert [note for note in curves.notes if "losses are" in note] == [
        "losses are validation losses, measured along the runs and at their ends"
    ]


def test_a_run_with_few_points_gives_those_it_has(tmp_path: Path) -> None:
    curves = load_curves(
        sweep_folder(tmp_path / "x", {"aa": SCORED, "bb": SCORED, "cc": (), "dd": SCORED, "ee": (20,)})
    )
    assert "2 of 5 runs have fewer than 3 such points" in curves.notes
    assert {"curve": "cc", "reason": "a curve of one point", "points": 1} in curves.excluded
    assert one(curves, "ee")["tokens"].tolist() == [2000, 4000]


@pytest.mark.parametrize("scored", [{"aa": (), "bb": ()}, {"aa": (20,), "bb": (20,)}, {"aa": SCORED, "bb": ()}])
def test_where_most_runs_have_few_the_training_losses_are_taken_for_all(tmp_path: Path, scored: Any) -> None:
    curves = load_curves(sweep_folder(tmp_path / "x", scored))
    points = one(curves, "aa")
    assert points["loss"].tolist() == [row["loss"] for row in curve(())]
    assert points["tokens"].tolist() == [100.0 * step - 100 for step in range(2, 41, 2)]
    assert "loss_se" not in points
    assert not any(name.startswith("validation") for name in points.columns)
    assert any("losses are the training's own" in note for note in curves.notes)


def test_a_score_that_is_no_number_is_no_point(tmp_path: Path) -> None:
    folder = sweep_folder(tmp_path / "x", {"aa": SCORED, "bb": SCORED})
    rows = curve(SCORED)
    rows[1] |= {"validation_loss": None}
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "aa" / "curve.jsonl").write_text(text.replace('"loss": 3.88', '"loss": NaN'))  # read line by line then
    assert one(load_curves(folder), "aa")["tokens"].tolist() == [800, 1600, 3200, 4000]


def test_a_run_that_diverged_has_points_and_no_end(tmp_path: Path) -> None:
    folder = sweep_folder(tmp_path / "x", {"aa": SCORED, "bb": SCORED, "cc": SCORED})
    diverged = record("cc", 3000, status="diverged", reason="at step 33", loss=None, tokens=3300)
    (folder / "cc" / "record.json").write_text(json.dumps(diverged))
    curves = load_curves(folder)
    assert one(curves, "cc")["tokens"].tolist() == [400, 800, 1600, 3200]
    assert set(one(curves, "cc")["flag"]) == {"diverged: at step 33"}


def test_the_curves_are_those_of_the_main_validation_set_alone(tmp_path: Path) -> None:
    folder = sweep_folder(tmp_path / "x", {"aa": SCORED, "bb": SCORED})
    with pytest.raises(InputError, match="--loss loss_code: curves have no such loss"):
        load_curves(folder, columns={"loss": "loss_code"})


@pytest.mark.parametrize("scored", [SCORED, ()])
def test_the_mirror_reads_back_the_same(tmp_path: Path, scored: Sequence[int]) -> None:
    from .wandb_logs import written

    folder = sweep_folder(tmp_path / "x", {"aa": scored, "bb": scored})
    for number, name in enumerate(("aa", "bb"), start=1):
        rows = [{"_step": row["step"]} | {_mirrored(key): row[key] for key in row} for row in curve(scored)]
        ended = record(name, 1000 * number)
        path = tmp_path / "wandb" / f"offline-run-20260101_00000{number}-{name}" / f"run-{name}.wandb"
        written(path, rows, run=name, config=ended | {MARK: 1}, summary=ended)
    ours, theirs = (
        load_curves(source).table.frame.drop(columns=["source", "source_line"], errors="ignore")
        for source in (folder, tmp_path / "wandb")
    )
    pd.testing.assert_frame_equal(theirs, ours, check_dtype=False, check_like=True)
    assert ("loss_se" in ours) is bool(scored)


def _mirrored(key: str) -> str:
    return {"loss": "train_loss", "step": "_step"}.get(key, key)
