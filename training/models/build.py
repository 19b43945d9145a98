"""ModelShape -> a transformers Llama with our initialisation; one whose counts disagree is refused."""

from __future__ import annotations

import math
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from ...fitting.counting import ModelShape, count_params
from ..config import ModelConfig
from ..config.model import Initialisation

# Matrices that write into the residual stream.
_RESIDUAL = ("o_proj.weight", "down_proj.weight")


def build_model(
    shape: ModelShape,
    model: ModelConfig,
    *,
    seed: int,
    attention: str = "sdpa",
) -> LlamaForCausalLM:
    """The member of the ladder `model` that has `shape`, in fp32 on the CPU; its weights are a function of the `seed`.

    `attention` is transformers' name of an implementation ("eager" for counting FLOPs).

    Raises:
        AssertionError: the model's parameters do not add up to `fitting.counting`'s.
    """
    built = LlamaForCausalLM(_config(shape, model.rope_theta, attention))
    initialise(built, shape, model.initialisation, seed)
    check_counts(built, shape)
    return built


def _config(shape: ModelShape, rope_theta: float, attention: str) -> LlamaConfig:
    # A subclass's own fields hide the base's from a type checker.
    words: dict[str, Any] = {"attn_implementation": attention}
    return LlamaConfig(
        vocab_size=shape.vocab_size,
        hidden_size=shape.width,
        intermediate_size=shape.mlp_width,
        num_hidden_layers=shape.depth,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        max_position_embeddings=shape.context,
        rope_parameters={"rope_type": "default", "rope_theta": rope_theta},
        tie_word_embeddings=shape.tied_embeddings,
        attention_bias=False,
        mlp_bias=False,
        use_cache=False,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
        **words,
    )


@torch.no_grad()
def initialise(model: LlamaForCausalLM, shape: ModelShape, init: Initialisation, seed: int) -> None:
    """Fill all matrices from normal distributions: std gain / sqrt(inputs), so that activations keep their scale.

    The embedding has its own std. Norms stay at one. Draws are in fp32 on the CPU, in the model's order of
    parameters, so that they are the same on every device and under every precision.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        if weight.ndim < 2:
            continue
        if name.endswith("embed_tokens.weight"):
            std = init.embedding_std
        else:
            std = init.linear_gain / math.sqrt(weight.shape[1])
            if init.scale_residual and name.endswith(_RESIDUAL):
                std /= math.sqrt(2 * shape.depth)
        weight.normal_(0.0, std, generator=generator)


def check_counts(model: torch.nn.Module, shape: ModelShape) -> None:
    """Refuse a model whose parameters differ from what its shape is counted to have."""
    counted = count_params(shape).n_params
    real = sum(parameter.numel() for parameter in model.parameters())
    if counted != real:
        raise AssertionError(f"{shape}: counted {counted:,} parameters, the model has {real:,}")
