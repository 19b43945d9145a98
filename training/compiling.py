"""When torch.compile pays back, by a rule from the plan alone, so that a resumed run decides as it did before.

Measured on one CPU core that others used too, transformers' Llama in fp32, 8 sequences of 128: compiled whole, a step
of 2 blocks gains 1.22, 1.22 and 1.13 at width 64, 128 and 256; that takes 22 to 35 s, and 49 s with 6 blocks. Compiled
block by block it gains 1.12, 1.17 and 1.06 and takes 13 to 35 s, 18 s with 6 blocks. Both pay back after some minutes
of training, and from there on the whole saves more. For a GPU every constant is an assumption, none measured yet.
"""

from __future__ import annotations

import logging
import os
import shutil
from contextlib import AbstractContextManager
from functools import cache
from importlib.util import find_spec

import torch
from torch import nn

from ..fitting.errors import InputError
from .config import SweepConfig
from .durations import gpu_step_seconds
from .plan import RunPlan

COMPILE_SECONDS = 20.0  # of a new shape, and for each block
COMPILE_SECONDS_A_BLOCK = 5.0
GAIN = {"cpu": 1.18, "cuda": 1.5}  # eager over compiled time of a step
MARGIN = 2.0  # it has to save so many times what it costs
CPU_FLOPS = 2.5e10  # a second and thread, of transformers' models at widths of 64 and more

log = logging.getLogger(__name__)


def pays(cell: RunPlan, config: SweepConfig, device: torch.device) -> bool:
    """Whether the cell's steps are to be compiled: as `execution.compile` says, on auto where it saves time.

    That is where training, as long as its FLOPs let expect, would be shorter by `MARGIN` times the compilation. Cells
    of a trunk are left alone on a CPU, since they are to agree to the bit whatever their lengths are.

    Raises:
        InputError: `on`, where what compiles is missing.
    """
    choice = config.execution.compile
    if choice == "off":
        return False
    if choice == "auto":
        seconds = expected_seconds(cell, config, device)
        cost = COMPILE_SECONDS + COMPILE_SECONDS_A_BLOCK * cell.shape.depth
        saved = seconds * (1 - 1 / GAIN.get(device.type, 1.0))
        if saved < MARGIN * cost or (cell.trunk is not None and device.type == "cpu"):
            return False
    missing = missing_for(device)
    if missing and choice == "on":
        raise InputError(f"execution.compile: is on, and {missing}; install it, or set it to auto or off")
    if missing:
        _warn(f"torch.compile would save time, and {missing}: training goes on without")
    return not missing


def expected_seconds(cell: RunPlan, config: SweepConfig, device: torch.device) -> float:
    """Training time of the cell uncompiled, by its FLOPs and assumed rates."""
    if device.type == "cpu":
        return cell.own_flops / (CPU_FLOPS * config.execution.threads)
    own_steps = cell.steps - cell.shared_steps
    return own_steps * max(gpu_step_seconds(cell, config.recipe.precision))


def compile_in_place(model: nn.Module, config: SweepConfig) -> None:
    """Have `model` compile itself when it is first called, all but its head; its parameters keep their names.

    A model whose code cannot be compiled goes on uncompiled, unless `execution.compile` is on.
    """
    # Of one class's code torch keeps eight shapes, then no more are compiled: each cell begins anew. What was compiled
    # for the same shape before comes from the cache on the disk.
    torch.compiler.reset()
    torch._dynamo.config.suppress_errors = config.execution.compile == "auto"
    body = getattr(model, "base_model", model)  # kernels/head.py calls it by itself; a factory's model has none
    body.compile(dynamic=False)


def uncompiled() -> AbstractContextManager[object]:
    """Inside, models run as written: scoring has other shapes, which are not worth compiling."""
    return torch.compiler.set_stance("force_eager")


def missing_for(device: torch.device) -> str:
    """What torch.compile lacks to make code for `device`; "" where nothing."""
    if not any(map(shutil.which, filter(None, (os.environ.get("CXX"), "g++", "clang++", "gcc")))):
        return "there is no C++ compiler (g++, clang++)"
    if device.type == "cuda" and find_spec("triton") is None:
        return "there is no Triton"
    return ""


@cache
def _warn(message: str) -> None:
    log.warning("%s", message)
