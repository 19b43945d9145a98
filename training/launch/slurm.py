"""Trains a sweep as tasks of Slurm's, through submitit: submits, watches, submits what is left again.

The sweep's folder decides what is done; Slurm's queue says which tasks are still to be waited for. Tasks outlive this
process: the next launcher finds them by the names of their jobs, and submits only what none of them has.
"""

from __future__ import annotations

import importlib.util
import time
from collections import Counter
from collections.abc import Sequence

from ...fitting.errors import InputError
from ..claims import read_claim
from ..plan import Plan, RunPlan
from ..records import SweepFolder
from ..stacking import Order, stack_name
from . import slurm_queue
from .base import BUSY_SECONDS, Listener, Outcome, record_failure
from .slurm_request import requests_for
from .slurm_submit import submit, withdraw
from .submissions import DISK_SAID_NO, Submission, Submissions

LOOK_SECONDS = 5.0  # between questions to Slurm
LAUNCHER = "launcher"  # the folder of the claim of who submits
SILENT_SECONDS = 60.0  # without an answer of Slurm's, before that is told
REFUSED_SECONDS = 300.0  # of refusals while no task is left to wait for, before the launch gives up


def run_slurm(plan: Plan, sweep: SweepFolder, orders: Sequence[Order], listener: Listener) -> Outcome:
    """Train `orders` as Slurm's tasks. Where another launcher of this sweep submits, wait for it, or for its end.

    Raises:
        InputError: no sbatch here, no submitit, or Slurm refuses the job: in its own words.
        KeyboardInterrupt: Ctrl-C, after which the tasks go on, or `scripts/cancel.py`, which ends them.
    """
    if not slurm_queue.is_here():
        raise InputError(
            "execution.executor: slurm: there is no sbatch on this machine; run this where jobs are submitted"
        )
    if importlib.util.find_spec("submitit") is None:
        raise InputError(
            "execution.executor: slurm needs submitit, which is not installed: pip install 'isoflop[slurm]'"
        )
    watch = SlurmLauncher(plan, sweep, orders, listener)
    waits = False
    while watch.left():
        with sweep.claim(LAUNCHER) as mine:
            if mine:
                return watch.run()
        if not waits:
            listener.note("another launcher submits for this sweep: waiting for it")
            waits = True
        sweep.stop.check()
        time.sleep(BUSY_SECONDS)
        watch.look_at_cells()
    return watch.outcome


