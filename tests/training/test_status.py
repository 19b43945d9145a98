"""How a sweep stands, by its folder: while cells are trained, end, fail, are torn and left behind."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isoflop.fitting import InputError
from isoflop.scripts import status as command
from isoflop.training import claims
from isoflop.training.checkpoint import save_checkpoint
from isoflop.training.claims import ClaimInfo
from isoflop.training.config import parse_config
from isoflop.training.corpus import prepare_corpus
from isoflop.training.outcome import failed_record, planned_record
from isoflop.training.plan import Plan, RunPlan
from isoflop.training.planning import make_plan
from isoflop.training.records import SweepFolder
from isoflop.training.status import SweepStatus, Watcher

from .helpers import tiny

ROOT = Path(__file__).resolve().parents[2]


def planned(text_folder: Path, **changes: Any) -> Plan:
    config = parse_config(tiny(text_folder, data__max_epochs=1e9, execution__heartbeat_seconds=0.02, **changes), "tiny")
    return make_plan(config, prepare_corpus(config.data).info)


@pytest.fixture
def sweep(text_folder: Path, tmp_path: Path) -> SweepFolder:
    """Six cells, none begun."""
    folder = SweepFolder(tmp_path / "sweep")
    folder.write_plan(planned(text_folder))
    return folder


def end(sweep: SweepFolder, cell: RunPlan, **words: Any) -> None:
    """Record `cell` as finished."""
    record = planned_record(cell, sweep.read_plan().config, words.pop("tokens", cell.tokens))
    machine = {"device": "cpu", "n_processes": 2}
    sweep.write_record(
        cell.run_id, record | {"status": "finished", "wall_seconds": 1.0, "mfu": 0.1, "machine": machine} | words
    )


def claim_elsewhere(sweep: SweepFolder, cell: RunPlan, **words: Any) -> None:
    """Let another machine hold `cell`."""
    info = ClaimInfo(**{"host": "node7", "machine": "another", "pid": 9, "every": 0.02, **words})
    (sweep.run_folder(cell.run_id) / "claim.0").write_text(claims._text(info))


def look(sweep: SweepFolder) -> SweepStatus:
    return Watcher(sweep).look()


def test_each_cell_is_in_one_state_and_all_flops_are_done_or_to_go(sweep: SweepFolder) -> None:
    plan = sweep.read_plan()
    finished, failed, diverged, torn, running, _ = plan.cells
    end(sweep, finished)
    sweep.write_record(failed.run_id, failed_record(failed, plan.config, "no room"))
    half = diverged.steps // 2 * diverged.batch_tokens
    end(sweep, diverged, status="diverged", tokens=half, reason="not finite")
    (sweep.run_folder(torn.run_id) / "record.json").write_text('{"status": "fini')
    claim_elsewhere(sweep, running, step=running.steps // 2, job="77_3")
    status = look(sweep)
    assert set(status.counts.values()) == {1}
    done = (
        finished.flops + half / diverged.tokens * diverged.flops + running.flops * (running.steps // 2 / running.steps)
    )
    assert status.flops_done == pytest.approx(done)
    wanted = done + status.flops_to_go + failed.flops + diverged.flops * (1 - half / diverged.tokens)
    assert wanted == pytest.approx(plan.own_flops)
    (at_work,) = status.of("running")
    assert at_work.claim is not None
    assert at_work.claim.owner == "process 9 on node7 (job 77_3)"
    assert not status.is_over
    assert status.mfu == (0.1, 0.1, 0.1)
    assert status.device_hours * 3600 == pytest.approx(4 + status.seconds[running.run_id] * at_work.part)


def test_time_is_left_only_where_someone_is_at_work(sweep: SweepFolder) -> None:
    first, second, *_ = sweep.read_plan().cells
    assert look(sweep).seconds_left is None
    with sweep.claim(first.run_id):
        alone = look(sweep).seconds_left
        claim_elsewhere(sweep, second)
        together = look(sweep).seconds_left
    assert alone is not None
    assert together is not None
    assert together < alone
    assert look(sweep).of("running")[0].cell == second


def test_a_cell_whose_owner_was_killed_waits_at_its_step(sweep: SweepFolder) -> None:
    cell = sweep.read_plan().cells[0]
    script = f"""
import os, pathlib
from isoflop.training.records import SweepFolder
sweep = SweepFolder(pathlib.Path({str(sweep.path)!r}))
sweep.read_plan()
held = sweep.claim({cell.run_id!r})
held.__enter__()
sweep.note_step({cell.run_id!r}, 40)
sweep.check_claim({cell.run_id!r})
os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9
    status = look(sweep)
    assert status.counts["running"] == 0
    assert {each.cell.run_id: each.step for each in status.of("waiting")}[cell.run_id] is None
    assert status.flops_done == 0, "what was not kept is not done"
    save_checkpoint(sweep.checkpoint(cell.run_id), cell.run_id, {}, {"step": 30})
    status = look(sweep)
    assert {each.cell.run_id: each.step for each in status.of("waiting")}[cell.run_id] == 30
    assert status.flops_done == pytest.approx(cell.flops * 30 / cell.steps)
    sweep.checkpoint(cell.run_id).write_bytes(b"\x08\0\0\0\0\0\0\0{torn")
    save_checkpoint(sweep.stack_path("s"), "s", {}, {"step": 20}, members=[cell.run_id])
    assert look(sweep).flops_done == pytest.approx(cell.flops * 20 / cell.steps)


