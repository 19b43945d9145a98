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

from isoflop.training.claims import read_claim

from .helpers import tiny, write_config

ROOT = Path(__file__).resolve().parents[2]
# Long enough that a kill finds a cell at work, short enough to train twice.
SLOWER = {"grid__budgets": [3e9, 5e9], "execution__checkpoint_seconds": 0.1, "data__max_epochs": 20.0}
TRUNKS = SLOWER | {"recipe__schedule": {"kind": "wsd", "trunk": True}}
KILLS = int(os.environ.get("ISOFLOP_KILLS", "2"))  # of a sweep; more take minutes


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


def holds_a_cell(process: psutil.Process, out: Path) -> bool:
    claims = [read_claim(path.parent) for path in out.glob("*/claim.*")]
    return any(claim is not None and claim.pid == process.pid and claim.alive for claim in claims)


@pytest.fixture(scope="module")
def undisturbed(text_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The slower sweep, never interrupted."""
    folder = tmp_path_factory.mktemp("undisturbed")
    config = write_config(folder / "c.yaml", tiny(text_folder, **SLOWER))
    status, _, stderr = finish(config, folder / "out")
    assert status == 0, stderr
    return folder / "out"


@pytest.fixture
def no_process_left(tmp_path: Path) -> Iterator[None]:
    yield
    # An orphan is nobody's child any more, so all processes are looked at; other sweeps may be at work beside.
    wait_for(lambda: not [p for p in psutil.process_iter() if is_worker(p, of=tmp_path)], 5)


@pytest.mark.slow
@pytest.mark.usefixtures("no_process_left")
@pytest.mark.parametrize("changes", [SLOWER, TRUNKS], ids=["linear", "trunks"])
def test_killed_at_random_moments_it_ends_as_if_never_interrupted(
    changes: dict[str, Any], undisturbed: Path, text_folder: Path, tmp_path: Path
) -> None:
    config = write_config(tmp_path / "c.yaml", tiny(text_folder, **changes))
    out = tmp_path / "out"
    moment = random.Random(1)
    landed = 0
    for kill in range(KILLS):
        since = time.time()
        process = start(config, out)
        wait_for(lambda since=since: training_has_begun(out, since))
        time.sleep(moment.uniform(0, 0.5))
        workers = workers_of(process)
        # By turns a machine that loses power, and a parent that dies alone.
        for victim in [psutil.Process(process.pid), *(workers if kill % 2 else [])]:
            victim.kill()
        process.communicate()
        wait_for(lambda workers=workers: not any(w.is_running() and w.status() != "zombie" for w in workers), 5)
        landed += len(records(out)) < 6
    assert landed >= 1, "on this machine the cells are too short to be killed at work"
    status, _, stderr = finish(config, out)
    assert status == 0, stderr
    if changes is TRUNKS:
        undisturbed = tmp_path / "whole"
        assert finish(config, undisturbed, "--executor", "inline")[0] == 0
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


def test_an_edited_config_trains_only_its_new_cells(undisturbed: Path, text_folder: Path, tmp_path: Path) -> None:
    changed = {**SLOWER, "grid__widths": [4, 8, 12, 16]}
    before = losses(undisturbed)
    config = write_config(tmp_path / "c.yaml", tiny(text_folder, **changed))
    status, _, stderr = finish(config, undisturbed, "--executor", "inline")
    assert status == 0
    assert "8/8" in stderr
    assert "6/8" not in stderr
    after = losses(undisturbed)
    assert len(after) == 8
    assert {run_id: after[run_id] for run_id in before} == before


@pytest.mark.slow
@pytest.mark.usefixtures("no_process_left")
def test_a_worker_that_dies_is_replaced_and_its_cell_retried_once_then_failed(
    undisturbed: Path, text_folder: Path, tmp_path: Path
) -> None:
    one_worker = {**SLOWER, "execution__workers": 1, "execution__checkpoint_seconds": 60.0}
    config = write_config(tmp_path / "c.yaml", tiny(text_folder, **one_worker))
    out = tmp_path / "out"
    process = start(config, out)
    killed: set[int] = set()

    def kill_at_work() -> bool:
        """Kill each worker at its first cell: the first two get the same one, the longest."""
        for worker in workers_of(process):
            if worker.pid not in killed and holds_a_cell(worker, out):
                worker.kill()
                killed.add(worker.pid)
        return len(killed) == 2

    wait_for(kill_at_work)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 1
    assert stderr.count("cut short: worker killed by SIGKILL") == 1
    assert "failed: worker killed by SIGKILL (the system does that when memory runs out)" in stderr
    failed = [record for record in records(out).values() if record["status"] == "failed"]
    assert len(failed) == 1
    assert failed[0]["reason"].startswith("worker killed by SIGKILL")
    assert len(records(out)) == 6
    # Told to, it trains the failed cell too.
    status, _, stderr = finish(config, out, "--retry-failed")
    assert status == 0, stderr
    common = losses(undisturbed)
    assert losses(out) == {run_id: common[run_id] for run_id in losses(out)}


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
    status, _, stderr = finish(config, out)
    assert status == 0, stderr
    common = losses(undisturbed)
    assert losses(out) == {run_id: common[run_id] for run_id in losses(out)}


def _mounts() -> bool:
    if os.geteuid() != 0:
        return False
    probe = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False)
    return probe.returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["local", "inline"])
def test_a_full_disk_leaves_the_cell_unfinished_and_says_so(executor: str, text_folder: Path, tmp_path: Path) -> None:
    if not _mounts():
        pytest.skip("needs root and mount namespaces, to make a disk that fills up")
    config = write_config(tmp_path / "c.yaml", tiny(text_folder, execution__checkpoint_seconds=60.0))
    disk = tmp_path / "disk"
    disk.mkdir()
    # A disk with room for the plan and a record or two; it lives as long as the shell that mounts it.
    script = f"""
        mount -t tmpfs -o size=80k none {disk}
        {sys.executable} {ROOT}/scripts/sweep.py {config} --out {disk}/out --executor {executor}
        echo "status $?"
        find {disk}/out -name '*.tmp' -o -name record.json -size 0
        for record in {disk}/out/*/record.json; do {sys.executable} -m json.tool $record /dev/null || echo torn; done
        mount -o remount,size=10m {disk}
        {sys.executable} {ROOT}/scripts/sweep.py {config} --out {disk}/out --executor {executor} > /dev/null
        echo "then $? with $(ls {disk}/out/*/record.json | wc -l) records"
    """
    done = subprocess.run(
        ["unshare", "-m", "bash", "-c", script], capture_output=True, text=True, timeout=200, check=False
    )
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert done.stdout.splitlines() == ["status 1", "then 0 with 6 records"], done.stdout + done.stderr
    assert len(errors) == 1
    assert "No space left on device" in errors[0]
    assert "of 6 cells unfinished" in errors[0]
