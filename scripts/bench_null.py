"""A worker that trains nothing: it claims, tells and records as any other does, and what is left is the launcher's.

`python -m isoflop.scripts.bench_null SWEEP`, started by the launcher for `bench.py launch`. No torch.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from isoflop.training.corpus import MAIN
from isoflop.training.hooks import Hooks
from isoflop.training.launch.conversation import converse
from isoflop.training.outcome import Trained, trained_record
from isoflop.training.plan import Plan, RunPlan
from isoflop.training.records import SweepFolder


@dataclass(frozen=True)
class Score:
    """What scoring a model comes to; here of no model."""

    loss: float
    loss_se: float
    bits_per_byte: float
    n_tokens: int


class NullTrainer:
    """Writes a finished cell's record at once, its loss a law's."""

    def __init__(self, sweep: SweepFolder, plan: Plan) -> None:
        self.sweep, self.plan = sweep, plan
        self.n_cells, self.seconds = 0, 0.0

    def train(self, cells: Sequence[RunPlan], hooks: Hooks) -> None:
        """Each to its record, one step told."""
        begun = time.perf_counter()
        for cell in cells:
            hooks.progress(cell.steps)
            loss = 2.0 + 400 / cell.counts.params.n_params**0.34 + 400 / cell.tokens**0.28
            scores: Any = {MAIN: Score(loss, 0.01, loss / 3, 1)}
            trained = Trained(scores, None, 0, time.perf_counter() - begun, len(cells))
            machine = {
                "host": socket.gethostname(),
                "device": "none",
                "n_processes": 1,
                "threads": 1,
                "matmul_flops_per_second": 1e12,
                "peak_memory_bytes": 0,
            }
            record = trained_record(cell, self.plan.config, self.plan.corpus, trained, machine=machine)
            self.sweep.write_record(cell.run_id, record)
        self.n_cells += len(cells)
        self.seconds += time.perf_counter() - begun

    def finish(self) -> None:
        """Say, in the worker's log, how long how many records took."""
        print(self.seconds, self.n_cells)


if __name__ == "__main__":
    converse(NullTrainer)
