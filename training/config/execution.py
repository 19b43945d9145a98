"""Where and how cells run, and where they are mirrored."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .parts import Part, Positive, PositiveInt
from .slurm import Slurm


class Execution(Part):
    """Where and how cells run. Nothing here changes a loss beyond rounding; nothing here is in a run's id."""

    executor: Literal["local", "inline", "slurm"] = "local"
    workers: PositiveInt | None = None  # default: on GPUs workers_per_gpu for each, else cores / threads
    workers_per_gpu: Literal["auto"] | PositiveInt = "auto"  # processes sharing one; auto: by the cells' size
    stack: Literal["auto", "off"] | PositiveInt = "auto"  # so many cells of one shape, batch and length trained as one
    threads: PositiveInt = 1  # CPU threads of a worker: rounding, and so the last digits, depend on it
    device: Literal["auto", "cpu", "cuda"] = "auto"
    kernels: Literal["auto", "transformers"] = "auto"  # auto: on a CPU, steps written out (kernels/fused.py)
    compile: Literal["auto", "on", "off"] = "auto"  # torch.compile; auto: where the cell is long enough to pay it back
    micro_batch: PositiveInt | None = None  # sequences a device at a time; default: the whole batch
    memory_gib: Positive | None = None  # of this machine, for all workers on its CPU; default: all that it has
    deterministic: bool = True
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 30.0  # what a kill may cost
    heartbeat_seconds: Positive = 10.0  # between signs of life; a cell whose owner gives none for four is taken over
    max_seconds: Positive | None = None  # a cell that takes longer in one launch is left for the next one
    keep_weights: bool = True  # of finished cells, in fp32: what `scripts/export.py` needs
    keep_trunks: bool = True  # the states that budgets branch from, so that another budget needs no trunk anew
    log_points: PositiveInt = 100  # rows of a cell's training curve
    slurm: Slurm = Slurm()


class Wandb(Part):
    """A mirror of the records; losing it loses nothing."""

    mode: Literal["offline", "online", "disabled"] = "offline"  # WANDB_MODE overrides the first two
    project: str = "isoflop"
    entity: str | None = None
    timeout: Positive = 10.0  # seconds that a server which does not answer may cost a process
