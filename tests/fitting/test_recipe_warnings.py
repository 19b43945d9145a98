"""A recipe used where it was not found, or on the edge of its bracket, is said once in a fit."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from isoflop.fitting.diagnostics.recipe import recipe_warnings
from isoflop.fitting.readers import load_runs
from isoflop.fitting.runs import RunTable
from isoflop.fitting.schema import NOTES_BETWEEN, SCHEMA_VERSION

EDGE = "recipe_edge: tuned: no minimum inside the rates and batches tried at N = 4e+03 (best rate 0.03)"


def out_of_range(n_params: int) -> str:
    return f"recipe_range: learning_rate step_law: N non-embedding = {n_params}, fitted 6e+07 to 1e+09"


def sweep(folder: Path, planned: list[list[str] | None], recorded: list[list[str]]) -> Path:
    """A sweep folder of one run each; the plan's notes are None for a plan of before there were any."""
    cells = []
    for i, (notes, old) in enumerate(zip(planned, recorded, strict=True)):
        name = f"run{i}"
        cells.append({"run_id": name, "budget": 6e9} | ({} if notes is None else {"notes": notes}))
        record = {"schema_version": SCHEMA_VERSION, "run_id": name, "status": "finished", "loss": 2.0 + i / 10}
        counts = {"n_params": 1000 * (i + 1), "tokens": 10**6, "flops": {"exact": 6e9}, "batch_tokens": 512}
        (folder / name).mkdir(parents=True)
        (folder / name / "record.json").write_text(json.dumps(record | counts | {"recipe_notes": old}))
    plan = {"schema_version": SCHEMA_VERSION, "cells": cells, "config": {"grid": {"flops": "exact"}}}
    (folder / "plan.json").write_text(json.dumps(plan))
    return folder


def test_notes_reach_the_fit_once_a_code_with_counts_and_an_example_of_each_rule(tmp_path: Path) -> None:
    notes = [[out_of_range(1), EDGE], [out_of_range(2), "recipe_range: batch step_law: D = 5"], []]
    edge, ranged = sorted(recipe_warnings(load_runs(str(sweep(tmp_path, notes, notes)))), key=lambda each: each.code)
    assert (edge.code, ranged.code) == ("recipe_edge", "recipe_range")
    assert edge.text.startswith("1 of 3 runs, as tuned: no minimum inside the rates and batches tried at N = 4e+03")
    assert ranged.text.startswith(
        "2 of 3 runs, as learning_rate step_law: N non-embedding = 1, fitted 6e+07 to 1e+09; batch step_law: D = 5: "
    )


def test_the_plan_s_notes_replace_those_of_an_older_recipe_that_came_to_the_same_run(tmp_path: Path) -> None:
    later = sweep(tmp_path / "later", [[], [EDGE], None], [[EDGE], [], [EDGE]])
    notes = load_runs(str(later)).frame.sort_values("run")["recipe_notes"]
    assert [text if isinstance(text, str) else None for text in notes] == [None, EDGE, EDGE]


def test_a_sweep_without_notes_has_no_doubts_about_its_recipe(tmp_path: Path) -> None:
    assert recipe_warnings(load_runs(str(sweep(tmp_path, [[], []], [[], []])))) == []


def test_notes_survive_a_table(tmp_path: Path) -> None:
    frame = pd.DataFrame({"n_params": [1e3, 2e3], "tokens": [1e6, 1e6], "loss": [2.0, 2.1]})
    frame["recipe_notes"] = [NOTES_BETWEEN.join([out_of_range(1), EDGE]), None]
    assert {each.code for each in recipe_warnings(RunTable(frame))} == {"recipe_edge", "recipe_range"}


def test_a_batch_above_the_critical_one_is_said() -> None:
    """Kaplan's critical batch at a loss of 4 nats is 2e8 / 4^4.76 = 2.7e5 tokens."""
    frame = pd.DataFrame({"run": ["a", "b"], "n_params": [1e6, 2e6], "tokens": [1e8, 1e8], "loss": [4.0, 4.0]})
    (warning,) = recipe_warnings(RunTable(frame.assign(batch_tokens=[2.6e5, 2.9e5])))
    assert warning.code == "large_batch"
    assert warning.text.startswith("1 of 2 runs")
    assert "b: 2.9e+05" in warning.text
    assert recipe_warnings(RunTable(frame.assign(batch_tokens=[2.6e5, 2.6e5]))) == []
    in_bits = frame.assign(loss=1.0, loss_unit="bits_per_byte", batch_tokens=2.9e8)  # no loss that the law speaks of
    assert recipe_warnings(RunTable(in_bits)) == []
