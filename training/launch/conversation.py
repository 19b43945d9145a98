"""The worker's side of the conversation with `local`: orders on stdin, how they go on stdout in JSON lines. No torch.

An order is a line of run ids, those that are trained as one stack; what trains them is the worker's own. A worker
lives no longer than its parent: when stdin closes under a cell, it leaves at once, and the cell's checkpoint stands.
It is one process that opens no port: there is no group of processes, so workers side by side cannot collide.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO

from ...fitting.errors import InputError
from ..claims import ClaimLost
from ..hooks import Hooks, Interrupted, OutOfMemory, OutOfTime
from ..plan import Plan, RunPlan
from ..records import SweepFolder
from .base import cells_to_train

# After these a worker is there for another cell. After others it leaves: once CUDA has failed its every further call
# does too, and after memory ran out a new process begins with all of it.
STAYS = ("ended", "busy", "paused")


class Trainer(Protocol):
    """Trains cells that this process has claimed, to their records."""

    def train(self, cells: Sequence[RunPlan], hooks: Hooks) -> None:
        """As one, to their records. Raises what `loop.train_stack` does."""

    def finish(self) -> None:
        """Wait for what is still under way beside the records."""


class Worker:
    """Takes orders, claims their cells, has them trained, and tells how it went."""

    def __init__(self, sweep: SweepFolder, make_trainer: Callable[[SweepFolder, Plan], Trainer], events: TextIO):
        self.sweep = sweep
        plan = sweep.read_plan()
        self.cells = {cell.run_id: cell for cell in plan.cells}
        sweep.remember(plan.cells)
        self.trainer = make_trainer(sweep, plan)
        self.events = events
        self.stopping = False
        self.busy = False
        self.orders: queue.Queue[str | None] = queue.Queue()

    def tell(self, event: str, **words: Any) -> None:
        """Say something to the parent."""
        self.events.write(json.dumps({"event": event, **words}) + "\n")
        self.events.flush()

    def listen(self) -> None:
        """Queue the orders on stdin until it closes (runs in a thread of its own)."""
        for line in sys.stdin:
            self.orders.put(line.strip())
        if self.busy:
            os._exit(1)  # the parent is gone; every write of ours is atomic
        self.orders.put(None)

    def serve(self) -> None:
        """Train what is ordered until stdin closes or the parent asks to stop."""
        self.tell("ready")
        while not self.stopping:
            try:
                order = self.orders.get(timeout=0.2)
            except queue.Empty:
                continue
            if order is None:
                return
            self.busy = True
            event, reason = self.train(order.split())
            self.busy = False  # before the parent hears: it may close stdin at once
            self.tell(event, **({"reason": reason} if reason else {}))
            if event not in STAYS:
                return

    def train(self, run_ids: list[str]) -> tuple[str, str]:
        """Train one order; the event that it ends in, and why."""
        if not self.cells.keys() >= set(run_ids):
            return "halt", "plan.json has changed since this launch began; start it again"
        cells = [self.cells[run_id] for run_id in run_ids]
        try:
            with self.sweep.claim_all(cells) as mine:
                if not mine:
                    return "busy", ""
                if left := cells_to_train(self.sweep, cells):
                    self.trainer.train(left, self.hooks(left))
            return "ended", ""
        except ClaimLost:
            return "busy", ""
        except OutOfTime as limit:
            return "paused", str(limit)
        except Interrupted:
            # Where the parent did not ask, a claim was lost, or a signal meant another: the parent tries again.
            return "busy", ""
        except (OutOfMemory, InputError) as error:  # another try would end alike
            return "failed", str(error)
        except OSError as error:
            return "halt", str(error)
        except Exception as error:
            logging.getLogger(__name__).exception("cell %s", " ".join(run_ids))
            return "error", f"{type(error).__name__}: {error}".splitlines()[0]

    def hooks(self, cells: list[RunPlan]) -> Hooks:
        """Tell of each step, and stop where asked to, or where the cells are another's by now."""

        def progress(step: int) -> None:
            for cell in cells:
                self.sweep.note_step(cell.run_id, step)
            self.tell("step", step=step)

        return Hooks(progress, lambda: self.stopping or self.sweep.has_lost_a_claim)

    def stop(self, *_: object) -> None:
        """Checkpoint before the next step and leave."""
        self.stopping = True


def converse(make_trainer: Callable[[SweepFolder, Plan], Trainer]) -> None:
    """The whole life of a worker process; its one argument is the sweep folder."""
    # Whatever a library prints goes to the log, not into the conversation.
    events = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    worker = Worker(SweepFolder(Path(sys.argv[1])), make_trainer, events)
    signal.signal(signal.SIGTERM, worker.stop)
    threading.Thread(target=worker.listen, daemon=True).start()
    worker.serve()
    if not worker.stopping:
        worker.trainer.finish()
    if worker.stopping:
        os._exit(0)  # all is written, and taking torch down can last a second that Ctrl-C does not have
