"""Workers and GPUs: programs in the place of the driver's say what a machine with GPUs would."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isoflop.training.config import Execution, parse_config
from isoflop.training.corpus import prepare_corpus
from isoflop.training.durations import gpu_step_seconds
from isoflop.training.launch import sharing
from isoflop.training.launch.devices import free_memory, mps_is_running, visible_gpus, worker_count, worker_environment
from isoflop.training.launch.sharing import share_gpus
from isoflop.training.plan import Plan
from isoflop.training.planning import make_plan

from .helpers import tiny

GIB = 1 << 30
Machine = Callable[..., None]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Puts programs on PATH that answer as nvidia-smi and MPS's control program do, on a machine of many cores."""

    def program(name: str, script: str) -> None:
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def make(*free_mib: object, mps: bool = False, cores: int = 64) -> None:
        listed = "".join(f"echo 'GPU {i}: NVIDIA H100 (UUID: GPU-a{i}b)'\n" for i in range(len(free_mib)))
        table = "".join(f"echo '{i}, GPU-a{i}b, {mib}'\n" for i, mib in enumerate(free_mib))
        program("nvidia-smi", f'if [ "$1" = -L ]; then\n{listed}else\n{table}fi')
        answer = "exit 0" if mps else "echo 'Cannot find MPS control daemon process'; exit 1"
        program("nvidia-cuda-mps-control", answer)
        monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
        monkeypatch.setattr(sharing, "usable_cores", lambda: cores)

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(tmp_path / "pipes"))
    return make


def planned(text: Path, **changes: Any) -> Plan:
    config = parse_config(tiny(text, **({"execution__device": "auto", "execution__workers": None} | changes)), "test")
    return make_plan(config, prepare_corpus(config.data).info)


def chosen(plan: Plan, gpus: list[str], cell_bytes: float = GIB) -> tuple[int, str]:
    found = share_gpus(plan.config, [[cell] for cell in plan.cells], gpus, lambda stack: cell_bytes)
    return found.per_gpu, found.words


