"""Hands an array of tasks to Slurm, by submitit."""

from __future__ import annotations

import contextlib
import io
import math
import os
import re
import shlex
import sys
from collections.abc import Iterator
from typing import Any

from ...fitting.errors import InputError
from ..config import SweepConfig
from ..plan import Plan
from . import slurm_queue
from .slurm_request import Request
from .submissions import Submission, Submissions

MOST_REQUEUES = 1_000_000  # a task is requeued as long as its cells get on
# The signal before the end of its time would kill a task that has not told Python yet what to do then.
_UNHEARD = 'trap "" USR2; exec "$@"'
PYTHON = f"/bin/sh -c {shlex.quote(_UNHEARD)} sh {shlex.quote(sys.executable)}"


def submit(known: Submissions, plan: Plan, request: Request) -> Submission:
    """Submit `request` as one job; returns it with Slurm's number.

    Raises InputError with Slurm's own words where it refuses: nothing of the request is then in its queue.
    """
    # Both only where something is submitted: submitit is an extra.
    from submitit import SlurmExecutor
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    from .slurm_task import Task

    submission = known.new(
        plan.config.name,
        request.tasks,
        limit_minutes=request.limit_minutes,
        processes=request.processes,
        nodes=request.nodes,
    )
    sweep = str(known.sweep.path.absolute())
    try:
        executor = SlurmExecutor(known.folder(submission), max_num_timeout=MOST_REQUEUES, python=PYTHON)
        executor.update_parameters(**_parameters(plan.config, request, submission))
        # submitit prints what sbatch says, and raises it too.
        with _outside_a_job(), contextlib.redirect_stderr(io.StringIO()), executor.batch():
            jobs = [executor.submit(Task(sweep, submission.id, index)) for index in range(len(submission.tasks))]
        return known.accepted(submission, jobs[0].job_id.partition("_")[0])
    except (FailedJobError, FailedSubmissionError) as error:
        withdraw(known, submission)
        raise InputError(f"execution.slurm: {_slurms_words(str(error))}") from None
    except BaseException:
        withdraw(known, submission)
        raise


def withdraw(known: Submissions, submission: Submission) -> bool:
    """Take back what was not accepted: Slurm may have the job, though sbatch failed or was killed.

    Its files stay, and this returns False, where Slurm has the job still or does not answer.
    """
    names = [submission.name]
    gone = slurm_queue.cancel(names) and slurm_queue.tasks_in_queue(names) == {}
    if gone:
        known.forget(submission)
    return gone


@contextlib.contextmanager
def _outside_a_job() -> Iterator[None]:
    """Inside the block the environment has nothing of a Slurm job's that this may be run in: tasks would inherit it."""
    from submitit.helpers import clean_env

    if "SLURM_JOB_ID" not in os.environ:
        yield
        return
    # What names the cluster, and a user's own defaults, are no job's.
    ours = {name: text for name, text in os.environ.items() if name == "SLURM_CONF" or name.startswith("SBATCH_")}
    with clean_env():
        os.environ.update(ours)
        yield


def _parameters(config: SweepConfig, request: Request, submission: Submission) -> dict[str, Any]:
    """What submitit is told; what is None is left to the cluster."""
    settings = config.execution.slurm
    memory = settings.mem or (None if request.memory is None else f"{math.ceil(request.memory / 2**20)}M")
    more: dict[str, Any] = {"requeue": True} | ({"mem": memory} if memory else {})
    for option in settings.extra:
        name, _, value = option.removeprefix("--").partition("=")
        more[name] = value or True
    asked = {
        "job_name": submission.name,
        "partition": settings.partition,
        "account": settings.account,
        "qos": settings.qos,
        "constraint": settings.constraint,
        "gres": request.gres,
        "time": math.ceil(request.limit_minutes),
        "nodes": request.nodes,
        "ntasks_per_node": 1,
        "cpus_per_task": request.cpus,
        # An srun inside a job asks for one core unless told.
        "srun_args": [f"--cpus-per-task={request.cpus}"] if request.cpus else None,
        "signal_delay_s": settings.signal_seconds,
        "array_parallelism": request.parallel,
        "setup": list(settings.setup) or None,
        "additional_parameters": more,
    }
    return {key: value for key, value in asked.items() if value is not None}


def _slurms_words(text: str) -> str:
    """The reason in what sbatch printed, on one line."""
    said = re.findall(r"sbatch: (?:error|fatal): *(.*)", text)
    return "; ".join(dict.fromkeys(line.strip() for line in said)) or " ".join(text.split())[:300]
