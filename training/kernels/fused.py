"""A small Llama's loss and gradient on a CPU, written out by hand with few operators and no autograd.

A small model's step is spent on dispatching operators and on passes over memory, not on arithmetic. This is the same
function as transformers' Llama (a test holds loss and every gradient against it), but query, key and value are one
matmul, gate and up another; a norm's weight is folded into the matrix that follows; attention works on transposed
heads, so that its small matmuls are S wide instead of k; and logits are made, turned into their own gradient in
place, and used up in chunks that stay in the cache.

Shapes: B sequences of S tokens, T = B S; d width, h heads of k, f MLP width, V vocabulary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...fitting.counting import ModelShape
from ..plan import RunPlan

LOGIT_ROWS = 512  # tokens whose logits exist at a time


ATTENTION_BYTES = 2**28  # of all blocks' attention weights, which are kept for the backward pass


def is_supported(cell: RunPlan, device: torch.device, precision: str, n_processes: int) -> bool:
    """Whether `FusedLlama` computes this cell: a Llama in fp32 on one CPU process, full heads, short contexts.

    It was the faster one at every width tried, 16 to 256, most at the smallest.
    """
    shape = cell.shape
    attention = 4 * cell.batch_sequences * shape.heads * shape.context**2 * shape.depth
    is_llama = shape.family == "llama" and shape.kv_heads == shape.heads
    alone = device.type == "cpu" and n_processes == 1
    return is_llama and alone and precision == "fp32" and attention <= ATTENTION_BYTES


@dataclass
class _Saved:
    """What a block's backward pass needs of its forward pass."""

    normed: Tensor  # x / rms, (T, d)
    scale: Tensor  # 1 / rms, (T, 1)
    query: Tensor  # (B h, k, S), rotated
    key: Tensor
    value: Tensor
    weights: Tensor  # attention, (B h, S, S)
    attended: Tensor  # (B h, k, S)
    attended_rows: Tensor  # the same as (T, h k)
    mlp_normed: Tensor
    mlp_scale: Tensor
    gate: Tensor  # (T, f)
    up: Tensor
    activated: Tensor  # silu(gate)


class _Block:
    """One block's parameters, those of a joint matmul laid side by side, and their gradients likewise."""

    def __init__(self, layer: Any) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.qkv, self.qkv_grad = _joined(attention.q_proj, attention.k_proj, attention.v_proj)
        self.gate_up, self.gate_up_grad = _joined(mlp.gate_proj, mlp.up_proj)
        self.out: nn.Parameter = attention.o_proj.weight
        self.down: nn.Parameter = mlp.down_proj.weight
        self.norm: nn.Parameter = layer.input_layernorm.weight
        self.mlp_norm: nn.Parameter = layer.post_attention_layernorm.weight


