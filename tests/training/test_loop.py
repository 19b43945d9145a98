"""One run: resumed as if never stopped, the same however its batch is cut."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState

from isoflop.fitting import load_runs
from isoflop.training.config import parse_config
from isoflop.training.corpus import MAIN, evaluation_sequences
from isoflop.training.device import make_accelerator
from isoflop.training.evaluate import evaluate
from isoflop.training.launch.base import record_failure
from isoflop.training.models.build import build_model
from isoflop.training.planning import make_plan
from isoflop.training.state import Run

from .bench import Bench, measured
from .helpers import tiny


def test_interrupted_equals_uninterrupted_to_the_bit(text_folder: Path, tmp_path: Path) -> None:
    whole = Bench(text_folder, tmp_path / "whole")
    pieces = Bench(text_folder, tmp_path / "pieces")
    expected = whole.train()
    # Stopped 1 step in, then 7 further (not on a logged step), then 40 further.
    assert measured(pieces.train(stop_at=(1, 7, 40))) == measured(expected)
    run_id = whole.cell.run_id
    assert pieces.sweep.read_curve(run_id) == whole.sweep.read_curve(run_id)
    assert sorted(path.name for path in (pieces.sweep.path / run_id).iterdir()) == [
        "curve.jsonl",
        "record.json",
        "weights.safetensors",
    ]


def test_a_record_says_what_was_trained(text_folder: Path, tmp_path: Path) -> None:
    bench = Bench(text_folder, tmp_path)
    record = bench.train()
    cell = bench.cell
    assert record == json.loads((tmp_path / cell.run_id / "record.json").read_text())
    assert record["status"] == "finished"
    assert record["tokens"] == cell.tokens == record["unique_tokens"]
    assert record["flops"]["exact"] == pytest.approx(record["budget"], rel=0.01)
    assert record["flops"]["6nd"] == 6 * record["n_params"] * record["tokens"]
    assert 1 < record["loss"] < math.log(256)
    assert 0 < record["loss_se"] < 0.1
    # One byte a token here, so bits per byte is the loss in bits but for the few separators.
    assert record["bits_per_byte"] == pytest.approx(record["loss"] / math.log(2), rel=0.01)
    assert record["config"]["name"] == "tiny"
    assert record["versions"]["torch"] == torch.__version__
    assert record["machine"]["threads"] == 1
    curve = bench.sweep.read_curve(cell.run_id)
    assert curve[-1]["step"] == cell.steps
    assert curve[-1]["tokens"] == cell.tokens
    assert curve[-1]["loss"] < curve[0]["loss"] - 0.5
    assert max(row["learning_rate"] for row in curve) <= cell.learning_rate


def test_a_micro_batch_changes_memory_and_not_the_training(text_folder: Path, tmp_path: Path) -> None:
    whole = Bench(text_folder, tmp_path / "whole").train()
    parts = Bench(text_folder, tmp_path / "parts", execution__micro_batch=2).train()
    assert parts["run_id"] == whole["run_id"]
    assert parts["loss"] == pytest.approx(whole["loss"], abs=2e-3)


def test_the_written_out_step_trains_as_transformers_does(text_folder: Path, tmp_path: Path) -> None:
    ours = Bench(text_folder, tmp_path / "ours").train()
    theirs = Bench(text_folder, tmp_path / "theirs", execution__kernels="transformers").train()
    assert (ours["machine"]["kernels"], theirs["machine"]["kernels"]) == ("fused", "transformers")
    assert ours["run_id"] == theirs["run_id"]
    # Rounding differs in the last digit of each step, and hundreds of steps make of it what another order would.
    assert ours["loss"] == pytest.approx(theirs["loss"], abs=2e-3)


def test_gradients_of_parts_add_up_to_those_of_the_batch(text_folder: Path, tmp_path: Path) -> None:
    moments = []
    for size in (None, 1, 3):
        bench = Bench(text_folder, tmp_path)
        run = Run(bench.job(), size or bench.cell.batch_sequences)
        run.resume()
        run.train_step()
        moments.append({name: t for name, t in run.engine.tensors(0).items() if "exp_avg." in name})
    assert moments[0]
    for other in moments[1:]:
        torch.testing.assert_close(other, moments[0], rtol=1e-4, atol=1e-7)


def test_bf16_trains(text_folder: Path, tmp_path: Path) -> None:
    exact = Bench(text_folder, tmp_path / "a").train()
    AcceleratorState._reset_state(True)  # a process has one precision; a test has two
    coarse = Bench(text_folder, tmp_path / "b", recipe__precision="bf16").train()
    AcceleratorState._reset_state(True)
    assert coarse["run_id"] != exact["run_id"]
    assert coarse["loss"] == pytest.approx(exact["loss"], abs=0.05)


def test_the_reported_loss_is_the_mean_over_all_scored_tokens(text_folder: Path, tmp_path: Path) -> None:
    bench = Bench(text_folder, tmp_path)
    model = build_model(bench.cell.shape, bench.config.model, seed=0)
    validation, context = bench.corpus.validation[MAIN], bench.cell.shape.context
    # 1.5 passes of 1000: a mean of passes' means would weigh the half one double.
    found = evaluate(model, validation, 1500, context, make_accelerator(bench.config))
    tokens, sequences = validation.tokens, evaluation_sequences(len(validation.tokens), context, 1500)
    rows = torch.from_numpy(np.stack([tokens[i * context : i * context + context + 1] for i in sequences])).long()
    with torch.no_grad():
        logits = model(input_ids=rows[:, :-1]).logits
    nats = torch.nn.functional.cross_entropy(logits.flatten(0, 1).double(), rows[:, 1:].flatten(), reduction="none")
    assert found.loss == pytest.approx(nats.mean().item(), rel=1e-6)
    assert found.n_tokens == 1500 * context
    text = rows[:, 1:].flatten() != 0
    assert found.bits_per_byte == pytest.approx(nats[text].sum().item() / math.log(2) / text.sum().item(), rel=1e-6)


def test_a_failure_never_replaces_a_finished_record(text_folder: Path, tmp_path: Path) -> None:
    bench = Bench(text_folder, tmp_path)
    record = bench.train()
    assert record_failure(bench.sweep, bench.cell, bench.config, "killed while it closed its log") == record
    other = bench.plan.cells[0]
    failed = record_failure(bench.sweep, other, bench.config, "killed")
    assert failed is not None
    assert failed["status"] == "failed"
    assert not bench.sweep.is_over(other.run_id, retry_failed=True)
    assert bench.sweep.is_over(other.run_id)


def test_an_edited_budget_groups_by_the_plan_not_by_old_records(text_folder: Path, tmp_path: Path) -> None:
    bench = Bench(text_folder, tmp_path)
    record = bench.train()
    edited = parse_config(tiny(text_folder, grid__budgets=[200_100_000.0, 4e8]), "test")
    plan = make_plan(edited, bench.corpus.info)
    assert record["run_id"] in {cell.run_id for cell in plan.cells}, "so small an edit leaves the steps as they are"
    bench.sweep.write_plan(plan)
    assert load_runs(str(tmp_path)).frame["budget"].tolist() == [200_100_000.0]
