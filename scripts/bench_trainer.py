"""The alternative the benchmarks measure against: one cell by Hugging Face's Trainer, as its users run it.

`python -m isoflop.scripts.bench_trainer CONFIG RUN_ID [KEY=VALUE...]` prints the seconds of `Trainer.train()` and of
`.evaluate()`, for `bench.py sweep`. The model, its weights, the sequences and their order, batch, steps, optimiser and
rate are the cell's, with a linear schedule; Trainer shifts labels inside a row, so it scores one target fewer of each.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments

from isoflop.scripts.plan_table import plan_of
from isoflop.training.config import SweepConfig
from isoflop.training.corpus import MAIN, BatchOrder, Corpus, evaluation_sequences, gather, open_corpus
from isoflop.training.models.build import build_model
from isoflop.training.plan import Plan, RunPlan


class Rows(Dataset):
    """Sequences in the form Trainer wants."""

    def __init__(self, tokens: np.ndarray, sequences: np.ndarray, context: int) -> None:
        self.rows = torch.from_numpy(gather(tokens, sequences, context)[:, :-1].copy())

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self.rows[index], "labels": self.rows[index]}


def make_trainer(
    config: SweepConfig, corpus: Corpus, cell: RunPlan, folder: str, *, micro_batch: int | None = None, **more: Any
) -> Trainer:
    """Trainer with the cell's model and data; `micro_batch` (default: the batch) must divide the batch.

    `more` are further TrainingArguments. Data lie in memory, in the order they are wanted in, so that loading them
    costs as little as it can.
    """
    recipe, micro_batch = config.recipe, micro_batch or cell.batch_sequences
    order = BatchOrder(len(corpus.train), cell.shape.context, cell.batch_sequences * cell.steps, cell.seed)
    arguments = TrainingArguments(
        output_dir=folder,
        max_steps=cell.steps,
        per_device_train_batch_size=micro_batch,
        gradient_accumulation_steps=cell.batch_sequences // micro_batch,
        learning_rate=cell.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=cell.timeline.warmup_steps,
        weight_decay=cell.weight_decay,
        adam_beta1=recipe.optimizer.beta1,
        adam_beta2=cell.beta2,
        max_grad_norm=recipe.optimizer.clip,
        optim="adamw_torch_fused",
        bf16=recipe.precision == "bf16",
        train_sampling_strategy="sequential",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **more,
    )
    model = build_model(cell.shape, config.model, seed=cell.seed)
    return Trainer(
        model=model, args=arguments, train_dataset=Rows(corpus.train, order.sequences(0), cell.shape.context)
    )


def cell_seconds(plan: Plan, cell: RunPlan) -> tuple[float, float]:
    """Seconds of `.train()` and `.evaluate()` for `cell`; building the model and the data are not counted."""
    corpus, context = open_corpus(plan.corpus.fingerprint), cell.shape.context
    validation = corpus.validation[MAIN].tokens
    scored = evaluation_sequences(len(validation), context, plan.config.data.validation_sequences)
    with tempfile.TemporaryDirectory() as folder:
        trainer = make_trainer(plan.config, corpus, cell, folder)
        trainer.eval_dataset = Rows(validation, scored, context)
        started = time.monotonic()
        trainer.train()
        trained = time.monotonic()
        trainer.evaluate()
        return trained - started, time.monotonic() - trained


def main() -> None:
    """See the module's description."""
    logging.disable(logging.WARNING)
    config, run_id, *overrides = sys.argv[1:]
    plan = plan_of(Path(config), overrides)
    cell = next(cell for cell in plan.cells if cell.run_id == run_id)
    print(*cell_seconds(plan, cell))


if __name__ == "__main__":
    main()
