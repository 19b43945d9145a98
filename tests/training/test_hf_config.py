"""What is counted from a config.json against the model that transformers builds from it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from isoflop.fitting.counting import flops_per_token
from isoflop.fitting.hf_config import model_of_config

LLAMA = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 160}
SMALL = LLAMA | {"vocab_size": 300, "max_position_embeddings": 128}
GROUPED = SMALL | {"num_key_value_heads": 2, "hidden_size": 96, "num_hidden_layers": 3}
WIDE_HEADS = GROUPED | {"head_dim": 40}
BIASED = WIDE_HEADS | {"attention_bias": True}
GPT2 = {"n_embd": 48, "n_layer": 3, "n_head": 4, "vocab_size": 211, "n_positions": 96}
OPT = {k: v for k, v in SMALL.items() if k != "intermediate_size"} | {"ffn_dim": 200, "word_embed_proj_dim": 64}

CONFIGS = [
    *(("llama", words) for words in (SMALL, GROUPED, WIDE_HEADS, BIASED | {"mlp_bias": True})),
    *(("mistral", words) for words in (SMALL | {"num_key_value_heads": 4}, GROUPED, WIDE_HEADS)),
    *(("qwen2", words) for words in (SMALL | {"num_key_value_heads": None}, GROUPED, GROUPED | {"use_cache": False})),
    *(("qwen3", words) for words in (SMALL | {"num_key_value_heads": 4}, GROUPED, BIASED)),
    *(("gemma", words) for words in (SMALL | {"num_key_value_heads": 1}, WIDE_HEADS, BIASED)),
    *(("gemma2", words) for words in (SMALL, WIDE_HEADS, BIASED)),
    *(("olmo2", words) for words in (SMALL, GROUPED, GROUPED | {"attention_bias": True})),
    *(("smollm3", words) for words in (SMALL, GROUPED, GROUPED | {"attention_bias": True, "mlp_bias": True})),
    *(("gpt2", words) for words in (GPT2, GPT2 | {"n_inner": 100}, GPT2 | {"n_layer": 1, "n_positions": 7})),
    *(("gpt_neox", words) for words in (SMALL, SMALL | {"attention_bias": False}, GROUPED)),
    *(("opt", words) for words in (OPT, OPT | {"enable_bias": False}, OPT | {"do_layer_norm_before": False},
                                   OPT | {"layer_norm_elementwise_affine": False})),
]  # fmt: skip


def _built(kind: str, words: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """The config as it stands in config.json, and the model built from it."""
    config = AutoConfig.for_model(kind, **{"pad_token_id": None, **words})
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    return json.loads(model.config.to_json_string()), model


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(("kind", "words"), CONFIGS, ids=[f"{kind}{i}" for i, (kind, _) in enumerate(CONFIGS)])
def test_counts_equal_the_real_model(kind: str, words: dict[str, Any], tied: bool) -> None:
    written, model = _built(kind, words | {"tie_word_embeddings": tied})
    counts = model_of_config(written).counts
    assert counts.n_params == model.num_parameters()
    assert counts.without_embeddings == model.num_parameters(exclude_embeddings=True)
    head = 0 if tied else model.get_output_embeddings().weight.numel()
    assert counts.n_params_non_embedding == model.num_parameters(exclude_embeddings=True) - head
    assert counts.embedding == model.get_input_embeddings().weight.numel()
    matrices = sum(p.numel() for p in model.parameters() if p.ndim == 2) - counts.embedding - head - counts.positions
    assert counts.block_matrices == matrices


@pytest.mark.parametrize("kind", dict(CONFIGS))
def test_a_config_of_defaults_is_its_class(kind: str) -> None:
    """What a config leaves out is what the class fills in: whole-size models, without their weights."""
    written, model = _built(kind, {})
    required = {"hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size",
                "n_embd", "n_layer", "n_head", "ffn_dim", "model_type"}  # fmt: skip
    bare = {key: value for key, value in written.items() if key in required}
    assert model_of_config(bare).counts.n_params == model.num_parameters()


def test_flops_of_our_own_shape_equal_ours() -> None:
    written, _ = _built("llama", SMALL)
    model = model_of_config(written)
    flops = model.flops_per_token(128)
    assert flops == {name: flops_per_token(model.shape, name) for name in flops}
    assert set(model.flops_per_token(None)) == {"6nd", "6nd_non_embedding", "porian"}


def test_attention_over_a_window_is_not_called_exact() -> None:
    written, _ = _built("mistral", GROUPED | {"sliding_window": 64})
    model = model_of_config(written)
    assert "exact" in model.flops_per_token(64)
    assert "exact" not in model.flops_per_token(128)
