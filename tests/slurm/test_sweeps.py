"""Sweeps through a real Slurm, by the command a user runs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isoflop.fitting.errors import InputError
from isoflop.training.config import parse_config
from isoflop.training.corpus import prepare_corpus
from isoflop.training.launch.slurm import run_slurm
from isoflop.training.planning import make_plan
from isoflop.training.records import SweepFolder

from ..training.helpers import Heard, tiny, write_config, write_text
from .cluster import Cluster

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.slurm, pytest.mark.slow]
# Cells of a second or two, so that something happens while they train.
SLOWER = {
    "grid__budgets": [5e9, 1e10],
    "data__max_epochs": 100.0,
    "execution__heartbeat_seconds": 0.5,
    "execution__checkpoint_seconds": 0.2,
    "execution__stack": "off",
    "fit__resamples": 0,
}


def start(config: Path, out: Path, *more: str, **environment: str) -> subprocess.Popen[str]:
    words = [sys.executable, str(ROOT / "scripts" / "sweep.py"), str(config), "--out", str(out), *more]
    return subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | environment
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, stderr = process.communicate(timeout=240)
    return process.returncode, stderr


def on_slurm(config: Path, out: Path, *more: str, **environment: str) -> subprocess.Popen[str]:
    return start(config, out, "--executor", "slurm", *more, **environment)


def losses(out: Path) -> dict[str, float]:
    return {path.parent.name: json.loads(path.read_text())["loss"] for path in sorted(out.glob("*/record.json"))}


def submissions(out: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(out.glob("slurm/*/submission.json"))]


def slurm_says(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout


def queue(out: Path, field: str) -> list[str]:
    """A field of squeue's for each task of the sweep."""
    names = ",".join(submission["name"] for submission in submissions(out))
    return slurm_says("squeue", "-h", "-r", "-n", names, "-o", field).split() if names else []


def wait_for(condition: Callable[[], Any], seconds: float = 90.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)
    return found


def a_cell_at_work(out: Path) -> bool:
    return any(out.glob("*/checkpoint.safetensors"))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text(tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="module")
