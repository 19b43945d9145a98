"""n worker processes on this machine, each training many cells or stacks of cells, the longest first.

A worker that dies is replaced; its cells are tried once more and then recorded as failed with the reason.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ..plan import Plan
from ..records import SweepFolder
from ..stacking import Order, stack_name
from .base import ATTEMPTS, BUSY_SECONDS, Listener, Outcome, record_failure, trunk_unfinished
from .devices import visible_gpus, worker_count, worker_environment

STOP_SECONDS = 2.0  # for workers to checkpoint after Ctrl-C, before they are killed
STAYS = ("ended", "busy", "paused")  # after these a worker is there for another cell; after others it leaves


class WorkerError(RuntimeError):
    """Workers die before they can train anything."""


@dataclass
class Slot:
    """One worker process and the cells it is at."""

    index: int
    process: subprocess.Popen[bytes]
    log: Path
    log_start: int  # what lies before it is of earlier launches
    ready: bool = False
    order: Order = ()
    heard: bytes = b""  # the beginning of an event whose end has not come yet
    leaving: bool = False  # its cell failed: it will be replaced

    @property
    def orders(self) -> IO[bytes]:
        assert self.process.stdin is not None
        return self.process.stdin

    @property
    def events(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout

    def read(self) -> list[dict[str, Any]] | None:
        """The events that have come; None once the worker has closed its end."""
        data = os.read(self.events.fileno(), 1 << 16)
        *lines, self.heard = (self.heard + data).split(b"\n")
        return [json.loads(line) for line in lines] if data else None

    def give(self, order: Order) -> None:
        """Have the worker train `order`."""
        self.order = order
        words = " ".join(cell.run_id for cell in order)
        with contextlib.suppress(BrokenPipeError):  # it died just now; the end of its stdout tells
            self.orders.write(f"{words}\n".encode())
            self.orders.flush()

    def why_dead(self) -> str:
        """How the process ended, in words, with the last line of its log."""
        code = self.process.wait()
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        if code == -signal.SIGKILL:
            how += " (the system does that when memory runs out)"
        text = self.log.read_bytes()[self.log_start :].decode(errors="replace")
        lines = [line for line in text.splitlines() if line.strip()]
        return f"worker {how}" + (f"; its last words: {lines[-1][:200]}" if lines else "")


class LocalLauncher:
    """One launch: hands orders to workers and listens to them until nothing is left to do."""

    def __init__(
        self, plan: Plan, sweep: SweepFolder, orders: Sequence[Order], listener: Listener, per_gpu: int = 1
    ) -> None:
        self.plan = plan
        self.sweep = sweep
        self.listener = listener
        self.queue = deque(orders)
        self.held_elsewhere: deque[tuple[float, Order]] = deque()
        self.attempts: Counter[str] = Counter()
        self.outcome = Outcome()
        self.slots: list[Slot] = []
        self.selector = selectors.DefaultSelector()
        self.deaths_at_start = 0
        self.gpus = visible_gpus(plan.config.execution)
        self.n_workers = worker_count(plan.config.execution, self.gpus, per_gpu)

    def run(self) -> Outcome:
        """Train all. KeyboardInterrupt stops the workers, which checkpoint first, and goes on up."""
        try:
            for index in range(min(self.n_workers, len(self.queue))):
                self.start(index)
            while self.slots:
                for key, _ in self.selector.select(timeout=0.5):
                    self.hear(key.data)
                self.hand_out()
        except BaseException:
            self.stop()
            raise
        return self.outcome

    def start(self, index: int) -> None:
        """Start worker number `index`."""
        execution = self.plan.config.execution
        log = self.sweep.path / f"worker-{index}.log"
        with log.open("a") as stderr:
            log_start = stderr.tell()
            process = subprocess.Popen(
                [sys.executable, "-m", "isoflop.training.launch.worker", str(self.sweep.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=worker_environment(execution, self.gpus, index),
                start_new_session=True,  # Ctrl-C in the terminal reaches the parent alone
            )
        slot = Slot(index, process, log, log_start)
        self.slots.append(slot)
        self.selector.register(slot.events, selectors.EVENT_READ, slot)

    def hear(self, slot: Slot) -> None:
        """Take what a worker says, or its end."""
        events = slot.read()
        if events is None:
            self.bury(slot)
            return
        for event in events:
            kind, order = event["event"], slot.order
            if kind == "ready":
                slot.ready = True
            elif kind == "step":
                for cell in order:
                    self.listener.step(cell, event["step"])
            elif order:
                slot.order = ()
                slot.leaving = kind not in STAYS
                self.conclude(order, kind, event.get("reason", ""))

    def conclude(self, order: Order, kind: str, reason: str) -> None:
        """A worker is done with `order`, one way or another."""
        if kind == "ended":
            for cell in order:
                self.outcome.trained.append(cell.run_id)
                self.listener.ended(cell, self.sweep.read_record(cell.run_id) or {})
        elif kind == "busy":
            self.held_elsewhere.append((time.monotonic() + BUSY_SECONDS, order))
        elif kind == "halt":
            self.outcome.halted = self.outcome.halted or f"{order[0].run_id}: {reason}"
            self.listener.trouble(order[0], reason)
        elif kind == "paused":
            self.pause(order, reason)
            for branch in [other for other in self.queue if self.sweep.awaits(other[0], order)]:
                self.queue.remove(branch)
                self.pause(branch, trunk_unfinished(order[0]))
        elif kind == "failed":
            self.give_up(order, reason)
        else:
            self.retry(order, reason)

    def pause(self, order: Order, reason: str) -> None:
        """Leave the cells to the next launch."""
        for cell in order:
            if self.sweep.has_ended(cell.run_id):  # of a stack whose others are not done
                self.conclude((cell,), "ended", "")
                continue
            self.outcome.paused[cell.run_id] = reason
            self.listener.trouble(cell, reason)

    def retry(self, order: Order, reason: str) -> None:
        """Try once more; then a stack's cells by themselves; then give up."""
        name = stack_name(order)
        self.attempts[name] += 1
        if self.attempts[name] >= ATTEMPTS:
            self.give_up(order, reason)
            return
        self.queue.appendleft(order)
        for cell in order:
            self.listener.trouble(cell, reason)

    def give_up(self, order: Order, reason: str) -> None:
        """Record why a cell failed; a stack's cells are tried by themselves first."""
        cell, *others = order
        if others:
            self.sweep.stack_path(stack_name(order)).unlink(missing_ok=True)
            self.queue.extendleft((each,) for each in order)
            self.listener.trouble(cell, f"{reason}; the cells of its stack are tried alone")
            return
        try:
            record = record_failure(self.sweep, cell, self.plan.config, reason)
            self.listener.ended(cell, record)
            if record["status"] == "failed":
                self.outcome.failed[cell.run_id] = reason
        except OSError as error:
            self.outcome.halted = self.outcome.halted or f"{cell.run_id}: {error}"

    def bury(self, slot: Slot) -> None:
        """A worker has died or left: retry its cells, and replace it if there is work."""
        self.selector.unregister(slot.events)
        self.slots.remove(slot)
        reason = slot.why_dead()
        if slot.order:
            self.retry(slot.order, reason)
        elif not slot.ready:
            self.deaths_at_start += 1
            if self.deaths_at_start >= ATTEMPTS:
                raise WorkerError(f"{slot.log}: {reason}")
        if self.work_left() and len(self.slots) < self.n_workers:
            self.start(slot.index)

    def work_left(self) -> bool:
        """Whether there are cells to hand out, now or later."""
        return self.outcome.halted is None and bool(self.queue or self.held_elsewhere)

    def hand_out(self) -> None:
        """Give each idle worker an order; send it home when there is none and there will be none."""
        while self.held_elsewhere and self.held_elsewhere[0][0] <= time.monotonic():
            self.queue.append(self.held_elsewhere.popleft()[1])
        for slot in self.slots:
            if not slot.ready or slot.leaving or slot.order:
                continue
            if self.work_left() and self.queue:
                if (order := self.next_ready()) is not None:
                    self.queue.remove(order)
                    slot.give(order)
            elif not self.work_left() and not any(other.order for other in self.slots):
                slot.orders.close()

    def next_ready(self) -> Order | None:
        """The first order whose cells wait for no other's part of their trunk."""
        coming = [cell for slot in self.slots for cell in slot.order]
        coming += [cell for _, order in self.held_elsewhere for cell in order]
        for order in self.queue:
            if not self.sweep.awaits(order[0], coming):  # cells of trunks stand alone
                return order
            coming += order
        return None

    def stop(self) -> None:
        """Have every worker checkpoint and leave; kill what has not left in time."""
        for slot in self.slots:
            slot.process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for slot in self.slots:
            try:
                slot.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                slot.process.kill()


def run_local(plan: Plan, sweep: SweepFolder, orders: Sequence[Order], listener: Listener, per_gpu: int = 1) -> Outcome:
    """Train `orders` on worker processes, as given; on GPUs `per_gpu` workers share one.

    Raises:
        WorkerError: workers die before they are ready.
    """
    if not orders:
        return Outcome()
    return LocalLauncher(plan, sweep, orders, listener, per_gpu).run()
