"""What a sweep has handed to Slurm, in its folder, so that any launcher knows it, whoever submitted.

runs/x/slurm/<id>/submission.json   its tasks, each a list of orders; written before Slurm hears of them
runs/x/slurm/<id>/<index>.json      how a task's last start ended, by the task itself
runs/x/slurm/<id>/*_log.out, .err   what a task printed; task-<index>-worker-*.log its workers
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ...fitting.jsonio import write_json_atomic
from ..records import SweepFolder
from ..stacking import Order

DISK_SAID_NO = 74  # the status of a task that could not write how it ended


@dataclass(frozen=True)
class Submission:
    """One job, or an array of them."""

    id: str
    name: str  # of the job, in Slurm; no other has it
    tasks: list[list[list[str]]]  # of each task its orders, of each order its run ids
    stamps: dict[str, int]  # of the records that its cells had: of failed ones, to be tried again
    limit_minutes: float
    processes: int = 1  # of each cell, on each node
    nodes: int = 1
    job: str | None = None  # once Slurm has taken it

    def job_of(self, index: int) -> str:
        """Slurm's name of a task."""
        return f"{self.job}_{index}" if len(self.tasks) > 1 else str(self.job)

    def cells_of(self, index: int) -> list[str]:
        """The run ids of a task."""
        return [run_id for order in self.tasks[index] for run_id in order]


class Submissions:
    """All of a sweep's."""

    def __init__(self, sweep: SweepFolder) -> None:
        self.sweep = sweep
        self.path = (sweep.path / "slurm").absolute()  # as a task on another machine finds it

    def new(self, sweep_name: str, tasks: Iterable[Iterable[Order]], **about: Any) -> Submission:
        """Write down what is going to be submitted."""
        name = secrets.token_hex(4)
        ids = [[[cell.run_id for cell in order] for order in task] for task in tasks]
        stamps = {run_id: self.sweep.record_stamp(run_id) for task in ids for order in task for run_id in order}
        had = {run_id: stamp for run_id, stamp in stamps.items() if stamp is not None}
        submission = Submission(name, f"isoflop-{sweep_name}-{name}", ids, had, **about)
        self.folder(submission).mkdir(parents=True)
        try:
            self.write(submission)
        except BaseException:
            self.forget(submission)
            raise
        return submission

    def forget(self, submission: Submission) -> None:
        """Delete its files, as far as the file system lets go of them."""
        shutil.rmtree(self.folder(submission), ignore_errors=True)

    def write(self, submission: Submission) -> None:
        """Write it down as it is now."""
        write_json_atomic(self.folder(submission) / "submission.json", asdict(submission))

    def accepted(self, submission: Submission, job: str) -> Submission:
        """Slurm has taken it as `job`."""
        known = replace(submission, job=job)
        self.write(known)
        return known

    def read(self, name: str) -> Submission:
        """The submission of that id."""
        return Submission(**json.loads((self.path / name / "submission.json").read_text()))

    def all(self) -> list[Submission]:
        """All that were ever made, but for those that are torn: their job's tasks are then nobody's to watch."""
        found = []
        for path in sorted(self.path.glob("*/submission.json")):
            try:
                found.append(self.read(path.parent.name))
            except (OSError, ValueError, TypeError):
                continue
        return found

    def folder(self, submission: Submission) -> Path:
        """Where its files lie."""
        return self.path / submission.id

    def ending_path(self, submission: Submission, index: int) -> Path:
        """Where a task tells how it ended."""
        return self.folder(submission) / f"{index}.json"

    def ending(self, submission: Submission, index: int) -> dict[str, Any]:
        """How a task's last start ended, by its own word; empty where it could not tell."""
        try:
            return json.loads(self.ending_path(submission, index).read_text())
        except (OSError, ValueError):
            return {}

    def last_words(self, submission: Submission, index: int) -> str:
        """The last line that a task wrote to its error log; empty where there is none."""
        job = submission.job_of(index)
        lines: list[str] = []
        for path in sorted(self.folder(submission).glob(f"{job}_*_log.err")):
            lines += [line.strip() for line in path.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1][:200] if lines else ""