def test_an_owner_elsewhere_that_gives_no_sign_is_taken_for_gone_by_who_follows(sweep: SweepFolder) -> None:
    silent, alive, *_ = sweep.read_plan().cells
    claim_elsewhere(sweep, silent)
    watcher = Watcher(sweep)
    assert watcher.look().counts["running"] == 1
    for beat in range(claims.STILL_LOOKS + 2):
        claim_elsewhere(sweep, alive, beat=beat)
        watcher.look()
        time.sleep(0.03)
    assert [each.cell for each in watcher.look().of("running")] == [alive]
    assert look(sweep).counts["running"] == 2, "one look cannot tell"


def test_a_failed_cell_that_is_tried_again_runs(sweep: SweepFolder) -> None:
    plan = sweep.read_plan()
    cell = plan.cells[0]
    sweep.write_record(cell.run_id, failed_record(cell, plan.config, "no room"))
    watcher = Watcher(sweep)
    assert watcher.look().counts["failed"] == 1
    with sweep.claim(cell.run_id):
        assert watcher.look().counts["running"] == 1
        end(sweep, cell)
        assert watcher.look().counts["finished"] == 1


def test_a_plan_that_grows_is_followed(sweep: SweepFolder, text_folder: Path) -> None:
    watcher = Watcher(sweep)
    assert len(watcher.look().cells) == 6
    sweep.write_plan(planned(text_folder, grid__budgets=[2e8, 4e8, 8e8]))
    assert len(watcher.look().cells) == 9


@pytest.fixture
def restless(sweep: SweepFolder) -> Iterator[SweepFolder]:
    """A sweep whose records and claims come, go and are torn all the time."""
    stop = threading.Event()
    cell, other, *_ = sweep.read_plan().cells

    def change() -> None:
        path = sweep.record_path(cell.run_id)
        while not stop.is_set():
            end(sweep, cell, status="failed")
            claim_elsewhere(sweep, other)
            stop.wait(0.002)
            path.write_text(path.read_text()[:50])
            (sweep.run_folder(other.run_id) / "claim.0").unlink()
            stop.wait(0.002)
            path.unlink()

    thread = threading.Thread(target=change)
    thread.start()
    yield sweep
    stop.set()
    thread.join()


def test_files_that_vanish_or_are_torn_meanwhile_do_not_disturb(restless: SweepFolder) -> None:
    watcher = Watcher(restless)
    seen = {each.state for _ in range(300) for each in watcher.look().cells}
    assert seen == {"failed", "torn", "running", "waiting"}


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", '{"status": "odd"}', '{"status": "finished"}', "\0\0\0"])
def test_a_record_that_says_nothing_is_torn(sweep: SweepFolder, text: str) -> None:
    cell = sweep.read_plan().cells[0]
    (sweep.run_folder(cell.run_id) / "record.json").write_text(text)
    assert look(sweep).counts["torn"] == 1


def test_following_goes_on_into_the_next_round(
    sweep: SweepFolder, text_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "FOLLOW_SECONDS", 0.05)
    for cell in sweep.read_plan().cells:
        end(sweep, cell)
    with sweep.claim("refinement"):
        follower = threading.Thread(target=command.follow_sweep, args=(Watcher(sweep), None))
        follower.start()
        time.sleep(0.3)
        assert follower.is_alive()
        grown = planned(text_folder, grid__budgets=[2e8, 4e8, 8e8])
        sweep.write_plan(grown)
    time.sleep(0.2)
    assert follower.is_alive()
    for cell in grown.cells:
        end(sweep, cell)
    follower.join(10)
    assert not follower.is_alive()
    assert "9 done" in capsys.readouterr().out


def test_cells_that_diverged_at_different_steps_are_told_in_one_row(sweep: SweepFolder) -> None:
    first, second, *_ = sweep.read_plan().cells
    end(sweep, first, status="diverged", tokens=first.batch_tokens * 3, reason="loss is not finite at step 3")
    end(sweep, second, status="diverged", tokens=second.batch_tokens * 5, reason="loss is not finite at step 5")
    table = command.failed_table(look(sweep))
    assert list(table.columns[2].cells) == ["diverged: loss is not finite"]


def test_data_that_cannot_be_written_is_one_line(sweep: SweepFolder) -> None:
    with pytest.raises(InputError, match=r"--json /proc/status\.json: cannot be written"):
        command.main(sweep.path, json_file="/proc/status.json")


def test_the_command_writes_nothing_and_needs_no_torch(sweep: SweepFolder) -> None:
    plan = sweep.read_plan()
    end(sweep, plan.cells[0])
    sweep.write_record(plan.cells[1].run_id, failed_record(plan.cells[1], plan.config, "no room"))
    before = {path: path.stat().st_mtime_ns for path in sweep.path.rglob("*")}
    script = f"""
import sys
from isoflop.scripts import cli, status
try:
    cli.run(status.main, [{str(sweep.path)!r}, "--json", "-"])
except SystemExit as ended:
    assert ended.code == 0
print(sorted({{"torch", "transformers", "pandas", "matplotlib"}} & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stderr == "[]\n"
    assert {path: path.stat().st_mtime_ns for path in sweep.path.rglob("*")} == before
    data = json.loads(done.stdout)
    assert (data["states"]["finished"], data["states"]["failed"], data["seconds_left"]) == (1, 1, None)
    assert [cell["reason"] for cell in data["cells"] if cell["state"] == "failed"] == ["no room"]
