"""A cell that is killed and resumed is one W&B run, and the mirror reads back as the sweep folder does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from isoflop.fitting import load_curves, load_runs
from isoflop.fitting.readers.sources import read_log
from isoflop.training.config import parse_config
from isoflop.training.corpus import prepare_corpus
from isoflop.training.device import make_accelerator
from isoflop.training.launch.base import record_failure
from isoflop.training.loop import train
from isoflop.training.plan import Plan
from isoflop.training.planning import make_plan
from isoflop.training.records import SweepFolder
from isoflop.training.state import Job
from isoflop.training.tracking import mirror_rest
from isoflop.training.wandb_session import wait_for_logs

from .helpers import tiny

COLUMNS = {
    "loss": "train_loss",
    **{name: name for name in ("tokens", "flops", "learning_rate", "gradient_norm")},
}


# Trains a cell in three processes, one after another; torch is imported once.
IN_PROCESSES = """
import os, sys
from pathlib import Path
import isoflop.training.loop
from isoflop.scripts.run import main
for _ in range(3):
    process = os.fork()
    if process == 0:
        os._exit(main(Path(sys.argv[1]), [sys.argv[2]]))
    print(process, flush=True)
    _, status = os.waitpid(process, 0)
sys.exit(status)
"""


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_PROJECT", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "data"))


def planned(text: Path, folder: Path, **changes: Any) -> tuple[Plan, SweepFolder]:
    config = parse_config(tiny(text, **{"wandb__mode": "offline", **changes}), "test")
    plan = make_plan(config, prepare_corpus(config.data).info)
    sweep = SweepFolder(folder)
    sweep.write_plan(plan)
    return plan, sweep


def train_cells(plan: Plan, sweep: SweepFolder, count: int) -> None:
    corpus, accelerator = prepare_corpus(plan.config.data), make_accelerator(plan.config)
    for cell in plan.cells[:count]:
        train(Job(cell, plan.config, corpus, sweep, accelerator))


def assert_same_runs(folder: Path) -> None:
    wait_for_logs()
    ours, theirs = (load_runs(source).frame.drop(columns="source") for source in (folder, folder / "wandb"))
    pd.testing.assert_frame_equal(ours, theirs, check_exact=True)


def history_of(folder: Path, run_id: str) -> pd.DataFrame:
    """Of the only W&B run there that mirrors the cell."""
    log = read_log(folder / "wandb")
    [row] = [row for row, run in enumerate(log.frame["run"]) if run == run_id]
    assert log.history is not None
    points = log.history()
    return points.loc[points["row"] == row]


def assert_same_curve(sweep: SweepFolder, run_id: str) -> None:
    history, curve = history_of(sweep.path, run_id), sweep.read_curve(run_id)
    assert history["step"].tolist() == [row["step"] for row in curve]
    for ours, theirs in COLUMNS.items():
        assert history[theirs].tolist() == [row[ours] for row in curve], theirs


def test_the_mirror_reads_back_as_the_folder_failed_and_diverged_cells_too(text_folder: Path, tmp_path: Path) -> None:
    plan, sweep = planned(text_folder, tmp_path)
    train_cells(plan, sweep, 3)
    record_failure(sweep, plan.cells[3], plan.config, "worker killed by SIGKILL")
    wild, _ = planned(text_folder, tmp_path / "wild", recipe__learning_rate={"rule": "constant", "value": 1e30})
    train_cells(Plan(plan.config, wild.corpus, (wild.cells[4],)), sweep, 1)
    cells = (*plan.cells[:4], wild.cells[4])
    sweep.write_plan(Plan(plan.config, plan.corpus, cells))
    assert mirror_rest(Plan(plan.config, plan.corpus, cells), sweep) == 1  # the failed one: launchers do not mirror
    assert_same_runs(tmp_path)
    assert [flag.split(":")[0] for flag in load_runs(tmp_path / "wandb").frame["flag"]] == [
        "",
        "",
        "",
        "failed",
        "diverged",
    ]
    assert_same_curve(sweep, plan.cells[2].run_id)


def test_a_cell_killed_and_resumed_twice_is_one_run_with_one_monotone_history(
    text_folder: Path, tmp_path: Path
) -> None:
    long = {"grid__budgets": [1.5e10, 2e10], "data__max_epochs": 999.0, "execution__checkpoint_seconds": 0.3}
    plan, sweep = planned(text_folder, tmp_path, **long)
    cell = plan.cells[0]
    checkpoint = tmp_path / cell.run_id / "checkpoint.safetensors"
    parent = subprocess.Popen(
        [sys.executable, "-c", IN_PROCESSES, str(tmp_path), cell.run_id], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    for n_before in range(2):
        process = int(parent.stdout.readline())
        # W&B's part begins in a thread of its own, after the cell's.
        wait_for(lambda n=n_before: len(list(tmp_path.glob("wandb/offline-run-*"))) > n)
        begun = time.time()
        wait_for(lambda begun=begun: checkpoint.exists() and checkpoint.stat().st_mtime > begun)
        time.sleep(0.15)  # rows are logged that the checkpoint knows nothing of
        os.kill(process, signal.SIGKILL)
    assert parent.wait(timeout=60) == 0
    assert sweep.read_record(cell.run_id) is not None
    assert len(list(tmp_path.glob("wandb/offline-run-*"))) == 3
    assert_same_runs(tmp_path)
    assert_same_curve(sweep, cell.run_id)
    ours, theirs = (load_curves(source).table.frame for source in (tmp_path, tmp_path / "wandb"))
    pd.testing.assert_frame_equal(ours.drop(columns=["source", "source_line"]), theirs.drop(columns="source"))
    assert len(sweep.read_curve(cell.run_id)) >= 90


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


def test_a_cell_that_died_between_its_record_and_its_mirror_is_mirrored_later(
    text_folder: Path, tmp_path: Path
) -> None:
    plan, sweep = planned(text_folder, tmp_path, wandb__mode="disabled")
    train_cells(plan, sweep, 1)
    assert mirror_rest(plan, sweep) == 0
    plan, sweep = planned(text_folder, tmp_path)
    assert mirror_rest(plan, sweep) == 1
    assert mirror_rest(plan, sweep) == 0
    assert_same_runs(tmp_path)
    assert_same_curve(sweep, plan.cells[0].run_id)
    assert (
        json.loads((tmp_path / plan.cells[0].run_id / "record.json").read_text())["config"]["wandb"]["mode"]
        == "disabled"
    )
