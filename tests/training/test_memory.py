"""The memory that a plan states, held against what training takes: tensors to the MiB, whole processes within 20 %."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from torch.profiler import ProfilerActivity, profile

from isoflop.fitting.counting import counts_of
from isoflop.training.config import parse_config
from isoflop.training.corpus import prepare_corpus
from isoflop.training.device import make_accelerator
from isoflop.training.launch import run_inline
from isoflop.training.loop import train
from isoflop.training.memory import (
    EVALUATED_TOKENS,
    LOGITS_AT_ONCE,
    cell_memory,
    micro_batch_for,
    process_memory,
    tensor_memory,
)
from isoflop.training.plan import Plan, RunPlan
from isoflop.training.planning import make_plan
from isoflop.training.records import SweepFolder
from isoflop.training.shapes import shape_for_width
from isoflop.training.state import Job, Run

from .bench import Ear

STEPS = 2


def sweep_of(
    folder: Path, *, width: int, batch: int, vocabulary: int = 256, seeds: int = 1, validation: int = 64, **changes: Any
) -> Plan:
    """Cells of `STEPS` and of twice as many steps, `batch` sequences each; `changes` are keys of the model but for
    `precision` and those of execution."""
    tokens = np.random.default_rng(0).integers(0, vocabulary, 300_000).astype(np.uint16)
    np.save(folder / "train.npy", tokens)
    np.save(folder / "held_out.npy", tokens[::-1][:50_000])
    model = {"depth": 2, "heads": 2, "context": 64, "width_multiple": 4}
    precision = changes.pop("precision", "fp32")
    execution = {key: changes.pop(key) for key in ("kernels", "micro_batch", "device") if key in changes}
    model |= changes
    data = {"kind": "tokens", "paths": [str(folder / "train.npy")], "validation": [str(folder / "held_out.npy")]}
    config: dict[str, Any] = {
        "name": "memory",
        "model": model,
        "data": {
            "corpus": {**data, "vocab_size": vocabulary},
            "near_duplicates": {"action": "off"},
            "validation_sequences": validation,
            "max_epochs": 1000.0,
        },
        "grid": {"budgets": [1.0, 2.0], "widths": [width], "seeds": seeds},
        "recipe": {
            "learning_rate": {"rule": "constant", "value": 1e-3},
            "batch": {"rule": "constant", "tokens": batch * model["context"]},
            "precision": precision,
        },
        "execution": {"device": "cpu", "workers": 1, "stack": "off", **execution},
        "wandb": {"mode": "disabled"},
    }
    shape = shape_for_width(width, parse_config(config, "test").model, vocabulary)
    a_step = counts_of(shape).flops_per_token["exact"] * batch * shape.context
    config["grid"]["budgets"] = [a_step * STEPS, a_step * STEPS * 2]
    parsed = parse_config(config, "test")
    return make_plan(parsed, prepare_corpus(parsed.data).info)


def tensor_peak(plan: Plan, folder: Path, members: int = 1) -> int:
    """Bytes that torch's allocator has given out at most, from building the model on."""
    cells = [replace(plan.cells[0], seed=seed, run_id=f"run{seed}") for seed in range(members)]
    AcceleratorState._reset_state(True)  # a process has one precision; these tests have two
    accelerator = make_accelerator(plan.config)
    job = Job(
        cells[0], plan.config, prepare_corpus(plan.config.data), SweepFolder(folder), accelerator, tuple(cells[1:])
    )
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        run = Run(job, plan.config.execution.micro_batch or cells[0].batch_sequences)
        run.resume()
        for _ in range(STEPS):
            run.train_step()
        run.score()
    AcceleratorState._reset_state(True)
    found: Any = seen.profiler
    changes = [(e.start_ns(), e.nbytes()) for e in found.kineto_results.events() if e.name() == "[memory]"]
    changes.sort(key=lambda change: change[0])
    return int(np.cumsum([size for _, size in changes]).max())


WIDE: dict[str, Any] = {"width": 128, "batch": 16, "heads": 4, "depth": 3}


@pytest.mark.parametrize(
    "changes",
    [
        WIDE,
        WIDE | {"kernels": "transformers"},
        WIDE | {"precision": "bf16", "family": "qwen3", "kv_heads": 2},
        WIDE | {"family": "gpt2", "micro_batch": 8},
        WIDE | {"vocabulary": 8192, "kernels": "transformers"},
        WIDE | {"vocabulary": 8192, "tied_embeddings": False, "precision": "bf16", "batch": 8},
        WIDE | {"batch": 1, "family": "qwen3"},
    ],
    ids=["written_out", "llama", "qwen3_bf16", "gpt2_in_parts", "large_vocabulary", "untied_bf16", "weights_alone"],
)
def test_tensors_take_what_the_formula_says(changes: dict[str, Any], tmp_path: Path) -> None:
    plan = sweep_of(tmp_path, **changes)
    assert tensor_memory(plan.cells[0], plan.config, device="cpu") == pytest.approx(
        tensor_peak(plan, tmp_path), rel=0.03
    )


@pytest.mark.parametrize("kernels", ["auto", "transformers"])
def test_a_stack_takes_what_the_formula_says(kernels: str, tmp_path: Path) -> None:
    plan = sweep_of(tmp_path, width=32, batch=16, kernels=kernels)
    said = tensor_memory(plan.cells[0], plan.config, device="cpu", members=4)
    assert said == pytest.approx(tensor_peak(plan, tmp_path, members=4), rel=0.1)


