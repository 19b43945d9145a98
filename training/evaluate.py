"""The loss a cell reports: nats per token over a fixed validation set, with its standard error by document."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import nn

from .corpus import ValidationSet, evaluation_sequences, gather
from .kernels.head import token_losses
from .memory import evaluated_sequences


@dataclass(frozen=True)
class Evaluation:
    """Sums over all scored tokens divided once, never a mean of batch means."""

    loss: float  # nats per token
    loss_se: float  # standard error of sampling documents, NaN for one document; seeds are not in it
    bits_per_byte: float  # nats of text / (ln 2 x its UTF-8 bytes); NaN where no bytes are known
    n_tokens: int


@torch.no_grad()
def evaluate(
    model: nn.Module, validation: ValidationSet, n_sequences: int, context: int, accelerator: Accelerator
) -> Evaluation:
    """Score `n_sequences` of `context` targets, evenly spaced over `validation`, with `model`.

    Sequences are scored in the order given and in passes of a fixed number of tokens: the sums do not depend on how
    the model was trained, nor on the number of processes, which take the passes by turns. Every process of
    `accelerator` has to call it, with the bare model; each gets the result. A text's bytes are those of its scored
    tokens; tokens that stand for no bytes (separators) count in the loss and not in bits per byte.
    """
    sequences = evaluation_sequences(len(validation.tokens), context, n_sequences)
    targets = sequences[:, None] * context + np.arange(1, context + 1)
    owner = _numbered(np.searchsorted(validation.starts, targets.ravel(), side="right")).reshape(targets.shape)
    size = int(owner.max()) + 1
    # Nats and tokens of each document, then nats and bytes of text: added across processes, then divided.
    sums = np.zeros(2 * size + 2)
    vocab_size = getattr(getattr(model, "config", None), "vocab_size", 1)
    per_pass = evaluated_sequences(context, vocab_size, accelerator.device.type)
    was_training = model.training
    model.eval()
    for start in range(accelerator.process_index * per_pass, len(sequences), accelerator.num_processes * per_pass):
        here = slice(start, start + per_pass)
        rows = torch.from_numpy(gather(validation.tokens, sequences[here], context)).to(accelerator.device)
        with accelerator.autocast():
            nats = token_losses(model, rows).cpu().numpy().astype(np.float64)
        text_bytes = validation.token_bytes[targets[here]]
        mine = owner[here].ravel()
        sums[:size] += np.bincount(mine, nats.ravel(), size)
        sums[size:-2] += np.bincount(mine, minlength=size)
        sums[-2:] += nats[text_bytes > 0].sum(), text_bytes.sum(dtype=np.int64)
    model.train(was_training)
    sums = _added(sums, accelerator)
    nats, tokens, text_nats, text_bytes = sums[:size], sums[size:-2], sums[-2], sums[-1]
    return Evaluation(
        loss=float(nats.sum() / tokens.sum()),
        loss_se=standard_error(nats, tokens),
        bits_per_byte=float(text_nats / (math.log(2) * text_bytes)) if text_bytes else math.nan,
        n_tokens=int(tokens.sum()),
    )


def standard_error(nats: NDArray[np.float64], tokens: NDArray[np.float64]) -> float:
    """Of sum(nats) / sum(tokens), both by document, shape (documents,): what other documents would have given.

    Tokens of one document resemble each other, so whole documents are left out one by one: the jackknife, the
    cluster-robust variance CR3 (Bell and McCaffrey 2002, Survey Methodology 28), which a few long documents do not
    make too small. NaN for fewer than two documents.
    """
    count, total = len(tokens), tokens.sum()
    if count < 2:
        return math.nan
    moved = (nats - tokens * (nats.sum() / total)) / (total - tokens)
    return float(np.sqrt((count - 1) / count * (moved**2).sum()))


def _numbered(documents: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rising `documents` numbered from 0, those between that are not scored left out."""
    return np.cumsum(np.diff(documents, prepend=documents[0]) != 0)


def _added(sums: NDArray[np.float64], accelerator: Accelerator) -> NDArray[np.float64]:
    """The sums of all processes, in fp64."""
    if accelerator.num_processes == 1:
        return sums
    added = accelerator.reduce(torch.from_numpy(sums).to(accelerator.device), reduction="sum")
    assert isinstance(added, torch.Tensor)
    return added.cpu().numpy()
