"""Launches of cells that train nothing: who gets which, and what becomes of those whose worker dies."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from isoflop.scripts.bench_launch import NULL_WORKER, bench_launch, null_plan
from isoflop.scripts.progress import SweepProgress
from isoflop.training.launch.local import WorkerError, run_local
from isoflop.training.plan import Plan
from isoflop.training.records import SweepFolder
from isoflop.training.stacking import Order

from .helpers import Heard


def singly(plan: Plan) -> list[Order]:
    return [(cell,) for cell in plan.cells]


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Makes a module of a worker that runs the lines given before it trains an order's `cells`."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def make(lines: str) -> str:
        (tmp_path / "some_worker.py").write_text(
            "import os, signal, sys, time\n"
            "from isoflop.scripts.bench_null import NullTrainer\n"
            "from isoflop.training.launch.conversation import converse\n"
            "class Trainer(NullTrainer):\n"
            "    def train(self, cells, hooks):\n"
            f"        {lines}\n"
            "        super().train(cells, hooks)\n"
            "if os.environ.get('CUDA_VISIBLE_DEVICES') in os.environ.get('BROKEN', '').split(','):\n"
            "    sys.exit('no such device')\n"
            "converse(Trainer)\n"
        )
        return "some_worker"

    return make


def test_two_launchers_at_once_train_each_of_300_cells_once(tmp_path: Path) -> None:
    plan, folder = null_plan(tmp_path, 300), tmp_path / "sweep"
    SweepFolder(folder).write_plan(plan)
    heard = [Heard(), Heard()]

    def launch(index: int) -> None:
        stem = tmp_path / "logs" / f"launcher-{index}"
        run_local(plan, SweepFolder(folder), singly(plan), heard[index], module=NULL_WORKER, workers=1, log_stem=stem)

    threads = [threading.Thread(target=launch, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Each launcher tells of every cell, whoever trained it; only one worker had it in hand.
    assert all(set(each.ended_cells) == {cell.run_id for cell in plan.cells} for each in heard)
    logs = sorted((tmp_path / "logs").iterdir())
    assert [log.name for log in logs] == ["launcher-0-worker-0.log", "launcher-1-worker-0.log"]
    counts = [int(log.read_text().split()[1]) for log in logs]
    assert sum(counts) == 300
    assert min(counts) > 0
    assert not list(folder.glob("*/*.tmp"))


def test_a_worker_that_dies_is_replaced_and_its_cell_retried_once_then_failed(
    tmp_path: Path, worker: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    plan, sweep = null_plan(tmp_path, 6, workers=1), SweepFolder(tmp_path / "sweep")
    sweep.write_plan(plan)
    doomed = plan.cells[2].run_id
    module = worker(f"if cells[0].run_id == '{doomed}': os.kill(os.getpid(), signal.SIGKILL)")
    with SweepProgress(plan, plan.cells) as progress:
        outcome = run_local(plan, sweep, singly(plan), progress, module=module)
    told = capsys.readouterr().err
    assert told.count("cut short: worker killed by SIGKILL") == 1
    assert "failed: worker killed by SIGKILL (the system does that when memory runs out)" in told
    assert list(outcome.failed) == [doomed]
    statuses = {cell.run_id: (sweep.read_record(cell.run_id) or {})["status"] for cell in plan.cells}
    assert statuses == {cell.run_id: "finished" for cell in plan.cells} | {doomed: "failed"}
    assert sweep.to_do(plan) == []
    # Told to, another launch trains the failed cell too.
    again = sweep.to_do(plan, retry_failed=True)
    assert [cell.run_id for cell in again] == [doomed]
    assert run_local(plan, sweep, [tuple(again)], Heard(), module=NULL_WORKER).trained == [doomed]


def test_a_worker_that_cannot_start_is_left_out_and_none_left_is_an_error(
    tmp_path: Path, worker: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    smi = tmp_path / "bin" / "nvidia-smi"
    smi.parent.mkdir()
    smi.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA H100 (UUID: GPU-a0b)'\necho 'GPU 1: NVIDIA H100 (UUID: GPU-a1b)'\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", str(smi.parent), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    plan, sweep, heard = null_plan(tmp_path, 8, device="auto"), SweepFolder(tmp_path / "sweep"), Heard()
    sweep.write_plan(plan)
    # The worker that works waits until the other one has been tried twice.
    log = sweep.path / "worker-1.log"
    module = worker(f"while open('{log}').read().count('no such device') < 2: time.sleep(0.01)")
    monkeypatch.setenv("BROKEN", "1")
    outcome = run_local(plan, sweep, singly(plan), heard, module=module)
    assert sorted(outcome.trained) == sorted(cell.run_id for cell in plan.cells)
    said = (
        "worker 1 on GPU 1 does not start and is left out: worker ended with status 1; its last words: no such device"
    )
    assert heard.notes == [f"{said} ({log})"]
    monkeypatch.setenv("BROKEN", "0,1")
    with pytest.raises(WorkerError, match=r"worker-\d.log: worker ended with status 1; its last words: no such device"):
        run_local(plan, SweepFolder(tmp_path / "other"), singly(plan), heard, module=module)


def test_the_bench_of_the_launcher_finds_every_cell_launched_and_planned(
    capsys: pytest.CaptureFixture[str],
) -> None:
    figures = bench_launch(200, 30)
    assert figures["launch"]["cells"] == 200
    assert figures["planning"]["cells"] == 30
    assert "200 null cells on 2 workers" in capsys.readouterr().out
