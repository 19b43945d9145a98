"""Trains cells in this process, one after another: for debugging, and what `scripts/run.py` calls."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ...fitting.errors import InputError
from ..corpus import open_corpus
from ..plan import Plan, RunPlan
from ..records import SweepFolder
from .base import ATTEMPTS, Listener, Outcome, record_failure, stop_requests, trunk_unfinished

if TYPE_CHECKING:
    from accelerate import Accelerator


def run_inline(
    plan: Plan,
    sweep: SweepFolder,
    cells: Sequence[RunPlan],
    listener: Listener,
) -> Outcome:
    """Train `cells` in the order given. A cell that another process holds is left to it.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM; the cell at work has a checkpoint.
    """
    with stop_requests() as should_stop:
        return _run(plan, sweep, cells, listener, should_stop)


def _run(
    plan: Plan,
    sweep: SweepFolder,
    cells: Sequence[RunPlan],
    listener: Listener,
    should_stop: Callable[[], bool],
) -> Outcome:
    # torch, only where something is trained
    from ..device import OutOfMemory, make_accelerator
    from ..loop import Hooks, Interrupted, OutOfTime, train
    from ..state import Job

    corpus = open_corpus(plan.corpus.fingerprint)
    accelerator = make_accelerator(plan.config)
    outcome = Outcome()

    def attempt(cell: RunPlan) -> dict[str, Any] | None:
        with _claim(sweep, cell, accelerator) as to_train:
            if not to_train:
                return sweep.read_record(cell.run_id)
            job = Job(cell, plan.config, corpus, sweep, accelerator)
            return train(job, Hooks(lambda step: listener.step(cell, step), should_stop))

    paused: list[RunPlan] = []

    def pause(cell: RunPlan, reason: str) -> None:
        paused.append(cell)
        outcome.paused[cell.run_id] = reason
        listener.trouble(cell, reason)

    for cell in cells:
        before = next((other for other in paused if sweep.awaits(cell, [other])), None)
        if before is not None:
            pause(cell, trunk_unfinished(before))
            continue
        for tried in range(1, ATTEMPTS + 1):
            try:
                record = attempt(cell)
            except OutOfTime as limit:
                pause(cell, str(limit))
                break
            except Interrupted:
                raise KeyboardInterrupt from None
            except OSError as error:
                outcome.halted = f"{cell.run_id}: {error}"
                return outcome
            except Exception as error:
                if accelerator.num_processes > 1:
                    raise  # the other processes wait in a collective; only a new launch brings all together again
                hopeless = isinstance(error, (OutOfMemory, InputError))
                reason = str(error) if hopeless else f"{type(error).__name__}: {error}".splitlines()[0]
                listener.trouble(cell, reason)
                if tried < ATTEMPTS and not hopeless:
                    continue
                record = record_failure(sweep, cell, plan.config, reason)
            if record is None:
                listener.trouble(cell, "another process is at it")
                break
            listener.ended(cell, record)
            if record["status"] == "failed":
                outcome.failed[cell.run_id] = record["reason"]
            else:
                outcome.trained.append(cell.run_id)
            break
    return outcome


@contextlib.contextmanager
def _claim(sweep: SweepFolder, cell: RunPlan, accelerator: Accelerator) -> Iterator[bool]:
    """Whether the cell is ours to train: claimed, and still without a record. The main process decides for all."""
    from accelerate.utils import broadcast_object_list

    with sweep.claim(cell.run_id) if accelerator.is_main_process else contextlib.nullcontext(True) as mine:
        answer = [mine and not sweep.is_over(cell.run_id, retry_failed=True)]
        if accelerator.num_processes > 1:
            broadcast_object_list(answer)
        yield answer[0]
