"""Worker processes on this machine, sharing its GPUs where that is faster; a sweep's, or a batch task's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..corpus.store import token_type
from ..memory import cell_memory
from ..plan import Plan, RunPlan
from ..records import SweepFolder
from ..stacking import Order
from .base import Listener, Outcome
from .devices import visible_gpus
from .local import STOP_SECONDS, run_local
from .sharing import share_gpus


def launch_here(
    plan: Plan,
    sweep: SweepFolder,
    orders: Sequence[Order],
    listener: Listener,
    *,
    cpus: int | None = None,
    log_stem: Path | None = None,
    grace: float = STOP_SECONDS,
) -> Outcome:
    """Train `orders` on worker processes; the listener is told how GPUs are shared. Raises as `run_local` does.

    `cpus` are the cores that there are for it, where the system does not say so itself.
    """
    config, gpus = plan.config, visible_gpus(plan.config.execution)
    tokens = plan.corpus.train_tokens * token_type(plan.corpus.vocab_size).itemsize  # each worker keeps its own

    def memory(order: Sequence[RunPlan]) -> int:
        return tokens + cell_memory(order[0], config, device="cuda" if gpus else "cpu", members=len(order))

    sharing = share_gpus(config, orders, gpus, memory)
    if sharing.words:
        listener.note(sharing.words)
    workers = max(1, cpus // config.execution.threads) if cpus and not gpus else None
    return run_local(plan, sweep, orders, listener, sharing.per_gpu, workers=workers, log_stem=log_stem, grace=grace)
