"""The last matrix and the loss: of a large vocabulary a chunk of tokens at a time, so that no (T, V) logits exist.

Whole logits cost 12 V bytes a token when training (themselves, their log-softmax and its gradient, in fp32), which
for small models and large vocabularies is more than all of the blocks take. Here a chunk's logits are made, scored and
turned into gradients of hidden states and matrix in the forward pass, as in Liger's fused linear cross-entropy
(Hsu et al. 2024, arXiv:2410.10989, section 3.2).

Shapes: T tokens, d width, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from transformers import GPT2LMHeadModel, LlamaForCausalLM, Qwen3ForCausalLM

from ..memory import chunk_tokens, is_chunked

# Their logits are their last hidden states times the head's matrix and nothing else.
_PLAIN_HEADS = (LlamaForCausalLM, Qwen3ForCausalLM, GPT2LMHeadModel)


def summed_loss(model: nn.Module, rows: Tensor, scale: float) -> Tensor:
    """`scale` x the summed nats of all targets, a scalar in fp32 ready for `backward`.

    `rows` holds token ids, (sequences, context + 1): inputs and, one later, their targets. Under mixed precision call
    it within `accelerator.autocast()`: the chunked way goes past the wrapped `forward`. A model inside another (DDP's,
    a compiled one) and a factory's keep their own forward pass and whole logits.
    """
    head = _chunked_head(model, rows)
    if head is None:
        return _whole_nats(model, rows).sum() * scale
    loss: Any = _ScaledNats.apply(_hidden(model, rows), head, rows[:, 1:].flatten(), scale)
    return loss


def token_losses(model: nn.Module, rows: Tensor) -> Tensor:
    """Nats of each target, shape (sequences, context), in fp32; `rows` and precision as for `summed_loss`."""
    head = None if torch.is_grad_enabled() else _chunked_head(model, rows)
    if head is None:
        return _whole_nats(model, rows).view(rows.shape[0], -1)
    hidden, targets = _hidden(model, rows), rows[:, 1:].flatten()
    matrix, size = head.to(_matmul_dtype(hidden)), chunk_tokens(len(head), hidden.device.type)
    nats = torch.empty(len(targets), device=hidden.device)  # made once: small results between large chunks cost room
    for start in range(0, len(targets), size):
        here = slice(start, start + size)
        nats[here] = _nats((hidden[here].to(matrix.dtype) @ matrix.t()).float(), targets[here])
    return nats.view(rows.shape[0], -1)


def _chunked_head(model: nn.Module, rows: Tensor) -> Tensor | None:
    """The head's matrix, (V, d), where logits are to be made in chunks; None where they are made whole."""
    if type(model) not in _PLAIN_HEADS:
        return None
    weight: Tensor = model.lm_head.weight  # type: ignore[union-attr, assignment]
    return weight if is_chunked(rows[:, 1:].numel(), len(weight), rows.device.type) else None


def _hidden(model: nn.Module, rows: Tensor) -> Tensor:
    """The last hidden states, normed, (T, d)."""
    body: Any = model.base_model
    return body(input_ids=rows[:, :-1]).last_hidden_state.flatten(0, 1)


def _whole_nats(model: nn.Module, rows: Tensor) -> Tensor:
    """Nats of each target, (T,), by the model's own forward pass."""
    answer = model(input_ids=rows[:, :-1])
    logits = getattr(answer, "logits", answer).flatten(0, 1)  # a factory's model may return the tensor itself
    size = chunk_tokens(logits.shape[-1], logits.device.type)
    parts = zip(logits.split(size), rows[:, 1:].flatten().split(size), strict=True)
    return torch.cat([_nats(part.float(), target) for part, target in parts])


def _nats(logits: Tensor, targets: Tensor) -> Tensor:
    return nn.functional.cross_entropy(logits, targets, reduction="none")


def _matmul_dtype(hidden: Tensor) -> torch.dtype:
    kind = hidden.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype


class _ScaledNats(torch.autograd.Function):
    """scale x summed nats of hidden (T, d) @ head (V, d)^T against targets (T,); gradients are made going forward.

    Matmuls are in autocast's precision; softmax and loss are in fp32, and so is the sum of the head's gradient.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: Tensor, targets: Tensor, scale: float) -> Tensor:
        dtype, size = _matmul_dtype(hidden), chunk_tokens(len(head), hidden.device.type)
        matrix = head.to(dtype)
        d_hidden, d_head = torch.empty_like(hidden), torch.zeros_like(head)
        loss = torch.zeros((), device=hidden.device)
        for start in range(0, len(hidden), size):
            part, target = hidden[start : start + size].to(dtype), targets[start : start + size, None]
            logits = (part @ matrix.t()).float()
            top, at_target = logits.amax(1, keepdim=True), logits.gather(1, target)
            probabilities = torch.softmax(logits, 1, out=logits)
            # ln sum exp, from the likeliest token: its probability is at least 1 / V and never underflows.
            loss += (top - probabilities.amax(1, keepdim=True).log() - at_target).sum()
            # The gradient of the nats by the logits: probabilities, less one at the target.
            probabilities.scatter_add_(1, target, torch.full_like(target, -1, dtype=torch.float32))
            d_logits = probabilities.mul_(scale).to(dtype)
            d_hidden[start : start + size] = d_logits @ matrix
            if dtype == d_head.dtype:
                d_head.addmm_(d_logits.t(), part)
            else:
                d_head += d_logits.t() @ part
        ctx.save_for_backward(d_hidden, d_head)
        return loss * scale

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor, None, None]:  # type: ignore[override]
        # In place: torch refuses a second backward pass over tensors changed since they were saved.
        d_hidden, d_head = ctx.saved_tensors
        return d_hidden.mul_(grad_outputs[0]), d_head.mul_(grad_outputs[0]), None, None
