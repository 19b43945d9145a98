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
from .base import ATTEMPTS, BUSY_SECONDS, Listener, Outcome, record_failure, stop_requests, trunk_unfinished
from .stopping import StopFile

if TYPE_CHECKING:
    from accelerate import Accelerator


def run_inline(plan: Plan, sweep: SweepFolder, orders: Sequence[Order], listener: Listener) -> Outcome:
    """Train `orders`, each one cell or a stack of them, as given. What another process holds is waited for, last.

    Raises:
        KeyboardInterrupt: Ctrl-C, SIGTERM or `scripts/cancel.py`; the cell at work has a checkpoint.
    """
    stop_file = StopFile(sweep.path)
    with stop_requests() as asked:
        try:
            return _run(plan, sweep, orders, listener, lambda: asked() or stop_file.asked())
        except KeyboardInterrupt:
            raise stop_file.interruption() from None


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
            if not to_train:
                records = [sweep.read_record(cell.run_id) for cell in order]
                return [record for record in records if record] if all(records) else None
            job = Job(order[0], plan.config, corpus, sweep, accelerator, order[1:], feed, writer, mirrors)
            hooks = Hooks(
                lambda step: _tell(sweep, listener, order, step), lambda: should_stop() or sweep.has_lost_a_claim
            )
            return train_stack(job, hooks)

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
                    sweep.stack_path(stack_name(order)).unlink(missing_ok=True)
                    queue.extendleft((each,) for each in order)
                    break
                records = [record_failure(sweep, cell, plan.config, reason)]
            if records is None:
                held_elsewhere.append(order)
                break
            for cell, record in zip(order, records, strict=True):
                end(cell, record)
            break
    mirrors.finish()
    return outcome


def _tell(sweep: SweepFolder, listener: Listener, order: Order, step: int) -> None:
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
def _claim(sweep: SweepFolder, order: Order, accelerator: Accelerator) -> Iterator[bool]:
    """Whether the order is ours to train: claimed, and with cells that have no record. The main process decides."""
    from accelerate.utils import broadcast_object_list

    with sweep.claim_all(order) if accelerator.is_main_process else contextlib.nullcontext(True) as mine:
        answer = [mine and not all(sweep.has_ended(cell.run_id) for cell in order)]
        if accelerator.num_processes > 1:
            broadcast_object_list(answer)
        yield answer[0]
