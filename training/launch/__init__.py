"""Runs cells: in this process, or on worker processes of this machine."""

from __future__ import annotations

from collections.abc import Sequence

from ..corpus.store import token_type
from ..memory import cell_memory
from ..plan import Plan, RunPlan
from ..records import SweepFolder
from ..stacking import orders
from .base import Listener, Outcome
from .devices import visible_gpus, worker_count
from .inline import run_inline
from .local import WorkerError, run_local
from .sharing import share_gpus

__all__ = ["Listener", "Outcome", "WorkerError", "launch", "run_inline", "run_local"]


def launch(plan: Plan, sweep: SweepFolder, cells: Sequence[RunPlan], listener: Listener) -> Outcome:
    """Train `cells` by the executor that the config names, in stacks and sharing GPUs where that is faster.

    The listener is told what was chosen.
    """
    config = plan.config
    inline, gpus = config.execution.executor == "inline", visible_gpus(config.execution)
    device = "cuda" if gpus else "cpu"
    workers = 1 if inline else worker_count(config.execution, gpus)
    chosen = orders(plan, sweep, cells, device=device, workers=workers)
    together = [order for order in chosen if len(order) > 1]
    if together:
        n_cells, largest = sum(map(len, together)), max(map(len, together))
        listener.note(f"{n_cells} cells are trained in {len(together)} stacks of up to {largest}")
    if inline:
        return run_inline(plan, sweep, chosen, listener)
    tokens = plan.corpus.train_tokens * token_type(plan.corpus.vocab_size).itemsize  # each worker keeps its own

    def memory(order: Sequence[RunPlan]) -> int:
        return tokens + cell_memory(order[0], config, device=device, members=len(order))

    sharing = share_gpus(config, chosen, gpus, memory)
    if sharing.words:
        listener.note(sharing.words)
    return run_local(plan, sweep, chosen, listener, sharing.per_gpu)
