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
from ..stacking import Order, stack_name
from .base import (
    ATTEMPTS,
    BUSY_SECONDS,
    Listener,
    Outcome,
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
            return _run(plan, sweep, orders, listener, lambda: asked() or sweep.stop.asked())
        except KeyboardInterrupt:
            raise sweep.stop.interruption() from None


def _run(
    plan: Plan,
    sweep: SweepFolder,
    orders: Sequence[Order],
    listener: Listener,
    should_stop: Callable[[], bool],
) -> Outcome:
    # torch, only where something is trained
    from ..device import make_accelerator
    from ..feed import make_feed
    from ..loop import train_stack
    from ..state import Job

    corpus = open_corpus(plan.corpus.fingerprint)
    accelerator = make_accelerator(plan.config)
    feed = make_feed(corpus.train, plan.config.model.context, accelerator.device)
    outcome, writer, mirrors = Outcome(), Background("files"), Background("mirrors")

    def attempt(order: Order) -> list[dict[str, Any]] | None:
        with _claim(sweep, order, accelerator) as to_train:
            if to_train:
                first, *others = to_train
                job = Job(first, plan.config, corpus, sweep, accelerator, tuple(others), feed, writer, mirrors)
                hooks = Hooks(
                    lambda step: _tell(sweep, listener, to_train, step),
                    lambda: should_stop() or sweep.has_lost_a_claim,
                )
                train_stack(job, hooks)
        return _settled(sweep, order, accelerator)

    paused: list[RunPlan] = []

    def pause(order: Order, reason: str) -> None:
        for cell in order:
            if sweep.has_ended(cell.run_id):  # of a stack whose others are not done
                end(cell, sweep.read_record(cell.run_id) or {})
                continue
            paused.append(cell)
            outcome.paused[cell.run_id] = reason
            listener.trouble(cell, reason)

    def end(cell: RunPlan, record: dict[str, Any]) -> None:
        listener.ended(cell, record)
        if record["status"] == "failed":
            outcome.failed[cell.run_id] = record["reason"]
        else:
            outcome.trained.append(cell.run_id)

    queue, held_elsewhere = deque(orders), deque[Order]()
    while queue or held_elsewhere:
        if not queue:
            _wait(should_stop)
            queue, held_elsewhere = held_elsewhere, deque()
        order = queue.popleft()
        before = next((other for other in paused if sweep.awaits(order[0], [other])), None)
        if before is not None:
            pause(order, trunk_unfinished(before))
            continue
        if sweep.awaits(order[0], [cell for other in held_elsewhere for cell in other]):
            held_elsewhere.append(order)
            continue
        for tried in range(1, ATTEMPTS + 1):
            try:
                records = attempt(order)
            except OutOfTime as limit:
                pause(order, str(limit))
                break
            except ClaimLost:
                if accelerator.num_processes > 1:
                    raise  # of the others none knows: only a new launch brings all together again
                records = None
            except Interrupted:
                raise KeyboardInterrupt from None
            except OSError as error:
                outcome.halted = f"{order[0].run_id}: {error}"
                return outcome
            except Exception as error:
                if accelerator.num_processes > 1:
                    raise  # the other processes wait in a collective; only a new launch brings all together again
                hopeless = isinstance(error, (OutOfMemory, InputError))
                reason = str(error) if hopeless else f"{type(error).__name__}: {error}".splitlines()[0]
                listener.trouble(order[0], reason)
                if tried < ATTEMPTS and not hopeless:
                    continue
                cell, *others = order
                if others:  # one of them may be to blame
                    with sweep.claim_all(order) as mine:
                        if mine:
                            sweep.stack_path(stack_name(order)).unlink(missing_ok=True)
                    queue.extendleft((each,) for each in order)
                    break
                record = record_failure(sweep, cell, plan.config, reason)
                records = None if record is None else [record]
            if records is None:
                held_elsewhere.append(order)
                break
            for cell, record in zip(order, records, strict=True):
                end(cell, record)
            break
    mirrors.finish()
    return outcome


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
