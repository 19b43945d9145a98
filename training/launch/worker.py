"""A worker process: takes orders on stdin, trains them one after another, tells how on stdout, in JSON lines.

An order is a line of run ids, those that are trained as one stack.

Started by `local`; importing torch costs more than a small cell, so one worker trains many. It lives no longer
than its parent: when stdin closes under a cell, it leaves at once, and the cell's checkpoint stands.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import sys
import threading
from pathlib import Path
from typing import Any, TextIO

from ...fitting.errors import InputError
from ..background import Background
from ..claims import ClaimLost
from ..corpus import Corpus, open_corpus
from ..device import OutOfMemory, make_accelerator
from ..feed import make_feed
from ..loop import Hooks, Interrupted, OutOfTime, train_stack
from ..plan import Plan, RunPlan
from ..records import SweepFolder
from ..state import Job


class Worker:
    """The worker's side of the conversation."""

    def __init__(self, sweep: SweepFolder, events: TextIO) -> None:
        self.sweep = sweep
        self.plan: Plan = sweep.read_plan()
        self.cells = {cell.run_id: cell for cell in self.plan.cells}
        self.corpus: Corpus = open_corpus(self.plan.corpus.fingerprint)
        self.accelerator = make_accelerator(self.plan.config)
        self.feed = make_feed(self.corpus.train, self.plan.config.model.context, self.accelerator.device)
        self.writer, self.mirrors = Background("files"), Background("mirrors")
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
            healthy = self.train(order.split())
            self.busy = False
            if not healthy:
                return

    def train(self, run_ids: list[str]) -> bool:
        """Train one order and tell how it ended; False where this process had better not train another.

        After an error of CUDA's every further call fails too, and a new process does not.
        """
        if not self.cells.keys() >= set(run_ids):
            self.tell("halt", reason="plan.json has changed since this launch began; start it again")
            return False
        cells = [self.cells[run_id] for run_id in run_ids]
        try:
            with self.sweep.claim_all(cells) as mine:
                if not mine:
                    self.tell("busy")
                    return True
                if not all(self.sweep.has_ended(cell.run_id) for cell in cells):
                    train_stack(self.job(cells), self.hooks(cells))
            self.tell("ended")
        except ClaimLost:
            self.tell("busy")
        except OutOfTime as limit:
            self.tell("paused", reason=str(limit))
        except Interrupted:
            return False
        except (OutOfMemory, InputError) as error:
            # Another try would end alike; after memory ran out, a new process begins with all of it.
            self.tell("failed", reason=str(error))
            return False
        except OSError as error:
            self.tell("halt", reason=str(error))
            return False
        except Exception as error:
            logging.getLogger(__name__).exception("cell %s", " ".join(run_ids))
            self.tell("error", reason=f"{type(error).__name__}: {error}".splitlines()[0])
            return False
        return True

    def hooks(self, cells: list[RunPlan]) -> Hooks:
        """Tell of each step, and stop where asked to, or where the cells are another's by now."""

        def progress(step: int) -> None:
            for cell in cells:
                self.sweep.note_step(cell.run_id, step)
            self.tell("step", step=step)

        return Hooks(progress, lambda: self.stopping or self.sweep.has_lost_a_claim)

    def job(self, cells: list[RunPlan]) -> Job:
        """What training these as one needs."""
        return Job(
            cells[0],
            self.plan.config,
            self.corpus,
            self.sweep,
            self.accelerator,
            tuple(cells[1:]),
            self.feed,
            self.writer,
            self.mirrors,
        )

    def stop(self, *_: object) -> None:
        """Checkpoint before the next step and leave."""
        self.stopping = True


def main() -> None:
    """`python -m isoflop.training.launch.worker SWEEP`."""
    # Whatever a library prints goes to the log, not into the conversation.
    events = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    worker = Worker(SweepFolder(Path(sys.argv[1])), events)
    signal.signal(signal.SIGTERM, worker.stop)
    threading.Thread(target=worker.listen, daemon=True).start()
    worker.serve()
    if not worker.stopping:
        worker.mirrors.finish()
    if worker.stopping:
        os._exit(0)  # all is written, and taking torch down can last a second that Ctrl-C does not have


if __name__ == "__main__":
    main()
