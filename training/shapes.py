"""The ladder of model shapes: from a width, or from the number of parameters wanted."""

from __future__ import annotations

import bisect
import math

from ..fitting.counting import ModelShape
from ..fitting.errors import InputError
from .config import ModelConfig
from .models.counts import counts_for

_MLP_RATIO = {"gpt2": 4.0}
_GATED_MLP_RATIO = 8 / 3  # three matrices then hold as much as two at ratio 4 (Shazeer 2020)
_ROTARY = ("llama", "qwen3")
_MOST_WIDTHS = 1 << 16


def shape_for_width(width: int, model: ModelConfig, vocab_size: int) -> ModelShape:
    """The member of the ladder `model` that is `width` wide, for a tokenizer of `vocab_size` tokens.

    Raises:
        InputError: the width does not divide into heads, or a head's size is odd (rotary positions need pairs); the
            tokenizer has more tokens than `model.vocab_size`.
    """
    heads = model.heads if model.heads is not None else max(1, width // (model.head_dim or 1))
    head_dim = model.head_dim if model.head_dim is not None else width // heads
    if heads * head_dim != width or not head_dim:
        raise InputError(f"model: width {width} does not divide into {heads} heads; choose widths that do")
    if head_dim % 2 and model.family in _ROTARY:
        raise InputError(f"model: width {width} gives heads of {head_dim}, an odd size; rotary positions need even")
    kv_heads = model.kv_heads or heads
    if heads % kv_heads:
        raise InputError(f"model.kv_heads: {kv_heads} does not divide the {heads} heads of width {width}")
    if model.vocab_size is not None and model.vocab_size < vocab_size:
        raise InputError(
            f"model.vocab_size: an embedding of {model.vocab_size:,} rows is too small for the tokenizer's "
            f"{vocab_size:,} tokens; raise it, or leave it out"
        )
    mlp_ratio = model.mlp_ratio or _MLP_RATIO.get(model.family, _GATED_MLP_RATIO)
    return ModelShape(
        width=width,
        depth=model.depth or max(1, math.floor(width / (model.width_per_layer or width) + 0.5)),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        mlp_width=model.mlp_multiple * max(1, round(mlp_ratio * width / model.mlp_multiple)),
        vocab_size=model.vocab_size or vocab_size,
        context=model.context,
        tied_embeddings=model.tied_embeddings,
        family=model.family,
    )


def shapes_near(
    n_params: float,
    count: int,
    within: float,
    model: ModelConfig,
    vocab_size: int,
    convention: str = "n_params",
) -> list[ModelShape]:
    """`count` shapes evenly spaced in log N from n_params / within to n_params x within, smallest first.

    N is counted by `convention`. Each is the ladder's nearest to its target, and all differ.

    Raises:
        InputError: the ladder's widths are too far apart for so many different sizes in the range.
    """
    shapes: dict[int, ModelShape] = {}
    for i in range(count):
        target = n_params * within ** (2 * i / (count - 1) - 1)
        shape = nearest_shape(target, model, vocab_size, convention)
        shapes[shape.width] = shape
    if len(shapes) < count:
        raise InputError(
            f"grid.sizes: within a factor {within:g} of N = {n_params:.3g} the ladder has {len(shapes)} different "
            f"widths for {count} sizes; lower count or model.width_multiple ({model.width_multiple}), or raise within"
        )
    return [shapes[width] for width in sorted(shapes)]


def nearest_shape(target: float, model: ModelConfig, vocab_size: int, convention: str = "n_params") -> ModelShape:
    """The shape whose N is nearest in log; N grows with the width, so its neighbours are found by halving."""
    even = 2 if model.family in _ROTARY else 1
    step = math.lcm(model.width_multiple, even * model.heads if model.heads else model.head_dim or 1)

    def n_params(multiple: int) -> int:
        shape = shape_for_width(multiple * step, model, vocab_size)
        return getattr(counts_for(shape, model).params, convention)

    above = 1
    while n_params(above) < target and above < _MOST_WIDTHS:
        above *= 2
    above = bisect.bisect_left(range(above + 1), target, lo=1, hi=above, key=n_params)
    near = [multiple for multiple in (above - 1, above) if multiple]
    best = min(near, key=lambda multiple: abs(math.log(n_params(multiple) / target)))
    return shape_for_width(best * step, model, vocab_size)
