"""What Slurm has of a sweep, for those that only look at it, or end it."""

from __future__ import annotations

from collections import Counter

from ..records import SweepFolder
from . import slurm_queue
from .submissions import Submissions


def names_of(sweep: SweepFolder) -> list[str]:
    """The names of all jobs that were ever submitted for the sweep."""
    return [submission.name for submission in Submissions(sweep).all()]


def task_lines(sweep: SweepFolder) -> list[str]:
    """What the sweep's tasks in Slurm's queue are at, in lines; none where it has none, or never was Slurm's."""
    names = names_of(sweep)
    listed = slurm_queue.tasks_in_queue(names)
    if listed is None:
        return ["Slurm: does not answer here (squeue); what its tasks of this sweep are at is not known"]
    states: Counter[tuple[str, str]] = Counter()
    for entry in listed.values():
        states[entry.state, entry.reason.strip("()")] += 1
    return [
        f"Slurm: {n} task{'s' if n > 1 else ''} {state.lower()}"
        + (f" on {place}" if state == "RUNNING" else f" ({place})" if place else "")
        for (state, place), n in sorted(states.items())
    ]


def cancel_tasks(sweep: SweepFolder, *, waiting: bool) -> bool:
    """Have Slurm end the sweep's tasks, or only those that wait; False where it does not answer."""
    listed = slurm_queue.tasks_in_queue(names_of(sweep))
    if listed is None:
        return False
    return slurm_queue.cancel({entry.name for entry in listed.values()}, waiting=waiting)
