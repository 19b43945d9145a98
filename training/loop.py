"""RunPlan -> record: one run on Accelerate, resumable to the bit, its losses fetched in blocks."""

from __future__ import annotations

import gc
import math
import os
import resource
import socket
import time
from collections.abc import Callable
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from ..fitting.errors import InputError
from .checkpoint import load_checkpoint, remove_checkpoint, save_checkpoint
from .config import Optimizer, SweepConfig
from .corpus import BatchOrder, Corpus, gather
from .evaluate import evaluate, token_losses
from .fused import FusedLlama, is_supported
from .models.build import build_model
from .outcome import trained_record
from .plan import RunPlan
from .records import SweepFolder
from .schedule import rate_at
from .tracking import Mirror


class Interrupted(Exception):
    """The run was asked to stop; its checkpoint stands."""


class Run:
    """The moving parts of one run while it trains."""

    def __init__(self, cell: RunPlan, config: SweepConfig, corpus: Corpus, accelerator: Accelerator) -> None:
        self.cell = cell
        self.config = config
        self.corpus = corpus
        self.accelerator = accelerator
        if cell.batch_sequences < accelerator.num_processes:
            raise ValueError(f"{cell.batch_sequences} sequences a batch for {accelerator.num_processes} processes")
        self.raw_model = build_model(cell.shape, config.model, seed=cell.seed)
        self.raw_model.to(accelerator.device)  # type: ignore[arg-type]
        self.fused: FusedLlama | None = None
        if config.execution.kernels == "auto" and is_supported(
            cell, accelerator.device, config.recipe.precision, accelerator.num_processes
        ):
            self.fused = FusedLlama(self.raw_model, cell.shape)
        self.raw_optimizer = make_optimizer(self.raw_model, config.recipe.optimizer, cell)
        self.order = BatchOrder(corpus.info.train_tokens, cell.shape.context, cell.batch_sequences, cell.seed)
        self.step = 0
        self.seconds = 0.0  # of training, over all of its interruptions
        self.pending: list[torch.Tensor] = []  # (loss, gradient norm) a step, still on the device
        self.fetched: list[list[float]] = []  # the same, brought here
        self.curve: list[dict[str, Any]] = []
        self._mark = time.monotonic()

    def resume(self, sweep: SweepFolder) -> None:
        """Go on from the run's checkpoint, if it has one; only then wrap the model for the devices."""
        state = load_checkpoint(sweep.run_folder(self.cell.run_id), self.raw_model, self.raw_optimizer)
        if state is not None:
            self.step, self.seconds, self.fetched = state["step"], state["seconds"], state["fetched"]
            self.curve = [row for row in sweep.read_curve(self.cell.run_id) if row["step"] <= self.step]
        self.model, self.optimizer = self.accelerator.prepare(self.raw_model, self.raw_optimizer)
        self.parameters = list(self.raw_model.parameters())
        self.model.train()

    def train_step(self) -> None:
        """One optimiser step. Nothing in it waits for the device."""
        recipe, accelerator = self.config.recipe, self.accelerator
        for group in self.raw_optimizer.param_groups:
            group["lr"] = self.cell.learning_rate * rate_at(self.step, self.cell.timeline, recipe.schedule)
        mine = self.order.sequences(self.step)[accelerator.process_index :: accelerator.num_processes]
        rows = torch.from_numpy(gather(self.corpus.train, mine, self.cell.shape.context))
        rows = rows.to(accelerator.device, non_blocking=True)
        size = self.config.execution.micro_batch or len(rows)
        parts = rows.split(size)
        total = torch.zeros((), device=accelerator.device)
        # Gradients are averaged over processes, hence x processes: the sum is then per token of the whole batch.
        scale = accelerator.num_processes / self.cell.batch_tokens
        for part in parts[:-1]:
            with accelerator.no_sync(self.model):
                total += self._backward(part, scale)
        total += self._backward(parts[-1], scale)
        norm = self._update(recipe.optimizer.clip)
        self.pending.append(torch.stack([total, torch.as_tensor(norm, device=total.device)]))
        self.step += 1

    def _backward(self, rows: torch.Tensor, scale: float) -> torch.Tensor:
        if self.fused is not None:
            return self.fused.accumulate(rows, scale)
        loss = token_losses(self.model, rows).sum() * scale
        self.accelerator.backward(loss)
        return loss.detach()

    def _update(self, clip: float) -> torch.Tensor | float | None:
        """Clip, step, zero; returns the gradient's norm before clipping."""
        if self.fused is not None:
            norm = self.fused.clip(clip)
            self.raw_optimizer.step()
            self.fused.gradient.zero_()
            return norm
        norm = self.accelerator.clip_grad_norm_(self.parameters, clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return norm

    def fetch(self) -> bool:
        """Bring the pending losses here; False where one is not finite."""
        if self.pending:
            block = self.accelerator.reduce(torch.stack(self.pending), reduction="mean")
            assert isinstance(block, torch.Tensor)
            self.fetched += block.cpu().tolist()
            self.pending.clear()
        return all(math.isfinite(loss) for loss, _ in self.fetched)

    def log(self) -> dict[str, Any]:
        """The curve's next row: means over the steps since the last one."""
        losses, norms = zip(*self.fetched, strict=True)
        tokens = self.step * self.cell.batch_tokens
        row = {
            "step": self.step,
            "tokens": tokens,
            "flops": self.cell.flops * self.step / self.cell.steps,
            "loss": math.fsum(losses) / len(losses),
            "learning_rate": self.raw_optimizer.param_groups[0]["lr"],
            "gradient_norm": math.fsum(norms) / len(norms),
        }
        self.fetched = []
        self.curve.append(row)
        return row

    def tick(self) -> None:
        """Count the time since the last call, or since `start_clock`, as training."""
        now = time.monotonic()
        self.seconds, self._mark = self.seconds + now - self._mark, now

    def start_clock(self) -> None:
        """Training begins, or goes on after a save."""
        self._mark = time.monotonic()

    def agreed(self, mine: bool) -> bool:
        """Whether any process says yes: all must leave the loop, or save, at the same step."""
        if self.accelerator.num_processes == 1:
            return mine
        votes = self.accelerator.reduce(torch.tensor(float(mine), device=self.accelerator.device), reduction="sum")
        assert isinstance(votes, torch.Tensor)
        return bool(votes > 0)

    def save(self, sweep: SweepFolder) -> None:
        """Checkpoint; the curve first, so that it never lacks a row that the checkpoint is past."""
        self.fetch()
        self.tick()
        if self.accelerator.is_main_process:
            sweep.write_curve(self.cell.run_id, self.curve)
            state = {"step": self.step, "seconds": self.seconds, "fetched": self.fetched}
            save_checkpoint(sweep.run_folder(self.cell.run_id), self.raw_model, self.raw_optimizer, state)
        self.start_clock()


def train(
    cell: RunPlan,
    config: SweepConfig,
    corpus: Corpus,
    sweep: SweepFolder,
    accelerator: Accelerator,
    *,
    progress: Callable[[int], None] = lambda step: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Train one run to its end, write its record into `sweep` and return it.

    `progress` is told the step now and then; `should_stop` is asked after each step.

    Raises:
        Interrupted: `should_stop` said yes; a checkpoint was written and the run can go on later.
        OSError: the disk said no to a checkpoint or the record; the run is unfinished.
    """
    if accelerator.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(accelerator.device)
    run = Run(cell, config, corpus, accelerator)
    run.resume(sweep)
    mirror = Mirror(cell, config, sweep.path, past=run.curve, active=accelerator.is_main_process)
    try:
        diverged = _train_steps(run, sweep, mirror, progress, should_stop)
        record = _finish(run, sweep, diverged)
        mirror.finish(record)
    finally:
        mirror.close()
        accelerator.free_memory()
    return record


def _train_steps(
    run: Run,
    sweep: SweepFolder,
    mirror: Mirror,
    progress: Callable[[int], None],
    should_stop: Callable[[], bool],
) -> bool:
    """Train to the last step; True where the loss stopped being a number."""
    execution = run.config.execution
    interval = max(1, -(-run.cell.steps // execution.log_points))
    alone = run.accelerator.num_processes == 1
    run.start_clock()
    saved = time.monotonic()
    while run.step < run.cell.steps:
        run.train_step()
        last = run.step == run.cell.steps
        logged = last or run.step % interval == 0
        if logged:
            finite = run.fetch()
            run.tick()
            progress(run.step)
            if not finite:
                return True
            mirror.log(run.log())
        # Several processes ask each other only where they meet anyway.
        if not last and (alone or logged):
            if run.agreed(should_stop()):
                run.save(sweep)
                raise Interrupted(run.cell.run_id)
            if run.agreed(time.monotonic() - saved >= execution.checkpoint_seconds):
                run.save(sweep)
                saved = time.monotonic()
    return False


def _finish(run: Run, sweep: SweepFolder, diverged: bool) -> dict[str, Any]:
    cell, corpus = run.cell, run.corpus
    context = cell.shape.context
    scores = {}
    if not diverged:
        model = run.accelerator.unwrap_model(run.model)
        count = run.config.data.validation_sequences
        scores = {
            name: evaluate(model, held_out, count, context, run.accelerator)
            for name, held_out in corpus.validation.items()
        }
    record = trained_record(
        cell,
        run.config,
        corpus.info,
        scores=scores,
        step=run.step,
        seconds=run.seconds,
        machine=machine(run.accelerator) | {"kernels": "fused" if run.fused else "transformers"},
    )
    if run.accelerator.is_main_process:
        sweep.write_curve(cell.run_id, run.curve)
        sweep.write_record(cell.run_id, record)
        remove_checkpoint(sweep.run_folder(cell.run_id))
    run.accelerator.wait_for_everyone()
    return record


def make_optimizer(model: nn.Module, settings: Optimizer, cell: RunPlan) -> torch.optim.AdamW:
    """Fused AdamW at rate 0 (`train_step` sets it); weight decay on matrices only, norms are left alone."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": cell.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=0.0, betas=(settings.beta1, cell.beta2), eps=settings.eps, fused=True)


def make_accelerator(config: SweepConfig) -> Accelerator:
    """The one Accelerator of this process, on the configured device, with threads and determinism set."""
    execution = config.execution
    torch.set_num_threads(execution.threads)
    if execution.device == "cuda" and not torch.cuda.is_available():
        raise InputError("execution.device: is cuda, and torch sees no CUDA device here; set it to cpu or auto")
    use_cpu = execution.device == "cpu" or (execution.device == "auto" and not torch.cuda.is_available())
    if not use_cpu and execution.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
    # What is imported by now stays: without this, the garbage collection after each cell looks at all of it.
    gc.collect()
    gc.freeze()
    precision = "no" if config.recipe.precision == "fp32" else config.recipe.precision
    return Accelerator(cpu=use_cpu, mixed_precision=precision)


def machine(accelerator: Accelerator) -> dict[str, Any]:
    """Where this process trains, for the record. Memory is the peak of the device, or of the process on a CPU."""
    device = accelerator.device
    on_gpu = device.type == "cuda"
    return {
        "host": socket.gethostname(),
        "device": torch.cuda.get_device_name(device) if on_gpu else device.type,
        "n_processes": accelerator.num_processes,
        "threads": torch.get_num_threads(),
        "peak_memory_bytes": torch.cuda.max_memory_allocated(device)
        if on_gpu
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
