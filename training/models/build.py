"""ModelShape -> a model with our initialisation; one whose counts disagree is refused."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    masking_utils,
)

from ...fitting.counting import ModelShape
from ...fitting.errors import InputError
from ..config import ModelConfig
from ..config.model import OwnInitialisation
from .counts import counts_for
from .custom import made_by_factory
from .initialise import initialise


def _rows_are_whole(position_ids: torch.Tensor) -> None:
    """Our rows are never several sequences packed into one; transformers would look, and wait for the device."""


if hasattr(masking_utils, "find_packed_sequence_indices"):
    masking_utils.find_packed_sequence_indices = _rows_are_whole


def build_model(shape: ModelShape, model: ModelConfig, *, seed: int, attention: str = "sdpa") -> nn.Module:
    """The member of the ladder `model` that has `shape`, in fp32 on the CPU; its weights are a function of the `seed`.

    It takes `input_ids` (B, S) and returns logits (B, S, V), as `.logits` of an object; a factory's may return the
    tensor. `attention` is transformers' name of an implementation ("eager" for counting FLOPs).

    Raises:
        InputError: a factory that cannot be used; parameters that do not add up to what was counted.
    """
    # Nothing else in this process may decide the weights, nor may they decide anything else.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if shape.family == "custom":
            built = made_by_factory(shape, model).float()
        else:
            built = _FAMILIES[shape.family](shape, model, attention)
    if not isinstance(model.initialisation, OwnInitialisation):
        initialise(built, shape, model.initialisation, seed)
    if model.factory is None or model.factory_counts is not None:  # else the module itself was counted
        _check(built, shape, model)
    return built


def _check(built: nn.Module, shape: ModelShape, model: ModelConfig) -> None:
    counted = counts_for(shape, model).params.n_params
    real = sum(parameter.numel() for parameter in built.parameters())
    if counted != real:
        key = "model.factory_counts" if model.factory_counts else "model"
        raise InputError(f"{key}: counts {counted:,} parameters at width {shape.width}, the model has {real:,}")


def _llama(shape: ModelShape, model: ModelConfig, attention: str) -> nn.Module:
    return LlamaForCausalLM(LlamaConfig(mlp_bias=False, **_gated(shape, model, attention)))


def _qwen3(shape: ModelShape, model: ModelConfig, attention: str) -> nn.Module:
    return Qwen3ForCausalLM(Qwen3Config(use_sliding_window=False, **_gated(shape, model, attention)))


def _gated(shape: ModelShape, model: ModelConfig, attention: str) -> dict[str, Any]:
    return _shared(shape, attention) | {
        "hidden_size": shape.width,
        "intermediate_size": shape.mlp_width,
        "num_hidden_layers": shape.depth,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "max_position_embeddings": shape.context,
        "rope_parameters": {"rope_type": "default", "rope_theta": model.rope_base},
        "attention_bias": False,
    }


def _gpt2(shape: ModelShape, model: ModelConfig, attention: str) -> nn.Module:
    config = GPT2Config(
        n_embd=shape.width,
        n_inner=shape.mlp_width,
        n_layer=shape.depth,
        n_head=shape.heads,
        n_positions=shape.context,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        **_shared(shape, attention),
    )
    return GPT2LMHeadModel(config)


def _shared(shape: ModelShape, attention: str) -> dict[str, Any]:
    return {
        "attn_implementation": attention,
        "vocab_size": shape.vocab_size,
        "tie_word_embeddings": shape.tied_embeddings,
        "use_cache": False,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
    }


_FAMILIES = {"llama": _llama, "qwen3": _qwen3, "gpt2": _gpt2}
