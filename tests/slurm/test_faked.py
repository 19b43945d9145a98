"""What the launcher makes of Slurm's answers that a Slurm in order does not give: from commands made up here."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from isoflop.fitting.errors import InputError
from isoflop.training.claims import ClaimInfo
from isoflop.training.config import parse_config
from isoflop.training.config.slurm import Slurm
from isoflop.training.corpus import prepare_corpus
from isoflop.training.launch import slurm as launcher
from isoflop.training.launch import slurm_queue
from isoflop.training.launch.slurm import SlurmLauncher
from isoflop.training.launch.slurm_request import _limit, _shares, requests_for, task_device
from isoflop.training.launch.slurm_submit import _slurms_words, submit
from isoflop.training.launch.slurm_task import Task
from isoflop.training.launch.submissions import Submissions
from isoflop.training.plan import Plan
from isoflop.training.planning import make_plan
from isoflop.training.records import SweepFolder

from ..training.helpers import Heard, tiny, write_text

TAKES = 'env >"$HERE/environment"; echo "Submitted batch job 7"'
REFUSES = 'echo "sbatch: error: Batch job submission failed: Socket timed out" >&2; exit 1'
SILENT = "exit 1"
MEMORY = 'case "$*" in *%m*) echo "main*|{}";; esac'
Fake = Callable[..., None]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Makes commands of these names, each a line of shell; what is not named prints nothing."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HERE", str(tmp_path))

    def make(**lines: str) -> None:
        for name, line in lines.items():
            path = folder / name
            path.write_text(f'#!/bin/sh\necho "{name} $*" >>"$HERE/asked"\n{line}\n')
            path.chmod(0o755)

    make(sbatch=TAKES, **dict.fromkeys(("srun", "squeue", "scancel", "scontrol", "sinfo", "sacct"), ":"))
    return make


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text(tmp_path_factory.mktemp("text"), n_documents=10)


@pytest.fixture
def begin(text: Path, tmp_path: Path) -> Callable[..., tuple[Plan, SweepFolder]]:
    """A planned sweep in a folder of its own."""

    def make(**slurm: Any) -> tuple[Plan, SweepFolder]:
        config = parse_config(tiny(text, execution__slurm=slurm), "c.yaml")
        plan = make_plan(config, prepare_corpus(config.data).info)
        sweep = SweepFolder(tmp_path / "sweep")
        sweep.write_plan(plan)
        sweep.remember(plan.cells)
        return plan, sweep

    return make


def launch(plan: Plan, sweep: SweepFolder) -> tuple[SlurmLauncher, Heard]:
    heard = Heard()
    return SlurmLauncher(plan, sweep, [(cell,) for cell in plan.cells], heard), heard


def folders(sweep: SweepFolder) -> list[str]:
    return sorted(path.name for path in sweep.path.glob("slurm/*"))


def asked(tmp_path: Path) -> str:
    path = tmp_path / "asked"
    return path.read_text() if path.exists() else ""


@pytest.mark.usefixtures("fake")
def test_a_cell_that_ended_before_the_launch_is_neither_submitted_nor_waited_for(begin: Any) -> None:
    plan, sweep = begin()
    watch, heard = launch(plan, sweep)
    sweep.write_record(plan.cells[0].run_id, {"status": "finished", "loss": 1.0})
    watch.submit(watch.uncovered())
    (submission,) = Submissions(sweep).all()
    assert plan.cells[0].run_id not in [each for index in range(2) for each in submission.cells_of(index)]
    assert heard.ended_cells == {plan.cells[0].run_id: 1}


@pytest.mark.usefixtures("fake")
def test_a_launch_from_inside_a_job_hands_nothing_of_that_job_on(
    begin: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, sweep = begin()
    for name in ("SLURM_JOB_ID", "SLURM_MEM_PER_CPU", "SLURM_CONF", "SBATCH_ACCOUNT"):
        monkeypatch.setenv(name, "1")
    watch, _ = launch(plan, sweep)
    watch.submit(watch.uncovered())
    names = [line.partition("=")[0] for line in (tmp_path / "environment").read_text().splitlines()]
    assert {name for name in names if name.startswith(("SLURM", "SBATCH"))} == {"SLURM_CONF", "SBATCH_ACCOUNT"}
    assert os.environ["SLURM_MEM_PER_CPU"] == "1"


@pytest.mark.usefixtures("fake")
def test_tasks_lost_in_one_look_count_once(begin: Any) -> None:
    plan, sweep = begin()
    watch, heard = launch(plan, sweep)
    watch.submit(watch.uncovered())
    for lost in range(1, 4):
        assert len(watch.open) == 2
        watch.look_at_tasks()
        assert watch.outcome.halted is None, "one look may have come too early"
        watch.look_at_tasks()
        assert watch.fruitless == lost
    assert "Slurm task 7_" in str(watch.outcome.halted)
    assert len(heard.notes) >= 6, "each is told"


@pytest.mark.usefixtures("fake")
def test_a_cell_that_takes_its_tasks_down_has_failed_once_its_last_owner_elsewhere_is_dead(begin: Any) -> None:
    plan, sweep = begin()
    cell, heard = plan.cells[0], Heard()
    watch = SlurmLauncher(plan, sweep, [(cell,)], heard)
    watch.submit(watch.uncovered())
    for tried in range(3):
        (job,) = watch.open
        owner = ClaimInfo(host="node7", machine="another boot", pid=tried, job=job, beat=tried, every=0.05)
        (sweep.run_folder(cell.run_id) / "claim.0").write_text(json.dumps(asdict(owner)))
        watch.look_at_tasks()
        watch.look_at_tasks()
    assert not watch.open, "it is not tried a fourth time"
    assert not watch.outcome.failed, "for all that is known its owner may yet finish it"
    while not watch.outcome.failed:
        time.sleep(0.05)
        watch.look_at_tasks()
    assert not watch.open
    assert heard.ended_cells == {cell.run_id: 1}
    assert "Slurm task 7" in watch.outcome.failed[cell.run_id]


def test_a_refusal_in_the_midst_is_tried_again(begin: Any, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, sweep = begin()
    watch, heard = launch(plan, sweep)
    fake(sbatch=REFUSES)
    watch.submit_again()
    assert "nothing can be submitted: execution.slurm: Batch job submission failed: Socket" in heard.notes[0]
    assert watch.outcome.halted is None
    assert folders(sweep) == []
    fake(sbatch=TAKES)
    watch.submit_again()
    assert len(watch.open) == 2
    watch.open.clear()
    monkeypatch.setattr(launcher, "REFUSED_SECONDS", 0.0)
    fake(sbatch=REFUSES)
    watch.submit_again()
    assert "Socket timed out" in str(watch.outcome.halted)


def test_what_sbatch_may_have_handed_over_is_taken_back_by_name(begin: Any, fake: Fake, tmp_path: Path) -> None:
    plan, sweep = begin()
    watch, _ = launch(plan, sweep)
    fake(sbatch=REFUSES, squeue=SILENT)
    with pytest.raises(InputError, match="Socket timed out"):
        watch.submit(watch.uncovered())
    (left,) = Submissions(sweep).all()
    assert f"scancel --name {left.name}" in asked(tmp_path)
    assert left.job is None, "Slurm did not say that it is gone"
    fake(squeue=":")
    watch.adopt()
    assert folders(sweep) == []
    assert watch.open == {}


@pytest.mark.usefixtures("fake")
def test_a_submission_cut_short_is_taken_back(begin: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    plan, sweep = begin()
    (request,) = requests_for(plan, sweep, [(cell,) for cell in plan.cells], busy=0)
    known = Submissions(sweep)
    monkeypatch.setattr(known, "accepted", interrupt)
    with pytest.raises(KeyboardInterrupt):
        submit(known, plan, request)
    assert "scancel --name isoflop-tiny-" in asked(tmp_path)
    assert folders(sweep) == []


@pytest.mark.usefixtures("fake")
def test_nothing_is_submitted_after_a_cancel(begin: Any, tmp_path: Path) -> None:
    plan, sweep = begin()
    watch, _ = launch(plan, sweep)
    sweep.stop.write()
    with pytest.raises(KeyboardInterrupt, match="cancelled"):
        watch.submit(watch.uncovered())
    assert "sbatch" not in asked(tmp_path)


@pytest.mark.usefixtures("fake")
def test_a_cell_too_large_for_its_node_halts_at_once_in_its_own_words(begin: Any) -> None:
    plan, sweep = begin()
    watch, _ = launch(plan, sweep)
    watch.submit(watch.uncovered())
    (submission,) = Submissions(sweep).all()
    path = watch.known.ending_path(submission, 0)
    path.write_text(json.dumps({"refused": "cell 1234: needs about 9 GiB"}))
    watch.settle("7_0")
    assert watch.outcome.halted == "Slurm task 7_0: cell 1234: needs about 9 GiB"


@pytest.mark.parametrize(("state", "requeued"), [("RUNNING", True), ("COMPLETING", False), ("", False)])
def test_only_a_task_that_nobody_cancelled_goes_back_to_the_queue(
    state: str, requeued: bool, begin: Any, fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, sweep = begin()
    watch, _ = launch(plan, sweep)
    watch.submit(watch.uncovered())
    fake(squeue=f"echo {state}")
    for name, value in {"JOB_ID": "9", "ARRAY_JOB_ID": "7", "ARRAY_TASK_ID": "1"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Task, "_launch", interrupted)
    (submission,) = Submissions(sweep).all()
    Task(str(sweep.path), submission.id, 1)()
    assert watch.known.ending(submission, 1) == {"stopped": True}
    assert ("scontrol requeue 7_1" in asked(tmp_path)) == requeued


def test_no_more_tasks_than_allowed_at_a_time(begin: Any) -> None:
    assert _shares([3.0, 1.0], 8) == [6, 2]
    assert _shares([9.0, 0.1], 2) == [1, 1]
    assert _shares([1.0, 2.0], 1) == [0, 1]
    assert _shares([1.0, 0.0], 5) == [5, 0]
    plan, sweep = begin(max_parallel=2)
    assert requests_for(plan, sweep, [(cell,) for cell in plan.cells], busy=2) == []


@pytest.mark.usefixtures("fake")
def test_large_cells_are_tasks_by_themselves_and_no_memory_is_asked_of_nodes_that_tell_none(
    begin: Any, fake: Fake
) -> None:
    fake(sinfo=MEMORY.format(1))
    plan, sweep = begin(large={"above_hours": 1e-9, "processes": 1})
    (request,) = requests_for(plan, sweep, [(cell,) for cell in plan.cells], busy=0)
    assert len(request.tasks) == 6
    assert request.memory is None
    fake(sinfo=MEMORY.format(64000))
    plan, sweep = begin()
    orders = [(cell,) for cell in plan.cells]
    assert requests_for(plan, sweep, orders, busy=0)[0].memory
    plan, sweep = begin(extra=["--mem-per-cpu=1G"])
    assert requests_for(plan, sweep, orders, busy=0)[0].memory is None


def test_gpus_may_be_asked_for_by_an_option(text: Path) -> None:
    config = tiny(text, execution__slurm={"extra": ["--gpus=2"]})
    del config["execution"]["device"]
    assert task_device(parse_config(config, "c.yaml")) == "cuda"


def test_a_partition_whose_limit_leaves_no_time_is_told() -> None:
    with pytest.raises(InputError, match="signal_seconds: 90 leaves no time in the 60 s"):
        _limit(Slurm(), 5.0, 1.0)
    assert _limit(Slurm(signal_seconds=10), 5.0, 2.0) == 2.0


def test_slurms_words_are_found_whatever_it_calls_them() -> None:
    assert _slurms_words("x\nsbatch: fatal: --mem and --mem-per-cpu exclude each other\n") == (
        "--mem and --mem-per-cpu exclude each other"
    )


def test_a_task_that_waits_for_a_partition_is_told() -> None:
    assert slurm_queue.QueueEntry("x", "PENDING", "(PartitionDown)").waits_for_ever
    assert not slurm_queue.QueueEntry("x", "PENDING", "(Priority)").waits_for_ever
