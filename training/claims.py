"""Who trains what, on file systems that machines may share: exclusive creates and renames, no locks, no wall clocks.

A claim on a folder is a file `claim.N` in it, made by an exclusive create; the largest N holds. It names its owner and
a counter that the owner raises every few seconds. A claim is taken over by making `claim.N+1`, which one taker alone
can, once its owner has released it, or is a process of this machine that is gone, or has not raised the counter over
`STILL_LOOKS` looks, as far apart by the taker's own clock as the owner's beats are. An owner that was only held up
finds the larger N before it writes anything more, and lets go.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import logging
import os
import secrets
import socket
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

BEAT_SECONDS = 10.0
STILL_LOOKS = 4


class ClaimLost(Exception):
    """Another process has taken the claim over: nothing more may be written under it."""


@dataclass(frozen=True)
class ClaimInfo:
    """What a claim file says."""

    host: str = "?"
    machine: str | None = None  # this boot of the machine, and the name space of its process numbers
    pid: int = 0
    started: str | None = None  # when the process began, by that machine's count
    job: str | None = None  # of a batch system
    beat: int = -1
    every: float = 0.0  # seconds between beats
    step: int | None = None  # of the training
    released: bool = False

    @property
    def alive(self) -> bool:
        """Whether the owner may still be at work; False where that is known not to be so."""
        return not self.released and not self._is_gone()

    def _is_gone(self) -> bool:
        return self.machine is not None and self.machine == _machine() and _started(self.pid) != self.started

    @property
    def owner(self) -> str:
        """For people."""
        return f"process {self.pid} on {self.host}" + (f" (job {self.job})" if self.job else "")


def read_claim(folder: Path) -> ClaimInfo | None:
    """The claim on `folder` that holds, or held last; None where there never was one."""
    return _read(folder, _latest(folder))


class Claim:
    """A claim of this process; `take` makes it."""

    def __init__(self, folder: Path, number: int, info: ClaimInfo) -> None:
        self.folder, self.number, self.info = folder, number, info
        self.step: int | None = None
        self.lost = False
        self._writing = threading.Lock()  # the heart and the trainer may both beat

    def beat(self) -> None:
        """Raise the counter, and say so. Raises ClaimLost where another process has taken over."""
        self._write(released=False)

    def release(self) -> None:
        """Let go, for the next to take at once; without a word where the claim was lost."""
        try:
            self._write(released=True)
        except (ClaimLost, OSError):  # on a disk that says no, the end of this process tells
            return

    def _write(self, *, released: bool) -> None:
        with self._writing:
            if self.info.released:
                return
            path = _path(self.folder, self.number)
            # The rename comes first: on a network's file system it refreshes what this machine knows of the folder.
            if not self.lost:
                info = replace(self.info, beat=self.info.beat + 1, step=self.step, released=released)
                with contextlib.suppress(FileNotFoundError):  # a taker over clears what it finds half written
                    _write_aside(self.folder, info).replace(path)
                    self.info = info
            if self.lost or _latest(self.folder) != self.number:
                self.lost = True
                path.unlink(missing_ok=True)
                raise ClaimLost(f"{self.folder.name}: another process has taken it over")


class Taker:
    """Takes claims, and remembers what it saw of those that others hold; one for a process and sweep."""

    def __init__(self) -> None:
        self._seen: dict[Path, _Stillness] = {}

    def take(self, folder: Path, every: float = BEAT_SECONDS) -> Claim | None:
        """A claim on `folder`, to be renewed each `every` seconds; None where another process holds it.

        Raises OSError where the disk says no.
        """
        latest = _latest(folder)
        if latest is not None and not self._is_free(folder, latest, every):
            return None
        number = 0 if latest is None else latest + 1
        info = ClaimInfo(
            socket.gethostname(), _machine(), os.getpid(), _started(os.getpid()), _job(), beat=0, every=every
        )
        if not _create(_path(folder, number), info):
            return None
        self._seen.pop(folder, None)
        for old in range(number):
            _path(folder, old).unlink(missing_ok=True)
        claim = Claim(folder, number, info)
        # Of two takers, the slower may have looked before the faster made a larger one.
        return None if _latest(folder) != number else claim

    def sees_free(self, folder: Path) -> bool:
        """Whether nobody is at work in `folder`, as far as this taker has seen; takes nothing."""
        latest = _latest(folder)
        return latest is None or self._is_free(folder, latest, BEAT_SECONDS)

    def _is_free(self, folder: Path, number: int, every: float) -> bool:
        info = _read(folder, number)
        if info is None:
            return False  # removed by its successor just now
        if not info.alive:
            return True
        now, seen = time.monotonic(), self._seen.get(folder)
        if seen is None or (seen.number, seen.beat) != (number, info.beat):
            self._seen[folder] = _Stillness(number, info.beat, now)
        elif now - seen.looked >= (info.every or every):
            self._seen[folder] = replace(seen, looked=now, looks=seen.looks + 1)
        return self._seen[folder].looks >= STILL_LOOKS


@dataclass(frozen=True)
class _Stillness:
    """How often a counter was seen unchanged, and when last."""

    number: int
    beat: int
    looked: float
    looks: int = 0


class Heart:
    """Beats for claims from a thread of its own, until they are released or lost."""

    def __init__(self) -> None:
        self._claims: dict[Claim, float] = {}  # when each is due
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._silent: set[Claim] = set()  # whose disk says no, which was told

    def add(self, claim: Claim) -> None:
        """Beat for `claim` from now on."""
        with self._changed:
            self._claims[claim] = time.monotonic() + claim.info.every
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="claims", daemon=True)
                self._thread.start()
            self._changed.notify()

    def remove(self, claim: Claim) -> None:
        """Beat for it no more."""
        with self._changed:
            self._claims.pop(claim, None)

    def _run(self) -> None:
        while True:
            with self._changed:
                now = time.monotonic()
                due = [claim for claim, when in self._claims.items() if when <= now]
                for claim in due:
                    self._claims[claim] = now + claim.info.every
                if not due:
                    soonest = min(self._claims.values(), default=None)
                    self._changed.wait(None if soonest is None else soonest - now)
            for claim in due:
                try:
                    claim.beat()
                    self._silent.discard(claim)
                except ClaimLost:
                    self.remove(claim)
                except OSError as error:  # a full disk, a network gone: the next beat tries again
                    if claim not in self._silent:
                        self._silent.add(claim)
                        logging.getLogger(__name__).warning("claim of %s: %s", claim.folder.name, error)


def _path(folder: Path, number: int) -> Path:
    return folder / f"claim.{number}"


def _latest(folder: Path) -> int | None:
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return None
    numbers = [int(name[6:]) for name in names if name.startswith("claim.") and name[6:].isdecimal()]
    return max(numbers, default=None)


def _read(folder: Path, number: int | None) -> ClaimInfo | None:
    if number is None:
        return None
    try:
        return ClaimInfo(**json.loads(_path(folder, number).read_bytes()))
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ESTALE):  # its owner, or the next, has just put another in its place
            return None
        raise
    except (ValueError, TypeError):
        return ClaimInfo()  # torn by a crash of the machine, or of another version: the counter stands still


def _create(path: Path, info: ClaimInfo) -> bool:
    """Make `path`, whole; False where it is there already."""
    temporary = _write_aside(path.parent, info)
    try:
        os.link(temporary, path)
    except FileExistsError:
        with contextlib.suppress(FileNotFoundError):  # who holds it now has cleared our half-made one away
            # Made by us: a network's file system may lose the answer and ask again.
            return temporary.stat().st_nlink == 2
        return False
    except OSError:  # a file system without links
        try:
            with path.open("x") as file:
                file.write(_text(info))
        except FileExistsError:
            return False
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _write_aside(folder: Path, info: ClaimInfo) -> Path:
    temporary = folder / f".claim.{secrets.token_hex(4)}.tmp"
    try:
        temporary.write_text(_text(info))
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _text(info: ClaimInfo) -> str:
    return json.dumps(asdict(info))


def _job() -> str | None:
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array else os.environ.get("SLURM_JOB_ID")


@functools.cache
def _machine() -> str | None:
    """Names this boot of this machine and the name space of its processes; None where the system has no such names."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return None


def _started(pid: int) -> str | None:
    """When the process of that number began, in ticks since the boot; None where there is none, or only its corpse."""
    try:
        # The name, in parentheses, may hold anything.
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return None if state in "ZX" else fields[18]
