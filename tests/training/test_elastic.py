"""An edited sweep trains only what is new, and a refined one goes on from where it was killed; for real, in process."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from isoflop.scripts import sweep as command
from isoflop.training.config import parse_config
from isoflop.training.corpus import prepare_corpus
from isoflop.training.launch import launch
from isoflop.training.plan import Plan, RunPlan
from isoflop.training.planning import make_plan
from isoflop.training.records import SweepFolder

from .helpers import tiny, write_config

GRID: dict[str, Any] = {"grid__budgets": [1e8, 2e8], "grid__widths": [4, 8], "execution__executor": "inline"}


class Silent:
    """A listener that keeps what ended."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def step(self, cell: RunPlan, step: int) -> None: ...

    def ended(self, cell: RunPlan, record: dict[str, Any]) -> None: ...

    def trouble(self, cell: RunPlan, reason: str) -> None: ...

    def note(self, words: str) -> None:
        self.notes.append(words)


def plan_of(text: Path, **changes: Any) -> Plan:
    config = parse_config(tiny(text, **(GRID | changes)), "test")
    return make_plan(config, prepare_corpus(config.data).info)


def train(plan: Plan, folder: Path) -> tuple[list[str], list[str]]:
    """Run ids in the order they were trained, and what the launcher said."""
    sweep, listener = SweepFolder(folder), Silent()
    sweep.write_plan(plan)
    return launch(plan, sweep, sweep.to_do(plan), listener).trained, listener.notes


def contents(folder: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in folder.glob("*/record.json")}


@pytest.fixture(scope="module")
def trained(text_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sweep before it is edited."""
    folder = tmp_path_factory.mktemp("elastic") / "sweep"
    train(plan_of(text_folder), folder)
    return folder


@pytest.mark.parametrize(
    ("changes", "new"),
    [
        ({"grid__budgets": [1e8, 2e8, 3e8]}, [(3e8, 4, 0), (3e8, 8, 0)]),
        ({"grid__widths": [4, 8, 12]}, [(1e8, 12, 0), (2e8, 12, 0)]),
        ({"grid__more": [{"budget": 2e8, "widths": [8, 12]}]}, [(2e8, 12, 0)]),
        ({"grid__seeds": [2, 1]}, [(1e8, 4, 1), (1e8, 8, 1)]),
        ({"grid__more": [{"budget": 1e8, "widths": [8], "seeds": 3}]}, [(1e8, 8, 1), (1e8, 8, 2)]),
        ({"grid__seeds": 3, "grid__budgets": [2e8, 3e8], "grid__widths": [8]}, [(2e8, 8, 1), (2e8, 8, 2)]),
    ],
    ids=[
        "a budget",
        "a size",
        "a size of one budget",
        "a seed of one budget",
        "seeds of one cell",
        "with a budget gone",
    ],
)
def test_an_edit_trains_only_what_is_new(
    trained: Path, text_folder: Path, tmp_path: Path, changes: dict[str, Any], new: list[tuple[float, int, int]]
) -> None:
    folder = Path(shutil.copytree(trained, tmp_path / "sweep"))
    before, edited = contents(folder), plan_of(text_folder, **changes)
    ended, notes = train(edited, folder)
    cells = {cell.run_id: (cell.budget, cell.shape.width, cell.seed) for cell in edited.cells}
    if "grid__seeds" in changes and "grid__budgets" in changes:
        new = [*new, *((3e8, 8, seed) for seed in range(3))]
    assert sorted(cells[run_id] for run_id in ended) == sorted(new)
    after = contents(folder)
    assert {run_id: after[run_id] for run_id in before} == before
    if any(seed == 2 for _, _, seed in new):
        assert "stacks" in notes[0]  # the new seeds are trained as one, without the old


@pytest.mark.parametrize("one", ["grid__widths", "grid__sizes", "grid__more"])
def test_a_cell_is_the_same_run_however_it_was_asked_for(text_folder: Path, one: str) -> None:
    every = plan_of(text_folder, grid__widths=[4, 8, 12])
    prior = {"params_coefficient": 2904.0 / 1e8**0.001, "params_exponent": 0.001}
    ways: dict[str, dict[str, Any]] = {
        "grid__widths": {"grid__widths": [[4, 8, 12], [4, 8, 12]]},
        "grid__sizes": {"grid__widths": None, "grid__sizes": {"count": 3, "within": 2, "prior": prior}},
        "grid__more": {
            "grid__widths": [[4], [8]],
            "grid__more": [{"budget": 1e8, "widths": [12, 8]}, {"budget": 2e8, "widths": [4, 8, 12]}],
        },
    }
    assert plan_of(text_folder, **ways[one]).cells == every.cells


@pytest.mark.parametrize("later", [{"budget": 1e8, "widths": [12]}, {"budget": 1e8, "widths": [16]}])
def test_on_trunks_too_an_addition_leaves_the_cells_there_as_they_are(text_folder: Path, later: dict[str, Any]) -> None:
    trunks = {"recipe__schedule": {"kind": "wsd", "trunk": True}, "grid__widths": [[4, 8], [4, 8, 12]]}
    first = [{"budget": 2e8, "widths": [16]}]
    before = plan_of(text_folder, **trunks, grid__more=first)
    after = plan_of(text_folder, **trunks, grid__more=[*first, later])
    ids = {cell.run_id for cell in before.cells}
    assert len(after.cells) == len(before.cells) + 1
    assert ids < {cell.run_id for cell in after.cells}


def test_a_size_for_a_budget_that_the_grid_lacks_is_refused_in_one_line(text_folder: Path) -> None:
    with pytest.raises(ValueError, match=r"more\[1\]\.budget: 3e\+08 is none of budgets \(1e\+08, 2e\+08\)") as caught:
        plan_of(text_folder, grid__more=[{"budget": 1e8, "widths": [4]}, {"budget": 3e8, "widths": [4]}])
    assert "\n" not in str(caught.value)


def test_a_refined_sweep_killed_in_its_round_goes_on_with_it(
    text_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    off_centre = GRID | {"grid__widths": [12, 16], "fit__resamples": 0}
    config, out = write_config(tmp_path / "c.yaml", tiny(text_folder, **off_centre)), tmp_path / "out"
    assert command.main(config, out=out, refine=1) == 0
    said, records = capsys.readouterr().err, contents(out)
    rounds = json.loads((out / "refined.json").read_text())["rounds"]
    assert f"refinement 1 of 1: {rounds[0]['cells']} cells" in said
    assert len(records) == 4 + rounds[0]["cells"]
    assert json.loads((out / "plan.json").read_text())["config"]["grid"]["more"]
    first = {cell.run_id for cell in plan_of(text_folder, **off_centre).cells}
    added = next(run_id for run_id in records if run_id not in first)
    (out / added / "record.json").unlink()  # as if it had been killed there
    assert command.main(config, out=out, refine=1) == 0
    said = capsys.readouterr().err
    assert f"with {rounds[0]['cells']} cells of earlier refinement ({out}/refined.json)" in said
    assert [run_id for run_id in records if run_id in said] == [added]
    assert json.loads((out / "refined.json").read_text())["rounds"] == rounds
    again = contents(out)
    assert {run_id: again[run_id] for run_id in records if run_id != added} == {
        run_id: record for run_id, record in records.items() if run_id != added
    }
    assert json.loads(again[added])["loss"] == json.loads(records[added])["loss"]
