"""One cell of the tiny sweep, trained in this process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from isoflop.training.config import SweepConfig, parse_config
from isoflop.training.corpus import Corpus, prepare_corpus
from isoflop.training.device import make_accelerator
from isoflop.training.launch.admission import Memory
from isoflop.training.launch.local import LocalLauncher
from isoflop.training.loop import Hooks, Interrupted, train
from isoflop.training.plan import RunPlan
from isoflop.training.planning import make_plan
from isoflop.training.records import SweepFolder
from isoflop.training.state import Job

from .helpers import tiny


class Ear:
    """Hears what an executor tells."""

    def __init__(self) -> None:
        self.troubles: list[str] = []

    def step(self, cell: RunPlan, step: int) -> None: ...

    def ended(self, cell: RunPlan, record: dict[str, Any]) -> None: ...

    def note(self, words: str) -> None: ...

    def trouble(self, cell: RunPlan, reason: str) -> None:
        self.troubles.append(reason)


class Bench:
    """A planned cell with what it takes to train it, in a folder of its own."""

    def __init__(self, text: Path, folder: Path, **changes: Any) -> None:
        self.config: SweepConfig = parse_config(tiny(text, **changes), "test")
        self.corpus: Corpus = prepare_corpus(self.config.data)
        self.sweep = SweepFolder(folder)
        self.plan = make_plan(self.config, self.corpus.info)
        self.cell: RunPlan = self.plan.cells[1]

    def job(self, cell: RunPlan | None = None) -> Job:
        """What `train` takes, for the cell or another of the plan."""
        return Job(cell or self.cell, self.config, self.corpus, self.sweep, make_accelerator(self.config))

    def launcher(self, cells: Sequence[RunPlan]) -> LocalLauncher:
        """One that is to train these, with no worker yet."""
        orders = [(cell,) for cell in cells]
        return LocalLauncher(self.plan, self.sweep, orders, Ear(), 2, [], Memory(self.plan, []))

    def train(self, stop_at: tuple[int, ...] = ()) -> dict[str, Any]:
        """Train the cell, stopping and starting anew at the steps given."""
        job = self.job()
        for step in stop_at:
            asked: list[int] = []

            def should_stop(step: int = step, asked: list[int] = asked) -> bool:
                asked.append(1)
                return len(asked) > step

            with pytest.raises(Interrupted):
                train(job, Hooks(should_stop=should_stop))
            assert self.sweep.read_record(self.cell.run_id) is None
        return train(job)


MEASURED = ("loss", "loss_se", "bits_per_byte", "tokens", "flops")


def measured(record: dict[str, Any]) -> dict[str, Any]:
    return {name: record[name] for name in MEASURED}
