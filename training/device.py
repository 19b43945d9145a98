"""The device of this process: made ready once, described for the record; what running out of memory looks like."""

from __future__ import annotations

import gc
import os
import resource
import socket
from typing import Any

import torch
from accelerate import Accelerator

from ..fitting.errors import InputError
from .config import SweepConfig
from .memory import micro_batch_for
from .peak import known_peak
from .plan import RunPlan

SHARE_OF_MEMORY = 0.9  # of a card that one cell may be expected to take


def make_accelerator(config: SweepConfig) -> Accelerator:
    """The one Accelerator of this process, on the configured device, with threads and determinism set."""
    execution = config.execution
    torch.set_num_threads(execution.threads)
    if execution.device == "cuda" and not torch.cuda.is_available():
        raise InputError("execution.device: is cuda, and torch sees no CUDA device here; set it to cpu or auto")
    use_cpu = execution.device == "cpu" or (execution.device == "auto" and not torch.cuda.is_available())
    if not use_cpu and execution.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        # Nothing here reads what it has not written.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    # What is imported by now stays: without this, the garbage collection after each cell looks at all of it.
    gc.collect()
    gc.freeze()
    precision = "no" if config.recipe.precision == "fp32" else config.recipe.precision
    accelerator = Accelerator(cpu=use_cpu, mixed_precision=precision)
    _peak(accelerator)  # measured once a process, before there is anything else to do
    return accelerator


def machine(accelerator: Accelerator) -> dict[str, Any]:
    """Where this process trains, for the record. Memory is the peak of the device, or of the process on a CPU."""
    device = accelerator.device
    return {
        "host": socket.gethostname(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "n_processes": accelerator.num_processes,
        "threads": torch.get_num_threads(),
        "matmul_flops_per_second": _peak(accelerator),
        "peak_memory_bytes": peak_memory(device),
    }


def _peak(accelerator: Accelerator) -> float:
    precision = "bf16" if accelerator.mixed_precision == "bf16" else "fp32"
    return known_peak(accelerator.device, precision, torch.get_num_threads())


def first_micro_batch(cell: RunPlan, config: SweepConfig, device: torch.device, members: int) -> int:
    """Sequences to take at a time until memory says otherwise: as configured, or what the formula lets expect to fit.

    It goes by the card's size, not by what happens to be free, so that a resumed run takes as many.
    """
    if config.execution.micro_batch is not None or device.type != "cuda":
        return config.execution.micro_batch or cell.batch_sequences
    room = int(SHARE_OF_MEMORY * torch.cuda.get_device_properties(device).total_memory)
    return micro_batch_for(cell, config, device="cuda", room=room, members=members)


def start_peak(device: torch.device) -> None:
    """A cell begins: forget the peak of earlier ones, where that can be done."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> int:
    """Bytes: of the device since the cell began, or of this process in all its life on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed, on a GPU or on the CPU."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    )


def memory_words(device: torch.device) -> str:
    """How much was in use, and of how much."""
    peak = peak_memory(device) / 2**30
    if device.type == "cuda":
        return (
            f"{peak:.2f} of {torch.cuda.get_device_properties(device).total_memory / 2**30:.1f} GiB in use at the peak"
        )
    return f"the process used {peak:.2f} GiB at its peak"


def release(accelerator: Accelerator) -> None:
    """Give back what a cell held."""
    accelerator.free_memory()
    if accelerator.device.type == "cuda":
        torch.cuda.empty_cache()
