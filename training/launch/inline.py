"""Trains cells in this process, one after another: for debugging, and what `scripts/run.py` calls."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ...fitting.errors import InputError
from ..background import Background
from ..claims import ClaimLost
from ..corpus import open_corpus
from ..hooks import Hooks, Interrupted, OutOfMemory, OutOfTime
from ..plan import Plan, RunPlan
from ..records import SweepFolder
from ..stacking import Order
from .base import (
    ATTEMPTS,
    BUSY_SECONDS,
    Listener,
    Outcome,
    apart,
    cells_to_train,
    record_failure,
    stop_requests,
    trunk_unfinished,
)

if TYPE_CHECKING:
    from accelerate import Accelerator


def run_inline(plan: Plan, sweep: SweepFolder, orders: Sequence[Order], listener: Listener) -> Outcome:
    """Train `orders`, each one cell or a stack of them, as given. What another process holds is waited for, last.

    Raises:
        KeyboardInterrupt: Ctrl-C, SIGTERM or `scripts/cancel.py`; the cell at work has a checkpoint.
    """
    sweep.remember(cell for order in orders for cell in order)
    with stop_requests() as asked:
        try:
            return InlineLauncher(plan, sweep, orders, listener, lambda: asked() or sweep.stop.asked()).run()
        except KeyboardInterrupt:
            raise sweep.stop.interruption() from None


class InlineLauncher:
    """One launch in this process: what is to train yet, what others hold, and what came of the rest."""

    def __init__(
        self,
        plan: Plan,
        sweep: SweepFolder,
        orders: Sequence[Order],
        listener: Listener,
        should_stop: Callable[[], bool],
    ) -> None:
        from ..device import make_accelerator  # torch, only where something is trained
        from ..feed import make_feed

        self.plan, self.sweep, self.listener, self.should_stop = plan, sweep, listener, should_stop
        self.corpus = open_corpus(plan.corpus.fingerprint)
        self.accelerator = make_accelerator(plan.config)
        self.feed = make_feed(self.corpus.train, plan.config.model.context, self.accelerator.device)
        self.writer, self.mirrors = Background("files"), Background("mirrors")
        self.outcome = Outcome()
        self.paused: list[RunPlan] = []
        self.queue, self.held_elsewhere = deque(orders), deque[Order]()

    def run(self) -> Outcome:
        """Train every order, or as many as the disk lets."""
        while self.queue or self.held_elsewhere:
            if not self.queue:
                _wait(self.should_stop)
                self.queue, self.held_elsewhere = self.held_elsewhere, deque()
            order = self.queue.popleft()
            trunks, elsewhere = self.sweep.trunks, [cell for other in self.held_elsewhere for cell in other]
            before = next((other for other in self.paused if trunks.awaits(order[0], [other])), None)
            if before is not None:
                self.pause(order, trunk_unfinished(before))
            elif trunks.awaits(order[0], elsewhere):
                self.held_elsewhere.append(order)
            else:
                self.settle(order)
            if self.outcome.halted:
                return self.outcome
        self.mirrors.finish()
        return self.outcome

    def settle(self, order: Order) -> None:
        """Try an order, twice where that may help, and tell what came of it."""
        several = self.accelerator.num_processes > 1
        for tried in range(1, ATTEMPTS + 1):
            try:
                records = self.attempt(order)
            except OutOfTime as limit:
                self.pause(order, str(limit))
                return
            except ClaimLost:
                if several:
                    raise  # of the others none knows: only a new launch brings all together again
                records = None
            except Interrupted:
                raise KeyboardInterrupt from None
            except OSError as error:
                self.outcome.halted = f"{order[0].run_id}: {error}"
                return
            except Exception as error:
                if several:
                    raise  # the other processes wait in a collective; only a new launch brings all together again
                hopeless = isinstance(error, (OutOfMemory, InputError))
                reason = str(error) if hopeless else f"{type(error).__name__}: {error}".splitlines()[0]
                self.listener.trouble(order[0], reason)
                if tried < ATTEMPTS and not hopeless:
                    continue
                self.give_up(order, reason)
                return
            self.conclude(order, records)
            return

    def attempt(self, order: Order) -> list[dict[str, Any]] | None:
        """Train what is left of an order; its records, or None where another process holds a cell of it."""
        from ..loop import train_stack
        from ..state import Job

        with _claim(self.sweep, order, self.accelerator) as to_train:
            if to_train:
                shared = (self.plan.config, self.corpus, self.sweep, self.accelerator)
                first, *others = to_train
                train_stack(
                    Job(first, *shared, tuple(others), self.feed, self.writer, self.mirrors), self.hooks(to_train)
                )
        return _settled(self.sweep, order, self.accelerator)

    def hooks(self, cells: Sequence[RunPlan]) -> Hooks:
        """Tell of each step, and stop where asked to, or where the cells are another's by now."""
        return Hooks(
            lambda step: _tell(self.sweep, self.listener, cells, step),
            lambda: self.should_stop() or self.sweep.has_lost_a_claim,
        )

    def conclude(self, order: Order, records: Sequence[dict[str, Any]] | None) -> None:
        """Tell of an order's records; without them it is looked at again when all others are done."""
        if records is None:
            self.held_elsewhere.append(order)
            return
        for cell, record in zip(order, records, strict=True):
            self.end(cell, record)

    def give_up(self, order: Order, reason: str) -> None:
        """Record why a cell failed; a stack's cells are tried by themselves first."""
        cell, *others = order
        if others:
            self.queue.extendleft(apart(self.sweep, order))
            return
        record = record_failure(self.sweep, cell, self.plan.config, reason)
        self.conclude(order, None if record is None else [record])

    def pause(self, order: Order, reason: str) -> None:
        """Leave the cells to the next launch."""
        for cell in order:
            if self.sweep.has_ended(cell.run_id):  # of a stack whose others are not done
                self.end(cell, self.sweep.read_record(cell.run_id) or {})
                continue
            self.paused.append(cell)
            self.outcome.paused[cell.run_id] = reason
            self.listener.trouble(cell, reason)

    def end(self, cell: RunPlan, record: dict[str, Any]) -> None:
        """A cell has its record, whoever wrote it."""
        self.outcome.ended(cell.run_id, record)
        self.listener.ended(cell, record)


