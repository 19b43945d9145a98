"""One process of `bench.py train`: trains a cell by one of several ways, as often as it is told, and times it.

`python -m isoflop.scripts.bench_loops FOLDER` reads orders from stdin and answers on stdout, in JSON lines; FOLDER
holds the plan of the cells. What is timed begins once the warm-up steps are done; both its ends wait for the device.
"""

from __future__ import annotations

import gc
import importlib
import json
import logging
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import transformers
from accelerate import Accelerator
from torch import nn

from isoflop.scripts.bench_workers import Round
from isoflop.training.config import SweepConfig
from isoflop.training.corpus import BatchOrder, Corpus, gather, open_corpus
from isoflop.training.corpus.parallel import usable_cores
from isoflop.training.device import is_out_of_memory, make_accelerator, peak_memory
from isoflop.training.feed import Feed, room_for_tokens
from isoflop.training.launch.devices import mps_is_running
from isoflop.training.loop import Hooks, train_stack
from isoflop.training.models.build import build_model
from isoflop.training.peak import matmul_peak, synchronize
from isoflop.training.plan import Plan, RunPlan
from isoflop.training.records import SweepFolder
from isoflop.training.schedule import rate_at
from isoflop.training.state import Job


@dataclass
class Stopwatch:
    """Told each step that is done; the time between the end of the warm-up and that of the last step."""

    device: torch.device
    warmup: int
    last: int
    begun: tuple[int, float] | None = None  # step, and seconds of a clock that all processes of the machine share
    ended: tuple[int, float] = (0, 0.0)

    def __call__(self, step: int) -> None:
        if step < self.warmup or (self.begun is not None and step < self.last):
            return
        synchronize(self.device)
        now = step, time.monotonic()
        if self.begun is None:
            self.begun = now
        self.ended = now


