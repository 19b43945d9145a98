"""What a machine's memory holds: cells refused before anything starts, and orders that wait for room."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from isoflop.fitting.errors import InputError
from isoflop.training.config import parse_config
from isoflop.training.corpus import prepare_corpus
from isoflop.training.launch.admission import Memory
from isoflop.training.launch.devices import machine_memory
from isoflop.training.launch.local import run_local
from isoflop.training.plan import Plan
from isoflop.training.planning import make_plan
from isoflop.training.records import SweepFolder
from isoflop.training.stacking import Order

from .helpers import Heard, tiny

GIB = 1 << 30


def planned(text: Path, **changes: Any) -> Plan:
    config = parse_config(tiny(text, data__max_epochs=1e12, **changes), "test")
    return make_plan(config, prepare_corpus(config.data).info)


def singly(plan: Plan) -> list[Order]:
    return [(cell,) for cell in plan.cells]


def large(text: Path, **execution: Any) -> Plan:
    """Two budgets of a model of 25M parameters, which takes about 1.2 GiB, and of one whose process takes 0.6."""
    model = {"depth": 8, "heads": 2, "context": 64, "width_multiple": 4}
    settings = {f"execution__{key}": value for key, value in execution.items()}
    return planned(text, model=model, grid__budgets=[1e13, 2e13], grid__widths=[8, 512], **settings)


@pytest.mark.parametrize(
    ("groups", "files", "gib"),
    [
        ("0::/\n", {"memory.max": "max"}, None),
        ("0::/\n", {"memory.max": str(GIB)}, 1),
        # In a container the host's path stands there, and the top is the container's own group.
        ("0::/docker/ab\n", {"memory.max": str(2 * GIB)}, 2),
        # The outer group's limit is the smaller one.
        ("0::/slurm/job_1\n", {"slurm/memory.max": str(GIB), "slurm/job_1/memory.max": str(3 * GIB)}, 1),
        (
            "5:cpu,cpuacct:/x\n4:memory:/job\n",
            {"memory/job/memory.limit_in_bytes": str(GIB), "x/memory.max": "1"},
            1,
        ),
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712"}, None),
    ],
)
def test_a_control_group_bounds_the_machines_memory(
    groups: str, files: dict[str, str], gib: int | None, tmp_path: Path
) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(groups)
    for name, text in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    whole = machine_memory(tmp_path / "elsewhere")
    assert whole > GIB
    assert machine_memory(tmp_path) == (whole if gib is None else min(whole, gib * GIB))


def test_a_cell_larger_than_the_machine_is_refused_before_anything_starts(text_folder: Path, tmp_path: Path) -> None:
    plan, sweep = large(text_folder, memory_gib=0.9), SweepFolder(tmp_path / "sweep")
    sweep.write_plan(plan)
    with pytest.raises(InputError) as error:
        run_local(plan, sweep, singly(plan), Heard())
    cell = plan.cells[1]
    said = str(error.value)
    assert said.startswith(f"cell {cell.run_id} (budget 1e+13, width 512, N = {cell.counts.params.n_params:,}): needs")
    assert "this machine has 0.9" in said
    assert "leave that size out" in said
    assert [path.name for path in sweep.path.iterdir()] == ["plan.json"]


def test_what_would_fit_in_parts_is_told_the_parts(text_folder: Path) -> None:
    batch = {"rule": "constant", "tokens": 1 << 14}
    whole = large(text_folder, memory_gib=4.0)
    assert Memory(whole, []).advice(singly(whole)) == ""
    plan = planned(
        text_folder,
        model={"depth": 8, "heads": 2, "context": 64, "width_multiple": 4},
        grid__budgets=[1e14, 2e14],
        grid__widths=[8, 256],
        recipe__batch=batch,
        execution__memory_gib=2.0,
    )
    memory = Memory(plan, [])
    memory.refuse_too_large(singly(plan))
    advice = memory.advice(singly(plan))
    fitting = int(advice.split("execution.micro_batch=")[1].split(" ")[0])
    assert 1 <= fitting < plan.cells[1].batch_sequences
    execution = plan.config.execution.model_copy(update={"micro_batch": fitting})
    config = plan.config.model_copy(update={"execution": execution})
    assert Memory(replace(plan, config=config), []).advice(singly(plan)) == ""


def test_an_order_waits_until_what_runs_beside_it_leaves_room(text_folder: Path) -> None:
    plan = large(text_folder, memory_gib=2.2)
    small, big, small_too, big_too = singly(plan)
    memory = Memory(plan, [])
    assert memory.fits(big, "cpu", [], idle=7)  # alone it always may: the formula may be wrong
    assert memory.fits(small_too, "cpu", [small], idle=0)
    assert memory.fits(big, "cpu", [small], idle=0)
    assert not memory.fits(big, "cpu", [small], idle=3)  # processes without a cell take room too
    assert not memory.fits(big, "cpu", [big_too], idle=0)
    assert memory.most_workers(singly(plan)) == 3


@pytest.fixture
def trainer_that_looks_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A worker's module: a cell of width 512 waits to see whether another one is at work beside it."""
    (tmp_path / "looking.py").write_text(
        "import time\n"
        "from isoflop.scripts.bench_null import NullTrainer\n"
        "from isoflop.training.claims import read_claim\n"
        "from isoflop.training.launch.conversation import converse\n"
        "class Looking(NullTrainer):\n"
        "    def train(self, cells, hooks):\n"
        "        for _ in range(50 if cells[0].shape.width == 512 else 0):\n"
        "            claims = [read_claim(path.parent) for path in self.sweep.path.glob('*/claim.*')]\n"
        "            if sum(claim is not None and claim.alive for claim in claims) > 1:\n"
        "                raise ValueError('not alone')\n"
        "            time.sleep(0.01)\n"
        "        super().train(cells, hooks)\n"
        "converse(Looking)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "looking"


def test_large_cells_run_alone_and_small_ones_side_by_side(
    text_folder: Path, tmp_path: Path, trainer_that_looks_around: str
) -> None:
    plan, sweep, heard = large(text_folder, memory_gib=1.5, workers=2), SweepFolder(tmp_path / "sweep"), Heard()
    sweep.write_plan(plan)
    memory = Memory(plan, [])
    small, big, small_too, _ = singly(plan)
    assert memory.fits(small, "cpu", [small_too], idle=0)
    assert not memory.fits(small, "cpu", [big], idle=0)
    outcome = run_local(plan, sweep, singly(plan)[::-1], heard, module=trainer_that_looks_around)
    assert heard.notes == []
    assert sorted(outcome.trained) == sorted(cell.run_id for cell in plan.cells)


def test_each_gpu_has_its_own_memory_and_the_largest_one_decides(
    text_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho '0, GPU-a0b, 2200'\necho '1, GPU-a1b, 1200'\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    plan = large(text_folder, device="auto")
    small, big, small_too, big_too = singly(plan)
    memory = Memory(plan, ["0", "GPU-a1b"])
    assert memory.rooms == {"0": 2200 << 20, "GPU-a1b": 1200 << 20}
    assert [memory.device(index) for index in range(3)] == ["0", "GPU-a1b", "0"]
    memory.refuse_too_large(singly(plan))
    assert memory.fits(big, "0", [small], idle=0)
    assert not memory.fits(big, "0", [big_too], idle=0)
    assert not memory.fits(small, "GPU-a1b", [small_too], idle=0)  # CUDA's own memory, twice
    smi.write_text("#!/bin/sh\necho '0, GPU-a0b, 600'\n")
    with pytest.raises(InputError, match=rf"cell {plan.cells[1].run_id} .* the largest GPU here has 0.6"):
        Memory(plan, ["0"]).refuse_too_large(singly(plan))
    assert Memory(plan, ["MIG-7"]).fits(big, "MIG-7", [big_too], idle=0)  # unknown: as it was asked for
