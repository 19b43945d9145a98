"""What runs on a node: a task of a submission trains its orders, and is requeued where its time runs out.

submitit starts it and brings it Slurm's signals. Nothing of torch is imported here: workers train, or
`accelerate launch` where several processes share a cell, and both keep a checkpoint when they are asked to stop.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from submitit import JobEnvironment
from submitit.helpers import DelayedSubmission

from ...fitting.errors import InputError
from ...fitting.jsonio import write_json_atomic
from ..config.slurm import SIGNAL_SLACK
from ..plan import Plan, RunPlan
from ..records import SweepFolder
from ..stacking import Order
from . import slurm_queue
from .base import Outcome
from .devices import worker_environment
from .here import launch_here
from .local import WorkerError
from .slot import without_batch_signals
from .submissions import DISK_SAID_NO, Submissions

GRACE_SECONDS = 60.0  # for workers to checkpoint in; Slurm may give less
MEETING_SECONDS = 300.0  # for all nodes of a task to begin


class Task:
    """Task number `index` of a submission; submitit calls it, and `checkpoint` before the time is over."""

    def __init__(self, sweep: str, submission: str, index: int) -> None:
        self.sweep, self.submission, self.index = sweep, submission, index
        self._late = float("inf")  # seconds after which a cell should have got on; of the plan, once it is read

    def __call__(self) -> None:
        """Train what has no record yet, and tell how it went."""
        self._begun = time.monotonic()
        self._folder = SweepFolder(Path(self.sweep))
        self._known = Submissions(self._folder)
        self._submitted = self._known.read(self.submission)
        self._known.ending_path(self._submitted, self.index).unlink(missing_ok=True)  # of an earlier start
        self._before = self._states()
        try:
            with _stops_on_sigterm():
                plan = self._folder.read_plan()
                to_train_in = 60.0 * self._submitted.limit_minutes - plan.config.execution.slurm.signal_seconds
                self._late = 0.5 * max(0.0, to_train_in - SIGNAL_SLACK)
                orders = self._orders(plan)
                several = self._submitted.processes * self._submitted.nodes > 1
                ending = self._launch_processes(plan, orders) if several else self._launch(plan, orders)
        except (InputError, WorkerError, OSError) as error:
            ending = {"halted": str(error)}
        except KeyboardInterrupt:
            self._stopped()
            return
        self._tell(ending)

    def _stopped(self) -> None:
        """Told to end: where neither the sweep nor the task was cancelled, Slurm needs the node, and the task waits."""
        self._tell({"stopped": True})
        if os.environ.get("SLURM_NODEID", "0") == "0" and not self._folder.stop.asked():
            slurm_queue.requeue_if_running(JobEnvironment().job_id)

    def checkpoint(self) -> DelayedSubmission | None:
        """Stop at a checkpoint, and go on in the queue; not where all of the time brought no cell any further."""
        again = DelayedSubmission(Task(self.sweep, self.submission, self.index))
        if not hasattr(self, "_before"):  # nothing has begun
            return again
        _stop_children()
        limit = self._submitted.limit_minutes
        late = time.monotonic() - self._begun > self._late
        if late and self._states() == self._before:
            self._tell({"stuck": f"no step was gained in a task of {limit:g} minutes; raise execution.slurm.time"})
            return None
        return again

    def _states(self) -> list[tuple[str, int]]:
        """What changes where a cell gets on: its record, its checkpoint, its stack's."""
        cells = self._submitted.cells_of(self.index)
        paths = [path for cell in cells for path in (self._folder.record_path(cell), self._folder.checkpoint(cell))]
        paths += sorted(self._folder.path.glob("stacks/*.safetensors"))
        return [(path.name, path.stat().st_mtime_ns) for path in paths if path.exists()]

    def _tell(self, ending: dict[str, Any]) -> None:
        if os.environ.get("SLURM_NODEID", "0") != "0":
            return
        try:
            write_json_atomic(self._known.ending_path(self._submitted, self.index), ending)
        except OSError as error:
            print(f"{error}; {ending.get('halted') or ''}", file=sys.stderr, flush=True)
            os._exit(DISK_SAID_NO)

    def _orders(self, plan: Plan) -> list[Order]:
        cells = {cell.run_id: cell for cell in plan.cells}
        orders = [
            tuple(cells[run_id] for run_id in order if run_id in cells) for order in self._submitted.tasks[self.index]
        ]
        self._folder.remember_stamps(self._submitted.stamps)
        return [order for order in orders if not all(self._folder.is_settled(cell.run_id) for cell in order)]

    def _launch(self, plan: Plan, orders: list[Order]) -> dict[str, Any]:
        """Train `orders` on this node, as a sweep on a machine of its own does."""
        try:
            outcome = launch_here(
                plan,
                self._folder,
                orders,
                Log(),
                log_stem=self._known.folder(self._submitted) / f"task-{self.index}",
                cpus=int(os.environ.get("SLURM_CPUS_PER_TASK", "0")) or None,
                grace=GRACE_SECONDS,
            )
        except InputError as error:  # a cell is larger than this node
            return {"refused": str(error)}
        return _told(outcome)

    def _launch_processes(self, plan: Plan, orders: list[Order]) -> dict[str, Any]:
        """Train one cell after another by `accelerate launch` on all nodes of this task."""
        for order in orders:
            (cell,) = order
            environment = worker_environment(plan.config.execution, [], 0)
            with without_batch_signals():
                child = subprocess.Popen(self._command(cell), env=environment)
            try:
                status = child.wait()
                self._folder.stop.check()  # its processes have ended by themselves then
            except BaseException:
                _stop_children()
                raise
            if self._folder.read_record(cell.run_id) is not None:
                continue
            if plan.config.execution.max_seconds is not None and self._states() != self._before:
                return {"paused": {cell.run_id: "stopped by execution.max_seconds"}}
            return {"died": f"accelerate launch ended with status {status}"}
        return {}

    def _command(self, cell: RunPlan) -> list[str]:
        submitted = self._submitted
        host, port = self._meeting_point(cell)
        how = [
            "--multi_gpu",  # of CPUs too: its launcher for them starts one process only
            "--num_processes",
            str(submitted.processes * submitted.nodes),
            "--num_machines",
            str(submitted.nodes),
            "--machine_rank",
            os.environ.get("SLURM_NODEID", "0"),
            "--main_process_ip",
            host,
            "--main_process_port",
            str(port),
            "--mixed_precision",
            "no",
            "--dynamo_backend",
            "no",
        ]
        words = ["-m", "isoflop.scripts.run", str(self._folder.path), cell.run_id]
        return [sys.executable, "-m", "accelerate.commands.launch", *how, *words]

    def _meeting_point(self, cell: RunPlan) -> tuple[str, int]:
        """Where the processes meet: a port that the first node finds free, told in the sweep's folder to the others."""
        start = os.environ.get("SLURM_RESTART_COUNT", "0")
        path = self._known.folder(self._submitted) / f"{self.index}-{cell.run_id}-{start}.meeting.json"
        if os.environ.get("SLURM_NODEID", "0") == "0":
            with socket.socket() as free:
                free.bind(("", 0))
                place = {"host": socket.gethostname(), "port": free.getsockname()[1]}
            write_json_atomic(path, place)
            return place["host"], place["port"]
        until = time.monotonic() + MEETING_SECONDS
        while time.monotonic() < until:
            with contextlib.suppress(OSError, ValueError):
                place = json.loads(path.read_text())
                return place["host"], place["port"]
            time.sleep(0.5)
        raise TimeoutError(f"{path}: the first node of the task has not begun after {MEETING_SECONDS:g} s")


