"""How long a cell takes, before it is trained and while its sweep is: what tasks are packed by, and the time left.

An estimate by the plan alone, a step's overhead and its arithmetic, which the sweep's own finished records then scale:
near sizes know best how far it is off on the machine at hand.
"""

from __future__ import annotations

import bisect
import heapq
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from .config import SweepConfig
from .memory import is_written_out
from .plan import Plan, RunPlan

# On a CPU, for one process of one thread: measured on a server core (docs/results/speed/cpu.json; docs/results/demo),
# within 1.3 times at widths 8 to 284. Seconds: of a step, and of each of its blocks.
OVERHEAD = {"fused": (0.3e-3, 0.1e-3), "transformers": (0.9e-3, 0.8e-3)}
CPU_FLOPS = 7e10  # exact FLOPs a second
# On a GPU: operators of a training step of transformers' Llama that are not views were counted by torch's dispatcher;
# the other constants are assumptions for a card of H100's kind.
OPERATORS_A_STEP = 65
OPERATORS_A_BLOCK = {"fp32": 93, "bf16": 127}
SECONDS_AN_OPERATOR = 8e-6  # of the host, autograd and Python's share with it
USEFUL_FLOPS = {"fp32": 3e13, "bf16": 2e14}  # a second, of the models that are too small for the whole card

CELL_SECONDS = {"cpu": 0.02, "cuda": 0.5}  # beside its steps, to build, score and record it; cuda: assumed
ENOUGH = 3  # records whose median is believed
TIMED = ("run_id", "tokens", "batch_tokens", "begun_at_step", "wall_seconds", "machine")  # what is read of a record


def cell_seconds(plan: Plan, device: str, records: Iterable[Mapping[str, Any]] = ()) -> dict[str, float]:
    """Seconds that each cell of `plan` takes alone on one `device`, "cpu" or "cuda", by run id.

    A cell of a trunk takes the steps that no earlier cell of its trunk does. `records` are those of the sweep: each
    measured duration over its estimate is a ratio, and a cell's estimate is scaled by the median of those of the
    nearest sizes, three records at least where there are so many. A record of a stack says its share of the stack's
    time, and so scales its like to shares. Records of other cells, of other kinds of device and of no steps are passed
    over.
    """
    config, cells = plan.config, {cell.run_id: cell for cell in plan.cells}
    step = {run_id: _step_seconds(cell, config, device) for run_id, cell in cells.items()}
    ratios: dict[float, list[float]] = {}  # by the logarithm of a step's FLOPs
    for record in records:
        cell = cells.get(record.get("run_id", ""))
        seconds = None if cell is None else measured_step_seconds(record, device)
        if cell is not None and seconds:
            ratios.setdefault(_size(cell), []).append(seconds / step[cell.run_id])
    scales = {size: _nearest(ratios, size) for size in {_size(cell) for cell in cells.values()}}
    return {
        run_id: CELL_SECONDS[device] + (cell.steps - cell.shared_steps) * step[run_id] * scales[_size(cell)]
        for run_id, cell in cells.items()
    }


def measured_step_seconds(record: Mapping[str, Any], device: str) -> float | None:
    """What a step took by a finished or diverged record; None where it does not say, or not of this `device`."""
    machine = record.get("machine") or {}
    if not record.get("wall_seconds") or (machine.get("device") == "cpu") != (device == "cpu"):
        return None
    steps = record["tokens"] / record["batch_tokens"] - (record.get("begun_at_step") or 0)
    return record["wall_seconds"] / steps if steps > 0 else None


def device_of(plan: Plan, records: Iterable[Mapping[str, Any]] = ()) -> str:
    """Where the plan's cells are trained, "cpu" or "cuda": by a record that says so, else by config and machine."""
    for record in records:
        if kind := (record.get("machine") or {}).get("device"):
            return "cpu" if kind == "cpu" else "cuda"
    wanted = plan.config.execution.device
    has_gpu = any(Path("/dev").glob("nvidia[0-9]*"))
    return wanted if wanted != "auto" else "cuda" if has_gpu else "cpu"


def seconds_to_end(at_work: Iterable[float], waiting: Iterable[float]) -> float | None:
    """When a sweep is done whose workers are busy for `at_work` more seconds each, and cells of `waiting` seconds wait.

    The longest is taken first by whoever is free first, as launchers hand them out. None where nobody is at work.
    """
    loads = list(at_work)
    if not loads:
        return None
    heapq.heapify(loads)
    for seconds in sorted(waiting, reverse=True):
        heapq.heapreplace(loads, loads[0] + seconds)
    return max(loads)


def gpu_step_seconds(cell: RunPlan, precision: str) -> tuple[float, float]:
    """What a step is assumed to keep the host and the GPU busy for, one beside the other; seconds."""
    operators = OPERATORS_A_STEP + OPERATORS_A_BLOCK[precision] * cell.shape.depth
    return operators * SECONDS_AN_OPERATOR, cell.flops / cell.steps / USEFUL_FLOPS[precision]


def _step_seconds(cell: RunPlan, config: SweepConfig, device: str) -> float:
    if device != "cpu":
        return max(gpu_step_seconds(cell, config.recipe.precision))
    a_step, a_block = OVERHEAD["fused" if is_written_out(cell, config, device) else "transformers"]
    flops = cell.counts.flops_per_token["exact"] * cell.batch_tokens
    return a_step + a_block * cell.shape.depth + flops / CPU_FLOPS


def _size(cell: RunPlan) -> float:
    return math.log(cell.counts.flops_per_token["exact"] * cell.batch_tokens)


def _nearest(ratios: Mapping[float, list[float]], size: float) -> float:
    """The median ratio of the nearest sizes that have `ENOUGH` records together, or of all; 1 where there is none."""
    sizes = sorted(ratios)
    right = bisect.bisect_left(sizes, size)
    left, found = right - 1, list[float]()
    while len(found) < ENOUGH and (left >= 0 or right < len(sizes)):
        if right == len(sizes) or (left >= 0 and size - sizes[left] < sizes[right] - size):
            found += ratios[sizes[left]]
            left -= 1
        else:
            found += ratios[sizes[right]]
            right += 1
    return median(found) if found else 1.0
