"""Where and how cells run, and where they are mirrored."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .parts import Part, Positive, PositiveInt


class Execution(Part):
    """Where and how cells run. Nothing here changes a loss beyond rounding; nothing here is in a run's id."""

    executor: Literal["local", "inline"] = "local"
    workers: PositiveInt | None = None  # default: one a visible GPU, else cores / threads
    threads: PositiveInt = 1  # CPU threads of a worker: rounding, and so the last digits, depend on it
    device: Literal["auto", "cpu", "cuda"] = "auto"
    kernels: Literal["auto", "transformers"] = "auto"  # auto: on a CPU, steps written out (fused.py)
    micro_batch: PositiveInt | None = None  # sequences a device at a time; default: the whole batch
    deterministic: bool = True
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 30.0  # what a kill may cost
    log_points: PositiveInt = 100  # rows of a cell's training curve


class Wandb(Part):
    """A mirror of the records; losing it loses nothing."""

    mode: Literal["offline", "online", "disabled"] = "offline"  # WANDB_MODE overrides the first two
    project: str = "isoflop"
    entity: str | None = None
    timeout: Positive = 10.0  # seconds that a server which does not answer may cost a process
