"""One sweep under faults: its folder, the launches of it, and the processes at it."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from .jobs import jobs_of, slurm

ROOT = Path(__file__).resolve().parents[2]
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
DISK_BYTES = 16 << 20


@dataclass
class Launch:
    """One time that the sweep's command was started."""

    process: subprocess.Popen[bytes]
    log: IO[bytes]
    since: float  # time.time()

    @property
    def status(self) -> int | None:
        """The exit status; None while it runs."""
        return self.process.poll()


class Scene:
    """A sweep's folder, whatever is started on it, and what was done to it."""

    def __init__(
        self,
        folder: Path,
        config: Path,
        run_ids: list[str],
        random_: random.Random,
        *,
        executor: str = "local",
        needs: frozenset[str] = frozenset(),
    ) -> None:
        self.folder, self.config, self.run_ids = folder, config, run_ids
        self.random, self.executor, self.needs = random_, executor, needs
        self.launches: list[Launch] = []
        self.torn: Counter[str] = Counter()  # records lost by our doing, by run id
        self.torn_trunks: set[str] = set()  # whose state was lost by our doing
        self.disk = folder / "disk"
        self.disk.mkdir(parents=True)
        self.out = self.disk / "out"
        self.clock = folder / "clock"
        if "disk" in needs:
            size = f"size={DISK_BYTES}"
            subprocess.run(["mount", "-t", "tmpfs", "-o", size, "none", str(self.disk)], check=True)

    def launch(self) -> Launch:
        """Start the sweep's command, as a user would."""
        log = (self.folder / f"launch-{len(self.launches)}.log").open("wb")
        words = [sys.executable, str(ROOT / "scripts" / "sweep.py"), str(self.config), "--out", str(self.out)]
        process = subprocess.Popen(
            [*words, "--executor", self.executor],
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=self._environment(),
            cwd=self.folder,
            start_new_session=True,
        )
        self.launches.append(Launch(process, log, time.time()))
        return self.launches[-1]

    def _environment(self) -> dict[str, str]:
        environment = dict(os.environ)
        if "clock" in self.needs:
            if not self.clock.exists():
                self.clock.write_text("+0\n")
            environment |= {
                "LD_PRELOAD": str(FAKETIME),
                "FAKETIME_TIMESTAMP_FILE": str(self.clock),
                "FAKETIME_CACHE_DURATION": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # a jump of the wall clock leaves the monotonic one alone
                "NO_FAKE_STAT": "1",
            }
        return environment

    def running(self) -> list[Launch]:
        """The launches that have not ended."""
        return [launch for launch in self.launches if launch.status is None]

    def processes(self) -> list[psutil.Process]:
        """Every process whose command line names the sweep's folder."""
        everyone = psutil.process_iter()
        return [process for process in everyone if any(word.startswith(str(self.out)) for word in words_of(process))]

    def workers(self) -> list[psutil.Process]:
        """Those of them that train."""
        return [process for process in self.processes() if any("launch.worker" in word for word in words_of(process))]

    def left_behind(self) -> list[str]:
        """What is still at work on the sweep."""
        jobs = jobs_of(self.out) if self.executor == "slurm" else []
        processes = [f"process {process.pid}: {' '.join(words_of(process))[:120]}" for process in self.processes()]
        # COMPLETING is Slurm's own tidying up; a process of the task would be found by itself.
        return processes + [f"Slurm task {job.id}: {job.state}" for job in jobs if job.state != "COMPLETING"]

    def record(self, run_id: str) -> dict[str, Any] | None:
        """A run's record; None where there is none, or a torn one."""
        try:
            return json.loads((self.out / run_id / "record.json").read_bytes())
        except (OSError, ValueError):
            return None

    def n_ended(self) -> int:
        """Cells with a record that can be read."""
        return sum(self.record(run_id) is not None for run_id in self.run_ids)

    def is_complete(self) -> bool:
        """Whether all have."""
        return self.n_ended() == len(self.run_ids)

    def is_training(self, since: float) -> bool:
        """Whether a cell has come on since then."""
        for path in [*self.out.glob("*/checkpoint.safetensors"), *self.out.glob("*/record.json")]:
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime > since:
                    return True
        return False

    def wait(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Let so much time pass, or until the condition holds or no launch runs any more."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if until() or not self.running():
                return True
            time.sleep(0.02)
        return False

    def close(self) -> None:
        """End what is left, and free the disk."""
        if self.executor == "slurm":
            for job in jobs_of(self.out):
                slurm("scancel", "--full", "--signal=KILL", job.id)
                slurm("scancel", job.id)
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()
        for launch in self.launches:
            launch.process.wait()
            launch.log.close()
        if "disk" in self.needs:
            subprocess.run(["umount", "--lazy", str(self.disk)], check=True)


def words_of(process: psutil.Process) -> list[str]:
    """Its command line; empty where it has ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


class RecordWatch:
    """Counts, from a thread, how often each run's record.json was put in place."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.written: Counter[str] = Counter()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> RecordWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        seen: dict[str, int] = {}
        while not self._over.wait(0.01):
            for run_id in self.scene.run_ids:
                with contextlib.suppress(OSError):
                    # A rename brings another inode; a record that we tear keeps its own.
                    inode = (self.scene.out / run_id / "record.json").stat().st_ino
                    if seen.get(run_id) != inode:
                        seen[run_id] = inode
                        self.written[run_id] += 1