def _tell(sweep: SweepFolder, listener: Listener, order: Sequence[RunPlan], step: int) -> None:
    for cell in order:
        sweep.note_step(cell.run_id, step)
        listener.step(cell, step)


def _wait(should_stop: Callable[[], bool]) -> None:
    """Let some time pass before the next look at what others hold."""
    until = time.monotonic() + BUSY_SECONDS
    while time.monotonic() < until:
        if should_stop():
            raise KeyboardInterrupt
        time.sleep(0.1)


@contextlib.contextmanager
def _claim(sweep: SweepFolder, order: Order, accelerator: Accelerator) -> Iterator[list[RunPlan]]:
    """The cells of the order that are ours to train: claimed, and not settled yet. The main process decides."""
    with sweep.claim_all(order) if accelerator.is_main_process else contextlib.nullcontext(True) as mine:
        left = [cell.run_id for cell in cells_to_train(sweep, order)] if mine and accelerator.is_main_process else []
        agreed = _from_main(left, accelerator)
        yield [cell for cell in order if cell.run_id in agreed]


def _settled(sweep: SweepFolder, order: Order, accelerator: Accelerator) -> list[dict[str, Any]] | None:
    """The records of an order, as the main process sees them; None where another holds a cell that has none yet."""
    records = None
    if accelerator.is_main_process and all(sweep.is_settled(cell.run_id) for cell in order):
        found = [sweep.read_record(cell.run_id) for cell in order]
        records = [record for record in found if record is not None] if all(found) else None
    return _from_main(records, accelerator)


def _from_main(answer: Any, accelerator: Accelerator) -> Any:
    """What the main process gives, for all: on a network's file system each may see another state."""
    if accelerator.num_processes == 1:
        return answer
    from accelerate.utils import broadcast_object_list

    words = [answer]
    broadcast_object_list(words)
    return words[0]
