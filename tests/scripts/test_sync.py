"""`isoflop sync_wandb`: what it would upload, and one line for each reason why it cannot."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import wandb

from isoflop.training.config import parse_config
from isoflop.training.corpus import prepare_corpus
from isoflop.training.launch.base import record_failure
from isoflop.training.plan import Plan
from isoflop.training.planning import make_plan
from isoflop.training.records import SweepFolder
from isoflop.training.tracking import mirror_rest

from ..training.helpers import tiny, write_text
from ..training.wandb_server import logged_in, without_settings


@pytest.fixture(autouse=True)
def _a_new_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without_settings(monkeypatch, tmp_path)


@pytest.fixture
def sweep(tmp_path: Path) -> tuple[Plan, Path]:
    """Two cells with a record, one of them mirrored, and four without."""
    config = parse_config(tiny(write_text(tmp_path / "text"), wandb__mode="offline"), "test")
    plan = make_plan(config, prepare_corpus(config.data).info)
    folder = SweepFolder(tmp_path / "sweep")
    folder.write_plan(plan)
    record_failure(folder, plan.cells[0], plan.config, "no reason")
    mirror_rest(plan, folder)
    record_failure(folder, plan.cells[1], plan.config, "no reason")
    return plan, folder.path


def names(plan: Plan, *numbers: int) -> list[str]:
    return [f"tiny-{plan.cells[number].run_id}" for number in numbers]


def logs(folder: Path) -> list[Path]:
    return list(folder.glob("wandb/*run-*/run-*.wandb"))


def test_a_dry_run_lists_what_is_recorded_and_not_uploaded(command: Callable, sweep: tuple[Plan, Path]) -> None:
    plan, folder = sweep
    done = command("sync_wandb", folder, "--dry-run")
    assert (done.status, done.out.split()) == (0, names(plan, 0, 1))
    assert "no fit is mirrored" in done.err
    [log] = logs(folder)
    log.with_suffix(".wandb.synced").touch()  # as `wandb sync` does
    assert command("sync_wandb", folder, "--dry-run").out.split() == names(plan, 1)
    mirror_rest(plan, SweepFolder(folder))
    for log in logs(folder):
        log.with_suffix(".wandb.synced").touch()
    done = command("sync_wandb", folder)
    assert (done.status, done.out) == (0, f"nothing to upload: all 2 runs of {folder} are uploaded\n")


def test_it_uploads_each_run_once_and_mirrors_what_is_not(
    command: Callable, sweep: tuple[Plan, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, folder = sweep
    with logged_in(monkeypatch) as server:
        done = command("sync_wandb", folder)
        assert (done.status, done.out) == (0, "uploaded 2 of 2 runs\n")
        assert sorted(server.histories) == sorted(names(plan, 0, 1))
        assert [summary["reason"] for summary in server.summaries.values()] == ["no reason"] * 2
        assert command("sync_wandb", folder).out.startswith("nothing to upload: all 2 runs")


def test_without_a_login_it_fails_in_one_line(
    command: Callable, sweep: tuple[Plan, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = command("sync_wandb", sweep[1])
    assert done.status == 1
    assert done.err.splitlines()[-1] == "error: wandb: not logged in (`wandb login`); nothing was uploaded"
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert "WANDB_MODE=offline keeps" in command("sync_wandb", sweep[1]).err


def test_a_server_that_cannot_be_reached_fails_in_one_line_without_the_key(
    command: Callable, sweep: tuple[Plan, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "b" * 40)
    monkeypatch.setenv("WANDB_HTTP_TIMEOUT", "1")
    with socket.socket() as taken:  # bound and not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
        wandb.teardown()
        done = command("sync_wandb", sweep[1])
    assert done.status == 1
    assert "http://127.0.0.1" in done.err.splitlines()[-1]
    assert "Traceback" not in done.err
    assert "bbbb" not in done.out + done.err
    assert len(logs(sweep[1])) == 1  # nothing was begun


def test_what_holds_nothing_to_upload_is_bad_input(command: Callable, sweep: tuple[Plan, Path], tmp_path: Path) -> None:
    done = command("sync_wandb", tmp_path)
    assert (done.status, done.err.count("\n")) == (2, 1)
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "plan.json").write_text(json.dumps(sweep[0].to_json()))
    done = command("sync_wandb", empty)
    assert done.status == 2
    assert "none of its 6 cells has a record yet" in done.err