class Log:
    """Prints what a launch tells, for the task's log."""

    def step(self, cell: RunPlan, step: int) -> None:
        """Nothing: the claim tells."""

    def ended(self, cell: RunPlan, record: dict[str, Any]) -> None:
        """A line for each cell."""
        print(f"{cell.run_id}  {record.get('status')}  loss {record.get('loss')}", flush=True)

    def note(self, words: str) -> None:
        """How the launcher goes about it."""
        print(words, flush=True)

    def trouble(self, cell: RunPlan, reason: str) -> None:
        """A line on stderr, whose last one the sweep's launcher quotes."""
        print(f"{cell.run_id}  cut short: {reason}", file=sys.stderr, flush=True)


def _told(outcome: Outcome) -> dict[str, Any]:
    """An outcome as a task tells it."""
    return {"halted": outcome.halted, "paused": outcome.paused}


@contextlib.contextmanager
def _stops_on_sigterm() -> Iterator[None]:
    """Inside the block, `scancel` is a Ctrl-C: cells stop at a checkpoint."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop_children() -> None:
    """Have the trainers checkpoint and leave; kill what has not left in time."""
    children = psutil.Process().children()
    for child in children:
        child.terminate()
    _, left = psutil.wait_procs(children, GRACE_SECONDS)
    for child in left:
        child.kill()
