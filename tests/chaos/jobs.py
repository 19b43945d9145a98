"""A sweep's tasks in Slurm's queue, as Slurm itself tells."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Job:
    """A task in the queue."""

    id: str
    state: str
    node: str


def slurm(*words: str) -> str:
    """What one of Slurm's commands prints; empty where it fails."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout if done.returncode == 0 else ""


def jobs_of(out: Path) -> list[Job]:
    """The tasks of the sweep in `out` that wait, run or are being cleaned up."""
    names = []
    for path in out.glob("slurm/*/submission.json"):
        try:
            names.append(json.loads(path.read_bytes())["name"])
        except (OSError, ValueError):
            continue
    if not names:
        return []
    table = slurm("squeue", "--noheader", "--array", "--name", ",".join(names), "--format", "%i|%T|%N")
    return [Job(*line.strip().split("|")) for line in table.splitlines()]
