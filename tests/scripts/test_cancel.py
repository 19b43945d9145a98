"""`isoflop cancel` and `isoflop status --follow`: of cells that other processes are at."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from isoflop.scripts import cancel, status
from isoflop.training import claims
from isoflop.training.claims import ClaimInfo
from isoflop.training.config import load_config
from isoflop.training.corpus import prepare_corpus
from isoflop.training.outcome import failed_record
from isoflop.training.plan import Plan
from isoflop.training.planning import make_plan
from isoflop.training.records import SweepFolder

SMOKE = Path(__file__).resolve().parents[2] / "configs" / "smoke.yaml"


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """Two cells."""
    text = tmp_path_factory.mktemp("text")
    for i in range(40):
        (text / f"{i}.txt").write_text(f"{i} tells of {i}. " * 200)
    changes = ["data.max_epochs=1e9", "data.validation_fraction=0.3", "grid.budgets=[2e8,4e8]", "grid.widths=[4]"]
    config = load_config(SMOKE, [*changes, f"data.corpus={{kind: files, paths: ['{text}/*.txt']}}"])
    return make_plan(config, prepare_corpus(config.data).info)


@pytest.fixture
def sweep(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SweepFolder:
    """Where `cancel` believes sooner that all is quiet, and `status` looks more often."""
    monkeypatch.setattr(cancel, "SETTLED_SECONDS", 0.3)
    monkeypatch.setattr(status, "FOLLOW_SECONDS", 0.05)
    folder = SweepFolder(tmp_path / "sweep")
    folder.write_plan(plan)
    return folder


def trainer(sweep: SweepFolder, run_id: str, *, listens: bool) -> subprocess.Popen[str]:
    """A process that holds a cell until it is told to stop, or whatever it is told."""
    script = f"""
import pathlib, time
from isoflop.training.records import SweepFolder
sweep = SweepFolder(pathlib.Path({str(sweep.path)!r}))
with sweep.claim({run_id!r}) as mine:
    print(mine, flush=True)
    for _ in range(3000):
        time.sleep(0.01)
        if {listens}:
            sweep.stop.check()
"""
    words = [sys.executable, "-c", script]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    return process


@pytest.fixture
def deaf(sweep: SweepFolder) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the first cell and looks at nothing."""
    process = trainer(sweep, sweep.read_plan().cells[0].run_id, listens=False)
    yield process
    process.kill()
    process.communicate()


def test_who_is_at_work_ends_as_on_ctrl_c(command: Callable[..., Any], sweep: SweepFolder) -> None:
    cell, other = sweep.read_plan().cells
    process = trainer(sweep, cell.run_id, listens=True)
    done = command("cancel", sweep.path)
    assert (done.status, done.out) == (0, f"cancelled: nothing is at work in {sweep.path} any more\n")
    assert f"waiting for 1 cell of process {process.pid}" in done.err
    assert process.communicate()[1].rstrip().endswith("KeyboardInterrupt: cancelled")
    with sweep.claim(cell.run_id) as mine, sweep.claim(other.run_id) as also_mine:
        assert mine
        assert also_mine


def test_it_gives_up_on_who_does_not_listen_and_says_who(
    command: Callable[..., Any], sweep: SweepFolder, deaf: subprocess.Popen[str]
) -> None:
    cell = sweep.read_plan().cells[0]
    done = command("cancel", sweep.path, "--wait", 0.1)
    assert done.status == 1
    assert f"still at work: {cell.run_id}: process {deaf.pid} on" in done.err
    assert sweep.stop.asked(), "it ends once it looks"
    deaf.kill()
    deaf.wait()
    done = command("cancel", sweep.path)
    assert (done.status, done.out.partition(";")[0]) == (0, f"nothing is at work in {sweep.path}")


def test_an_owner_elsewhere_that_gives_no_sign_is_not_waited_for(
    command: Callable[..., Any], sweep: SweepFolder
) -> None:
    info = ClaimInfo(host="node7", machine="another", pid=9, every=0.05, beat=3)
    (sweep.run_folder(sweep.read_plan().cells[0].run_id) / "claim.0").write_text(claims._text(info))
    done = command("cancel", sweep.path)
    assert (done.status, done.out) == (0, f"cancelled: nothing is at work in {sweep.path} any more\n")


def test_a_launch_that_had_begun_ends_whenever_it_looks_and_a_later_one_does_not(
    command: Callable[..., Any], sweep: SweepFolder
) -> None:
    starting = SweepFolder(sweep.path)  # it still imports torch, and holds no cell
    assert command("cancel", sweep.path).status == 0
    later = SweepFolder(sweep.path)
    assert not later.stop.asked()
    assert starting.stop.asked()
    with pytest.raises(KeyboardInterrupt, match="cancelled"):
        starting.stop.check()
    assert command("cancel", sweep.path).status == 0
    later.stop._next = 0.0  # a second later
    assert later.stop.asked()


@pytest.mark.parametrize("wait", ["nan", "-1", "inf"])
def test_a_wait_that_is_no_time_is_refused(command: Callable[..., Any], sweep: SweepFolder, wait: str) -> None:
    done = command("cancel", sweep.path, "--wait", wait)
    assert done.status == 2
    assert done.err == f"error: --wait {wait}: must be a number of seconds of at least 0\n"
    assert not (sweep.path / "stop").exists()


@pytest.mark.parametrize("price", ["nan", "-1", "inf"])
def test_a_price_that_is_none_is_refused(command: Callable[..., Any], sweep: SweepFolder, price: str) -> None:
    done = command("status", sweep.path, "--price-per-hour", price)
    assert done.status == 2
    assert done.err == f"error: --price-per-hour {price}: must be a number of at least 0\n"


def test_status_tells_who_runs_and_why_cells_failed(
    command: Callable[..., Any], sweep: SweepFolder, deaf: subprocess.Popen[str]
) -> None:
    plan = sweep.read_plan()
    _, cell = plan.cells
    sweep.write_record(cell.run_id, failed_record(cell, plan.config, "no room"))
    done = command("status", sweep.path, "--price-per-hour", 2)
    assert done.status == 0, done.err
    assert "0 done, 1 running, 0 waiting, 1 failed of 2 cells" in done.out
    assert f"process {deaf.pid} on" in done.out
    assert [line for line in done.out.splitlines() if cell.run_id in line and line.endswith("no room")]
    assert "cost 0.00" in done.out


def test_followed_into_a_pipe_it_prints_a_line_where_the_sweep_moves(
    command: Callable[..., Any], sweep: SweepFolder
) -> None:
    plan = sweep.read_plan()

    def fail_all() -> None:
        for cell in plan.cells:
            time.sleep(0.3)
            sweep.write_record(cell.run_id, failed_record(cell, plan.config, "no room"))

    thread = threading.Thread(target=fail_all)
    thread.start()
    done = command("status", sweep.path, "--follow")
    thread.join()
    assert done.status == 0, done.err
    assert [line.split(" waiting")[0] for line in done.out.splitlines()] == [
        "0 done, 0 running, 2",
        "0 done, 0 running, 1",
        "0 done, 0 running, 0",
    ]
