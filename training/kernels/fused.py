"""Small Llamas' loss and gradients on a CPU, written out by hand with few operators and no autograd, K at a time.

A small model's step is spent on dispatching operators and on passes over memory, not on arithmetic. This is the same
function as transformers' Llama (a test holds loss and every gradient against it), but with tokens last, so that what
is done a token runs along memory and heads are split without transposing; query, key and value are one matmul, gate
and up another; a norm's weight is folded into the matrix that follows; logits are made in base 2, turned into their own
gradient in place, and used up in chunks that stay in the cache.

Shapes: K models, each with B sequences of S tokens, T = B S; d width, h heads of k, f MLP width, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...fitting.counting import ModelShape
from .flat import FlatWeights

LOGITS_AT_ONCE = 1 << 18  # of all models together: 1 MiB, a core's cache
LN2 = math.log(2)


@dataclass
class _Saved:
    """What a block's backward pass needs of its forward pass."""

    normed: Tensor  # x / length, (K, d, T)
    length: Tensor  # sqrt(sum x^2 + d eps), (K, 1, T)
    query: Tensor  # (K B h, k, S), rotated
    key: Tensor
    value: Tensor
    weights: Tensor  # attention, (K B h, S, S)
    attended: Tensor  # (K, h k, T)
    mlp_normed: Tensor
    mlp_length: Tensor
    gate: Tensor  # (K, f, T)
    up: Tensor
    activated: Tensor  # silu(gate)
    product: Tensor  # silu(gate) up


@dataclass
class _Matrix:
    """A matrix of each model with the norm before it folded in, (K, out, in), and the gradient of that product."""

    folded: Tensor
    gradient: Tensor


@dataclass
class _Block:
    qkv: _Matrix
    out: _Matrix
    gate_up: _Matrix
    down: _Matrix


