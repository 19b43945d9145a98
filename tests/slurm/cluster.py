"""The Slurm of the tests, by one_node.sh."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).with_name("one_node.sh")


class NoSlurm(Exception):
    """Slurm cannot be had here; says why."""


class Cluster:
    """One that answers; from `up` on, every process started here reaches it."""

    def __init__(self) -> None:
        self._was_up = _script("status").returncode == 0
        done = _script("up")
        if done.returncode == 3:
            raise NoSlurm(done.stderr.strip())
        if done.returncode:
            raise RuntimeError(done.stderr.strip())
        settings = [line.removeprefix("export ").partition("=") for line in done.stdout.splitlines()]
        self.ours = bool(settings)  # not one that was there without us: it may be anything
        self._before = {key: os.environ.get(key) for key, _, _ in settings}
        os.environ.update({key: value for key, _, value in settings})

    def close(self) -> None:
        """Stop it, unless it was there before."""
        if self.ours and not self._was_up:
            _script("down")
        for key, value in self._before.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value


def _script(action: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(SCRIPT), action], capture_output=True, text=True, check=False, timeout=120)
