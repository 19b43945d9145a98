"""n worker processes on this machine, each training many cells or stacks of cells, the longest first.

A worker that dies is replaced; its cells are tried once more and then recorded as failed with the reason. One that
cannot even start, twice, is left out: a broken GPU does not end the sweep while others work.
"""

from __future__ import annotations

import selectors
import subprocess
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..plan import Plan, RunPlan
from ..records import SweepFolder
from ..stacking import Order, stack_name
from .admission import Memory
from .base import ATTEMPTS, BUSY_SECONDS, Listener, Outcome, apart, record_failure, trunk_unfinished
from .conversation import STAYS
from .devices import visible_gpus, worker_count, worker_environment
from .slot import Slot

WORKER = "isoflop.training.launch.worker"
STOP_SECONDS = 2.0  # for workers to checkpoint after Ctrl-C, before they are killed


class WorkerError(RuntimeError):
    """Workers die before they can train anything."""


class LocalLauncher:
    """One launch: hands orders to workers and listens to them until nothing is left to do."""

    def __init__(
        self,
        plan: Plan,
        sweep: SweepFolder,
        orders: Sequence[Order],
        listener: Listener,
        n_workers: int,
        gpus: Sequence[str],
        memory: Memory,
        *,
        module: str = WORKER,
        log_stem: Path | None = None,
        grace: float = STOP_SECONDS,
    ) -> None:
        self.plan = plan
        self.sweep = sweep
        self.listener = listener
        self.queue = deque(orders)
        self.n_workers, self.gpus, self.memory = n_workers, gpus, memory
        self.module, self.grace = module, grace
        self.log_stem = sweep.path / "worker" if log_stem is None else log_stem.with_name(f"{log_stem.name}-worker")
        self.held_elsewhere: deque[tuple[float, Order]] = deque()
        self.attempts: Counter[str] = Counter()
        self.failed_starts: Counter[int] = Counter()  # of each worker, in a row
        self.outcome = Outcome()
        self.slots: list[Slot] = []
        self.selector = selectors.DefaultSelector()

    def run(self) -> Outcome:
        """Train all. KeyboardInterrupt stops the workers, which checkpoint first, and goes on up."""
        try:
            for index in range(min(self.n_workers, len(self.queue))):
                self.start(index)
            while self.slots:
                self.sweep.stop.check()
                for key, _ in self.selector.select(timeout=0.5):
                    self.hear(key.data)
                self.hand_out()
        except BaseException:
            self.stop()
            raise
        return self.outcome

    def start(self, index: int) -> None:
        """Start worker number `index`."""
        log = self.log_stem.with_name(f"{self.log_stem.name}-{index}.log")
        environment = worker_environment(self.plan.config.execution, self.gpus, index)
        slot = Slot(index, self.module, self.sweep.path, log, environment)
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
                self.failed_starts.pop(slot.index, None)
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
                self.end(cell, self.sweep.read_record(cell.run_id) or {})
        elif kind == "busy":
            self.held_elsewhere.append((time.monotonic() + BUSY_SECONDS, order))
        elif kind == "halt":
            self.outcome.halted = self.outcome.halted or f"{order[0].run_id}: {reason}"
            self.listener.trouble(order[0], reason)
        elif kind == "paused":
            self.pause(order, reason)
            for branch in [other for other in self.queue if self.sweep.trunks.awaits(other[0], order)]:
                self.queue.remove(branch)
                self.pause(branch, trunk_unfinished(order[0]))
        elif kind == "failed":
            self.give_up(order, reason)
        else:
            self.retry(order, reason)

    def end(self, cell: RunPlan, record: Mapping[str, Any]) -> None:
        """A cell has its record, whoever wrote it."""
        self.outcome.ended(cell.run_id, record)
        self.listener.ended(cell, dict(record))

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
            self.queue.extendleft(apart(self.sweep, order))
            self.listener.trouble(cell, f"{reason}; the cells of its stack are tried alone")
            return
        try:
            record = record_failure(self.sweep, cell, self.plan.config, reason)
            if record is None:
                self.conclude(order, "busy", "")
            else:
                self.end(cell, record)
        except OSError as error:
            self.outcome.halted = self.outcome.halted or f"{cell.run_id}: {error}"

    def bury(self, slot: Slot) -> None:
        """A worker has died or left: retry its cells, and replace it if there is work and it can start."""
        self.selector.unregister(slot.events)
        self.slots.remove(slot)
        reason = slot.why_dead()
        if slot.order:
            self.retry(slot.order, reason)
        elif not slot.ready:
            self.failed_starts[slot.index] += 1
        if self.failed_starts[slot.index] >= ATTEMPTS:
            if not self.slots and self.work_left():
                raise WorkerError(f"{slot.log}: {reason}")
            where = f" on GPU {self.memory.device(slot.index)}" if self.gpus else ""
            self.listener.note(f"worker {slot.index}{where} does not start and is left out: {reason} ({slot.log})")
        elif self.work_left():
            self.start(slot.index)

    def work_left(self) -> bool:
        """Whether there are cells to hand out, now or later."""
        return self.outcome.halted is None and bool(self.queue or self.held_elsewhere)

    def hand_out(self) -> None:
        """Give each idle worker an order; send it home when there is none and there will be none."""
        while self.held_elsewhere and self.held_elsewhere[0][0] <= time.monotonic():
            self.queue.appendleft(self.held_elsewhere.popleft()[1])  # before those that go on from it
        for slot in self.slots:
            if not slot.ready or slot.leaving or slot.order:
                continue
            if self.work_left() and self.queue:
                if (order := self.next_open(slot)) is not None:
                    slot.give(order)
            elif not self.work_left() and not any(other.order for other in self.slots):
                slot.orders.close()

    def next_open(self, slot: Slot) -> Order | None:
        """The next order for the slot, off the queue; those that another launch has settled meanwhile are told of."""
        while (order := self.next_ready(slot)) is not None:
            self.queue.remove(order)
            if not all(self.sweep.is_settled(cell.run_id) for cell in order):
                return order
            self.conclude(order, "ended", "")
        return None

    def next_ready(self, slot: Slot) -> Order | None:
        """The first order whose cells wait for no other's part of their trunk and fit the memory of the slot's device.

        What fits nowhere beside others waits until its device is idle.
        """
        device = self.memory.device(slot.index)
        beside = [each for each in self.slots if each is not slot and self.memory.device(each.index) == device]
        running = [each.order for each in beside if each.order]
        coming = [cell for each in self.slots for cell in each.order]
        coming += [cell for _, order in self.held_elsewhere for cell in order]
        for order in self.queue:
            awaited = self.sweep.trunks.awaits(order[0], coming)  # cells of trunks stand alone
            if not awaited and self.memory.fits(order, device, running, idle=len(beside) - len(running)):
                return order
            coming += order
        return None

    def stop(self) -> None:
        """Have every worker checkpoint and leave; kill what has not left in time."""
        for slot in self.slots:
            slot.process.terminate()
        deadline = time.monotonic() + self.grace
        for slot in self.slots:
            try:
                slot.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                slot.process.kill()


