"""The alternative `bench.py sweep` measures against: one cell by Hugging Face's Trainer, as its users run it.

`python -m isoflop.scripts.bench_trainer CONFIG RUN_ID [KEY=VALUE...]` prints the seconds of `Trainer.train()` and of
`.evaluate()`. The model, its weights, the sequences (in Trainer's own order), batch, steps, optimiser and rate are the
cell's, with a linear schedule; Trainer shifts labels inside a row, so it scores one target fewer of each.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments

from isoflop.scripts.plan import plan_of
from isoflop.training.corpus import MAIN, BatchOrder, evaluation_sequences, gather, open_corpus
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


def cell_seconds(plan: Plan, cell: RunPlan) -> tuple[float, float]:
    """Seconds of `.train()` and `.evaluate()` for `cell`; building the model and the data are not counted."""
    recipe = plan.config.recipe
    model = build_model(cell.shape, plan.config.model, seed=cell.seed)
    corpus, context = open_corpus(plan.corpus.fingerprint), cell.shape.context
    order = BatchOrder(len(corpus.train), context, cell.batch_sequences * cell.steps, cell.seed)
    rows = Rows(corpus.train, order.sequences(0), context)
    scored = evaluation_sequences(len(corpus.validation[MAIN].tokens), context, plan.config.data.validation_sequences)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=cell.steps,
            per_device_train_batch_size=cell.batch_sequences,
            learning_rate=cell.learning_rate,
            lr_scheduler_type="linear",
            warmup_steps=cell.timeline.warmup_steps,
            weight_decay=cell.weight_decay,
            adam_beta1=recipe.optimizer.beta1,
            adam_beta2=cell.beta2,
            max_grad_norm=recipe.optimizer.clip,
            bf16=recipe.precision == "bf16",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        held_out = Rows(corpus.validation[MAIN].tokens, scored, context)
        trainer = Trainer(model=model, args=arguments, train_dataset=rows, eval_dataset=held_out)
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