def config(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_config(tmp_path_factory.mktemp("config") / "c.yaml", tiny(corpus, **SLOWER))


@pytest.fixture(scope="module")
def undisturbed(config: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """The losses of the same sweep in one process."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    status, stderr = finish(start(config, out, "--executor", "inline"))
    assert status == 0, stderr
    return losses(out)


@pytest.mark.usefixtures("slurm")
def test_the_smoke_sweep_needs_no_setting_and_ends_in_the_same_losses_as_inline(tmp_path: Path) -> None:
    smoke = ROOT / "configs" / "smoke.yaml"
    status, stderr = finish(on_slurm(smoke, tmp_path / "slurm", "--set", "fit.resamples=0"))
    assert status == 0, stderr
    assert "12 cells in 2 tasks" in stderr
    assert finish(start(smoke, tmp_path / "inline", "--executor", "inline", "--set", "fit.resamples=0"))[0] == 0
    assert len(losses(tmp_path / "inline")) == 12
    assert losses(tmp_path / "slurm") == losses(tmp_path / "inline")
    # Side by side: each began before the other had ended.
    (submission,) = submissions(tmp_path / "slurm")
    times = slurm_says("sacct", "-n", "-X", "-P", "-j", submission["job"], "-o", "Start,End").split()
    (begun, ended), (other_begun, other_ended) = (line.split("|") for line in times)
    assert begun < other_ended
    assert other_begun < ended


@pytest.mark.usefixtures("slurm")
def test_a_job_that_slurm_refuses_ends_the_command_in_a_line(config: Path, tmp_path: Path) -> None:
    status, stderr = finish(on_slurm(config, tmp_path / "out", "--set", "execution.slurm.partition=nowhere"))
    assert status == 2
    (line,) = [line for line in stderr.splitlines() if "error" in line]
    assert "invalid partition specified: nowhere" in line
    assert "Traceback" not in stderr
    assert submissions(tmp_path / "out") == []


@pytest.mark.usefixtures("slurm")
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"constraint": "quantum"}, "Invalid feature specification"),
        ({"mem": "9000G"}, "Memory specification can not be satisfied"),
        ({"gres": "nothing:1"}, "Invalid generic resource"),
        ({"mem": "1G", "extra": ["--mem-per-cpu=1G"]}, "mutually exclusive"),
    ],
)
def test_what_slurm_refuses_is_told_in_its_words_and_nothing_is_submitted(
    settings: dict[str, Any], words: str, corpus: Path, tmp_path: Path
) -> None:
    checked = parse_config(tiny(corpus, execution__slurm=settings), "c.yaml")
    plan = make_plan(checked, prepare_corpus(checked.data).info)
    sweep = SweepFolder(tmp_path / "out")
    sweep.write_plan(plan)
    with pytest.raises(InputError, match=words):
        run_slurm(plan, sweep, [(cell,) for cell in plan.cells], Heard())
    assert submissions(tmp_path / "out") == []


@pytest.mark.usefixtures("slurm")
def test_a_task_told_to_stop_or_requeued_goes_on_from_its_checkpoints(
    config: Path, undisturbed: dict[str, float], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = on_slurm(config, out)
    wait_for(lambda: a_cell_at_work(out))
    first, second = queue(out, "%i")
    slurm_says("scancel", "--signal=USR2", first)
    slurm_says("scancel", "--signal=TERM", second)  # as where a more urgent job wants the node
    status, stderr = finish(process)
    assert status == 0, stderr
    assert losses(out) == undisturbed
    assert len(submissions(out)) == 1, "the same tasks go on"
    (submission,) = submissions(out)
    starts = slurm_says("sacct", "-n", "-X", "-D", "-P", "-j", submission["job"], "-o", "JobID,State").split()
    assert sum("REQUEUED" in line for line in starts) == 2


@pytest.mark.usefixtures("slurm")
def test_a_task_that_dies_is_submitted_again_without_accounting_too(
    config: Path, undisturbed: dict[str, float], tmp_path: Path
) -> None:
    # A folder of Slurm's commands but sacct.
    commands = tmp_path / "bin"
    commands.mkdir()
    for name in ("sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo"):
        (commands / name).symlink_to(str(shutil.which(name)))
    out = tmp_path / "out"
    rest = os.pathsep.join(each for each in os.environ["PATH"].split(os.pathsep) if not (Path(each) / "sacct").exists())
    process = on_slurm(config, out, PATH=f"{commands}{os.pathsep}{rest}")
    wait_for(lambda: a_cell_at_work(out))
    slurm_says("scancel", "--full", "--signal=KILL", queue(out, "%i")[0])
    status, stderr = finish(process)
    assert status == 0, stderr
    assert "Slurm task" in stderr, stderr
    assert losses(out) == undisturbed
    assert len(submissions(out)) == 2


@pytest.mark.usefixtures("slurm")
def test_two_launchers_submit_once_and_the_second_takes_over_from_a_dead_first(
    config: Path, undisturbed: dict[str, float], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first, second = on_slurm(config, out), on_slurm(config, out)
    wait_for(lambda: a_cell_at_work(out))
    assert len(submissions(out)) == 1
    first.send_signal(signal.SIGKILL)
    first.communicate()
    second.send_signal(signal.SIGKILL)
    second.communicate()
    status, stderr = finish(on_slurm(config, out))
    assert status == 0, stderr
    assert losses(out) == undisturbed
    assert len(submissions(out)) == 1, "tasks of the dead launchers were not submitted anew"


@pytest.mark.usefixtures("slurm")
def test_cancel_ends_tasks_and_launcher_and_the_same_command_goes_on(
    config: Path, undisturbed: dict[str, float], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = on_slurm(config, out, "--set", "execution.slurm.max_parallel=1")
    wait_for(lambda: a_cell_at_work(out))
    assert sorted(queue(out, "%T")) == ["PENDING", "RUNNING"], "one at a time"
    seen = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "status.py"), str(out)], capture_output=True, text=True, check=True
    ).stdout
    assert "Slurm: 1 task pending (JobArrayTaskLimit)" in seen
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "cancel.py"), str(out)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    status, stderr = finish(process)
    assert status == 130
    assert stderr.splitlines()[-1].startswith("error: cancelled; the same command goes on")
    wait_for(lambda: not queue(out, "%i"), 20)
    assert len(losses(out)) < 6
    status, stderr = finish(on_slurm(config, out))
    assert status == 0, stderr
    assert losses(out) == undisturbed


def test_a_large_cell_is_trained_on_two_nodes(slurm: Cluster, config: Path, tmp_path: Path) -> None:
    if not slurm.ours:
        pytest.skip("needs two nodes: this Slurm is not the tests' own")
    out = tmp_path / "out"
    large = "execution.slurm.large={above_hours: 1.5e-4, processes: 1, nodes: 2}"
    # One cell alone has so much work by the estimate: .6 s.
    status, stderr = finish(on_slurm(config, out, "--set", large, "--set", "grid.budgets=[2e9, 1e10]"))
    assert status == 0, stderr
    kinds = {submission["nodes"]: submission for submission in submissions(out)}
    assert set(kinds) == {1, 2}
    ((order,),) = kinds[2]["tasks"]
    record = json.loads((out / order[0] / "record.json").read_text())
    assert record["machine"]["n_processes"] == 2
    assert record["status"] == "finished"
