"""What is asked of Slurm for a sweep's tasks."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from .parts import Part, Positive, PositiveInt

SIGNAL_SLACK = 60  # seconds by which Slurm may send a signal earlier than asked
_TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<parts>\d+(?::\d+){0,2})")


def minutes_of(text: str) -> float:
    """Minutes of a time in Slurm's forms: M, M:S, H:M:S, D-H, D-H:M, D-H:M:S. Raises ValueError for other text."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is none of Slurm's times, as 90, 1:30:00 or 2-12 (two and a half days)")
    parts = [int(part) for part in found["parts"].split(":")]
    if found["days"] is None and len(parts) < 3:
        parts = [0, *parts]  # minutes come first
    hours, minutes, seconds = (*parts, 0, 0)[:3]
    return 1440.0 * int(found["days"] or 0) + 60.0 * hours + minutes + seconds / 60


def _as_text(minutes: Any) -> Any:
    return str(minutes) if type(minutes) is int else minutes


def _time(text: str) -> str:
    if minutes_of(text) < 1:
        raise ValueError(f"{text!r} is less than a minute, the least that Slurm grants")
    return text


def _option(text: str) -> str:
    if not re.fullmatch(r"--[a-z][a-z-]*(=.+)?", text):
        raise ValueError(f"{text!r} is no option of sbatch, as --exclude=node7 or --exclusive")
    return text


Word = Annotated[str, Field(pattern=r"^\S+$")]
Time = Annotated[str, BeforeValidator(_as_text), AfterValidator(_time)]
Option = Annotated[str, AfterValidator(_option)]


class Large(Part):
    """Cells that one device would take too long for: each a task of its own, by `accelerate launch`."""

    above_hours: Positive = 4.0  # on one device, by the plan's estimate
    processes: PositiveInt = 8  # of a node: its GPUs, or CPU processes
    nodes: PositiveInt = 1


class Slurm(Part):
    """Tasks of a job array. What is not said here is the cluster's default."""

    partition: Word | None = None
    account: Word | None = None
    qos: Word | None = None
    constraint: Word | None = None
    gres: Word | None = None  # of a task, as gpu:a100:1; default: gpu:1 where execution.device is cuda, else none
    cpus: PositiveInt | None = None  # of a task; default: execution.threads
    mem: Word | None = None  # of a task, as 16G; default: on a CPU by the plan's estimate
    time: Time | None = None  # of a task; default: three times its estimate and an hour, if the partition allows it
    signal_seconds: PositiveInt = 90  # so long before the limit its cells stop at a checkpoint, and it is requeued
    max_parallel: PositiveInt = 32  # tasks at a time
    task_minutes: Positive = 30.0  # small cells are packed into tasks of so much work
    attempts: PositiveInt = 3  # at a cell that takes its task down with it
    extra: list[Option] = Field(default_factory=list)  # further options of sbatch, as --exclude=node7
    setup: list[str] = Field(default_factory=list)  # lines of shell before a task starts, as `module load cuda`
    large: Large | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Slurm:
        least = self.signal_seconds + SIGNAL_SLACK
        if self.time is not None and 60 * minutes_of(self.time) <= least:
            raise ValueError(
                f"time: must be more than {least} s, signal_seconds and the {SIGNAL_SLACK} s by which Slurm may signal "
                f"earlier, got {self.time!r}"
            )
        if self.large is not None and "," in (self.gres or ""):
            raise ValueError(f"gres: must be one resource where large multiplies it, got {self.gres!r}")
        return self
