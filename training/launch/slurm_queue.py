"""What Slurm's own commands say of jobs and partitions. Each answers in bounded time, or not at all."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

from ..config.slurm import minutes_of

ANSWER_SECONDS = 20.0
WAITS_FOR_EVER = (  # reasons why a task would never start, which Slurm keeps in the queue all the same
    "PartitionConfig",
    "PartitionTimeLimit",
    "PartitionNodeLimit",
    "InvalidAccount",
    "InvalidQOS",
    "BadConstraints",
    "MaxWallDurationPerJobLimit",
    "MaxCpuPerJobLimit",
    "MaxMemPerJobLimit",
    "MaxGRESPerJob",
    "JobHoldMaxRequeue",
    "DependencyNeverSatisfied",
    "PartitionDown",
    "held",
    "Held",
)


@dataclass(frozen=True)
class QueueEntry:
    """A task in Slurm's queue."""

    name: str  # of its job
    state: str  # PENDING, RUNNING, COMPLETING, ...
    reason: str  # why it waits, or the nodes it is on

    @property
    def waits_for_ever(self) -> bool:
        """Whether it will not start by itself."""
        return self.state == "PENDING" and any(reason in self.reason for reason in WAITS_FOR_EVER)


def is_here() -> bool:
    """Whether this machine can submit jobs."""
    return shutil.which("sbatch") is not None and shutil.which("srun") is not None


def tasks_in_queue(names: Iterable[str]) -> dict[str, QueueEntry] | None:
    """The tasks of the jobs of these names that wait, run or are being cleaned up, by id (123 or 123_4).

    None where Slurm does not answer: then nothing is known of them.
    """
    names = list(names)
    if not names:
        return {}
    table = ask(["squeue", "--noheader", "--array", "--name", ",".join(names), "--format", "%i|%j|%T|%R"])
    if table is None:
        return None
    rows = [line.split("|", 3) for line in table.splitlines()]
    return {row[0].strip(): QueueEntry(*(entry.strip() for entry in row[1:])) for row in rows if len(row) == 4}


def why_ended(job: str) -> str:
    """How Slurm's accounting says that a task ended, in a word or two; empty where it does not say."""
    table = ask(["sacct", "--noheader", "--allocations", "--parsable2", "--jobs", job, "--format", "State,ExitCode"])
    rows = (table or "").split("\n")[0].split("|")
    if len(rows) != 2 or rows[0] in ("", "RUNNING", "PENDING", "COMPLETED"):
        return ""
    code, _, number = rows[1].partition(":")
    how = f"signal {number}" if number not in ("", "0") else f"status {code}"
    return f"{rows[0]}, {how}"


def cancel(names: Iterable[str], *, waiting: bool = False) -> bool:
    """End the jobs of these names, or only their tasks that wait; False where Slurm does not answer."""
    which = ["--state", "PENDING"] if waiting else []
    answers = [ask(["scancel", *which, "--name", name]) for name in names]
    return None not in answers


def requeue_if_running(job: str) -> bool:
    """Send a running job back to the queue; False where it is not known to run, as one that was cancelled."""
    # Slurm would requeue a cancelled job too: its state tells the two apart.
    state = ask(["squeue", "--noheader", "--jobs", job, "--format", "%T"])
    return (state or "").strip() == "RUNNING" and ask(["scontrol", "requeue", job]) is not None


def longest_minutes(partition: str | None) -> float | None:
    """The time limit of a partition (default: the cluster's default one); None where it has none or is not known."""
    text = _column(partition, "%l")
    try:
        return min((minutes_of(entry) for entry in text if entry != "infinite"), default=None)
    except ValueError:
        return None


def most_memory(partition: str | None) -> int | None:
    """Bytes of the largest node of a partition; None where that is not known, as where no RealMemory is configured."""
    sizes = [int(entry.rstrip("+")) for entry in _column(partition, "%m", "--Node") if entry.rstrip("+").isdecimal()]
    largest = max(sizes, default=1)
    return largest << 20 if largest > 1 else None  # 1 MiB is what Slurm says of a node that it was not told of


def most_array_tasks() -> int:
    """How many tasks an array may have."""
    for line in (ask(["scontrol", "show", "config"]) or "").splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "MaxArraySize" and value.strip().isdecimal():
            return max(1, int(value) - 1)
    return 1000  # Slurm's default


def _column(partition: str | None, field: str, *options: str) -> list[str]:
    """One of sinfo's columns for a partition, a value a line."""
    chosen = ["--partition", partition] if partition else []
    table = ask(["sinfo", "--noheader", *options, *chosen, "--format", f"%P|{field}"]) or ""
    rows = [line.split("|") for line in table.splitlines() if line.count("|") == 1]
    return [value.strip() for name, value in rows if partition or name.strip().endswith("*")]


def ask(command: list[str]) -> str | None:
    """What one of Slurm's commands prints; None where it is not there, fails or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=ANSWER_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
