"""The moving parts of a run while it trains, or of a stack of runs: engine, place in the data, losses, checkpoints."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from ..fitting.errors import InputError
from .background import Background
from .checkpoint import load_checkpoint, save_checkpoint, set_aside
from .compiling import uncompiled
from .config import SweepConfig
from .corpus import MAIN, BatchOrder, Corpus
from .device import release
from .evaluate import Evaluation, evaluate
from .feed import Batches, Feed
from .kernels.engines import Engine, Step, make_engine
from .member import Member
from .models.build import build_model
from .plan import RunPlan
from .records import SweepFolder
from .schedule import rate_at
from .stacking import stack_name


@dataclass(frozen=True)
class Job:
    """What one run, or a stack of runs of one shape, batch and length, needs of its surroundings."""

    cell: RunPlan
    config: SweepConfig
    corpus: Corpus
    sweep: SweepFolder
    accelerator: Accelerator
    others: tuple[RunPlan, ...] = ()  # trained with `cell` as one stack
    # What a process has once for all of its jobs; without them, files and mirrors are waited for.
    feed: Feed | None = None
    writer: Background | None = None
    mirrors: Background | None = None

    @property
    def cells(self) -> tuple[RunPlan, ...]:
        """All that is trained."""
        return (self.cell, *self.others)


class Run:
    """One run, or a stack of them, at the step reached."""

    def __init__(self, job: Job, micro_batch: int) -> None:
        self.job, self.cell, self.accelerator = job, job.cell, job.accelerator
        self.micro_batch = micro_batch
        cell, n_processes = job.cell, self.accelerator.num_processes
        if cell.batch_sequences < n_processes:
            raise InputError(
                f"{cell.run_id}: its batch of {cell.batch_sequences} sequences is less than one for each of "
                f"{n_processes} processes; launch fewer"
            )
        self.members = [Member(each) for each in job.cells]
        models = [build_model(each.shape, job.config.model, seed=each.seed) for each in job.cells]
        for model in models:
            model.to(self.accelerator.device)  # type: ignore[arg-type]
        self.engine: Engine = make_engine(models, job.cells, job.config, self.accelerator)
        self.kernels, self.compiled = self.engine.name, self.engine.compiled
        self.batches = self._batches()
        self.step = 0
        self.begun_at = 0  # the step of the trunk's state that it went on from
        self.seconds = 0.0  # of training, over all of its interruptions
        self.pending: list[torch.Tensor] = []  # (loss, gradient norm) of each member a step, still on the device
        self._mark = time.monotonic()

    def _batches(self) -> Batches:
        job, accelerator, context = self.job, self.accelerator, self.cell.shape.context
        feed = job.feed or Feed(job.corpus.train, context, accelerator.device)
        n_tokens, size = job.corpus.info.train_tokens, self.cell.batch_sequences
        orders = [BatchOrder(n_tokens, context, size, cell.seed) for cell in job.cells]
        return Batches(feed, orders, accelerator.process_index, accelerator.num_processes)

    def discard(self) -> None:
        """Let go of the models and the optimiser, so that others may take their room."""
        release(self.accelerator)
        del self.engine

    def resume(self) -> None:
        """Go on from the checkpoint, or the trunk of a run alone, the later; only then wrap the model for devices."""
        sweep, cell = self.job.sweep, self.cell
        stored = load_checkpoint(self.checkpoint, self._name())
        curves = self._curves() if stored else None
        if stored is not None and curves is not None:
            tensors, state = stored
            for k, member in enumerate(self.members):
                mine = self._prefix(member)
                self.engine.restore(k, {n.removeprefix(mine): t for n, t in tensors.items() if n.startswith(mine)})
                member.fetched = state["fetched"] if len(self.members) == 1 else state["fetched"][k]
                member.curve = [row for row in curves[k] if row["step"] <= state["step"]]
                member.take([], state["step"])  # one that had diverged has
            self.step, self.seconds, self.begun_at = state["step"], state["seconds"], state["begun_at"]
        while cell.trunk and (saved := sweep.trunks.latest_step(cell)) > self.step:
            if self._take_trunk(saved):
                break
        self._refuse_other_steps()
        self.engine.begin()

    def _curves(self) -> list[list[dict[str, Any]]] | None:
        """Each member's curve so far; None where one is torn: without it the checkpoint is of no use either."""
        sweep = self.job.sweep
        try:
            return [sweep.read_curve(member.cell.run_id) for member in self.members]
        except ValueError as error:
            set_aside(self.checkpoint, f"a curve that goes with it is torn: {error}")
            return None

    def _take_trunk(self, step: int) -> bool:
        """Stand where the trunk was saved after `step` steps, by this run or another of its trunk; False if torn."""
        trunk, member = str(self.cell.trunk), self.members[0]
        stored = load_checkpoint(self.job.sweep.trunks.path(trunk, step), trunk)
        if stored is None:
            return False
        tensors, state = stored
        self.engine.restore(0, tensors)
        own = state.get("by") == self.cell.run_id
        self.step, member.fetched, member.curve = state["step"], state["fetched"], state["curve"]
        self.begun_at, self.seconds = (state["begun_at"], state["seconds"]) if own else (state["step"], 0.0)
        return True

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
        recipe = self.job.config.recipe
        how = Step(
            rate=rate_at(self.step, self.cell.timeline, recipe.schedule),
            # Gradients are averaged over processes, hence x processes: the sum is then per token of the whole batch.
            scale=self.accelerator.num_processes / self.cell.batch_tokens,
            micro_batch=self.micro_batch,
            clip=recipe.optimizer.clip,
        )
        self.pending.append(self.engine.step(self.batches.at(self.step), how))
        self.step += 1

    def fetch(self) -> None:
        """Bring the pending losses and norms here, to the members."""
        if self.pending:
            block = self.accelerator.reduce(torch.stack(self.pending), reduction="mean")  # (steps, 2, K)
            assert isinstance(block, torch.Tensor)
            for member, own in zip(self.members, block.permute(2, 0, 1).tolist(), strict=True):
                member.take(own, self.step)
            self.pending.clear()

    def log(self, member: Member, score: Evaluation | None = None) -> dict[str, Any]:
        """The next row of a member's curve."""
        rate = rate_at(self.step - 1, self.cell.timeline, self.job.config.recipe.schedule)
        return member.log(self.step, rate, score)

    def score(self, k: int = 0, name: str = MAIN) -> Evaluation:
        """The loss of member `k` on a validation set, now; every process has to ask."""
        count, held_out = self.job.config.data.validation_sequences, self.job.corpus.validation[name]
        with uncompiled() if self.compiled else nullcontext():
            return evaluate(self.engine.models[k], held_out, count, self.cell.shape.context, self.accelerator)

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
        """Checkpoint; the curves first, so that they never lack a row that the checkpoint is past.

        Raises ClaimLost where a run is another process' by now.
        """
        if not self.accelerator.is_main_process:
            return
        self._check_claims()
        tensors: dict[str, torch.Tensor] = {}
        for k, member in enumerate(self.members):
            if not self.job.sweep.has_ended(member.cell.run_id):  # alone, before the stack was taken up again
                self.write_curve(member)
            tensors |= {self._prefix(member) + name: tensor for name, tensor in self.engine.tensors(k).items()}
        self._save_to(self.checkpoint, self._name(), tensors)

    def save_trunk(self) -> None:
        """Leave the state for the trunk's longer runs, unless it is there already."""
        assert self.cell.trunk is not None
        path = self.job.sweep.trunks.path(self.cell.trunk, self.step)
        if self.accelerator.is_main_process and not path.is_file():
            curve = self.members[0].curve
            self._save_to(path, self.cell.trunk, self.engine.tensors(0), curve=curve, by=self.cell.run_id)

    def _save_to(self, path: Path, of: str, tensors: dict[str, torch.Tensor], **more: Any) -> None:
        fetched = [member.fetched for member in self.members]
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "begun_at": self.begun_at,
            "fetched": fetched[0] if len(fetched) == 1 else fetched,
        }
        # Written in the run's own folder, where what a kill leaves behind is found and removed.
        scratch = self.job.sweep.run_folder(self.cell.run_id)
        members = [cell.run_id for cell in self.job.cells]
        save_checkpoint(
            path,
            of,
            tensors,
            state | more,
            scratch=scratch,
            members=members,
            writer=self.job.writer,
            check=self._check_claims,
        )

    def _check_claims(self) -> None:
        for cell in self.job.cells:
            self.job.sweep.check_claim(cell.run_id)

    def write_curve(self, member: Member) -> None:
        """Write the curve as it is now. Raises ClaimLost where the run is another process' by now, or `settle` does."""
        sweep, run_id, rows = self.job.sweep, member.cell.run_id, list(member.curve)
        if self.job.writer is None:
            sweep.write_curve(run_id, rows)
        else:
            self.job.writer.submit(lambda: sweep.write_curve(run_id, rows))

    def settle(self) -> None:
        """Return once all is on the disk. Raises OSError where it said no."""
        if self.job.writer is not None:
            self.job.writer.finish()

    def _name(self) -> str:
        return self.cell.run_id if not self.job.others else stack_name(self.job.cells)

    @property
    def checkpoint(self) -> Path:
        """Where its own state is saved."""
        sweep = self.job.sweep
        return sweep.checkpoint(self.cell.run_id) if not self.job.others else sweep.stack_path(self._name())

    def _prefix(self, member: Member) -> str:
        """What its tensors' names begin with in the checkpoint: nothing for a run alone."""
        return f"{member.cell.run_id}." if self.job.others else ""