def test_a_machine_says_its_gpus_and_the_environment_may_choose_among_them(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(70_000, 9_000)
    assert visible_gpus(Execution()) == ["0", "1"]
    assert visible_gpus(Execution(device="cpu")) == []
    assert free_memory(["0"]) == 70_000 << 20
    assert free_memory(["0", "GPU-a1b"]) == 9_000 << 20
    assert free_memory(["0", "MIG-7"]) is None  # a slice of a GPU: not in the table
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a1b, 0")
    assert visible_gpus(Execution()) == ["GPU-a1b", "0"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert visible_gpus(Execution()) == []


def test_a_driver_that_is_broken_is_a_machine_without_gpus(machine: Machine, tmp_path: Path) -> None:
    machine(70_000)
    (tmp_path / "bin" / "nvidia-smi").write_text("#!/bin/sh\necho 'GPU 0: lost'; exit 9\n")
    assert visible_gpus(Execution()) == []
    assert free_memory(["0"]) is None


def test_workers_take_the_gpus_by_turns_and_belong_to_no_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "0")  # as of a launcher that the sweep was started by
    monkeypatch.setenv("MASTER_PORT", "29500")
    execution = Execution(threads=2)
    assert worker_count(execution, ["3", "5"], per_gpu=3) == 6
    environments = [worker_environment(execution, ["3", "5"], index) for index in range(6)]
    assert [one["CUDA_VISIBLE_DEVICES"] for one in environments] == ["3", "5"] * 3
    assert {one["OMP_NUM_THREADS"] for one in environments} == {"2"}
    assert not {"LOCAL_RANK", "MASTER_PORT"} & environments[0].keys()
    assert worker_count(Execution(workers=5), ["3", "5"], per_gpu=3) == 5


def test_without_a_gpu_nothing_is_shared_and_nothing_said(text_folder: Path) -> None:
    assert chosen(planned(text_folder), []) == (1, "")


def test_small_cells_share_a_gpu_and_more_of_them_with_mps(text_folder: Path, machine: Machine) -> None:
    plan = planned(text_folder, grid__seeds=3)  # 18 cells that a GPU computes in microseconds a step
    machine(70_000)
    count, words = chosen(plan, ["0"])
    assert count == 2
    assert words == (
        "2 workers a GPU on 1 GPU (2 at most); they take turns on it, as CUDA MPS is not running: "
        "`nvidia-cuda-mps-control -d` starts it"
    )
    machine(70_000, mps=True)
    assert mps_is_running()
    assert chosen(plan, ["0"]) == (8, "8 workers a GPU on 1 GPU (8 at most)")


@pytest.mark.parametrize(
    ("free", "gpus", "cores", "cell_bytes", "expected"),
    [
        ([70_000], 1, 64, 20 * GIB, (2, "by memory")),
        ([70_000, 30_000], 2, 64, 20 * GIB, (1, "by memory")),  # the fuller of the two
        ([70_000], 1, 64, 200 * GIB, (1, "by memory")),  # one is let try: the micro-batch is found by trial
        (["[N/A]"], 1, 64, GIB, (1, "by memory")),
        ([70_000], 1, 3, GIB, (3, "by CPU cores")),
        ([70_000] * 4, 4, 64, GIB, (5, "by the number of cells")),
    ],
)
def test_memory_cores_and_cells_bound_how_many(
    free: list[object],
    gpus: int,
    cores: int,
    cell_bytes: float,
    expected: tuple[int, str],
    text_folder: Path,
    machine: Machine,
) -> None:
    machine(*free, mps=True, cores=cores)
    count, words = chosen(planned(text_folder, grid__seeds=3), [str(i) for i in range(gpus)], cell_bytes)
    assert count == expected[0]
    assert expected[1] in words


def test_cells_that_fill_a_gpu_have_it_for_themselves(text_folder: Path, machine: Machine) -> None:
    machine(70_000, mps=True)
    plan = planned(
        text_folder,
        model__context=1024,
        grid__budgets=[1e18, 2e18],
        grid__widths=[1024],
        recipe__batch={"rule": "constant", "tokens": 1 << 17},
        data__max_epochs=1e9,
    )
    host, device = gpu_step_seconds(plan.cells[0], "fp32")
    assert device > host
    count, words = chosen(plan, ["0"])
    assert count == 1
    assert "by what a step asks of host and GPU" in words


def test_a_stack_is_one_cell_that_asks_for_more_of_the_gpu(text_folder: Path, machine: Machine) -> None:
    machine(70_000, mps=True)
    plan = planned(text_folder, grid__budgets=[1e12, 2e12], grid__widths=[64], grid__seeds=6, data__max_epochs=1e9)
    stacks = [plan.cells[:6], plan.cells[6:]]
    apart = share_gpus(plan.config, [[cell] for cell in plan.cells], ["0"], lambda stack: GIB)
    together = share_gpus(plan.config, stacks, ["0"], lambda stack: GIB * len(stack))
    assert (apart.per_gpu, together.per_gpu) == (8, 2)  # two stacks: no third worker would have a cell


def test_what_is_configured_is_followed(text_folder: Path, machine: Machine) -> None:
    machine(70_000, 70_000)
    assert chosen(planned(text_folder, execution__workers_per_gpu=3), ["0"])[0] == 3
    count, words = chosen(planned(text_folder, execution__workers=3), ["0", "1"])
    assert count == 2
    assert words.startswith("2 workers a GPU on 2 GPUs (as configured); they take turns")


def test_the_hosts_mps_is_seen_by_its_pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # a container has not its programs
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(tmp_path / "pipes"))
    assert not mps_is_running()
    (tmp_path / "pipes").mkdir()
    os.mkfifo(tmp_path / "pipes" / "control")
    assert mps_is_running()
