"""What `plan` says beside its table: where the recipe is not vouched for, and what the corpus leaks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from isoflop.training.records import SweepFolder

SMOKE = Path(__file__).resolve().parents[2] / "configs" / "smoke.yaml"


def warnings(out: str, code: str) -> list[str]:
    return [line for line in out.splitlines() if line.startswith(f"warning [{code}]: ")]


def test_plan_groups_the_notes_on_the_recipe(command: Callable[..., Any]) -> None:
    assert warnings(command("plan", SMOKE, "--sims", 0).out, "recipe_range") == []
    done = command("plan", SMOKE, "--sims", 0, "--set", "recipe.learning_rate={rule: step_law, multiplier: .01}")
    (warning,) = warnings(done.out, "recipe_range")
    n_cells = done.out.split(" cells")[0].split()[-1]
    said = f"warning [recipe_range]: {n_cells} of {n_cells} cells: learning_rate step_law: N non-embedding"
    assert warning.startswith(said)
    assert "isoflop tune" in warning


def test_plan_says_which_cells_end_before_their_rate_has_decayed(command: Callable[..., Any]) -> None:
    warmup = "recipe.schedule.warmup={rule: params, factor: 3}"
    (warning,) = warnings(command("plan", SMOKE, "--sims", 0, "--set", warmup).out, "hot_cells")
    assert "end before their rate has decayed (phase hot)" in warning


def test_plan_shows_what_training_holds_of_each_validation_set(command: Callable[..., Any], tmp_path: Path) -> None:
    leaked, own = ("".join(f"{word}{i} " for i in range(400)) for word in "ab")
    (tmp_path / "other.txt").write_text(own + leaked)
    for i in range(20):
        (tmp_path / f"train{i}.txt").write_text("".join(f"t{i}w{k} " for k in range(3000)))
    (tmp_path / "train20.txt").write_text(leaked)
    sets = [
        f"data.corpus={{kind: files, paths: ['{tmp_path}/train*.txt']}}",
        f"data.validation={{other: {{kind: files, paths: ['{tmp_path}/other.txt']}}}}",
        "data.near_duplicates.action=report",
        "data.validation_fraction=.2",
        "data.max_epochs=1000.0",
    ]
    done = command("plan", SMOKE, *(word for each in sets for word in ("--set", each)))
    assert done.status == 0, done.err
    shown = {line.split(":")[0].strip(): line for line in done.out.splitlines() if "n-grams of 13 words" in line}
    assert shown["validation"].endswith(": 0.0%")
    assert 45 < float(shown["other"].rsplit(" ", 1)[1].rstrip("%")) < 52
    assert "1 near duplicates of validation documents are kept in training." in done.out


def test_plan_shows_the_memory_of_each_cell_and_writes_its_bytes(command: Callable[..., Any], tmp_path: Path) -> None:
    device = ("--set", "execution.device=cpu")
    done = command("plan", SMOKE, *device, "--sims", 0, "--json", tmp_path / "plan.json")
    assert "the peak of a process that trains one cell on the CPU, the whole batch at a time" in done.out
    assert max(map(len, done.out.split("\nN and D count")[0].splitlines()[1:])) <= 100
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert plan["memory"]["device"] == "cpu"
    for cell in plan["cells"]:
        assert f" {plan['memory']['bytes'][cell['run_id']] / 2**20:,.0f}M " in done.out
    assert len(SweepFolder(tmp_path).read_plan().cells) == len(plan["cells"]), "what run.py trains from"
    on_gpu = command("plan", SMOKE, "--sims", 0, "--set", "execution.device=cuda", "--set", "execution.micro_batch=1")
    assert "the most that torch allocates on the GPU for one cell" in on_gpu.out
    assert "1 of its sequences at a time" in on_gpu.out
