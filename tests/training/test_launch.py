"""Sweeps on worker processes, run by the command a user runs, and killed in every way a user's are."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from isoflop.scripts.cli import run
from isoflop.scripts import sweep

from .helpers import tiny, write_config

ROOT = Path(__file__).resolve().parents[2]
# Long enough that a kill finds a cell at work, short enough to train twice. Most of a test is a worker's start.
SLOWER = {
    "grid__budgets": [3e9, 5e9],
    "execution__checkpoint_seconds": 0.1,
    "execution__workers": 1,
    "data__max_epochs": 20.0,
    "fit__resamples": 0,
}
TRUNKS = SLOWER | {"recipe__schedule": {"kind": "wsd", "trunk": True}, "execution__workers": 2}
KILLS = int(os.environ.get("ISOFLOP_KILLS", "1"))  # of each sweep; more take minutes


def start(config: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    words = [sys.executable, str(ROOT / "scripts" / "sweep.py"), str(config), "--out", str(out), *more]
    # A shell starts background jobs with Ctrl-C ignored, and so it would stay below a test run there.
    return subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def finish(config: Path, out: Path, *more: str) -> tuple[int, str, str]:
    process = start(config, out, *more)
    stdout, stderr = process.communicate(timeout=120)
    return process.returncode, stdout, stderr


def finish_here(config: Path, out: Path) -> int:
    """The same command in this process, which has torch already; its status."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as ended:
            run(sweep.main, [str(config), "--out", str(out), "--executor", "inline"])
    finally:
        signal.signal(signal.SIGTERM, handler)
    return int(ended.value.code or 0)


def records(out: Path) -> dict[str, dict[str, Any]]:
    return {path.parent.name: json.loads(path.read_text()) for path in sorted(out.glob("*/record.json"))}


def losses(out: Path) -> dict[str, float]:
    return {run_id: record["loss"] for run_id, record in records(out).items()}


def curves(out: Path) -> dict[str, str]:
    return {path.parent.name: path.read_text() for path in sorted(out.glob("*/curve.jsonl"))}


