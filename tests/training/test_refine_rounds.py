"""refined.json: what rounds added stays with its budget, another launch follows it, and a torn file is named."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from isoflop.fitting import InputError
from isoflop.training.outcome import failed_record
from isoflop.training.records import SweepFolder
from isoflop.training.refine import next_round, with_refinement

from .test_refine import LARGE, plan


def refined_file(folder: Path, more: list[dict[str, Any]]) -> Path:
    entry = {"cells": 1, "flops": 1e12, "share": 0.1, "reasons": ["as asked"], "more": more}
    path = folder / "refined.json"
    path.write_text(json.dumps({"schema_version": 1, "rounds": [entry]}))
    return path


def test_what_refinement_added_to_a_budget_goes_with_the_budget(tmp_path: Path) -> None:
    refined_file(tmp_path, [{"budget": 1e12, "widths": [8]}, {"budget": 4e12, "widths": [8, 64]}])
    made = plan(grid__budgets=[2e12, 4e12])
    merged, words = with_refinement(made, tmp_path)
    added = [cell for cell in merged.cells if cell not in made.cells]
    assert [(cell.budget, cell.shape.width) for cell in added] == [(4e12, 8)]
    assert words == [
        f"without what {tmp_path}/refined.json adds to budgets that the config no longer has: 1e+12",
        f"with 1 cell of earlier refinement ({tmp_path}/refined.json)",
    ]
    assert with_refinement(merged, tmp_path)[0] == merged


def test_what_the_user_adds_after_a_round_leaves_its_cells_on_trunks_as_they_are(tmp_path: Path) -> None:
    trunks: dict[str, Any] = {"recipe__schedule": {"kind": "wsd", "trunk": True}}
    first = {"budget": 1e12, "widths": [16]}
    path = refined_file(tmp_path, [{"budget": 2e12, "widths": [8, 16]}])
    data = json.loads(path.read_text())
    data["rounds"][0]["over"] = [first]
    path.write_text(json.dumps(data))
    before, _ = with_refinement(plan(**trunks, grid__more=[first]), tmp_path)
    after, _ = with_refinement(plan(**trunks, grid__more=[{"budget": 2.5e11, "widths": [8, 16]}, first]), tmp_path)
    assert {cell.run_id for cell in before.cells} < {cell.run_id for cell in after.cells}


def test_who_comes_second_follows_the_round_of_the_first(tmp_path: Path) -> None:
    made, first, second = plan(grid__widths=LARGE), SweepFolder(tmp_path), SweepFolder(tmp_path)
    with ThreadPoolExecutor() as pool:
        with first.claim("refinement"):
            waiting = pool.submit(next_round, made, second, 2)
            time.sleep(0.3)
            assert not waiting.done()
            refined_file(tmp_path, [{"budget": 2e12, "widths": [8]}])
        merged, words = waiting.result(timeout=10)
    assert merged is not None
    assert len(merged.cells) == len(made.cells) + 1
    assert words == [f"with 1 cell of earlier refinement ({tmp_path}/refined.json)"]


def test_a_file_of_rounds_says_which_field_is_wrong(tmp_path: Path) -> None:
    path = refined_file(tmp_path, [{"budget": "many", "widths": [8]}])
    with pytest.raises(InputError, match=r"rounds\[0\]\.more\[0\]\.budget: must be a number, got 'many'"):
        with_refinement(plan(), tmp_path)
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError, match=r"refined\.json: cannot be read"):
        with_refinement(plan(), tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", '{"schema_version": 1, "rounds": [{"cells": 1}]}', '{"rounds": []}'])
def test_a_torn_file_of_rounds_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "refined.json").write_text(content)
    with pytest.raises(InputError, match=r"refined\.json: .*delete it") as caught:
        with_refinement(plan(), tmp_path)
    assert "\n" not in str(caught.value)


def test_a_config_that_cannot_have_the_cells_is_told_where_they_come_from(tmp_path: Path) -> None:
    refined_file(tmp_path, [{"budget": 2e12, "widths": [9]}])
    with pytest.raises(InputError, match=r"refined\.json: .*width 9 does not divide into 2 heads.*delete the file"):
        with_refinement(plan(), tmp_path)


def test_a_sweep_without_a_loss_is_not_refined(tmp_path: Path) -> None:
    bare, sweep = plan(), SweepFolder(tmp_path)
    for cell in bare.cells:
        sweep.write_record(cell.run_id, failed_record(cell, bare.config, "no room"))
    made, words = next_round(bare, sweep, 2)
    assert made is None
    assert "nothing to go by" in words[0]
