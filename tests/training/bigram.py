"""A model of known losses, a validation set for it, and, run as a script, one of several processes that score it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from isoflop.training.corpus import ValidationSet
from isoflop.training.evaluate import Evaluation, evaluate

VOCABULARY, CONTEXT, SEQUENCES = 12, 16, 700  # 11,200 tokens: six passes, the last of them short


class Bigram(nn.Module):
    """Logits of the next token by the one before."""

    def __init__(self) -> None:
        super().__init__()
        values = np.random.default_rng(0).normal(0, 2, (VOCABULARY, VOCABULARY))
        self.table = nn.Parameter(torch.tensor(values, dtype=torch.float32))

    def forward(self, input_ids: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=self.table[input_ids])


def validation() -> ValidationSet:
    """Documents of 2 to 400 tokens, each of tokens of its own kind; token k stands for k % 4 bytes, 0 ends them."""
    generator = np.random.default_rng(1)
    documents = []
    for length in generator.integers(1, 400, 70):
        kinds = generator.choice(np.arange(1, VOCABULARY), 3)
        documents.append(np.append(generator.choice(kinds, length), 0))
    tokens = np.concatenate(documents).astype(np.uint16)
    starts = np.cumsum([0, *map(len, documents[:-1])])
    return ValidationSet(tokens, (tokens % 4).astype(np.uint8), starts)


def scored(accelerator: Accelerator) -> Evaluation:
    """What this process is told."""
    return evaluate(Bigram().to(accelerator.device), validation(), SEQUENCES, CONTEXT, accelerator)


if __name__ == "__main__":
    torch.set_num_threads(1)
    here = Accelerator(cpu=True)
    json.dump(asdict(scored(here)) | {"processes": here.num_processes}, sys.stdout)
    here.end_training()