def wait_for(condition: Any, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def training_has_begun(out: Path, since: float) -> bool:
    states = [*out.glob("*/checkpoint.safetensors"), *out.glob("*/record.json")]
    # A state that vanishes between the two looks was a checkpoint whose run has just ended.
    return any(path.exists() and path.stat().st_mtime > since for path in states)


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return [child for child in psutil.Process(process.pid).children(recursive=True) if is_worker(child)]


def is_worker(process: psutil.Process, of: Path = Path("/")) -> bool:
    try:
        words = process.cmdline()
        return any("launch.worker" in word for word in words) and any(word.startswith(str(of)) for word in words)
    except psutil.Error:  # it has just ended
        return False


@pytest.fixture(scope="module")
def undisturbed(text_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The slower sweep, never interrupted."""
    folder = tmp_path_factory.mktemp("undisturbed")
    config = write_config(folder / "c.yaml", tiny(text_folder, **SLOWER))
    assert finish_here(config, folder / "out") == 0
    return folder / "out"


@pytest.fixture
def no_process_left(tmp_path: Path) -> Iterator[None]:
    yield
    # An orphan is nobody's child any more, so all processes are looked at; other sweeps may be at work beside.
    wait_for(lambda: not [p for p in psutil.process_iter() if is_worker(p, of=tmp_path)], 5)


@pytest.mark.slow
@pytest.mark.usefixtures("no_process_left")
@pytest.mark.parametrize(("changes", "first"), [(SLOWER, 1), (TRUNKS, 0)], ids=["linear", "trunks"])
def test_killed_at_random_moments_it_ends_as_if_never_interrupted(
    changes: dict[str, Any], first: int, undisturbed: Path, text_folder: Path, tmp_path: Path
) -> None:
    config = write_config(tmp_path / "c.yaml", tiny(text_folder, **changes))
    out = tmp_path / "out"
    moment = random.Random(1)
    landed = 0
    for kill in range(first, first + KILLS):
        since = time.time()
        process = start(config, out)
        wait_for(lambda since=since: training_has_begun(out, since))
        time.sleep(moment.uniform(0, 0.5))
        workers = workers_of(process)
        assert not [port for worker in workers for port in worker.net_connections("inet")]
        # By turns a machine that loses power, and a parent that dies alone.
        for victim in [psutil.Process(process.pid), *(workers if kill % 2 else [])]:
            victim.kill()
        process.communicate()
        wait_for(lambda workers=workers: not any(w.is_running() and w.status() != "zombie" for w in workers), 5)
        landed += len(records(out)) < 6
    assert landed >= 1, "on this machine the cells are too short to be killed at work"
    if changes is TRUNKS:
        undisturbed = tmp_path / "whole"
        assert finish_here(config, undisturbed) == 0
    assert finish_here(config, out) == 0
    assert losses(out) == losses(undisturbed)
    assert curves(out) == curves(undisturbed)
    for folder in (path.parent for path in out.glob("*/record.json")):
        names = sorted(path.name.partition(".")[0] for path in folder.iterdir())
        assert names == ["claim", "curve", "record", "weights"]


def test_a_finished_sweep_trains_nothing_again(undisturbed: Path, text_folder: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in undisturbed.glob("*/record.json")}
    config = write_config(tmp_path / "c.yaml", tiny(text_folder, **SLOWER))
    status, stdout, stderr = finish(config, undisturbed)
    assert status == 0
    assert "all 6 cells" in stderr
    assert "isoFLOP" in stdout
    assert {path: path.stat().st_mtime_ns for path in undisturbed.glob("*/record.json")} == before


def test_an_edited_config_trains_only_its_new_cells(
    undisturbed: Path, text_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = {**SLOWER, "grid__widths": [4, 8, 12, 16]}
    before = losses(undisturbed)
    config = write_config(tmp_path / "c.yaml", tiny(text_folder, **changed))
    assert finish_here(config, undisturbed) == 0
    stderr = capsys.readouterr().err
    assert "8/8" in stderr
    assert "6/8" not in stderr
    after = losses(undisturbed)
    assert len(after) == 8
    assert {run_id: after[run_id] for run_id in before} == before


@pytest.mark.slow
@pytest.mark.usefixtures("no_process_left")
@pytest.mark.parametrize("executor", ["local", "inline"])
def test_ctrl_c_stops_within_five_seconds_and_resumes(
    executor: str, undisturbed: Path, text_folder: Path, tmp_path: Path
) -> None:
    config = write_config(tmp_path / "c.yaml", tiny(text_folder, **SLOWER))
    out = tmp_path / "out"
    since = time.time()
    process = start(config, out, "--executor", executor)
    wait_for(lambda: training_has_begun(out, since))
    pressed = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert time.monotonic() - pressed < 5
    assert process.returncode == 130
    assert stderr.splitlines()[-1].startswith("error: interrupted; the same command goes on")
    assert len(records(out)) < 6
    assert list(out.glob("*/checkpoint.safetensors")), "a stopped cell goes on from its checkpoint"
    assert finish_here(config, out) == 0
    common = losses(undisturbed)
    assert losses(out) == {run_id: common[run_id] for run_id in losses(out)}


def _mounts() -> bool:
    if os.geteuid() != 0:
        return False
    probe = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False)
    return probe.returncode == 0


@pytest.mark.faults
@pytest.mark.parametrize("executor", ["local", "inline"])
def test_a_full_disk_leaves_the_cell_unfinished_and_says_so(executor: str, text_folder: Path, tmp_path: Path) -> None:
    if not _mounts():
        pytest.skip("needs root and mount namespaces, to make a disk that fills up")
    settings = {"execution__checkpoint_seconds": 60.0, "execution__workers": 1, "fit__resamples": 0}
    config = write_config(tmp_path / "c.yaml", tiny(text_folder, **settings))
    disk = tmp_path / "disk"
    disk.mkdir()
    # A disk with room for the plan and a record or two; it lives as long as the shell that mounts it.
    resume = f"""
        mount -o remount,size=10m {disk}
        {sys.executable} {ROOT}/scripts/sweep.py {config} --out {disk}/out --executor {executor} > /dev/null
        echo "then $? with $(ls {disk}/out/*/record.json | wc -l) records"
    """
    script = f"""
        mount -t tmpfs -o size=80k none {disk}
        {sys.executable} {ROOT}/scripts/sweep.py {config} --out {disk}/out --executor {executor}
        echo "status $?"
        find {disk}/out -name '*.tmp' -o -name record.json -size 0
        for record in {disk}/out/*/record.json; do {sys.executable} -m json.tool $record /dev/null || echo torn; done
        {resume if executor == "local" else ""}
    """
    done = subprocess.run(
        ["unshare", "-m", "bash", "-c", script], capture_output=True, text=True, timeout=200, check=False
    )
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    resumed = ["then 0 with 6 records"] if executor == "local" else []
    assert done.stdout.splitlines() == ["status 1", *resumed], done.stdout + done.stderr
    assert len(errors) == 1
    assert "No space left on device" in errors[0]
    assert "of 6 cells unfinished" in errors[0]
