"""A worker process that trains: importing torch costs more than a small cell, so one worker trains many.

`python -m isoflop.training.launch.worker SWEEP`, started by `local`.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..background import Background
from ..corpus import open_corpus
from ..device import make_accelerator
from ..feed import make_feed
from ..hooks import Hooks
from ..loop import train_stack
from ..plan import Plan, RunPlan
from ..records import SweepFolder
from ..state import Job
from .conversation import converse


class TorchTrainer:
    """What a process has once for all of its cells: corpus, device, threads for files and mirrors."""

    def __init__(self, sweep: SweepFolder, plan: Plan) -> None:
        self.sweep, self.config = sweep, plan.config
        self.corpus = open_corpus(plan.corpus.fingerprint)
        self.accelerator = make_accelerator(plan.config)
        self.feed = make_feed(self.corpus.train, plan.config.model.context, self.accelerator.device)
        self.writer, self.mirrors = Background("files"), Background("mirrors")

    def train(self, cells: Sequence[RunPlan], hooks: Hooks) -> None:
        """As one, to their records. Raises what `loop.train_stack` does."""
        job = Job(
            cells[0],
            self.config,
            self.corpus,
            self.sweep,
            self.accelerator,
            tuple(cells[1:]),
            self.feed,
            self.writer,
            self.mirrors,
        )
        train_stack(job, hooks)

    def finish(self) -> None:
        """Wait for the mirrors."""
        self.mirrors.finish()


if __name__ == "__main__":
    converse(TorchTrainer)