class FusedLlama:
    """Loss and gradients of K equal `models`, accumulated into `weights`."""

    def __init__(self, models: Sequence[nn.Module], shape: ModelShape) -> None:
        self.shape, self.n_models = shape, len(models)
        self.weights = weights = FlatWeights(models)
        self._folded = torch.empty_like(weights.matrices.values)
        self._gradient = torch.empty_like(weights.matrices.values)
        # Which vector's entry scales each column; the last one is 1, for matrices that no norm precedes.
        n_vectors = weights.vectors.values.shape[1]
        self._column = torch.full((weights.matrices.values.shape[1],), n_vectors)
        self._folds: list[tuple[str, str, str]] = []  # first and last matrix, the norm before them
        self.blocks = [self._block(f"model.layers.{i}.") for i in range(shape.depth)]
        head = "lm_head.weight" if "lm_head.weight" in weights.places else "model.embed_tokens.weight"
        self.head = self._matrix(head, norm="model.norm.weight")
        # Norms are taken by length, not by root mean square, and logits are in base 2.
        self._gain = torch.full((n_vectors,), math.sqrt(shape.width))
        final = weights.places["model.norm.weight"].start
        self._gain[final : final + shape.width] /= LN2
        self._one = torch.ones(self.n_models, 1)
        rows = weights.matrices.values.shape[1] // shape.width  # every matrix is some rows of the width
        first = weights.places["model.embed_tokens.weight"].start // shape.width
        self._first_token = (first + rows * torch.arange(self.n_models))[:, None]
        body: Any = models[0].model
        self.eps: float = shape.width * body.norm.variance_epsilon
        self._tables(body.rotary_emb.inv_freq)

    def _tables(self, frequencies: Tensor) -> None:
        """Cosines for query, key and value, (3, 1, 1, 1, 1, k / 2, S), sines (k / 2, S), and those for the way back."""
        angles = frequencies[:, None] * torch.arange(self.shape.context)
        cos, sin, scale = angles.cos(), angles.sin(), self.shape.head_dim**-0.5
        one = torch.ones_like(cos)  # values are not rotated
        self.cos = torch.stack([cos, cos, one])[:, None, None, None, None]
        self.sin = sin
        self.back_cos = torch.stack([cos * scale, cos * scale, one])[:, None, None, None, None]
        self.back_sin = -sin * scale
        self.mask = torch.full((self.shape.context, self.shape.context), -math.inf).triu(1)

    def _block(self, prefix: str) -> _Block:
        attention, mlp = f"{prefix}self_attn.", f"{prefix}mlp."
        norm, mlp_norm = f"{prefix}input_layernorm.weight", f"{prefix}post_attention_layernorm.weight"
        return _Block(
            qkv=self._matrix(f"{attention}q_proj.weight", f"{attention}v_proj.weight", norm=norm),
            out=self._matrix(f"{attention}o_proj.weight"),
            gate_up=self._matrix(f"{mlp}gate_proj.weight", f"{mlp}up_proj.weight", norm=mlp_norm),
            down=self._matrix(f"{mlp}down_proj.weight"),
        )

    def _matrix(self, name: str, last: str | None = None, *, norm: str | None = None) -> _Matrix:
        """The matrices from `name` to `last`, which follow each other in memory, as one."""
        weights, width = self.weights, self.shape.width
        if norm is not None:
            start, end = weights.places[name].start, weights.places[last or name]
            columns = weights.places[norm].start + torch.arange(width)
            n_rows = (end.start + end.shape.numel() - start) // width
            self._column[start : start + n_rows * width] = columns.repeat(n_rows)
            self._folds.append((name, last or name, norm))
        return _Matrix(weights.of(name, self._folded, last), weights.of(name, self._gradient, last))

    @torch.inference_mode()
    def accumulate(self, rows: Tensor, scale: float) -> Tensor:
        """Add the gradients of `scale` x summed nats; returns that loss of each model, (K,).

        `rows` holds token ids, (K, B, S + 1): inputs and, one later, their targets.
        """
        n_models, n_tokens = self.n_models, rows.shape[1] * self.shape.context
        matrices, width = self.weights.matrices, self.shape.width
        factor = torch.cat([self.weights.vectors.values * self._gain, self._one], 1).index_select(1, self._column)
        torch.mul(matrices.values, factor, out=self._folded)
        self._gradient.zero_()
        inputs = (rows[:, :, :-1].reshape(n_models, n_tokens) + self._first_token).view(-1)
        targets = rows[:, :, 1:].reshape(n_models, n_tokens, 1)
        x = matrices.values.view(-1, width).index_select(0, inputs)
        x = x.view(n_models, n_tokens, width).transpose(1, 2).contiguous()
        saved = []
        for block in self.blocks:
            x, kept = self._forward(block, x)
            saved.append(kept)
        loss, dx = self._head(x, targets, scale)
        for block, kept in zip(reversed(self.blocks), reversed(saved), strict=True):
            self._backward(block, kept, dx)
        self._unfold(factor)
        matrices.gradient.view(-1, width).index_add_(0, inputs, dx.transpose(1, 2).reshape(-1, width))
        return loss

    def _unfold(self, factor: Tensor) -> None:
        """From the gradient of matrix x factor to those of the matrix and of the norm's weight in the factor."""
        matrices, vectors = self.weights.matrices, self.weights.vectors
        matrices.gradient.addcmul_(self._gradient, factor)
        by_column = self._gradient.mul_(matrices.values)
        for first, last, norm in self._folds:
            place = self.weights.places[norm]
            here = slice(place.start, place.start + place.shape.numel())
            vectors.gradient[:, here].addcmul_(self.weights.of(first, by_column, last).sum(1), self._gain[here])

    def _forward(self, block: _Block, x: Tensor) -> tuple[Tensor, _Saved]:
        normed, length = self._normed(x)
        rotated = self._rotated(torch.bmm(block.qkv.folded, normed))
        query, key, value = rotated
        weights = torch.baddbmm(self.mask, query.transpose(1, 2), key, alpha=self.shape.head_dim**-0.5)
        torch.softmax(weights, -1, out=weights)
        attended = self._joined(torch.bmm(value, weights.transpose(1, 2)), x.shape[2])
        x = torch.baddbmm(x, block.out.folded, attended)
        mlp_normed, mlp_length = self._normed(x)
        gate, up = torch.bmm(block.gate_up.folded, mlp_normed).chunk(2, dim=1)
        activated = nn.functional.silu(gate)
        product = activated * up
        x = torch.baddbmm(x, block.down.folded, product)
        kept = _Saved(
            normed, length, query, key, value, weights, attended,
            mlp_normed, mlp_length, gate, up, activated, product,
        )  # fmt: skip
        return x, kept

    def _backward(self, block: _Block, kept: _Saved, dx: Tensor) -> None:
        """Take `dx`, the gradient of the block's output, to that of its input, in place."""
        # MLP: x + down(silu(gate) up)
        d_product = _through(block.down, kept.product, dx)
        width = kept.gate.shape[1]
        d_gate_up = torch.empty(self.n_models, 2 * width, dx.shape[2])
        torch.mul(d_product, kept.activated, out=d_gate_up[:, width:])
        d_product.mul_(kept.up)
        torch.ops.aten.silu_backward.grad_input(d_product, kept.gate, grad_input=d_gate_up[:, :width])
        _norm_backward(dx, _through(block.gate_up, kept.mlp_normed, d_gate_up), kept.mlp_normed, kept.mlp_length)
        # Attention: x + out(weights value)
        d_qkv = self._attention_backward(kept, _through(block.out, kept.attended, dx))
        _norm_backward(dx, _through(block.qkv, kept.normed, d_qkv), kept.normed, kept.length)

    def _attention_backward(self, kept: _Saved, d_attended: Tensor) -> Tensor:
        """From the gradient of what was attended to, (K, h k, T), to that of query, key and value, (K, 3 h k, T)."""
        context, size = self.shape.context, self.shape.head_dim
        d_heads = d_attended.view(self.n_models, -1, d_attended.shape[2] // context, context).transpose(1, 2)
        d_heads = d_heads.contiguous().view(-1, size, context)
        parts = torch.empty(3, *d_heads.shape)
        torch.bmm(d_heads, kept.weights, out=parts[2])
        d_weights = torch.bmm(d_heads.transpose(1, 2), kept.value)
        d_scores = torch._softmax_backward_data(d_weights, kept.weights, -1, d_weights.dtype)
        torch.bmm(kept.key, d_scores.transpose(1, 2), out=parts[0])
        torch.bmm(kept.query, d_scores, out=parts[1])
        d_qkv = torch.empty(self.n_models, 3 * d_attended.shape[1], d_attended.shape[2])
        halves = self._halves(d_qkv)
        _rotate(parts.view(halves.shape), halves, self.back_cos, self.back_sin)
        return d_qkv

    def _rotated(self, qkv: Tensor) -> Tensor:
        """Query and key rotated to their places, and value, (3, K B h, k, S)."""
        halves = self._halves(qkv)
        rotated = torch.empty(halves.shape)
        _rotate(halves, rotated, self.cos, self.sin)
        return rotated.view(3, -1, self.shape.head_dim, self.shape.context)

    def _halves(self, qkv: Tensor) -> Tensor:
        """(K, 3 h k, T) seen as (3, K, B, h, 2, k / 2, S)."""
        heads, context = self.shape.heads, self.shape.context
        halves = qkv.view(self.n_models, 3, heads, 2, self.shape.head_dim // 2, -1, context)
        return halves.permute(1, 0, 5, 2, 3, 4, 6)

    def _joined(self, by_head: Tensor, n_tokens: int) -> Tensor:
        """(K B h, k, S) -> (K, h k, T)."""
        context, rows = self.shape.context, self.shape.heads * self.shape.head_dim
        by_sequence = by_head.view(self.n_models, n_tokens // context, rows, context)
        return by_sequence.transpose(1, 2).reshape(self.n_models, rows, n_tokens)

    def _head(self, x: Tensor, targets: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        """The scaled losses, and the gradient of the last block's output; the head's own is accumulated."""
        normed, length = self._normed(x)
        head, n_tokens = self.head.folded, x.shape[2]
        n_chunks = -(-n_tokens * head.shape[1] * self.n_models // LOGITS_AT_ONCE)
        loss, parts = torch.zeros(self.n_models), []
        for chunk, target in zip(normed.chunk(n_chunks, 2), targets.chunk(n_chunks, 1), strict=True):
            logits = torch.bmm(chunk.transpose(1, 2), head.transpose(1, 2))
            top, at_target = logits.amax(2, keepdim=True), logits.gather(2, target)
            powers = logits.sub_(top).exp2_()
            total = powers.sum(2, keepdim=True)
            loss += (total.log2() + top - at_target).sum((1, 2))
            # The gradient of the nats by the logits in base 2: ln 2 x (probabilities, less one at the target).
            gradient = powers.mul_(LN2 * scale / total)
            gradient.scatter_add_(2, target, torch.full(target.shape, -LN2 * scale))
            parts.append(torch.bmm(head.transpose(1, 2), gradient.transpose(1, 2)))
            self.head.gradient.add_(torch.bmm(chunk, gradient).transpose(1, 2))
        dx = torch.zeros_like(x)
        _norm_backward(dx, torch.cat(parts, 2) if len(parts) > 1 else parts[0], normed, length)
        return loss * (LN2 * scale), dx

    def _normed(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x over its length, and that length, over the width; the model's eps is in the root."""
        length = torch.linalg.vecdot(x, x, dim=1).add_(self.eps).sqrt_().unsqueeze(1)
        return x / length, length


def _through(matrix: _Matrix, inputs: Tensor, d_out: Tensor) -> Tensor:
    """Back through matrix @ inputs: accumulates the matrix's gradient, returns that of `inputs`."""
    matrix.gradient.baddbmm_(d_out, inputs.transpose(1, 2))
    return torch.bmm(matrix.folded.transpose(1, 2), d_out)


def _rotate(halves: Tensor, out: Tensor, cos: Tensor, sin: Tensor) -> None:
    """Rotary positions of query and key: (a, b) -> (a cos - b sin, b cos + a sin); values times their `cos`."""
    torch.mul(halves, cos, out=out)
    (a, b), (out_a, out_b) = halves[:2].unbind(4), out[:2].unbind(4)
    out_a.addcmul_(b, sin, value=-1)
    out_b.addcmul_(a, sin)


def _norm_backward(dx: Tensor, d_normed: Tensor, normed: Tensor, length: Tensor) -> None:
    """Add the gradient by x of x / length(x) to `dx`; `d_normed` is used up."""
    d_normed.addcmul_(normed, torch.linalg.vecdot(d_normed, normed, dim=1).unsqueeze(1), value=-1)
    dx.addcdiv_(d_normed, length)
