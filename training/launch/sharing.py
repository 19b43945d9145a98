"""How many worker processes share a GPU, decided from the plan: by what one leaves idle, and by memory.

A step of a small model keeps the host busier with launching operators than the GPU with computing them. The constants,
here and of a step's time (durations.py), are assumptions for a card of H100's kind: none was measured on a GPU yet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..config import SweepConfig
from ..corpus.parallel import usable_cores
from ..durations import gpu_step_seconds
from ..plan import RunPlan
from .devices import free_memory, mps_is_running

PROCESS_BYTES = 600 << 20  # what a process takes of a GPU before its first tensor
SHARE_OF_MEMORY = 0.9
MOST = 8  # processes a GPU with MPS
MOST_BY_TURNS = 2  # without it one runs at a time: a second fills the other's pauses (scoring, saving, building)
MPS_COMMAND = "nvidia-cuda-mps-control -d"


@dataclass(frozen=True)
class Sharing:
    """What was chosen, and why in a line for the user; no words where there is no GPU."""

    per_gpu: int
    words: str


def share_gpus(
    config: SweepConfig,
    stacks: Sequence[Sequence[RunPlan]],
    gpus: Sequence[str],
    memory: Callable[[Sequence[RunPlan]], float],
) -> Sharing:
    """How many workers each of `gpus` gets for `stacks`, each the cells that are trained as one (or one alone).

    `memory` says what a stack takes of a GPU, in bytes. `execution.workers` and `workers_per_gpu`, where they are
    numbers, are followed. On `auto` there are as many as a GPU takes to be as busy as the hosts can make it, and no
    more than its free memory, the cores and the number of stacks allow.
    """
    execution = config.execution
    if not gpus:
        return Sharing(1, "")
    if execution.workers is not None or execution.workers_per_gpu != "auto":
        asked = execution.workers_per_gpu if execution.workers_per_gpu != "auto" else 1
        per_gpu = asked if execution.workers is None else -(-execution.workers // len(gpus))
        return Sharing(per_gpu, _words(per_gpu, len(gpus), "as configured"))
    most = MOST if mps_is_running() else MOST_BY_TURNS
    limits = {
        "by what a step asks of host and GPU": _to_fill(stacks, config.recipe.precision),
        "by memory": _that_fit(stacks, gpus, memory),
        "by CPU cores": usable_cores() // execution.threads // len(gpus),
        "by the number of cells": -(-len(stacks) // len(gpus)),
        f"{most} at most": most,
    }
    reason = min(limits, key=lambda name: limits[name])
    per_gpu = max(1, limits[reason])
    return Sharing(per_gpu, _words(per_gpu, len(gpus), reason))


def _to_fill(stacks: Sequence[Sequence[RunPlan]], precision: str) -> int:
    """The time of one worker alone over the time that the GPU computes in it."""
    alone = busy = 0.0
    for stack in stacks:
        host, device = gpu_step_seconds(stack[0], precision)
        alone += stack[0].steps * max(host, device * len(stack))
        busy += stack[0].steps * device * len(stack)
    return round(alone / busy) if busy else 1


def _that_fit(stacks: Sequence[Sequence[RunPlan]], gpus: Sequence[str], memory: Callable) -> int:
    """As many of the largest at once as the GPU with the least free memory holds; 1 where that is not known."""
    free = free_memory(gpus)
    if free is None:
        return 1
    largest = max((memory(stack) for stack in stacks), default=0.0)
    return math.floor(SHARE_OF_MEMORY * free / (largest + PROCESS_BYTES))


def _words(per_gpu: int, n_gpus: int, reason: str) -> str:
    words = f"{per_gpu} worker{'s' if per_gpu > 1 else ''} a GPU on {n_gpus} GPU{'s' if n_gpus > 1 else ''} ({reason})"
    if per_gpu > 1 and not mps_is_running():
        words += f"; they take turns on it, as CUDA MPS is not running: `{MPS_COMMAND}` starts it"
    return words
