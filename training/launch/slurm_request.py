"""What is asked of Slurm for a sweep's cells: how many tasks, of what size, for how long."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...fitting.errors import InputError
from ..config import SweepConfig
from ..config.slurm import SIGNAL_SLACK, Slurm, minutes_of
from ..durations import cell_seconds
from ..memory import cell_memory, process_memory
from ..plan import Plan, RunPlan
from ..records import SweepFolder
from ..stacking import Order
from . import slurm_queue
from .packing import order_seconds, pack, units_of

MARGIN = 1.25  # of memory, over the plan's estimate
LAUNCHER_BYTES = 300 << 20  # of a task beside its workers
UNKNOWN = 3.0  # times its estimate that a task may take
START_MINUTES = 60.0  # that it may take besides


@dataclass(frozen=True)
class Request:
    """An array of tasks that are alike."""

    tasks: list[list[Order]]
    limit_minutes: float
    parallel: int  # at a time
    memory: int | None  # bytes a task; None: the cluster's default
    cpus: int | None  # a task
    gres: str | None
    processes: int = 1  # of each cell, on each node
    nodes: int = 1


def task_device(config: SweepConfig) -> str:
    """Where tasks train: "cuda" where the config says so or asks Slurm for GPUs, else "cpu"."""
    execution = config.execution
    asks = execution.device == "cuda" or (execution.slurm.gres or "").startswith("gpu") or _gpus_in_extra(config)
    return "cuda" if asks and execution.device != "cpu" else "cpu"


def requests_for(plan: Plan, sweep: SweepFolder, orders: Sequence[Order], *, busy: int) -> list[Request]:
    """The arrays that train `orders`, while `busy` other tasks of the sweep are in the queue.

    Fewer where `max_parallel` has no room for more; the caller asks again. Raises InputError for a cell that no node of
    the partition has the memory for.
    """
    free = plan.config.execution.slurm.max_parallel - busy
    if not orders or free <= 0:
        return []
    settings, device = plan.config.execution.slurm, task_device(plan.config)
    records = (sweep.read_record(cell.run_id) or {} for cell in plan.cells)
    seconds = cell_seconds(plan, device, (record for record in records if record.get("status") == "finished"))
    small, large = _parted(plan.config, orders, seconds)
    shares = _shares([sum(order_seconds(order, seconds) for order in part) for part in (small, large)], free)
    longest, most = slurm_queue.longest_minutes(settings.partition), slurm_queue.most_array_tasks()
    requests = []
    for part, parallel in zip((small, large), shares, strict=True):
        if not part or not parallel:
            continue
        n = (settings.large.processes, settings.large.nodes) if settings.large and part is large else (1, 1)
        target = 60 * settings.task_minutes
        if settings.time:
            target = min(target, 30 * minutes_of(settings.time))  # half of it: it is an estimate
        if part is large:
            tasks = units_of(part)[:most]
        else:
            tasks = pack(part, seconds, target=target, parallel=parallel, most=most)
        slowest = max(sum(order_seconds(order, seconds) for order in task) for task in tasks) / (n[0] * n[1])
        requests.append(
            Request(
                tasks,
                limit_minutes=_limit(settings, slowest / 60, longest),
                parallel=parallel,
                memory=_memory(plan, part, device, n[0]),
                cpus=_cpus(plan.config, device, n[0]),
                gres=_gres(plan.config, device, n[0]),
                processes=n[0],
                nodes=n[1],
            )
        )
    return requests


def _shares(work: Sequence[float], free: int) -> list[int]:
    """How many of `free` tasks at a time each kind of cells gets, by its work; of one, all goes to what has most."""
    kinds = [i for i, seconds in enumerate(work) if seconds > 0]
    most = max(kinds, key=lambda i: work[i], default=0)
    shares = [0] * len(work)
    if free >= len(kinds):
        for i in kinds:
            shares[i] = max(1, int(free * work[i] / sum(work)))
    shares[most] += free - sum(shares)
    return shares


def _parted(
    config: SweepConfig, orders: Sequence[Order], seconds: Mapping[str, float]
) -> tuple[list[Order], list[Order]]:
    """The orders for one device, and those of single cells for several processes."""
    large = config.execution.slurm.large
    if large is None:
        return list(orders), []
    long = [order for order in orders if seconds[order[0].run_id] > 3600 * large.above_hours]
    alone = [(cell,) for order in long for cell in order]
    few = next((cell for (cell,) in alone if cell.batch_sequences < large.processes * large.nodes), None)
    if few is not None:
        raise InputError(
            f"execution.slurm.large: {large.processes} processes on {large.nodes} nodes for {few.run_id}, whose "
            f"batch has {few.batch_sequences} sequences; each process needs one: lower processes or raise above_hours"
        )
    return [order for order in orders if order not in long], alone


def _limit(settings: Slurm, estimate: float, longest: float | None) -> float:
    """Minutes a task may take. Raises InputError where a partition's own limit leaves none of them to train in."""
    if settings.time is not None:
        return minutes_of(settings.time)
    if longest is not None and 60 * longest <= settings.signal_seconds + SIGNAL_SLACK:
        raise InputError(
            f"execution.slurm.signal_seconds: {settings.signal_seconds} leaves no time in the {60 * longest:g} s that "
            f"tasks of the partition have: Slurm may send the signal {SIGNAL_SLACK} s earlier; lower it"
        )
    return float(math.ceil(min(UNKNOWN * estimate + START_MINUTES, longest or math.inf)))