def test_what_is_said_of_a_gpu_holds_of_the_same_tensors_on_a_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = sweep_of(tmp_path, **WIDE, vocabulary=1024, precision="bf16")
    for bound in (LOGITS_AT_ONCE, EVALUATED_TOKENS):
        monkeypatch.setitem(bound, "cpu", bound["cuda"])
    said = tensor_memory(plan.cells[0], plan.config, device="cuda")
    assert said == pytest.approx(tensor_peak(plan, tmp_path), rel=0.03)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_gpu_allocates_what_the_formula_says(precision: str, tmp_path: Path) -> None:
    plan = sweep_of(tmp_path, width=512, batch=64, heads=8, depth=8, context=512, precision=precision, device="cuda")
    AcceleratorState._reset_state(True)
    corpus = prepare_corpus(plan.config.data)
    job = Job(plan.cells[0], plan.config, corpus, SweepFolder(tmp_path), make_accelerator(plan.config))
    torch.cuda.reset_peak_memory_stats()
    record = train(job)
    AcceleratorState._reset_state(True)
    said = cell_memory(plan.cells[0], plan.config, device="cuda")
    assert record["machine"]["peak_memory_bytes"] == pytest.approx(said, rel=0.2)


# Trains the sweeps it is given, the smallest first, and says after each what the process has taken at most.
GROWING = """
import json, sys
from pathlib import Path
from isoflop.training.corpus import open_corpus
from isoflop.training.device import make_accelerator
from isoflop.training.loop import train
from isoflop.training.records import SweepFolder
from isoflop.training.state import Job
for folder in sys.argv[1:]:
    sweep = SweepFolder(Path(folder))
    plan = sweep.read_plan()
    train(Job(plan.cells[0], plan.config, open_corpus(plan.corpus.fingerprint), sweep, make_accelerator(plan.config)))
    peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print(json.dumps(int(peak) * 1024), flush=True)
"""


@pytest.mark.slow
def test_a_process_takes_what_the_plan_says(tmp_path: Path) -> None:
    plans = []
    for index, changes in enumerate(
        (
            {"width": 24, "batch": 4},
            {"width": 64, "batch": 64, "vocabulary": 8192, "kernels": "transformers"},
            {"width": 64, "batch": 256},
            {
                "width": 384,
                "batch": 4,
                "depth": 6,
                "heads": 6,
                "context": 128,
                "kernels": "transformers",
                "validation": 16,
            },
        )
    ):
        folder = tmp_path / str(index)
        folder.mkdir()
        plans.append(sweep_of(folder, **changes))
        SweepFolder(folder).write_plan(plans[-1])
    assert plans[-1].cells[0].counts.params.n_params > 1e7
    words = [sys.executable, "-c", GROWING, *(str(tmp_path / str(index)) for index in range(len(plans)))]
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines() if line.isdigit()]
    said = [on_a_cpu(plan.cells[0], plan) for plan in plans]
    assert found == pytest.approx(said, rel=0.2)


def on_a_cpu(cell: RunPlan, plan: Plan) -> int:
    return process_memory(cell, plan.config, plan.corpus) + cell_memory(cell, plan.config, device="cpu")


def test_a_micro_batch_is_the_largest_share_that_fits(tmp_path: Path) -> None:
    plan = sweep_of(tmp_path, **WIDE, kernels="transformers")
    cell, config = plan.cells[0], plan.config

    def taken(sequences: int) -> int:
        return cell_memory(cell, config, device="cpu", sequences=sequences)

    assert micro_batch_for(cell, config, device="cpu", room=taken(16)) == 16
    assert micro_batch_for(cell, config, device="cpu", room=taken(7)) == 6  # three parts of 6, 6 and 4
    assert micro_batch_for(cell, config, device="cpu", room=0) == 1
    assert taken(1000) == taken(16), "no more at a time than there are"


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_memory_grows_with_all_that_takes_some(precision: str, tmp_path: Path) -> None:
    def taken(device: str, **changes: Any) -> int:
        settings: dict[str, Any] = WIDE | {"precision": precision, "family": "qwen3"} | changes
        plan = sweep_of(tmp_path, **settings)
        return cell_memory(plan.cells[0], plan.config, device=device)

    for device in ("cpu", "cuda"):
        least = taken(device)
        for more in ({"width": 256}, {"batch": 32}, {"depth": 6}, {"vocabulary": 50_000}, {"context": 128}):
            assert taken(device, **more) > 1.2 * least, more


@pytest.mark.slow
def test_a_hundred_and_fifty_cells_leave_nothing_behind(tmp_path: Path) -> None:
    plan = sweep_of(tmp_path, width=8, batch=2, depth=1, seeds=75)
    sweep = SweepFolder(tmp_path / "sweep")
    sweep.write_plan(plan)

    class Watch(Ear):
        resident: list[int]

        def ended(self, cell: RunPlan, record: dict[str, Any]) -> None:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.resident.append(pages * 4096)

    watch = Watch()
    watch.resident = []
    outcome = run_inline(plan, sweep, [(cell,) for cell in plan.cells], watch)
    assert len(outcome.trained) == len(watch.resident) == 150
    assert watch.resident[149] - watch.resident[49] < 1.4 * 2**20
