"""`isoflop sync_wandb` of cells that the server or the log has in part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import wandb

from isoflop.scripts.sync_wandb import logs_of, upload
from isoflop.training import wandb_session
from isoflop.training.config import parse_config
from isoflop.training.corpus import prepare_corpus
from isoflop.training.outcome import failed_record
from isoflop.training.plan import RunPlan
from isoflop.training.planning import make_plan
from isoflop.training.records import SweepFolder
from isoflop.training.tracking import Mirror

from ..training.helpers import tiny, write_text
from ..training.wandb_server import Server, logged_in, without_settings

ROWS = [{"step": step, "tokens": 16 * step, "loss": 3 - step / 100} for step in range(10, 90, 10)]


@pytest.fixture(autouse=True)
def _a_new_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without_settings(monkeypatch, tmp_path)


def begun(folder: Path, mode: str) -> tuple[RunPlan, SweepFolder, Any]:
    """A sweep whose first cell was killed after five rows, mirrored in `mode`."""
    config = parse_config(tiny(write_text(folder / "text"), wandb__mode=mode), "test")
    plan, sweep = make_plan(config, prepare_corpus(config.data).info), SweepFolder(folder / "sweep")
    sweep.write_plan(plan)
    first = Mirror(plan.cells[0], config, sweep.path)
    for row in ROWS[:5]:
        first.log(row)
    first.close()
    return plan.cells[0], sweep, config


def ended(cell: RunPlan, sweep: SweepFolder, config: Any) -> None:
    """The cell goes on from its checkpoint of step 30, and ends."""
    mirror = Mirror(cell, config, sweep.path, past=ROWS[:3])
    for row in ROWS[3:]:
        mirror.log(row)
    record = failed_record(cell, config, "no reason")
    sweep.write_curve(cell.run_id, ROWS)
    sweep.write_record(cell.run_id, record)
    mirror.finish(record)
    mirror.close()


def assert_whole(server: Server) -> None:
    [history], [summary] = server.histories.values(), server.summaries.values()
    assert [(row["_step"], row["tokens"], row["train_loss"]) for row in history] == [tuple(_row(row)) for row in ROWS]
    assert summary["reason"] == "no reason"


def _row(row: Mapping[str, Any]) -> list[Any]:
    return [row["step"], row["tokens"], row["loss"]]


def test_a_cell_begun_online_and_ended_offline_has_one_history(
    command: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with logged_in(monkeypatch) as server:
        cell, sweep, config = begun(tmp_path, "online")
        monkeypatch.setenv("WANDB_MODE", "offline")
        ended(cell, sweep, config)
        monkeypatch.delenv("WANDB_MODE")
        wandb.teardown()
        done = command("sync_wandb", sweep.path)
        assert (done.status, done.out) == (0, "uploaded 1 of 1 runs\n")
        assert_whole(server)
        assert command("sync_wandb", sweep.path).out.startswith("nothing to upload: all 1 runs")


def test_a_cell_uploaded_before_its_end_has_one_history(
    command: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with logged_in(monkeypatch) as server:
        cell, sweep, config = begun(tmp_path, "offline")
        upload(sweep.path, list(logs_of(sweep.path).values()))  # as a user with `wandb sync`
        ended(cell, sweep, config)
        done = command("sync_wandb", sweep.path)
        assert (done.status, done.out) == (0, "uploaded 1 of 1 runs\n")
        assert_whole(server)


def test_a_log_whose_end_is_lost_is_written_again(
    command: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with logged_in(monkeypatch) as server:
        cell, sweep, config = begun(tmp_path, "offline")
        ended(cell, sweep, config)
        wandb_session.wait_for_logs()
        [log] = logs_of(sweep.path).values()
        log.write_bytes(log.read_bytes()[:-2000])
        done = command("sync_wandb", sweep.path)
        assert (done.status, done.out) == (0, "uploaded 1 of 1 runs\n")
        assert_whole(server)