def _memory(plan: Plan, orders: Sequence[Order], device: str, processes: int) -> int | None:
    """Bytes for the workers of a task on a CPU, where the cluster says what its nodes have and the config says nothing.

    On GPUs the host's share is left to the cluster.
    """
    settings = plan.config.execution.slurm
    if device != "cpu" or settings.mem is not None or any(option.startswith("--mem") for option in settings.extra):
        return None
    need, cell = max(((_process_bytes(plan, order), order[0]) for order in orders), key=lambda pair: pair[0])
    there = slurm_queue.most_memory(settings.partition)
    if there is None:
        return None  # of nodes whose memory it does not know, Slurm refuses all that is asked
    if need > there:
        raise InputError(
            f"{cell.run_id}: its process takes {need / 2**30:.1f} GiB (N = {cell.counts.params.n_params:,}) and the "
            f"largest node of the partition has {there / 2**30:.1f} GiB; lower execution.micro_batch or the widths"
        )
    workers = max(1, (_cpus(plan.config, device, 1) or 1) // plan.config.execution.threads)
    return min(int(MARGIN * need * max(workers, processes)) + LAUNCHER_BYTES, there)


def _process_bytes(plan: Plan, order: Sequence[RunPlan]) -> int:
    cell, config = order[0], plan.config
    return process_memory(cell, config, plan.corpus) + cell_memory(cell, config, device="cpu", members=len(order))


def _cpus(config: SweepConfig, device: str, processes: int) -> int | None:
    """Cores of a task; on GPUs as configured or as many as the cluster gives."""
    asked = config.execution.slurm.cpus
    if asked is not None:
        return asked
    return None if device == "cuda" else config.execution.threads * processes


def _gres(config: SweepConfig, device: str, processes: int) -> str | None:
    """What Slurm is asked for: where a cell has several processes, a GPU for each."""
    asked = config.execution.slurm.gres or ("gpu:1" if device == "cuda" and not _gpus_in_extra(config) else None)
    if asked is None or device != "cuda" or processes == 1:
        return asked
    *kind, last = asked.split(":")
    return ":".join([*kind, *([] if last.isdecimal() else [last]), str(processes)])


def _gpus_in_extra(config: SweepConfig) -> bool:
    """Whether the further options of sbatch ask for GPUs, as --gpus=2 does."""
    return any(option.startswith(("--gpus", "--gres=gpu")) for option in config.execution.slurm.extra)