@dataclass
class Bench:
    """What the rounds of one process share."""

    plan: Plan
    corpus: Corpus
    folder: Path

    @cached_property
    def device(self) -> torch.device:
        """That of the config, as `make_accelerator` chooses it."""
        wanted = self.plan.config.execution.device
        return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")

    @cached_property
    def start_bytes(self) -> int:
        """What the process has had before its first round."""
        return 0 if self.device.type == "cuda" else peak_memory(self.device)

    @cached_property
    def accelerator(self) -> Accelerator:
        """Made for ours alone: it sets what is deterministic, and Trainer makes one of its own."""
        return make_accelerator(self.plan.config)

    @cached_property
    def feed(self) -> Feed:
        """The tokens where ours has them: of all cells, which have one context."""
        context = self.plan.config.model.context
        return Feed(self.corpus.train, context, self.device, room_for_tokens(self.device))

    def measure(self, asked: Round) -> dict[str, Any]:
        """Train as asked; tokens timed, when that began and ended, the last loss, and bytes at start and peak."""
        cell = next(cell for cell in self.plan.cells if cell.run_id == asked.cell)
        cell = replace(cell, steps=asked.steps, flops=cell.flops * asked.steps / cell.steps)  # its first steps
        config = self._config(asked)
        torch.set_num_threads(config.execution.threads)
        if asked.way == "trainer":
            importlib.import_module("isoflop.scripts.bench_trainer")  # what imports take is no part of the training
        start_bytes = self.start_bytes
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        clock = Stopwatch(self.device, asked.warmup, asked.steps)
        loss, words = self._train(config, cell, asked, clock)
        self._give_back()
        if words is not None:
            return {"error": words}
        assert clock.begun is not None
        steps = clock.ended[0] - clock.begun[0]
        return {
            "tokens": asked.members * steps * cell.batch_tokens,
            "begun": clock.begun[1],
            "ended": clock.ended[1],
            "loss": loss,
            "start_bytes": start_bytes,
            "peak_bytes": peak_memory(self.device),
        }

    def _train(self, config: SweepConfig, cell: RunPlan, asked: Round, clock: Stopwatch) -> tuple[float, str | None]:
        """The last loss, and what torch says of memory that ran out."""
        try:
            return WAYS[asked.way](self, config, cell, asked, clock), None
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            return math.nan, str(error).partition("\n")[0]

    def _give_back(self) -> None:
        """Let go of the round's tensors: the next round is another process's, on the same device."""
        gc.collect()  # models and Trainer hold on to each other
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _config(self, asked: Round) -> SweepConfig:
        """With the round's own execution; losses are fetched and logged every `asked.every` steps."""
        config = self.plan.config
        changes = asked.execution | {"log_points": asked.steps // asked.every}
        return config.model_copy(update={"execution": config.execution.model_copy(update=changes)})


def train_ours(bench: Bench, config: SweepConfig, cell: RunPlan, asked: Round, clock: Stopwatch) -> float:
    """The engine's own loop, from start-up to record; several members are seeds of the cell, as one stack."""
    others = [replace(cell, run_id=f"{cell.run_id}-{i}", seed=cell.seed + i) for i in range(1, asked.members)]
    with tempfile.TemporaryDirectory(dir=bench.folder) as folder:
        sweep = SweepFolder(Path(folder))
        job = Job(cell, config, bench.corpus, sweep, bench.accelerator, tuple(others), bench.feed)
        train_stack(job, Hooks(progress=clock))
        return sweep.read_curve(cell.run_id)[-1]["loss"]


def train_plain(bench: Bench, config: SweepConfig, cell: RunPlan, asked: Round, clock: Stopwatch) -> float:
    """A loop as a careful user of PyTorch writes it: autocast, fused AdamW, LambdaLR, pinned batches."""
    device, recipe = bench.device, config.recipe
    model: nn.Module = build_model(cell.shape, config.model, seed=cell.seed).to(device)  # type: ignore[assignment]
    model.train()
    groups = [
        {"params": [p for p in model.parameters() if p.ndim >= 2], "weight_decay": cell.weight_decay},
        {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    betas = (recipe.optimizer.beta1, cell.beta2)
    optimizer = torch.optim.AdamW(groups, lr=cell.learning_rate, betas=betas, eps=recipe.optimizer.eps, fused=True)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: rate_at(t, cell.timeline, recipe.schedule))
    order = BatchOrder(len(bench.corpus.train), cell.shape.context, cell.batch_sequences, cell.seed)
    micro_batch, losses, shown = whole_part(cell, config), [], 0.0
    for step in range(cell.steps):
        rows = torch.from_numpy(gather(bench.corpus.train, order.sequences(step), cell.shape.context))
        if device.type == "cuda":
            rows = rows.pin_memory().to(device, non_blocking=True)
        total = torch.zeros((), device=device)
        for part in rows.split(micro_batch):
            with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bf16"):
                logits = model(input_ids=part[:, :-1]).logits.flatten(0, 1)
            loss = nn.functional.cross_entropy(logits.float(), part[:, 1:].flatten()) * (len(part) / len(rows))
            loss.backward()
            total += loss.detach()
        nn.utils.clip_grad_norm_(model.parameters(), recipe.optimizer.clip)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        losses.append(total)
        if (step + 1) % asked.every == 0:
            shown = torch.stack(losses).mean().item()
            losses.clear()
        clock(step + 1)
    return shown


def train_by_trainer(bench: Bench, config: SweepConfig, cell: RunPlan, asked: Round, clock: Stopwatch) -> float:
    """Hugging Face's Trainer, logging as often; the filter that looks at each step's loss for NaN is off."""
    from transformers import TrainerCallback

    from isoflop.scripts.bench_trainer import make_trainer

    class Listener(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            clock(state.global_step)

    on_gpu = bench.device.type == "cuda"
    with tempfile.TemporaryDirectory(dir=bench.folder) as folder:
        trainer = make_trainer(
            config,
            bench.corpus,
            cell,
            folder,
            micro_batch=whole_part(cell, config),
            use_cpu=not on_gpu,
            logging_steps=asked.every,
            logging_nan_inf_filter=False,
            dataloader_pin_memory=on_gpu,
            dataloader_num_workers=2 if on_gpu else 0,
        )
        trainer.add_callback(Listener())
        trainer.train()
        return next(row["loss"] for row in reversed(trainer.state.log_history) if "loss" in row)


def whole_part(cell: RunPlan, config: SweepConfig) -> int:
    """Sequences at a time for the others: the batch, or its largest whole part within `execution.micro_batch`."""
    most = config.execution.micro_batch or cell.batch_sequences
    return next(part for part in range(most, 0, -1) if cell.batch_sequences % part == 0)


Way = Callable[[Bench, SweepConfig, RunPlan, Round, Stopwatch], float]
WAYS: dict[str, Way] = {"trainer": train_by_trainer, "plain": train_plain, "ours": train_ours}


def main() -> None:
    """Answer orders until stdin closes."""
    logging.disable(logging.WARNING)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes where errors go
    folder = Path(sys.argv[1])
    plan = SweepFolder(folder).read_plan()
    bench = Bench(plan, open_corpus(plan.corpus.fingerprint), folder)
    for line in sys.stdin:
        order = json.loads(line)
        if order["way"] == "peak":
            answer: Any = matmul_peak(bench.device, plan.config.recipe.precision, plan.config.execution.threads)
        elif order["way"] == "machine":
            answer = machine(bench.device)
        else:
            answer = bench.measure(Round(**order))
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def machine(device: torch.device) -> dict[str, Any]:
    """What the figures depend on beside the code."""
    on_gpu = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if on_gpu else device.type,
        "cores": usable_cores(),
        "mps": on_gpu and mps_is_running(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


if __name__ == "__main__":
    main()
