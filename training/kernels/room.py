"""Where a written-out step puts what it computes: made once, and seen in all the ways the step needs it.

A small model's operators are so short that making room for results, and views of them, would cost as much again.
Shapes: K models, each with B sequences of S tokens, T = B S; d width, h heads of k, f MLP width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...fitting.counting import ModelShape
from ..memory import written_out_chunk


class Halves:
    """Query, key and value by the halves of a head, which rotary positions mix: (3, K, B, h, 2, k / 2, S)."""

    def __init__(self, both: Tensor) -> None:
        self.both = both
        self.first, self.second = both[:2].unbind(4)  # of query and key alone


class Normed:
    """x over its length, (K, d, T), and that length, (K, T); the model's eps is in the root."""

    def __init__(self, n_models: int, width: int, n_tokens: int) -> None:
        self.values = torch.empty(n_models, width, n_tokens)
        self.transposed = self.values.transpose(1, 2)
        self._length = torch.empty(n_models, n_tokens)
        self._dot = torch.empty(n_models, n_tokens)
        self._length_a_row, self._dot_a_row = self._length.unsqueeze(1), self._dot.unsqueeze(1)

    def take(self, x: Tensor, eps: float) -> None:
        """Of `x`, with `eps` added to the sum of squares."""
        torch.linalg.vecdot(x, x, dim=1, out=self._length).add_(eps).sqrt_()
        torch.div(x, self._length_a_row, out=self.values)

    def back(self, d_values: Tensor, dx: Tensor) -> None:
        """Add the gradient by x to `dx`; `d_values`, that of the values, is used up."""
        torch.linalg.vecdot(d_values, self.values, dim=1, out=self._dot)
        d_values.addcmul_(self.values, self._dot_a_row, value=-1)
        dx.addcdiv_(d_values, self._length_a_row)


class BlockRoom:
    """What a block's backward pass needs of its forward pass."""

    def __init__(self, shape: ModelShape, n_models: int, n_sequences: int) -> None:
        context, size, heads = shape.context, shape.head_dim, shape.heads
        n_tokens, n_heads = n_sequences * context, n_models * n_sequences * heads
        self.normed = Normed(n_models, shape.width, n_tokens)
        qkv = torch.empty(3, n_models, n_sequences, heads, 2, size // 2, context)
        self.halves = Halves(qkv)
        self.query, self.key, self.value = qkv.view(3, n_heads, size, context)
        self.query_t = self.query.transpose(1, 2)
        self.weights = torch.empty(n_heads, context, context)  # attention
        self.weights_t = self.weights.transpose(1, 2)
        self.attended = torch.empty(n_models, heads * size, n_tokens)
        self.attended_t = self.attended.transpose(1, 2)
        self.attended_by_sequence = self.attended.view(n_models, heads * size, n_sequences, context)
        self.mlp_normed = Normed(n_models, shape.width, n_tokens)
        self.gate_up = torch.empty(n_models, 2 * shape.mlp_width, n_tokens)
        self.gate, self.up = self.gate_up.chunk(2, dim=1)
        self.activated = torch.empty(n_models, shape.mlp_width, n_tokens)  # silu(gate)
        self.product = torch.empty(n_models, shape.mlp_width, n_tokens)  # silu(gate) up
        self.product_t = self.product.transpose(1, 2)


class Room:
    """A step's: of each block, and what blocks use one after another."""

    def __init__(self, shape: ModelShape, n_models: int, n_sequences: int) -> None:
        context, size, rows = shape.context, shape.head_dim, shape.heads * shape.head_dim
        self.n_tokens = n_tokens = n_sequences * context
        n_heads = n_models * n_sequences * shape.heads
        self.blocks = [BlockRoom(shape, n_models, n_sequences) for _ in range(shape.depth)]
        self.normed = Normed(n_models, shape.width, n_tokens)
        self.logits = self._logits(n_models, shape.vocab_size)
        self.x, self.dx, self.d_normed = torch.empty(3, n_models, shape.width, n_tokens)
        # A token's vector a row, as the embedding has them: of the first block's input, and of its gradient.
        self.rows = torch.empty(n_models * n_tokens, shape.width)
        self.rows_by_model = self.rows.view(n_models, n_tokens, shape.width).transpose(1, 2)
        # Query, key and value before they are rotated, and later their gradient.
        self.qkv = torch.empty(n_models, 3 * rows, n_tokens)
        halves = self.qkv.view(n_models, 3, shape.heads, 2, size // 2, n_sequences, context)
        self.qkv_halves = Halves(halves.permute(1, 0, 5, 2, 3, 4, 6))
        # What heads attended to, and later its gradient.
        self.heads = torch.empty(n_heads, size, context)
        self.heads_t = self.heads.transpose(1, 2)
        self.heads_by_sequence = self.heads.view(n_models, n_sequences, rows, context).transpose(1, 2)
        self.d_attended = torch.empty(n_models, rows, n_tokens)
        self.d_attended_by_sequence = self.d_attended.view(n_models, rows, n_sequences, context)
        d_qkv = torch.empty(3, n_heads, size, context)
        self.d_query, self.d_key, self.d_value = d_qkv
        self.d_halves = Halves(d_qkv.view(3, n_models, n_sequences, shape.heads, 2, size // 2, context))
        self.d_weights, self.d_scores = torch.empty(2, n_heads, context, context)
        self.d_scores_t = self.d_scores.transpose(1, 2)
        self.d_product = torch.empty(n_models, shape.mlp_width, n_tokens)
        self.d_gate_up = torch.empty(n_models, 2 * shape.mlp_width, n_tokens)
        self.d_gate, self.d_up = self.d_gate_up.chunk(2, dim=1)

    def _logits(self, n_models: int, vocab_size: int) -> list[tuple[slice, Tensor]]:
        """Which tokens are scored together, and where their logits go, (K, tokens, V): all in the same memory."""
        n_chunks = -(-self.n_tokens // written_out_chunk(vocab_size, n_models))
        size = -(-self.n_tokens // n_chunks)
        memory = torch.empty(n_models * size * vocab_size)
        chunks = []
        for start in range(0, self.n_tokens, size):
            count = min(size, self.n_tokens - start)
            here = memory[: n_models * count * vocab_size].view(n_models, count, vocab_size)
            chunks.append((slice(start, start + count), here))
        return chunks
