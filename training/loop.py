"""RunPlan -> record: one run, or a stack of them, on Accelerate, resumable to the bit, its losses fetched in blocks."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .checkpoint import save_weights
from .device import first_micro_batch, is_out_of_memory, machine, memory_words, release, start_peak
from .hooks import Hooks, Interrupted, OutOfMemory, OutOfTime
from .member import Member
from .outcome import Divergence, Trained, trained_record
from .plan import RunPlan
from .schedule import evaluation_steps
from .stacking import stack_name
from .state import Job, Run
from .tracking import Mirror


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
    return train_stack(job, hooks)[0]


def train_stack(job: Job, hooks: Hooks | None = None) -> list[dict[str, Any]]:
    """Train the job's cells as one to their end; returns their records, in order. Raises as `train` does.

    A member that diverges is trained again alone once the others are done, and so are all of them where the stack runs
    out of memory.
    """
    hooks = hooks or Hooks()
    micro_batch = first_micro_batch(job.cell, job.config, job.accelerator.device, len(job.cells))
    while True:
        outcome = _attempt(job, hooks, micro_batch)
        if isinstance(outcome, dict):
            break
        # Outside of the handler, whose traceback would hold on to the tensors.
        if job.others:
            release(job.accelerator)
            outcome = {}
            break
        if micro_batch == 1:
            tokens, words = job.cell.shape.context, memory_words(job.accelerator.device)
            raise OutOfMemory(f"out of memory at micro-batch 1 ({tokens} tokens): {words}; {outcome}")
        micro_batch = -(-min(micro_batch, job.cell.batch_sequences) // 2)
        release(job.accelerator)
    records = [outcome.get(cell.run_id) or _alone(job, cell, hooks) for cell in job.cells]
    if job.others:
        job.sweep.stack_path(stack_name(job.cells)).unlink(missing_ok=True)
    return records


def _alone(job: Job, cell: RunPlan, hooks: Hooks) -> dict[str, Any]:
    """The record of a member of a stack, trained by itself unless it has ended."""
    known = job.sweep.read_record(cell.run_id) if job.sweep.has_ended(cell.run_id) else None
    return known or train(replace(job, cell=cell, others=()), hooks)


def _attempt(job: Job, hooks: Hooks, micro_batch: int) -> dict[str, dict[str, Any]] | str:
    """The records by run id, or what torch says of memory that ran out."""
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


def _train(job: Job, hooks: Hooks, micro_batch: int) -> dict[str, dict[str, Any]]:
    start_peak(job.accelerator.device)
    run = Run(job, micro_batch)
    run.resume()
    active = job.accelerator.is_main_process
    words: dict[str, Any] = {"active": active, "queue": job.mirrors}
    new = [member for member in run.members if not job.sweep.has_ended(member.cell.run_id)]
    mirrors = {m.cell.run_id: Mirror(m.cell, job.config, job.sweep.path, past=m.curve, **words) for m in new}
    try:
        known = job.sweep.trunks.divergence(job.cell)
        divergence = None if known is None else Divergence(known, None)
        if divergence is None:
            _train_steps(run, mirrors, hooks)
            bad_step = run.members[0].diverged_at
            if bad_step is not None and not job.others:
                divergence = Divergence(bad_step, _keep_last_good(run, bad_step))
        records = _finish(run, divergence)
        for run_id in mirrors.keys() & records.keys():
            mirrors[run_id].finish(records[run_id])
    finally:
        for mirror in mirrors.values():
            mirror.close()
        release(job.accelerator)
        run.settle()  # before the claim ends
    return records


def _train_steps(run: Run, mirrors: Mapping[str, Mirror], hooks: Hooks) -> None:
    """Train to the last step, or until no member's losses and gradients are numbers any more."""
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
        run.fetch()
        run.stop_clock()
        healthy = [k for k, member in enumerate(run.members) if member.diverged_at is None]
        if not healthy:
            return
        if logged:
            hooks.progress(run.step)
            for k in healthy:
                score = run.score(k) if run.step in scored and not last else None
                row = run.log(run.members[k], score)
                if mirror := mirrors.get(run.members[k].cell.run_id):
                    mirror.log(row)
        if branches:
            run.save_trunk()
        if saves:
            run.save()
            saved = time.monotonic()
            if stop or late:
                run.settle()
            if stop:
                raise Interrupted(cell.run_id)
            if late:
                raise OutOfTime(f"stopped after {execution.max_seconds:g} s (execution.max_seconds) at step {run.step}")
        run.start_clock()


def _finish(run: Run, divergence: Divergence | None) -> dict[str, dict[str, Any]]:
    """The records of all members, by run id, but for those that diverged in a stack."""
    job, sweep = run.job, run.job.sweep
    if job.others:
        run.save()  # until every member has its record, the stack can be finished once more
    records = {}
    for k, member in enumerate(run.members):
        if divergence is not None or member.diverged_at is None:
            records[member.cell.run_id] = _end(run, k, member, divergence)
    if run.accelerator.is_main_process:
        if divergence:
            sweep.trunks.note_divergence(run.cell, divergence.step)
        elif not job.others:
            run.checkpoint.unlink(missing_ok=True)
    run.accelerator.wait_for_everyone()
    return records


def _end(run: Run, k: int, member: Member, divergence: Divergence | None) -> dict[str, Any]:
    """Score one member and write what stays of it; a record that stands is left as it is."""
    job, cell, sweep = run.job, member.cell, run.job.sweep
    if job.others and sweep.has_ended(cell.run_id):
        return sweep.read_record(cell.run_id) or {}
    # Written while it is scored.
    main = run.accelerator.is_main_process
    if main:
        run.write_curve(member)
    if main and not divergence and job.config.execution.keep_weights:
        save_weights(sweep.weights(cell.run_id), run.engine.models[k], {"run_id": cell.run_id}, job.writer)
    scores = {} if divergence else {name: run.score(k, name) for name in job.corpus.validation}
    record = trained_record(
        cell,
        job.config,
        job.corpus.info,
        Trained(scores, divergence, run.begun_at, run.seconds / len(run.members), len(run.members)),
        machine=machine(run.accelerator)
        | {"kernels": run.kernels, "compiled": run.compiled, "micro_batch": run.micro_batch},
    )
    if main:
        run.settle()
        if record["status"] != "finished":
            sweep.weights(cell.run_id).unlink(missing_ok=True)
        sweep.write_record(cell.run_id, record)
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
    again.fetch()
    if again.members[0].diverged_at is not None:
        return None
    again.save()
    return again.step