class FusedLlama:
    """Loss and gradients of `model`, accumulated into its parameters' `.grad`, all of them views of `gradient`.

    The model keeps working: its parameters become views of joint tensors.
    """

    def __init__(self, model: nn.Module, shape: ModelShape) -> None:
        self.shape = shape
        body: Any = model.model
        # All gradients lie in one tensor, so that zeroing and clipping are an operator each.
        self.gradient = torch.zeros(sum(parameter.numel() for parameter in model.parameters()))
        start = 0
        for parameter in model.parameters():
            end = start + parameter.numel()
            parameter.grad = self.gradient[start:end].view_as(parameter)
            start = end
        self.blocks = [_Block(layer) for layer in body.layers]
        self.embedding: nn.Parameter = body.embed_tokens.weight
        output: Any = model.lm_head
        self.head: nn.Parameter = output.weight
        self.norm: nn.Parameter = body.norm.weight
        self.eps: float = body.norm.variance_epsilon
        angles = body.rotary_emb.inv_freq[:, None] * torch.arange(shape.context)
        self.cos, self.sin = angles.cos(), angles.sin()  # (k / 2, S)
        self.mask = torch.full((shape.context, shape.context), -math.inf).triu(1)

    @torch.inference_mode()
    def accumulate(self, rows: Tensor, scale: float) -> Tensor:
        """Add the gradients of `scale` x summed nats; returns that loss.

        `rows` holds token ids, (B, S + 1): inputs and, one later, their targets.
        """
        inputs, targets = rows[:, :-1].reshape(-1), rows[:, 1:].reshape(-1, 1)
        x = self.embedding[inputs]
        saved = []
        for block in self.blocks:
            x, kept = self._forward(block, x)
            saved.append(kept)
        loss, dx = self._head(x, targets, scale)
        for block, kept in zip(reversed(self.blocks), reversed(saved), strict=True):
            self._backward(block, kept, dx)
        _grad(self.embedding).index_add_(0, inputs, dx)
        return loss

    @torch.inference_mode()
    def clip(self, max_norm: float) -> Tensor:
        """Scale the gradient down to `max_norm` where it is longer; returns the norm it had."""
        norm = torch.linalg.vector_norm(self.gradient)
        self.gradient.mul_((max_norm / (norm + 1e-6)).clamp(max=1.0))
        return norm

    def _forward(self, block: _Block, x: Tensor) -> tuple[Tensor, _Saved]:
        heads, context, size = self.shape.heads, self.shape.context, self.shape.head_dim
        n_sequences = len(x) // context
        normed, scale = self._normed(x)
        qkv = normed @ (block.qkv * block.norm).t()
        # (T, 3 h k) -> (B, 3, h, 2 halves, k / 2, S)
        halves = qkv.view(n_sequences, context, -1).transpose(1, 2).contiguous()
        halves = halves.view(n_sequences, 3, heads, 2, size // 2, context)
        rotated = torch.empty(2, n_sequences, heads, 2, size // 2, context)
        self._rotate(halves[:, :2].transpose(0, 1), rotated, 1)
        query, key = rotated.view(2, n_sequences * heads, size, context)
        value = halves[:, 2].reshape(n_sequences * heads, size, context)
        weights = torch.baddbmm(self.mask, query.transpose(1, 2), key, alpha=size**-0.5)
        torch.softmax(weights, -1, out=weights)
        attended = torch.bmm(value, weights.transpose(1, 2))
        attended_rows = attended.view(n_sequences, -1, context).transpose(1, 2).reshape(len(x), -1)
        x = torch.addmm(x, attended_rows, block.out.t())
        mlp_normed, mlp_scale = self._normed(x)
        gate, up = (mlp_normed @ (block.gate_up * block.mlp_norm).t()).chunk(2, dim=1)
        activated = nn.functional.silu(gate)
        x = torch.addmm(x, activated * up, block.down.t())
        kept = _Saved(
            normed, scale, query, key, value, weights, attended, attended_rows,
            mlp_normed, mlp_scale, gate, up, activated,
        )  # fmt: skip
        return x, kept

    def _backward(self, block: _Block, kept: _Saved, dx: Tensor) -> None:
        """Take `dx`, the gradient of the block's output, to that of its input, in place."""
        # MLP: x + down(silu(gate) up)
        d_product = dx @ block.down
        _grad(block.down).addmm_(dx.t(), kept.activated * kept.up)
        width = kept.gate.shape[1]
        d_gate_up = torch.empty(len(dx), 2 * width)
        torch.mul(d_product, kept.activated, out=d_gate_up[:, width:])
        d_product.mul_(kept.up)
        torch.ops.aten.silu_backward.grad_input(d_product, kept.gate, grad_input=d_gate_up[:, :width])
        d_normed = _folded_backward(d_gate_up, kept.mlp_normed, block.gate_up, block.gate_up_grad, block.mlp_norm)
        _norm_backward(dx, d_normed, kept.mlp_normed, kept.mlp_scale)
        # Attention: x + out(weights value)
        d_rows = dx @ block.out
        _grad(block.out).addmm_(dx.t(), kept.attended_rows)
        d_qkv = self._attention_backward(kept, d_rows)
        d_normed = _folded_backward(d_qkv, kept.normed, block.qkv, block.qkv_grad, block.norm)
        _norm_backward(dx, d_normed, kept.normed, kept.scale)

    def _attention_backward(self, kept: _Saved, d_rows: Tensor) -> Tensor:
        """From the gradient of the attended rows, (T, h k), to that of query, key and value, (T, 3 h k)."""
        heads, context, size = self.shape.heads, self.shape.context, self.shape.head_dim
        n_sequences = len(d_rows) // context
        d_attended = d_rows.view(n_sequences, context, -1).transpose(1, 2).contiguous().view_as(kept.attended)
        d_value = torch.bmm(d_attended, kept.weights)
        # Softmax's gradient: weights (dW - sum(dW weights)), and that sum is sum(d_attended attended) over k.
        d_scores = torch.bmm(d_attended.transpose(1, 2), kept.value)
        d_scores.sub_((d_attended * kept.attended).sum(1).unsqueeze(2)).mul_(kept.weights).mul_(size**-0.5)
        d_rotated = torch.empty(2, n_sequences * heads, size, context)
        torch.bmm(kept.key, d_scores.transpose(1, 2), out=d_rotated[0])
        torch.bmm(kept.query, d_scores, out=d_rotated[1])
        d_halves = torch.empty(n_sequences, 3, heads, 2, size // 2, context)
        parts = d_rotated.view(2, n_sequences, heads, 2, size // 2, context)
        self._rotate(parts, d_halves[:, :2].transpose(0, 1), -1)
        d_halves[:, 2].copy_(d_value.view(n_sequences, heads, 2, size // 2, context))
        return d_halves.view(n_sequences, -1, context).transpose(1, 2).reshape(len(d_rows), -1)

    def _head(self, x: Tensor, targets: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        """The scaled loss, and the gradient of the last block's output; the head's own is accumulated."""
        normed, norm_scale = self._normed(x)
        head = self.head * self.norm
        d_head = torch.zeros_like(head)
        d_normed = torch.empty_like(normed)
        loss = torch.zeros(())
        for start in range(0, len(x), LOGIT_ROWS):
            chunk, target = normed[start : start + LOGIT_ROWS], targets[start : start + LOGIT_ROWS]
            logits = chunk @ head.t()
            top, at_target = logits.amax(1, keepdim=True), logits.gather(1, target)
            probabilities = torch.softmax(logits, 1, out=logits)
            # ln sum exp, from the likeliest token: its probability is at least 1 / V and never underflows.
            loss += (top - probabilities.amax(1, keepdim=True).log() - at_target).sum()
            # The gradient of the nats by the logits: probabilities, less one at the target.
            probabilities.scatter_add_(1, target, torch.full_like(target, -1, dtype=x.dtype)).mul_(scale)
            torch.mm(probabilities, head, out=d_normed[start : start + LOGIT_ROWS])
            d_head.addmm_(probabilities.t(), chunk)
        _unfold(d_head, self.head, _grad(self.head), self.norm)
        dx = torch.zeros_like(x)
        _norm_backward(dx, d_normed, normed, norm_scale)
        return loss * scale, dx

    def _normed(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x / rms(x), and 1 / rms(x); rms over the width, with the model's eps inside the root."""
        scale = torch.linalg.vector_norm(x, dim=1, keepdim=True)
        scale.square_().mul_(1 / x.shape[1]).add_(self.eps).rsqrt_()
        return x * scale, scale

    def _rotate(self, halves: Tensor, out: Tensor, sign: int) -> None:
        """Rotary positions, `sign` -1 for their inverse: (a, b) -> (a cos - b sin, b cos + a sin)."""
        (a, b), (out_a, out_b) = halves.unbind(-3), out.unbind(-3)
        torch.mul(a, self.cos, out=out_a)
        out_a.addcmul_(b, self.sin, value=-sign)
        torch.mul(b, self.cos, out=out_b)
        out_b.addcmul_(a, self.sin, value=sign)


def _joined(*linears: nn.Linear) -> tuple[Tensor, Tensor]:
    """The layers' matrices stacked, and their gradients, which follow each other in memory already.

    The layers' parameters become views of the first.
    """
    joint = torch.cat([linear.weight.detach() for linear in linears])
    for linear, part in zip(linears, joint.split([len(linear.weight) for linear in linears]), strict=True):
        linear.weight.data = part
    first = _grad(linears[0].weight)
    return joint, first.as_strided(joint.shape, joint.stride())


def _grad(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None  # made by FusedLlama
    return parameter.grad


def _folded_backward(d_out: Tensor, normed: Tensor, matrix: Tensor, gradient: Tensor, norm: nn.Parameter) -> Tensor:
    """Back through normed @ (matrix x norm)^T: accumulates both gradients, returns that of `normed`."""
    _unfold(d_out.t() @ normed, matrix, gradient, norm)
    return d_out @ (matrix * norm)


def _unfold(d_product: Tensor, matrix: Tensor, gradient: Tensor, norm: nn.Parameter) -> None:
    """Back through the product matrix x norm, norm along the matrix's rows."""
    gradient.addcmul_(d_product, norm.expand_as(d_product))
    _grad(norm).add_((d_product * matrix).sum(0))


def _norm_backward(dx: Tensor, d_normed: Tensor, normed: Tensor, scale: Tensor) -> None:
    """Add the gradient by x of x / rms(x) to `dx`; `d_normed` is used up."""
    d_normed.addcmul_(normed, (d_normed * normed).mean(1, keepdim=True), value=-1)
    dx.addcmul_(d_normed, scale)
