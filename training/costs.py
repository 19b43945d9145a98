"""What a sweep costs before it is trained: seconds, device-hours, money, and how the throughput is known. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .durations import cell_seconds, measured_step_seconds, seconds_to_end
from .launch.devices import visible_gpus, worker_count
from .plan import Plan, RunPlan

_ESTIMATED = {
    "cpu": "estimated by a formula that was within 1.3 times of what a server's core took",
    "cuda": "assumed for a GPU of H100's kind: never measured here; give --tflops, or --mfu and --peak",
}
_KINDS = {"cuda": "GPU"}


@dataclass(frozen=True)
class Throughput:
    """What one device was said to reach, in exact training FLOPs a second, and in words where that is from."""

    flops_per_second: float
    source: str


@dataclass(frozen=True)
class Bill:
    """What some cells cost. `wall_seconds` is of training alone, on all devices; `price` in the user's currency."""

    cells: int
    flops: float  # in the grid's convention, what trunks share counted once
    wall_seconds: float
    device_hours: float
    price: float | None


@dataclass(frozen=True)
class Costs:
    """Seconds of each cell of a plan alone on one device, by run id, and how many devices there are for them.

    A device is a GPU, or one worker of a CPU: `execution.threads` of its cores. Starting workers and the fit are not
    counted.
    """

    plan: Plan
    seconds: Mapping[str, float]
    over: frozenset[str]  # run ids of cells that have a record
    kind: str  # of a device, in words: "GPU", "CPU core", ...
    devices: int
    source: str  # of the seconds
    price_per_hour: float | None = None  # of a device

    @property
    def whole(self) -> Bill:
        """Of all cells, trained or not."""
        return self._bill(self.plan.cells)

    @property
    def to_go(self) -> Bill:
        """Of the cells without a record."""
        return self._bill([cell for cell in self.plan.cells if cell.run_id not in self.over])

    def _bill(self, cells: Iterable[RunPlan]) -> Bill:
        cells = list(cells)
        seconds = [self.seconds[cell.run_id] for cell in cells]
        hours = sum(seconds) / 3600
        price = None if self.price_per_hour is None else hours * self.price_per_hour
        flops = sum(cell.own_flops for cell in cells)
        return Bill(len(cells), flops, seconds_to_end([0.0] * self.devices, seconds) or 0.0, hours, price)

    def to_json(self) -> dict[str, Any]:
        """As `plan.py --json` writes it."""
        names = ("kind", "devices", "source", "price_per_hour", "seconds")
        return {name: getattr(self, name) for name in names} | {
            "whole": asdict(self.whole),
            "to_go": asdict(self.to_go),
        }


def sweep_costs(
    plan: Plan,
    device: str,
    records: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    devices: int | None = None,
    throughput: Throughput | None = None,
    price_per_hour: float | None = None,
) -> Costs:
    """The costs of `plan` on `devices` of the kind `device`, "cpu" or "cuda".

    `records` are the sweep's own by run id: their cells are over, and scale the others' seconds where no `throughput`
    (of one device) is given. `devices` defaults to what the sweep would be trained on if it began here and now, and to
    one of a given throughput.
    """
    records = records or {}
    if throughput is None:
        seconds, source = cell_seconds(plan, device, records.values()), _estimated(device, records)
    else:
        seconds = {cell.run_id: _own_exact_flops(cell) / throughput.flops_per_second for cell in plan.cells}
        source = throughput.source
    over = frozenset(cell.run_id for cell in plan.cells if cell.run_id in records)
    if throughput is not None:  # of any device: not of those here
        kind, there = "device", 1
    else:
        kind, there = _KINDS.get(device) or _core(plan), planned_devices(plan, device)
    return Costs(plan, seconds, over, kind, devices or there, source, price_per_hour)


def planned_devices(plan: Plan, device: str) -> int:
    """How many devices of the kind are at work at once: GPUs, or workers of a CPU; tasks on Slurm."""
    execution = plan.config.execution
    if execution.executor == "slurm":
        return min(execution.slurm.max_parallel, len(plan.cells))
    if execution.executor == "inline":
        return 1
    if device == "cuda":
        return max(1, len(visible_gpus(execution)))
    return min(worker_count(execution, ()), len(plan.cells))


def _core(plan: Plan) -> str:
    threads = plan.config.execution.threads
    return "CPU core" if threads == 1 else f"group of {threads} CPU cores"


def _estimated(device: str, records: Mapping[str, Mapping[str, Any]]) -> str:
    timed = sum(measured_step_seconds(record, device) is not None for record in records.values())
    if not timed:
        return _ESTIMATED[device]
    return f"scaled by {timed} finished {'record' if timed == 1 else 'records'} of this sweep"


def _own_exact_flops(cell: RunPlan) -> float:
    return cell.counts.flops_per_token["exact"] * cell.batch_tokens * (cell.steps - cell.shared_steps)
