"""What can happen to a sweep on one machine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from .scene import FAKETIME, Scene

FULL_SECONDS = 5.0
TAKEN_SECONDS = 60.0  # a start and four looks, on a machine that has much else to do


@dataclass(frozen=True)
class Fault:
    """`apply` says what it hit; None where there was nothing to hit just then.

    `needs` is what the scene must have been built with; `explains` is a pattern of the reasons that a cell which fails
    under it may be recorded with.
    """

    name: str
    apply: Callable[[Scene], str | None]
    needs: frozenset[str] = frozenset()
    explains: str | None = None


def kill_worker(scene: Scene) -> str | None:
    """SIGKILL, as the kernel's when memory runs out."""
    workers = scene.workers()
    return _signal(scene.random.choice(workers), signal.SIGKILL) if workers else None


def kill_launcher(scene: Scene) -> str | None:
    """SIGKILL of the command alone; its workers find out by themselves."""
    running = scene.running()
    return _signal(psutil.Process(scene.random.choice(running).process.pid), signal.SIGKILL) if running else None


def kill_all(scene: Scene) -> str | None:
    """SIGKILL of everything at once: the power goes."""
    processes = scene.processes()
    for process in processes:
        _signal(process, signal.SIGSTOP)  # at once: nobody reacts to another's death
    for process in processes:
        _signal(process, signal.SIGKILL)
    return f"{len(processes)} processes" if processes else None


def terminate_launcher(scene: Scene) -> str | None:
    """SIGTERM, as a batch system's or a shutdown's."""
    running = scene.running()
    return _signal(psutil.Process(scene.random.choice(running).process.pid), signal.SIGTERM) if running else None


def pause_worker(scene: Scene) -> str | None:
    """A worker stands still, longer or shorter than its claim lives, and goes on."""
    workers = scene.workers()
    if not workers:
        return None
    worker, seconds = scene.random.choice(workers), scene.random.uniform(1, 5)
    hit = _signal(worker, signal.SIGSTOP)
    time.sleep(seconds)
    _signal(worker, signal.SIGCONT)
    return hit and f"{hit} for {seconds:.1f} s"


def pause_worker_until_taken_over(scene: Scene) -> str | None:
    """A worker stands still until another launch has taken its cell over, and then goes on with it."""
    held = _held(scene)
    if not held:
        return None
    worker, claim = scene.random.choice(held)
    hit = _signal(worker, signal.SIGSTOP)
    scene.launch()
    begun = time.monotonic()
    while claim.exists() and time.monotonic() < begun + TAKEN_SECONDS:
        time.sleep(0.1)
    taken = "taken over" if not claim.exists() else "not taken over"
    time.sleep(scene.random.uniform(0, 2))
    _signal(worker, signal.SIGCONT)
    return hit and f"{hit} at {claim.parent.name}, {taken} after {time.monotonic() - begun:.1f} s"


def second_launch(scene: Scene) -> str | None:
    """The same command, started once more beside the first."""
    return f"process {scene.launch().process.pid}"


def two_launches(scene: Scene) -> str | None:
    """The power goes, and then two people start the command at the same moment."""
    if scene.is_complete():
        return None
    kill_all(scene)
    return " and ".join(f"process {scene.launch().process.pid}" for _ in range(2))


def fill_disk(scene: Scene) -> str | None:
    """No byte is free for some seconds."""
    ballast = scene.disk / "ballast"
    until = time.monotonic() + FULL_SECONDS
    with ballast.open("wb", buffering=0) as file:
        while time.monotonic() < until:
            with contextlib.suppress(OSError):  # full, as wanted; a checkpoint that goes frees some more
                while file.write(bytes(4096)):
                    pass
            time.sleep(0.01)
    size = ballast.stat().st_size
    ballast.unlink()
    return f"{size} bytes of ballast for {FULL_SECONDS} s"


def tear_record(scene: Scene) -> str | None:
    """A finished record loses its end, as after a power loss on a disk that lies."""
    written = [run_id for run_id in scene.run_ids if scene.record(run_id)]
    if not written:
        return None
    run_id = scene.random.choice(written)
    scene.torn[run_id] += 1
    return _truncate(scene, scene.out / run_id / "record.json")


def tear_checkpoint(scene: Scene) -> str | None:
    """The power goes and a checkpoint, or a state of a trunk, has lost its end."""
    if not _states(scene):
        return None
    kill_all(scene)
    states = _states(scene)
    if not states:
        return None
    path = scene.random.choice(states)
    if path.parents[1].name == "trunks":
        scene.torn_trunks.add(path.parent.name)
    return _truncate(scene, path)


def jump_clock(scene: Scene) -> str | None:
    """The wall clock is hours ahead, or behind."""
    hours = scene.random.choice([-1, 1]) * scene.random.uniform(1, 24)
    scene.clock.write_text(f"{hours * 3600:+.0f}\n")
    return f"to {hours:+.1f} h"


def _held(scene: Scene) -> list[tuple[psutil.Process, Path]]:
    """The workers that train a cell just now, each with its claim."""
    workers = {worker.pid: worker for worker in scene.workers()}
    found = []
    for claim in scene.out.glob("*/claim.*"):
        with contextlib.suppress(OSError, ValueError):
            about = json.loads(claim.read_bytes())
            if about["pid"] in workers and not about["released"]:
                found.append((workers[about["pid"]], claim))
    return found


def _states(scene: Scene) -> list[Path]:
    patterns = ("*/checkpoint.safetensors", "trunks/*/*.safetensors")
    return sorted(path for pattern in patterns for path in scene.out.glob(pattern))


def _truncate(scene: Scene, path: Path) -> str | None:
    try:
        size = path.stat().st_size
        kept = scene.random.randrange(size)
        os.truncate(path, kept)
    except FileNotFoundError:
        return None
    return f"{path.relative_to(scene.out)} to {kept} of {size} bytes"


def _signal(process: psutil.Process, number: signal.Signals) -> str | None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return None
    return f"process {process.pid}"


LOCAL = [
    Fault("SIGKILL of a worker", kill_worker, explains="killed by SIGKILL"),
    Fault("SIGKILL of the launcher", kill_launcher),
    Fault("SIGKILL of both at once", kill_all),
    Fault("SIGTERM of the launcher", terminate_launcher),
    Fault("SIGSTOP of a worker for a few seconds", pause_worker),
    Fault("SIGSTOP of a worker until another launch has its cell", pause_worker_until_taken_over),
    Fault("a second launch beside the first", second_launch),
    Fault("two launches started at once", two_launches),
    Fault("disk full for 5 s", fill_disk, frozenset({"disk"})),
    Fault("a record truncated", tear_record),
    Fault("a checkpoint truncated", tear_checkpoint),
    Fault("clock jumps by hours", jump_clock, frozenset({"clock"})),
]


def can_mount() -> bool:
    """Whether this process may have a name space of mounts, and mount there."""
    probe = ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return os.geteuid() == 0 and subprocess.run(probe, capture_output=True, check=False).returncode == 0


def possible(faults: list[Fault]) -> tuple[list[Fault], list[str]]:
    """Those of `faults` that this machine can be given, and why the others are left out."""
    missing = {}
    if not FAKETIME.is_file():
        missing["clock"] = "libfaketime is not installed"
    if not can_mount():
        missing["disk"] = "a disk that fills up takes root and mount name spaces"
    return (
        [fault for fault in faults if not fault.needs & missing.keys()],
        [f"{fault.name}: {missing[need]}" for fault in faults for need in fault.needs if need in missing],
    )
