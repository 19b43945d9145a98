"""A run that cannot go on says where and why, and keeps what it has."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from isoflop.fitting import InputError
from isoflop.training.loop import Hooks, Interrupted, OutOfTime, train
from isoflop.training.models.build import build_model
from isoflop.training.state import Run

from .bench import Bench, Ear, measured


def diverging(text: Path, folder: Path) -> Bench:
    # The rate climbs through the warmup; somewhere on the way the loss overflows.
    rate = {"rule": "constant", "value": 1e37}
    return Bench(text, folder, recipe__learning_rate=rate, recipe__schedule={"warmup": 0.9})


def test_a_diverged_run_says_at_which_step_and_keeps_the_last_good_state(text_folder: Path, tmp_path: Path) -> None:
    bench = diverging(text_folder, tmp_path)
    record = train(bench.job())
    assert (record["status"], record["loss"]) == ("diverged", None)
    bad_step = record["tokens"] // bench.cell.batch_tokens
    assert 0 < bad_step < bench.cell.steps
    assert f"not finite at step {bad_step} of {bench.cell.steps}" in record["reason"]
    assert f"checkpoint.safetensors holds the state after {bad_step - 1} steps" in record["reason"]
    # From there, one step has a finite loss and the next has none.
    run = Run(bench.job(), bench.cell.batch_sequences)
    run.resume()
    assert run.step == bad_step - 1
    for expected in (None, bad_step):
        run.train_step()
        run.fetch()
        assert run.members[0].diverged_at == expected


def test_a_checkpoint_holds_no_state_beyond_a_divergence(text_folder: Path, tmp_path: Path) -> None:
    bench = diverging(text_folder, tmp_path)
    bad_step = train(bench.job())["tokens"] // bench.cell.batch_tokens
    other = diverging(text_folder, tmp_path / "again")
    asked: list[int] = []

    def stop_one_late() -> bool:
        asked.append(1)
        return len(asked) == bad_step + 1  # when the losses up to here have not been looked at yet

    assert train(other.job(), Hooks(should_stop=stop_one_late))["status"] == "diverged"


def test_a_cell_out_of_time_is_left_and_goes_on_later(text_folder: Path, tmp_path: Path) -> None:
    whole = Bench(text_folder, tmp_path / "whole").train()
    bench = Bench(text_folder, tmp_path / "parts", execution__max_seconds=1e-9)
    for step in (1, 2, 3):
        with pytest.raises(OutOfTime, match=f"execution.max_seconds.* at step {step}"):
            train(bench.job())
    patient = Bench(text_folder, tmp_path / "parts")
    assert measured(patient.train()) == measured(whole)


def test_a_sweep_says_which_cells_ran_out_of_time(text_folder: Path, tmp_path: Path) -> None:
    from isoflop.training.launch import run_inline

    bench = Bench(text_folder, tmp_path, execution__max_seconds=1e-9)
    ear = Ear()
    outcome = run_inline(bench.plan, bench.sweep, [(cell,) for cell in bench.plan.cells], ear)
    assert set(outcome.paused) == {cell.run_id for cell in bench.plan.cells}
    assert len(ear.troubles) == len(bench.plan.cells)
    assert len(bench.sweep.to_do(bench.plan)) == len(bench.plan.cells)


def test_the_checkpoint_of_another_run_is_refused(text_folder: Path, tmp_path: Path) -> None:
    bench = Bench(text_folder, tmp_path)
    other = next(cell for cell in bench.plan.cells if cell is not bench.cell)
    with pytest.raises(Interrupted):
        train(bench.job(other), Hooks(should_stop=lambda: True))
    path = bench.sweep.checkpoint(bench.cell.run_id)
    path.parent.mkdir()
    bench.sweep.checkpoint(other.run_id).rename(path)
    with pytest.raises(
        InputError, match=f"checkpoint.safetensors: is of '{other.run_id}', not of '{bench.cell.run_id}'"
    ):
        train(bench.job())


def test_a_torn_checkpoint_or_record_is_set_aside_and_its_run_trained_again(text_folder: Path, tmp_path: Path) -> None:
    bench = Bench(text_folder, tmp_path)
    whole = train(bench.job())
    path = bench.sweep.record_path(bench.cell.run_id)
    path.write_text(path.read_text()[:100])
    assert bench.cell in bench.sweep.to_do(bench.plan)
    with pytest.raises(Interrupted):
        train(bench.job(), Hooks(should_stop=lambda: True))
    state = bench.sweep.checkpoint(bench.cell.run_id)
    state.write_bytes(state.read_bytes()[:1000])
    assert train(bench.job())["loss"] == whole["loss"]
    kept = {file.name for file in path.parent.glob("*.torn")}
    assert kept == {"record.torn", "checkpoint.torn"}


def test_the_weights_of_a_finished_run_are_the_scored_ones(text_folder: Path, tmp_path: Path) -> None:
    bench = Bench(text_folder, tmp_path, evaluation={"points_per_decade": 4})
    record = train(bench.job())
    model = build_model(bench.cell.shape, bench.config.model, seed=7)
    left = model.load_state_dict(load_file(bench.sweep.weights(bench.cell.run_id)), strict=False)
    assert not left.unexpected_keys
    run = Run(bench.job(), 1)
    run.engine.models = [model]
    assert run.score().loss == record["loss"]
    scored = [row for row in bench.sweep.read_curve(bench.cell.run_id) if "validation_loss" in row]
    assert len(scored) >= 3
    assert scored[-1]["validation_loss"] < scored[0]["validation_loss"]
    assert measured(Bench(text_folder, tmp_path / "unscored").train()) == measured(record)


# Trains a sweep, the largest cell first, with so much more memory than the imports took.
TIGHT = """
import json, resource, sys
from pathlib import Path
from isoflop.training.launch.inline import run_inline
from isoflop.training.records import SweepFolder
import isoflop.training.loop
used = int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmSize"))) * 1024
sweep = SweepFolder(Path(sys.argv[1]))
plan = sweep.read_plan()
class Ear:
    def step(self, *_): ...
    def ended(self, *_): ...
    def trouble(self, *_): ...
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[2]), -1))
outcome = run_inline(plan, sweep, [(cell,) for cell in plan.cells[::-1]], Ear())
print(json.dumps([outcome.trained, outcome.failed]))
"""


def test_a_cell_too_large_for_the_memory_fails_with_its_figure_and_the_sweep_goes_on(
    text_folder: Path, tmp_path: Path
) -> None:
    bench = Bench(
        text_folder,
        tmp_path,
        model__depth=8,
        recipe__batch={"rule": "constant", "tokens": 64},
        grid__budgets=[6e8, 5.8511e10],
        grid__widths=[[8], [512]],
    )
    small, large = bench.plan.cells
    bench.sweep.write_plan(bench.plan)
    words = [sys.executable, "-c", TIGHT, str(tmp_path), str(250 << 20)]
    # A thread's own arena reserves 64 MiB of addresses: how many there are would decide what is left.
    env = os.environ | {"MALLOC_ARENA_MAX": "1"}
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, check=False, env=env)
    assert done.returncode == 0, done.stderr
    trained, failed = json.loads(done.stdout.splitlines()[-1])
    assert trained == [small.run_id]
    assert list(failed) == [large.run_id]
    assert re.search(r"out of memory at micro-batch 1 \(16 tokens\): .* [\d.]+ GiB", failed[large.run_id])
    record = bench.sweep.read_record(large.run_id)
    assert record is not None
    assert (record["status"], record["reason"]) == ("failed", failed[large.run_id])
