"""Runs cells: in this process, on worker processes of this machine, or as tasks of Slurm's."""

from __future__ import annotations

from collections.abc import Sequence

from ..plan import Plan, RunPlan
from ..records import SweepFolder
from ..stacking import orders
from .admission import Memory
from .base import Listener, Outcome
from .devices import visible_gpus, worker_count
from .here import launch_here
from .inline import run_inline
from .local import WorkerError
from .slurm import run_slurm
from .slurm_request import task_device

__all__ = ["Listener", "Outcome", "WorkerError", "launch", "run_inline"]


def launch(plan: Plan, sweep: SweepFolder, cells: Sequence[RunPlan], listener: Listener) -> Outcome:
    """Train `cells` by the executor that the config names, in stacks and sharing GPUs where that is faster.

    The listener is told what was chosen. Raises InputError for a cell that no device has the memory for, and what the
    executor's own function does.
    """
    sweep.remember(cells)
    config, executor = plan.config, plan.config.execution.executor
    gpus = visible_gpus(config.execution)
    device = task_device(config) if executor == "slurm" else "cuda" if gpus else "cpu"
    workers = worker_count(config.execution, gpus) if executor == "local" else 1
    chosen = orders(plan, sweep, cells, device=device, workers=workers)
    together = [order for order in chosen if len(order) > 1]
    if together:
        n_cells, largest = sum(map(len, together)), max(map(len, together))
        listener.note(f"{n_cells} cells are trained in {len(together)} stacks of up to {largest}")
    for cell in cells:
        if sweep.record_stamp(cell.run_id) is not None and sweep.read_record(cell.run_id) is None:
            listener.note(f"{sweep.record_path(cell.run_id)}: is torn; the run is trained again, the file is kept")
    if executor == "inline":
        Memory(plan, gpus).refuse_too_large(chosen)
    launchers = {"inline": run_inline, "local": launch_here, "slurm": run_slurm}
    return launchers[executor](plan, sweep, chosen, listener)