def run_local(
    plan: Plan,
    sweep: SweepFolder,
    orders: Sequence[Order],
    listener: Listener,
    per_gpu: int = 1,
    *,
    workers: int | None = None,
    module: str = WORKER,
    log_stem: Path | None = None,
    grace: float = STOP_SECONDS,
) -> Outcome:
    """Train `orders` on worker processes, as given; on GPUs `per_gpu` workers share one.

    There are `workers` of them (default: as the config says), each running `module` and writing what it prints to
    SWEEP/worker-0.log, or to log_stem-worker-0.log. Told to stop, they have `grace` seconds to checkpoint.

    Raises:
        InputError: a cell is larger than any device here; nothing was started.
        WorkerError: no worker gets ready.
        KeyboardInterrupt: Ctrl-C; the cells at work have their checkpoints.
    """
    if not orders:
        return Outcome()
    sweep.remember(cell for order in orders for cell in order)
    gpus = visible_gpus(plan.config.execution)
    memory = Memory(plan, gpus)
    memory.refuse_too_large(orders)
    n_workers = worker_count(plan.config.execution, gpus, per_gpu) if workers is None else workers
    most = memory.most_workers(orders)
    if most is not None and most < min(n_workers, len(orders)):
        n_workers = most
        listener.note(f"{most} worker{'s' if most > 1 else ''} at once: more would not fit this machine's memory")
    if advice := memory.advice(orders):
        listener.note(advice)
    launcher = LocalLauncher(
        plan, sweep, orders, listener, n_workers, gpus, memory, module=module, log_stem=log_stem, grace=grace
    )
    return launcher.run()
