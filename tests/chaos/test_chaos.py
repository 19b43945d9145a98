"""A handful of faults; `python -m tests.chaos.run --faults 100` is the whole of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def chaos(out: Path, *words: str) -> list[dict]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos.run", "--out", str(out), *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        timeout=500,
    )
    if done.returncode == 3:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    return json.loads((out / "faults.json").read_text())


@pytest.mark.slow
@pytest.mark.faults
def test_every_cell_ends_once_and_as_undisturbed_whatever_strikes(tmp_path: Path) -> None:
    sweeps = chaos(tmp_path / "chaos", "--only", "local", "--faults", "2", "--seed", "1", "--flops", "3e9")
    assert sum(len(sweep["faults"]) for sweep in sweeps) == 2
    assert all(sweep["finished"] + len(sweep["failed"]) == 6 and not sweep["differing"] for sweep in sweeps)


@pytest.mark.slow
@pytest.mark.slurm
def test_the_same_through_slurm(tmp_path: Path) -> None:
    sweeps = chaos(tmp_path / "chaos", "--only", "slurm", "--faults", "3", "--flops", "3e9")
    assert sum(len(sweep["faults"]) for sweep in sweeps) == 3
    assert all(sweep["finished"] + len(sweep["failed"]) == 6 and not sweep["differing"] for sweep in sweeps)
