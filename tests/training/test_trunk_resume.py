"""A trunk that was cut off: who goes on with it, from where, and what the record then says of its time."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from isoflop.training.launch import run_inline
from isoflop.training.launch.slot import Slot
from isoflop.training.loop import Hooks, Interrupted, train
from isoflop.training.plan import RunPlan
from isoflop.training.state import Run

from .bench import Bench, Ear, measured

WSD = {"kind": "wsd", "cooldown": 0.2, "trunk": True}
BUDGETS = {"grid__budgets": [2e8, 4e8, 8e8], "grid__widths": [8], "data__max_epochs": 9.0, "recipe__schedule": WSD}


def stopped_after(bench: Bench, cell: RunPlan, steps: int) -> None:
    asked: list[int] = []

    def should_stop() -> bool:
        asked.append(1)
        return len(asked) >= steps

    with pytest.raises(Interrupted):
        train(bench.job(cell), Hooks(should_stop=should_stop))


def test_a_trunk_out_of_time_is_not_begun_again_by_its_branches(text_folder: Path, tmp_path: Path) -> None:
    bench = Bench(text_folder, tmp_path, execution__max_seconds=1e-9, **BUDGETS)
    first = bench.plan.cells[0]
    ear = Ear()
    outcome = run_inline(bench.plan, bench.sweep, [(cell,) for cell in bench.sweep.to_do(bench.plan)], ear)
    assert len(outcome.paused) == 3
    assert [path.parent.name for path in tmp_path.glob("*/checkpoint.safetensors")] == [first.run_id]
    assert sum(f"waits for the trunk that {first.run_id}" in reason for reason in ear.troubles) == 2
    # So do worker processes' launches; where the trunk's state is there, a branch waits for nobody.
    for trained, left in ((False, 0), (True, 1)):
        launcher = bench.launcher(bench.plan.cells[1:2])
        if trained:
            path = bench.sweep.trunks.path(str(first.trunk), first.trunk_steps)
            path.parent.mkdir(parents=True)
            path.touch()
        launcher.conclude((first,), "paused", "stopped")
        assert len(launcher.queue) == left


def test_a_trunk_killed_after_its_state_was_saved_keeps_its_time(text_folder: Path, tmp_path: Path) -> None:
    bench = Bench(text_folder, tmp_path, execution__checkpoint_seconds=1e9, **BUDGETS)
    first, second, _ = bench.plan.cells
    whole = train(Bench(text_folder, tmp_path / "whole", **BUDGETS).job(first))
    stopped_after(bench, first, first.trunk_steps + 2)
    bench.sweep.checkpoint(first.run_id).unlink()  # as if killed before it
    record = train(bench.job(first))
    assert measured(record) == measured(whole)
    assert record["begun_at_step"] == 0
    assert record["wall_seconds"] > 0.3 * whole["wall_seconds"]
    assert train(bench.job(second))["begun_at_step"] == first.trunk_steps


def test_a_run_goes_on_from_the_later_of_checkpoint_and_trunk(text_folder: Path, tmp_path: Path) -> None:
    bench = Bench(text_folder, tmp_path, **BUDGETS)
    first, second, _ = bench.plan.cells
    stopped_after(bench, second, 3)
    train(bench.job(first))
    run = Run(bench.job(second), second.batch_sequences)
    run.resume()
    assert (run.step, run.begun_at, run.seconds) == (first.trunk_steps, first.trunk_steps, 0)
    expected = train(Bench(text_folder, tmp_path / "whole", **BUDGETS).job(second))
    assert measured(train(bench.job(second))) == measured(expected)
    stopped_after(bench, replace(second, run_id="other"), 9)
    run = Run(bench.job(replace(second, run_id="other")), second.batch_sequences)
    run.resume()
    assert run.step == second.trunk_steps + 9, "past the trunk's state, its own checkpoint is the later"


def test_states_of_trunks_that_an_edited_config_has_left_are_removed_too(text_folder: Path, tmp_path: Path) -> None:
    bench = Bench(text_folder, tmp_path, **BUDGETS)
    train(bench.job(bench.plan.cells[0]))
    left = tmp_path / "trunks" / "0123456789ab" / "7.safetensors"
    left.parent.mkdir()
    left.touch()
    bench.sweep.trunks.remove()
    assert not list(tmp_path.glob("trunks/*/*.safetensors"))


def test_a_worker_that_leaves_after_a_failure_is_given_no_further_cell(text_folder: Path, tmp_path: Path) -> None:
    bench = Bench(text_folder, tmp_path, **BUDGETS)
    first, *others = bench.plan.cells
    launcher = bench.launcher(others)
    # What the cell's failure says arrives before the worker is gone.
    script = """print('{"event": "failed", "reason": "torn"}', flush=True); input()"""
    (tmp_path / "torn_worker.py").write_text(script)
    slot = Slot(0, "torn_worker", tmp_path, tmp_path / "log", os.environ | {"PYTHONPATH": str(tmp_path)})
    slot.ready, slot.order = True, (first,)
    launcher.slots.append(slot)
    while slot.order:
        launcher.hear(slot)
    launcher.hand_out()
    assert launcher.outcome.failed == {first.run_id: "torn"}
    assert not slot.order
    assert list(launcher.queue) == [(cell,) for cell in others]
    slot.process.kill()
    slot.process.communicate()