class SlurmLauncher:
    """One launch of a sweep, while it holds the claim of who submits."""

    def __init__(self, plan: Plan, sweep: SweepFolder, orders: Sequence[Order], listener: Listener) -> None:
        self.plan, self.sweep, self.listener = plan, sweep, listener
        self.most_attempts = plan.config.execution.slurm.attempts
        self.cells = {cell.run_id: cell for order in orders for cell in order}
        self.orders = list(orders)
        self.outcome = Outcome()
        self.known = Submissions(sweep)
        self.open: dict[str, tuple[Submission, int]] = {}  # tasks that Slurm has, by its id
        self.missed: Counter[str] = Counter()  # looks in a row in which Slurm did not list a task
        self.attempts: Counter[str] = Counter()  # by order
        self.fruitless = 0  # looks since a cell ended at which tasks were gone without a cell to blame
        self.refused_since: float | None = None  # when Slurm or the disk first refused what was submitted again
        self.doomed: dict[str, str] = {}  # cells given up and why, while their dead task's claim still holds
        self.answered = time.monotonic()
        self.noted: set[str] = set()

    def run(self) -> Outcome:
        """Submit and watch until nothing is left that could be trained."""
        self.adopt()
        self.submit(self.uncovered())
        while self.left() and self.outcome.halted is None and not self.sweep.has_lost_a_claim:
            self.look_at_cells()
            if time.monotonic() - self.answered >= LOOK_SECONDS:
                self.look_at_tasks()
            self.sweep.stop.check()
            time.sleep(0.5)
        if not self.left():  # tasks that wait for their start would find nothing to do
            slurm_queue.cancel({submission.name for submission, _ in self.open.values()}, waiting=True)
        return self.outcome

    def left(self) -> list[Order]:
        """The orders with cells that are still to be trained."""
        over = {*self.outcome.trained, *self.outcome.failed, *self.outcome.paused}
        return [order for order in self.orders if not over.issuperset(cell.run_id for cell in order)]

    def adopt(self) -> None:
        """Take over the tasks of earlier launches that Slurm still has."""
        submissions = [each for each in self.known.all() if each.job is not None or not withdraw(self.known, each)]
        listed = slurm_queue.tasks_in_queue(each.name for each in submissions)
        if listed is None:
            raise InputError(f"{self.sweep.path}: Slurm does not answer (squeue); try again when it does")
        for submission in submissions:
            jobs = [job for job, entry in listed.items() if entry.name == submission.name]
            if submission.job is None:
                continue  # Slurm did not answer just now: the next launch withdraws it
            here = {submission.job_of(index): index for index in range(len(submission.tasks))}
            self.open |= {job: (submission, here[job]) for job in jobs if job in here}
        if self.open:
            self.listener.note(
                f"tasks of an earlier launch that Slurm still has: {len(self.open)}; they are waited for"
            )

    def uncovered(self) -> list[Order]:
        """The orders left with cells that no task has that Slurm has."""
        self.look_at_cells()  # they end while Slurm is asked
        covered = {run_id for submission, index in self.open.values() for run_id in submission.cells_of(index)}
        covered |= self.doomed.keys()
        return [order for order in self.left() if not covered.issuperset(cell.run_id for cell in order)]

    def submit(self, orders: Sequence[Order]) -> None:
        """Hand `orders` to Slurm, as far as `max_parallel` lets them: all of these or none."""
        self.sweep.stop.check()  # it may have been written while Slurm took its time to answer
        made: list[Submission] = []
        try:
            for request in requests_for(self.plan, self.sweep, orders, busy=len(self.open)):
                made.append(submit(self.known, self.plan, request))
        except BaseException:
            slurm_queue.cancel({submission.name for submission in made})
            raise
        for submission in made:
            tasks = range(len(submission.tasks))
            self.open |= {submission.job_of(index): (submission, index) for index in tasks}
            n_cells = sum(len(submission.cells_of(index)) for index in tasks)
            plural = "s" if len(tasks) > 1 else ""
            self.listener.note(
                f"Slurm has job {submission.job}: {n_cells} cells in {len(tasks)} task{plural} of up to "
                f"{submission.limit_minutes:g} min"
            )

    def look_at_cells(self) -> None:
        """Tell of the cells that have ended, and of the steps of those at work."""
        for order in self.left():
            for cell in order:
                self.look_at_cell(cell)

    def look_at_cell(self, cell: RunPlan) -> None:
        """Tell of one cell."""
        run_id = cell.run_id
        if run_id in self.outcome.trained or run_id in self.outcome.failed:
            return
        if self.sweep.record_stamp(run_id) is None or not self.sweep.is_settled(run_id):
            claim = read_claim(self.sweep.path / run_id)
            if claim is not None and claim.alive and claim.step is not None:
                self.listener.step(cell, claim.step)
            return
        record = self.sweep.read_record(run_id)
        if record is not None:
            self.end(cell, record)

    def end(self, cell: RunPlan, record: dict) -> None:
        """A cell has a new record."""
        self.fruitless = 0
        self.outcome.ended(cell.run_id, record)
        self.listener.ended(cell, record)

    def look_at_tasks(self) -> None:
        """Ask Slurm which tasks it still has, and submit again what those that are gone have left."""
        now = time.monotonic()
        self.give_up()
        listed = slurm_queue.tasks_in_queue({submission.name for submission, _ in self.open.values()})
        if listed is None:
            if now - self.answered > SILENT_SECONDS:
                self.note_once("Slurm does not answer (squeue); the tasks it has are taken to go on")
            return
        self.answered = now
        for job in list(self.open):
            entry = listed.get(job)
            self.missed[job] = 0 if entry else self.missed[job] + 1
            if entry and entry.waits_for_ever:
                self.note_once(f"task {job} will not start by itself: Slurm says {entry.reason.strip('()')}")
        gone = [self.settle(job) for job in list(self.open) if self.missed[job] >= 2]
        # One failure of a node or of the network may end many tasks at once.
        if fruitless := [reason for reason in gone if reason]:
            self.fruitless += 1
            if self.fruitless >= self.most_attempts:
                self.outcome.halted = fruitless[-1]
        if self.outcome.halted is None:
            self.submit_again()

    def submit_again(self) -> None:
        """Submit what tasks have left; where that is refused, the next look tries again: disks and Slurm recover."""
        try:
            if self.refused_since is not None:
                for submission in self.known.all():
                    if submission.job is None:
                        withdraw(self.known, submission)
            self.submit(self.uncovered())
            self.refused_since = None
        except (OSError, InputError) as error:
            now = time.monotonic()
            self.refused_since = self.refused_since or now
            self.note_once(f"nothing can be submitted: {error}; trying again")
            if not self.open and now - self.refused_since >= REFUSED_SECONDS:
                self.outcome.halted = str(error)

    def settle(self, job: str) -> str:
        """A task is over: tell why, where it has left cells untrained; returns that where no cell is to blame."""
        submission, index = self.open.pop(job)
        del self.missed[job]
        ending = self.known.ending(submission, index) or self.slurms_ending(job)
        for run_id, reason in (ending.get("paused") or {}).items():
            if run_id in self.cells:
                self.outcome.paused[run_id] = reason
                self.listener.trouble(self.cells[run_id], reason)
        mine = set(submission.cells_of(index))
        left = [order for order in self.uncovered() if not mine.isdisjoint(cell.run_id for cell in order)]
        if not left:
            return ""
        reason = self.why(job, submission, index, ending)
        blamed = [order for order in left if self.was_at(order, job, ending)]
        for order in blamed:
            self.blame(order, reason, final="stuck" in ending)
        if blamed:
            return ""
        self.listener.note(reason)
        if "refused" in ending:  # it would be again
            self.outcome.halted = reason
        return reason

    def slurms_ending(self, job: str) -> dict:
        """What accounting says of a task that could not tell itself; empty where that says nothing."""
        how = slurm_queue.why_ended(job)
        if how.endswith(f"status {DISK_SAID_NO}"):
            return {"halted": "the disk said no to the task"}
        return {"ended": how} if how else {}

    def was_at(self, order: Order, job: str, ending: dict) -> bool:
        """Whether the task died over `order`: it held a claim on it that it never gave up, or says itself it failed."""
        if ending.get("halted") or ending.get("refused") or ending.get("stopped"):
            return False
        says = "died" in ending or "stuck" in ending
        claims = [read_claim(self.sweep.path / cell.run_id) for cell in order]
        return any(claim is not None and claim.job == job and (says or not claim.released) for claim in claims)

    def why(self, job: str, submission: Submission, index: int, ending: dict) -> str:
        """How a task ended, in words."""
        told = next((ending[key] for key in ("halted", "refused", "died", "stuck") if ending.get(key)), None)
        if ending.get("stopped"):
            told = "cancelled"
        how = told or ending.get("ended") or "ended, Slurm does not say how"
        last = "" if told else self.known.last_words(submission, index)
        return f"Slurm task {job}: {how}" + (f"; its last words: {last}" if last else "")

    def blame(self, order: Order, reason: str, *, final: bool) -> None:
        """An order took its task down: it is tried again, then a stack's cells by themselves, then it has failed."""
        name = stack_name(order)
        self.attempts[name] += 1
        if self.attempts[name] < self.most_attempts and not final:
            self.listener.trouble(order[0], reason)
            return
        cell, *others = order
        if others:
            self.sweep.stack_path(name).unlink(missing_ok=True)
            self.orders.remove(order)
            self.orders += [(each,) for each in order]
            self.listener.trouble(cell, f"{reason}; the cells of its stack are tried alone")
            return
        self.doomed[cell.run_id] = reason
        self.give_up()

    def give_up(self) -> None:
        """Record why doomed cells failed: a claim of another machine's dead process holds for a few looks more."""
        for run_id, reason in list(self.doomed.items()):
            try:
                record = record_failure(self.sweep, self.cells[run_id], self.plan.config, reason)
            except OSError as error:
                self.note_once(f"{run_id}: {error}; trying again")
                continue
            if record is not None:
                del self.doomed[run_id]
                self.look_at_cell(self.cells[run_id])

    def note_once(self, words: str) -> None:
        """Tell, unless it was told before."""
        if words not in self.noted:
            self.noted.add(words)
            self.listener.note(words)
