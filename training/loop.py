"""RunPlan -> record: one run on Accelerate, resumable to the bit, its losses fetched in blocks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .checkpoint import save_weights
from .device import OutOfMemory, is_out_of_memory, machine, memory_words, release
from .outcome import Divergence, trained_record
from .schedule import evaluation_steps
from .state import Job, Run
from .tracking import Mirror


class Interrupted(Exception):
    """The run was asked to stop; its checkpoint stands."""


class OutOfTime(Interrupted):
    """The run has had its `execution.max_seconds` of this launch; its checkpoint stands."""


@dataclass(frozen=True)
class Hooks:
    """Who is told the step now and then, and who is asked after each step whether to stop."""

    progress: Callable[[int], None] = lambda step: None
    should_stop: Callable[[], bool] = lambda: False


def train(job: Job, hooks: Hooks | None = None) -> dict[str, Any]:
    """Train one run to its end, write its record into the sweep and return it.

    Where memory runs out, the batch is taken in halved parts from the last checkpoint on, down to one sequence.

    Raises:
        Interrupted: the hooks or the time limit said stop; a checkpoint was written and the run can go on later.
        OutOfMemory: one sequence at a time is too much; with several processes, so much as they take at a time.
        InputError: a checkpoint of another run, or torn, or not the same for all processes; more processes than
            sequences a batch.
        OSError: the disk said no to a checkpoint or the record; the run is unfinished.
    """
    execution = job.config.execution
    micro_batch = execution.micro_batch or job.cell.batch_sequences
    while True:
        error = _attempt(job, hooks or Hooks(), micro_batch)
        if isinstance(error, dict):
            return error
        # Outside of the handler, whose traceback would hold on to the tensors.
        if micro_batch == 1:
            tokens, words = job.cell.shape.context, memory_words(job.accelerator.device)
            raise OutOfMemory(f"out of memory at micro-batch 1 ({tokens} tokens): {words}; {error}")
        micro_batch = -(-min(micro_batch, job.cell.batch_sequences) // 2)
        release(job.accelerator)


def _attempt(job: Job, hooks: Hooks, micro_batch: int) -> dict[str, Any] | str:
    """The record, or what torch says of memory that ran out."""
    try:
        return _train(job, hooks, micro_batch)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        n_processes = job.accelerator.num_processes
        if n_processes > 1:  # the others wait in a collective: only a new launch brings all together again
            at_once, words = -(-job.cell.batch_sequences // n_processes), memory_words(job.accelerator.device)
            raise OutOfMemory(
                f"{job.cell.run_id}: out of memory with {min(micro_batch, at_once)} sequences at once on each of "
                f"{n_processes} processes: {words}; lower execution.micro_batch ({said})"
            ) from None
        return said


def _train(job: Job, hooks: Hooks, micro_batch: int) -> dict[str, Any]:
    run = Run(job, micro_batch)
    run.resume()
    mirror = Mirror(job.cell, job.config, job.sweep.path, past=run.curve, active=job.accelerator.is_main_process)
    try:
        known = job.sweep.trunk_divergence(job.cell)
        divergence = None if known is None else Divergence(known, None)
        if divergence is None and (bad_step := _train_steps(run, mirror, hooks)) is not None:
            divergence = Divergence(bad_step, _keep_last_good(run, bad_step))
        record = _finish(run, divergence)
        mirror.finish(record)
    finally:
        mirror.close()
        release(job.accelerator)
    return record


def _train_steps(run: Run, mirror: Mirror, hooks: Hooks) -> int | None:
    """Train to the last step; where a loss or gradient stopped being a number, the step (from 0) at which."""
    execution, cell = run.job.config.execution, run.cell
    interval = max(1, -(-cell.steps // execution.log_points))
    scored = evaluation_steps(run.job.config.evaluation.points_per_decade, cell.steps, cell.batch_tokens, cell.timeline)
    alone = run.accelerator.num_processes == 1
    run.start_clock()
    begun = saved = time.monotonic()
    while run.step < cell.steps:
        run.train_step()
        last = run.step == cell.steps
        branches = cell.trunk is not None and run.step == cell.trunk_steps
        logged = last or run.step % interval == 0 or run.step in scored
        now = time.monotonic()
        # Several processes ask each other only where they meet anyway.
        asked = alone or logged
        stop = asked and run.agreed(hooks.should_stop())
        late = asked and run.agreed(now - begun >= (execution.max_seconds or float("inf")))
        due = asked and run.agreed(now - saved >= execution.checkpoint_seconds)
        saves = not last and (stop or late or due)
        if not (logged or branches or saves):
            continue
        bad_step = run.fetch()
        run.stop_clock()
        if bad_step is not None:
            return bad_step
        if logged:
            hooks.progress(run.step)
            mirror.log(run.log(run.score() if run.step in scored and not last else None))
        if branches:
            run.save_trunk()
        if saves:
            run.save()
            saved = time.monotonic()
            if stop:
                raise Interrupted(cell.run_id)
            if late:
                raise OutOfTime(f"stopped after {execution.max_seconds:g} s (execution.max_seconds) at step {run.step}")
        run.start_clock()
    return None


def _finish(run: Run, divergence: Divergence | None) -> dict[str, Any]:
    job, cell, folder = run.job, run.cell, run.job.sweep
    scores = {} if divergence else {name: run.score(name) for name in job.corpus.validation}
    record = trained_record(
        cell,
        job.config,
        job.corpus.info,
        scores=scores,
        divergence=divergence,
        begun_at=run.begun_at,
        seconds=run.seconds,
        machine=machine(run.accelerator) | {"kernels": run.kernels, "micro_batch": run.micro_batch},
    )
    if run.accelerator.is_main_process:
        folder.write_curve(cell.run_id, run.curve)
        if divergence:
            folder.note_divergence(cell, divergence.step)
        elif job.config.execution.keep_weights and record["status"] == "finished":
            save_weights(folder.weights(cell.run_id), run.raw_model, {"run_id": cell.run_id})
        folder.write_record(cell.run_id, record)
        if not divergence:
            folder.checkpoint(cell.run_id).unlink(missing_ok=True)
    run.accelerator.wait_for_everyone()
    return record


def _keep_last_good(run: Run, bad_step: int) -> int | None:
    """Checkpoint the state whose loss was the last finite one; returns its step, None where it cannot be had.

    The way there is trained again from the last checkpoint, which on a CPU is the same to the bit.
    """
    run.discard()
    again = Run(run.job, run.micro_batch)
    again.resume()
    if again.step > bad_step - 1:
        return None
    while again.step < bad_step - 1:
        again.train_step()
    if again.fetch() is not None:
        return None
    again.save()
    return again.step
