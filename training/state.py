"""The moving parts of one run while it trains: model, optimiser, place in the data, losses not yet logged."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from ..fitting.errors import InputError
from .checkpoint import load_checkpoint, save_checkpoint
from .config import Optimizer, SweepConfig
from .corpus import MAIN, BatchOrder, Corpus, gather
from .device import release
from .evaluate import Evaluation, evaluate, token_losses
from .kernels.fused import FusedLlama, is_supported
from .models.build import build_model
from .plan import RunPlan
from .records import SweepFolder
from .schedule import rate_at


@dataclass(frozen=True)
class Job:
    """What one run needs of its surroundings."""

    cell: RunPlan
    config: SweepConfig
    corpus: Corpus
    sweep: SweepFolder
    accelerator: Accelerator


class Run:
    """One run, at the step it has reached."""

    def __init__(self, job: Job, micro_batch: int) -> None:
        self.job, self.cell, self.accelerator = job, job.cell, job.accelerator
        self.micro_batch = micro_batch
        cell, config = job.cell, job.config
        if cell.batch_sequences < self.accelerator.num_processes:
            raise InputError(
                f"{cell.run_id}: its batch of {cell.batch_sequences} sequences is less than one for each of "
                f"{self.accelerator.num_processes} processes; launch fewer"
            )
        self.raw_model = build_model(cell.shape, config.model, seed=cell.seed)
        self.raw_model.to(self.accelerator.device)  # type: ignore[arg-type]
        self.fused: FusedLlama | None = None
        if config.execution.kernels == "auto" and is_supported(
            cell, self.accelerator.device, config.recipe.precision, self.accelerator.num_processes
        ):
            self.fused = FusedLlama(self.raw_model, cell.shape)
        self.raw_optimizer = make_optimizer(self.raw_model, config.recipe.optimizer, cell)
        self.order = BatchOrder(job.corpus.info.train_tokens, cell.shape.context, cell.batch_sequences, cell.seed)
        self.step = 0
        self.begun_at = 0  # the step of the trunk's state that this run went on from
        self.seconds = 0.0  # of its own training, over all of its interruptions
        self.pending: list[torch.Tensor] = []  # (loss, gradient norm) a step, still on the device
        self.fetched: list[list[float]] = []  # the same, brought here
        self.curve: list[dict[str, Any]] = []
        self.kernels = "fused" if self.fused else "transformers"
        self._mark = time.monotonic()

    def discard(self) -> None:
        """Let go of the model and the optimiser, so that another may take their room."""
        release(self.accelerator)
        self.fused = None
        del self.raw_model, self.raw_optimizer, self.model, self.optimizer, self.parameters

    def resume(self) -> None:
        """Go on from the run's own checkpoint or its trunk, the later; only then wrap the model for the devices."""
        sweep, cell = self.job.sweep, self.cell
        state = load_checkpoint(sweep.checkpoint(cell.run_id), cell.run_id, self.raw_model, self.raw_optimizer)
        if state is not None:
            curve = [row for row in sweep.read_curve(cell.run_id) if row["step"] <= state["step"]]
            self._take(state, curve, own=True)
        step = sweep.trunk_step(cell)
        if cell.trunk and step > self.step:
            state = load_checkpoint(sweep.trunk_path(cell.trunk, step), cell.trunk, self.raw_model, self.raw_optimizer)
            assert state is not None
            self._take(state, state["curve"], own=state.get("by") == cell.run_id)
        self._refuse_other_steps()
        self.model, self.optimizer = self.accelerator.prepare(self.raw_model, self.raw_optimizer)
        self.parameters = list(self.raw_model.parameters())
        self.model.train()

    def _take(self, state: dict[str, Any], curve: list[dict[str, Any]], *, own: bool) -> None:
        """Stand where `state` was saved: by this run on its `own` way, or by another of its trunk."""
        self.step, self.fetched, self.curve = state["step"], state["fetched"], curve
        self.begun_at, self.seconds = (state["begun_at"], state["seconds"]) if own else (state["step"], 0.0)

    def _refuse_other_steps(self) -> None:
        accelerator = self.accelerator
        if accelerator.num_processes == 1:
            return
        steps = accelerator.gather(torch.tensor([self.step], device=accelerator.device))
        assert isinstance(steps, torch.Tensor)
        if len(set(steps.tolist())) > 1:
            raise InputError(
                f"{self.job.sweep.path}: its processes would go on from steps {sorted(set(steps.tolist()))} of "
                f"{self.cell.run_id}: the folder has to lie where all machines see the same one"
            )

    def train_step(self) -> None:
        """One optimiser step. Nothing in it waits for the device."""
        recipe, accelerator, cell = self.job.config.recipe, self.accelerator, self.cell
        for group in self.raw_optimizer.param_groups:
            group["lr"] = cell.learning_rate * rate_at(self.step, cell.timeline, recipe.schedule)
        mine = self.order.sequences(self.step)[accelerator.process_index :: accelerator.num_processes]
        rows = torch.from_numpy(gather(self.job.corpus.train, mine, cell.shape.context))
        parts = rows.to(accelerator.device, non_blocking=True).split(self.micro_batch)
        total = torch.zeros((), device=accelerator.device)
        # Gradients are averaged over processes, hence x processes: the sum is then per token of the whole batch.
        scale = accelerator.num_processes / cell.batch_tokens
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

    def fetch(self) -> int | None:
        """Bring the pending losses here; the first step (from 0) with a loss or gradient that is not finite, if any."""
        if self.pending:
            block = self.accelerator.reduce(torch.stack(self.pending), reduction="mean")
            assert isinstance(block, torch.Tensor)
            self.fetched += block.cpu().tolist()
            self.pending.clear()
        first = self.step - len(self.fetched)
        bad = (i for i, (loss, norm) in enumerate(self.fetched) if not (math.isfinite(loss) and math.isfinite(norm)))
        return next((first + i for i in bad), None)

    def log(self, score: Evaluation | None = None) -> dict[str, Any]:
        """The curve's next row: means over the steps since the last one, and what was scored there."""
        losses, norms = zip(*self.fetched, strict=True)
        row = {
            "step": self.step,
            "tokens": self.step * self.cell.batch_tokens,
            "flops": self.cell.flops * self.step / self.cell.steps,
            "loss": math.fsum(losses) / len(losses),
            "learning_rate": self.raw_optimizer.param_groups[0]["lr"],
            "gradient_norm": math.fsum(norms) / len(norms),
        }
        if score is not None:
            row |= {"validation_loss": score.loss, "validation_loss_se": score.loss_se}
        self.fetched = []
        self.curve.append(row)
        return row

    def score(self, name: str = MAIN) -> Evaluation:
        """The loss on a validation set, now; every process has to ask."""
        model = self.accelerator.unwrap_model(self.model)
        count, held_out = self.job.config.data.validation_sequences, self.job.corpus.validation[name]
        return evaluate(model, held_out, count, self.cell.shape.context, self.accelerator)

    def start_clock(self) -> None:
        """Training begins, or goes on after a pause."""
        self._mark = time.monotonic()

    def stop_clock(self) -> None:
        """What was trained since `start_clock` is done: after `fetch`, which waits for the device."""
        self.seconds += time.monotonic() - self._mark

    def agreed(self, mine: bool) -> bool:
        """Whether any process says yes: all must leave the loop, or save, at the same step."""
        if self.accelerator.num_processes == 1:
            return mine
        votes = self.accelerator.reduce(torch.tensor(float(mine), device=self.accelerator.device), reduction="sum")
        assert isinstance(votes, torch.Tensor)
        return bool(votes > 0)

    def save(self) -> None:
        """Checkpoint; the curve first, so that it never lacks a row that the checkpoint is past."""
        if self.accelerator.is_main_process:
            self.job.sweep.write_curve(self.cell.run_id, self.curve)
            self._save_to(self.job.sweep.checkpoint(self.cell.run_id), self.cell.run_id)

    def save_trunk(self) -> None:
        """Leave the state for the trunk's longer runs, unless it is there already."""
        assert self.cell.trunk is not None
        path = self.job.sweep.trunk_path(self.cell.trunk, self.step)
        if self.accelerator.is_main_process and not path.is_file():
            self._save_to(path, self.cell.trunk, curve=self.curve, by=self.cell.run_id)

    def _save_to(self, path: Path, of: str, **more: Any) -> None:
        state = {"step": self.step, "seconds": self.seconds, "begun_at": self.begun_at, "fetched": self.fetched}
        # Written in the run's own folder, where what a kill leaves behind is found and removed.
        scratch = self.job.sweep.run_folder(self.cell.run_id)
        save_checkpoint(path, of, self.raw_model, self.raw_optimizer, state | more, scratch)


def make_optimizer(model: nn.Module, settings: Optimizer, cell: RunPlan) -> torch.optim.AdamW:
    """Fused AdamW at rate 0 (`train_step` sets it); weight decay on matrices only, norms are left alone."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": cell.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=0.0, betas=(settings.beta1, cell.beta2), eps=settings.eps, fused=True)
