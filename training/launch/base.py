"""What every executor shares: how a sweep's end is told, and who listens meanwhile."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..config import SweepConfig
from ..outcome import failed_record
from ..plan import RunPlan
from ..records import SweepFolder
from ..stacking import Order, stack_name

BUSY_SECONDS = 2.0  # between looks at a cell that another process holds
ATTEMPTS = 2  # a cell is retried once, then recorded as failed


class Listener(Protocol):
    """Told how the sweep goes on; a progress bar, for instance."""

    def step(self, cell: RunPlan, step: int) -> None:
        """The cell has trained up to `step`."""

    def ended(self, cell: RunPlan, record: dict[str, Any]) -> None:
        """The cell has a record."""

    def note(self, words: str) -> None:
        """How the launcher goes about it."""

    def trouble(self, cell: RunPlan, reason: str) -> None:
        """The cell was cut short; it is retried, or stays unfinished."""


@dataclass
class Outcome:
    """How a launch ended. `halted` says why no more cells were started; those left are unfinished, not failed."""

    trained: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    paused: dict[str, str] = field(default_factory=dict)  # out of time: unfinished, with a checkpoint
    halted: str | None = None

    def ended(self, run_id: str, record: Mapping[str, Any]) -> None:
        """A run has its record, whoever wrote it."""
        if record.get("status") == "failed":
            self.failed[run_id] = record["reason"]
        else:
            self.trained.append(run_id)


def record_failure(sweep: SweepFolder, cell: RunPlan, config: SweepConfig, reason: str) -> dict[str, Any] | None:
    """Give up on a cell, for everyone to see; None where another process is at it, and may yet finish it.

    A record that it has already, written just before it died, stands.
    """
    with sweep.claim(cell.run_id) as mine:
        if not mine:
            return None
        if sweep.has_ended(cell.run_id):
            return sweep.read_record(cell.run_id)
        record = failed_record(cell, config, reason)
        sweep.write_record(cell.run_id, record)
        return record


def apart(sweep: SweepFolder, stack: Order) -> list[Order]:
    """The cells of a stack that came to nothing, each to be tried by itself: one of them may be to blame."""
    with sweep.claim_all(stack) as mine:
        if mine:
            sweep.stack_path(stack_name(stack)).unlink(missing_ok=True)
    return [(cell,) for cell in stack]


def cells_to_train(sweep: SweepFolder, cells: Sequence[RunPlan]) -> list[RunPlan]:
    """Those of an order that another launch has not settled meanwhile; all of a stack that has begun."""
    if len(cells) > 1 and sweep.stack_path(stack_name(cells)).is_file():
        return list(cells) if not all(sweep.has_ended(cell.run_id) for cell in cells) else []
    return [cell for cell in cells if not sweep.is_settled(cell.run_id)]


def trunk_unfinished(cell: RunPlan) -> str:
    """Why the cells that go on from the trunk of `cell`, which ran out of time, are not trained either."""
    return f"waits for the trunk that {cell.run_id} has not trained yet"


@contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Inside the block, Ctrl-C and SIGTERM do not raise: they make the function it yields say True."""
    asked = []
    before = {number: signal.signal(number, lambda *_: asked.append(1)) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
