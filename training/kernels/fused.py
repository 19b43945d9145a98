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
from .room import BlockRoom, Halves, Room

LN2 = math.log(2)


class _Matrix:
    """A matrix of each model, (K, out, in), as it is applied: with the norm before it folded in, if there is one."""

    def __init__(self, weights: FlatWeights, first: str, last: str) -> None:
        self.matrix = weights.of(first, weights.matrices.values, last)
        self.gradient = weights.of(first, weights.matrices.gradient, last)
        self.applied = self.matrix
        self.transposed = self.applied.transpose(1, 2)
        self.d_applied = torch.empty(self.matrix.shape)  # its gradient, of one pass

    def fold(self) -> None:
        """Before a pass: take in the norm as it is now."""

    def back(self, inputs_t: Tensor, d_out: Tensor, d_inputs: Tensor) -> None:
        """Through matrix @ inputs: the gradient of what was applied, and into `d_inputs` that of the inputs."""
        torch.bmm(d_out, inputs_t, out=self.d_applied)
        torch.bmm(self.transposed, d_out, out=d_inputs)

    def unfold(self) -> None:
        """After a pass: add to the gradient."""
        self.gradient.add_(self.d_applied)


class _Folded(_Matrix):
    """With the norm before it: matrix x weight of the norm x gain."""

    def __init__(self, weights: FlatWeights, first: str, last: str, norm: str, gain: float) -> None:
        super().__init__(weights, first, last)
        self.norm, self.d_norm = weights.value(norm), weights.gradient(norm)
        self.gain = gain
        self.factor = torch.empty(self.norm.shape).unsqueeze(1)
        self.applied = torch.empty(self.matrix.shape)
        self.transposed = self.applied.transpose(1, 2)

    def fold(self) -> None:
        """See `_Matrix`."""
        torch.mul(self.norm, self.gain, out=self.factor[:, 0])
        torch.mul(self.matrix, self.factor, out=self.applied)

    def unfold(self) -> None:
        """See `_Matrix`; the norm's gradient is by column."""
        self.gradient.addcmul_(self.d_applied, self.factor)
        self.d_norm.add_(self.d_applied.mul_(self.matrix).sum(1), alpha=self.gain)


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
        self.blocks = [self._block(f"model.layers.{i}.") for i in range(shape.depth)]
        head = "lm_head.weight" if "lm_head.weight" in weights.places else "model.embed_tokens.weight"
        # Norms are taken by length, not by root mean square, and logits are in base 2.
        self.head = _Folded(weights, head, head, "model.norm.weight", math.sqrt(shape.width) / LN2)
        self._matrices = [self.head, *(matrix for block in self.blocks for matrix in vars(block).values())]
        rows = weights.matrices.values.shape[1] // shape.width  # every matrix is some rows of the width
        first = weights.places["model.embed_tokens.weight"].start // shape.width
        self._first_token = (first + rows * torch.arange(self.n_models))[:, None]
        body: Any = models[0].model
        self.eps: float = shape.width * body.norm.variance_epsilon
        self._tables(body.rotary_emb.inv_freq)
        self._rooms: dict[int, Room] = {}  # by number of sequences

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
        weights, gain = self.weights, math.sqrt(self.shape.width)
        attention, mlp = f"{prefix}self_attn.", f"{prefix}mlp."
        norm, mlp_norm = f"{prefix}input_layernorm.weight", f"{prefix}post_attention_layernorm.weight"
        out, down = f"{attention}o_proj.weight", f"{mlp}down_proj.weight"
        return _Block(
            qkv=_Folded(weights, f"{attention}q_proj.weight", f"{attention}v_proj.weight", norm, gain),
            out=_Matrix(weights, out, out),
            gate_up=_Folded(weights, f"{mlp}gate_proj.weight", f"{mlp}up_proj.weight", mlp_norm, gain),
            down=_Matrix(weights, down, down),
        )

    @torch.inference_mode()
    def accumulate(self, rows: Tensor, scale: float) -> Tensor:
        """Add the gradients of `scale` x summed nats; returns that loss of each model, (K,).

        `rows` holds token ids, (K, B, S + 1): inputs and, one later, their targets.
        """
        room = self._room(rows.shape[1])
        matrices, width = self.weights.matrices, self.shape.width
        for matrix in self._matrices:
            matrix.fold()
        inputs = (rows[:, :, :-1].reshape(self.n_models, room.n_tokens) + self._first_token).view(-1)
        targets = rows[:, :, 1:].reshape(self.n_models, room.n_tokens, 1)
        torch.index_select(matrices.values.view(-1, width), 0, inputs, out=room.rows)
        room.x.copy_(room.rows_by_model)
        for block, kept in zip(self.blocks, room.blocks, strict=True):
            self._forward(block, kept, room)
        loss = self._head(room, targets, scale)
        for block, kept in zip(reversed(self.blocks), reversed(room.blocks), strict=True):
            self._backward(block, kept, room)
        for matrix in self._matrices:
            matrix.unfold()
        room.rows_by_model.copy_(room.dx)
        matrices.gradient.view(-1, width).index_add_(0, inputs, room.rows)
        return loss

    def _room(self, n_sequences: int) -> Room:
        if n_sequences not in self._rooms:
            self._rooms[n_sequences] = Room(self.shape, self.n_models, n_sequences)
        return self._rooms[n_sequences]

    def _forward(self, block: _Block, kept: BlockRoom, room: Room) -> None:
        """Take `room.x`, the block's input, to its output, in place."""
        x = room.x
        kept.normed.take(x, self.eps)
        torch.bmm(block.qkv.applied, kept.normed.values, out=room.qkv)
        _rotate(room.qkv_halves, kept.halves, self.cos, self.sin)
        torch.baddbmm(self.mask, kept.query_t, kept.key, alpha=self.shape.head_dim**-0.5, out=kept.weights)
        torch.softmax(kept.weights, -1, out=kept.weights)
        torch.bmm(kept.value, kept.weights_t, out=room.heads)
        kept.attended_by_sequence.copy_(room.heads_by_sequence)
        x.baddbmm_(block.out.applied, kept.attended)
        kept.mlp_normed.take(x, self.eps)
        torch.bmm(block.gate_up.applied, kept.mlp_normed.values, out=kept.gate_up)
        torch.ops.aten.silu.out(kept.gate, out=kept.activated)
        torch.mul(kept.activated, kept.up, out=kept.product)
        x.baddbmm_(block.down.applied, kept.product)

    def _backward(self, block: _Block, kept: BlockRoom, room: Room) -> None:
        """Take `room.dx`, the gradient of the block's output, to that of its input, in place."""
        dx = room.dx
        # MLP: x + down(silu(gate) up)
        block.down.back(kept.product_t, dx, room.d_product)
        torch.mul(room.d_product, kept.activated, out=room.d_up)
        room.d_product.mul_(kept.up)
        torch.ops.aten.silu_backward.grad_input(room.d_product, kept.gate, grad_input=room.d_gate)
        block.gate_up.back(kept.mlp_normed.transposed, room.d_gate_up, room.d_normed)
        kept.mlp_normed.back(room.d_normed, dx)
        # Attention: x + out(weights value)
        block.out.back(kept.attended_t, dx, room.d_attended)
        room.heads_by_sequence.copy_(room.d_attended_by_sequence)
        torch.bmm(room.heads, kept.weights, out=room.d_value)
        torch.bmm(room.heads_t, kept.value, out=room.d_weights)
        torch.ops.aten._softmax_backward_data.out(
            room.d_weights, kept.weights, -1, torch.float32, grad_input=room.d_scores
        )
        torch.bmm(kept.key, room.d_scores_t, out=room.d_query)
        torch.bmm(kept.query, room.d_scores, out=room.d_key)
        _rotate(room.d_halves, room.qkv_halves, self.back_cos, self.back_sin)
        block.qkv.back(kept.normed.transposed, room.qkv, room.d_normed)
        kept.normed.back(room.d_normed, dx)

    def _head(self, room: Room, targets: Tensor, scale: float) -> Tensor:
        """The scaled losses; leaves the gradient of the last block's output in `room.dx`, accumulates the head's."""
        head, first = self.head, True
        room.normed.take(room.x, self.eps)
        loss = torch.zeros(self.n_models)
        for tokens, logits in room.logits:
            chunk, target = room.normed.values[:, :, tokens], targets[:, tokens]
            torch.bmm(chunk.transpose(1, 2), head.transposed, out=logits)
            top, at_target = logits.amax(2, keepdim=True), logits.gather(2, target)
            powers = logits.sub_(top).exp2_()
            total = powers.sum(2, keepdim=True)
            loss += (total.log2() + top - at_target).sum((1, 2))
            # The gradient of the nats by the logits in base 2: ln 2 x (probabilities, less one at the target).
            gradient = powers.mul_(LN2 * scale / total)
            gradient.scatter_add_(2, target, torch.full(target.shape, -LN2 * scale))
            room.d_normed[:, :, tokens] = torch.bmm(head.transposed, gradient.transpose(1, 2))
            d_head = torch.bmm(chunk, gradient).transpose(1, 2)
            head.d_applied.copy_(d_head) if first else head.d_applied.add_(d_head)
            first = False
        room.dx.zero_()
        room.normed.back(room.d_normed, room.dx)
        return loss * (LN2 * scale)


def _rotate(halves: Halves, out: Halves, cos: Tensor, sin: Tensor) -> None:
    """Rotary positions of query and key: (a, b) -> (a cos - b sin, b cos + a sin); values times their `cos`."""
    torch.mul(halves.both, cos, out=out.both)
    out.first.addcmul_(halves.second, sin, value=-1)
    out.second.addcmul_(halves.first, sin)
