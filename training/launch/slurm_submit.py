"""Hands an array of tasks to Slurm, by submitit."""

from __future__ import annotations

import contextlib
import io
import math
import shutil
from typing import Any

from ...fitting.errors import InputError
from ..config import SweepConfig
from ..plan import Plan
from .slurm_request import Request
from .submissions import Submission, Submissions

MOST_REQUEUES = 1_000_000  # a task is requeued as long as its cells get on


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
        executor = SlurmExecutor(known.folder(submission), max_num_timeout=MOST_REQUEUES)
        executor.update_parameters(**_parameters(plan.config, request, submission))
        # submitit prints what sbatch says, and raises it too.
        with contextlib.redirect_stderr(io.StringIO()), executor.batch():
            jobs = [executor.submit(Task(sweep, submission.id, index)) for index in range(len(submission.tasks))]
    except (FailedJobError, FailedSubmissionError) as error:
        shutil.rmtree(known.folder(submission))
        raise InputError(f"execution.slurm: {_slurms_words(str(error))}") from None
    return known.accepted(submission, jobs[0].job_id.partition("_")[0])


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
    said = [line.partition("error:")[2].strip() for line in text.splitlines() if "sbatch: error:" in line]
    return "; ".join(dict.fromkeys(said)) or " ".join(text.split())[:300]
