"""The loss a cell reports: nats per token over a fixed validation set, with its standard error."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from .corpus import SEPARATOR, ValidationSet, evaluation_sequences, gather

TOKENS_A_PASS = {"cpu": 2_048}  # more does not fit a core's cache
TOKENS_A_PASS_ELSEWHERE = 16_384


@dataclass(frozen=True)
class Evaluation:
    """Sums over all scored tokens divided once, never a mean of batch means."""

    loss: float  # nats per token
    loss_se: float  # standard error over sequences: sampling of the validation set, not seeds
    bits_per_byte: float  # nats of text / (ln 2 x its bytes); separators are no bytes and are left out
    n_tokens: int


@torch.no_grad()
def evaluate(
    model: nn.Module, validation: ValidationSet, n_sequences: int, context: int, accelerator: Accelerator
) -> Evaluation:
    """Score `n_sequences` of `context` targets, evenly spaced over `validation`, with `model`.

    Sequences are scored in the order given and in passes of a fixed number of tokens: the sum does not depend
    on how the model was trained. Every process of `accelerator` has to call it; each gets the result.
    """
    tokens, device = validation.tokens, accelerator.device
    sequences = evaluation_sequences(len(tokens), context, n_sequences)
    per_pass = max(1, TOKENS_A_PASS.get(device.type, TOKENS_A_PASS_ELSEWHERE) // context)
    nats, text_nats, text_bytes = [], 0.0, 0
    was_training = model.training
    model.eval()
    for start in range(0, len(sequences), per_pass):
        rows = torch.from_numpy(gather(tokens, sequences[start : start + per_pass], context)).to(device)
        losses = token_losses(model, rows).double()
        is_text = rows[:, 1:] != SEPARATOR
        nats.append(losses.sum(dim=1).cpu().numpy())
        text_nats += float(losses[is_text].sum())
        text_bytes += int(is_text.sum())
    model.train(was_training)
    by_sequence = np.concatenate(nats) / context
    n = len(by_sequence)
    return Evaluation(
        loss=float(by_sequence.mean()),
        loss_se=float(by_sequence.std(ddof=1) / math.sqrt(n)) if n > 1 else math.nan,
        bits_per_byte=text_nats / (math.log(2) * text_bytes) if text_bytes else math.nan,
        n_tokens=n * context,
    )


def token_losses(model: nn.Module, rows: torch.Tensor) -> torch.Tensor:
    """Nats of each target, shape (sequences, context), in fp32; rows are (sequences, context + 1) token ids."""
    logits = model(input_ids=rows[:, :-1], use_cache=False).logits.float()
    flat = nn.functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten(), reduction="none")
    return flat.view(rows.shape[0], -1)
