"""Parameters and FLOPs of a transformers model, counted from its config.json.

Only architectures whose counts are tested against the real model are counted; another is refused with the remedy.
A key that a config leaves out has the value its class gives it, as transformers writes configs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .counting import FLOP_CONVENTIONS, ModelShape, ParamCounts, count_params, counts_of_blocks
from .errors import InputError
from .json_shapes import is_list


@dataclass(frozen=True)
class ConfigModel:
    """A model as its config describes it; `shape.context` is the longest context it was made for, in tokens.

    `window` is how many tokens back some layer attends at most, None where every layer attends to all.
    """

    shape: ModelShape
    counts: ParamCounts
    window: int | None = None

    def flops_per_token(self, context: int | None) -> dict[str, float]:
        """Training FLOPs a token at a `context` in tokens, by convention.

        Left out are conventions that count attention where `context` is unknown (None), and the exact one where
        a window is shorter than the context.
        """
        windowed = self.window is not None and context is not None and context > self.window
        return {
            name: self._per_token(name, context or 0)
            for name in FLOP_CONVENTIONS
            if (context is not None or self._per_token(name, 0) == self._per_token(name, 1))
            and not (windowed and name == "exact")
        }

    def _per_token(self, convention: str, context: int) -> float:
        return FLOP_CONVENTIONS[convention](replace(self.shape, context=context), self.counts)


def model_of_config(config: Mapping[str, Any]) -> ConfigModel:
    """The model that `config`, the object in a config.json, describes.

    Raises InputError, for a message that begins with the file, where the architecture is not one that can be
    counted, where it is no language model with its own head, and for a key that is missing or no count.
    """
    kind = config.get("model_type")
    count = _FAMILIES.get(kind) if isinstance(kind, str) else None
    if count is None:
        raise InputError(f"model_type {kind!r} is none that can be counted ({', '.join(_FAMILIES)})")
    named = config.get("architectures")
    heads = [name for name in (named if is_list(named) else []) if not str(name).endswith(_LANGUAGE_MODELS)]
    if heads:
        raise InputError(f"architectures: {heads[0]!r} is no causal language model")
    return count(config)


_MOST = 10**9  # no width, depth or vocabulary is more
_LANGUAGE_MODELS = ("ForCausalLM", "LMHeadModel")


@dataclass(frozen=True)
class _Gated:
    """What sets apart the families that are Llama but for details; the defaults are Llama's own.

    A bias, or a sliding window, is named by the key that switches it, or True where it is always there. `kv_heads`,
    `head_dim` and `window` are the class's defaults, None for as many heads as queries and for width / heads.
    """

    tied: bool = False
    kv_heads: int | None = None
    head_dim: int | None = None
    qkv_bias: str | bool = False
    output_bias: str | bool = False
    mlp_bias: str | bool = False
    block_norms: int = 2
    qk_norm: str = ""  # "head": one weight a channel of a head; "all": one a channel of all heads
    windowed: str | bool = False
    window: int = 4096

    def __call__(self, config: Mapping[str, Any]) -> ConfigModel:
        d, layers, heads = (_count(config, key) for key in ("hidden_size", "num_hidden_layers", "num_attention_heads"))
        f = _count(config, "intermediate_size")
        g = _count({"num_key_value_heads": self.kv_heads, **config}, "num_key_value_heads", heads)
        k = _count(config, "head_dim", self.head_dim or d // heads)
        vocab, tied = _count(config, "vocab_size"), bool(config.get("tie_word_embeddings", self.tied))
        shape = ModelShape(d, layers, heads, g, k, f, vocab, _longest(config), tied, config["model_type"])
        queries, keys = heads * k, g * k
        biases = (
            (queries + 2 * keys) * _on(config, self.qkv_bias)
            + d * _on(config, self.output_bias)
            + (2 * f + d) * _on(config, self.mlp_bias)
        )
        qk_norms = {"": 0, "head": 2 * k, "all": queries + keys}[self.qk_norm]
        vectors = self.block_norms * d + qk_norms + biases
        counts = counts_of_blocks(shape, mlp_matrices=3, vectors=vectors, final_norm=d)
        window = config.get("sliding_window", self.window) if _on(config, self.windowed) else None
        return ConfigModel(shape, counts, window if isinstance(window, int) else None)


def _gpt2(config: Mapping[str, Any]) -> ConfigModel:
    if config.get("add_cross_attention"):
        raise InputError("add_cross_attention: true is not counted")
    d, layers, heads = (_count(config, key) for key in ("n_embd", "n_layer", "n_head"))
    sizes = (d, layers, heads, _count(config, "n_inner", 4 * d))
    shape = _full_heads(config, sizes, _count(config, "n_positions", 1024), tied=True)
    return ConfigModel(shape, count_params(shape))


def _gpt_neox(config: Mapping[str, Any]) -> ConfigModel:
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    d, layers, heads, f = (_count(config, key) for key in names)
    shape = _full_heads(config, (d, layers, heads, f), _longest(config), tied=False)
    vectors = 4 * d + 4 * d * _on(config, "attention_bias", True) + (f + d)
    return ConfigModel(shape, counts_of_blocks(shape, mlp_matrices=2, vectors=vectors, final_norm=2 * d))


def _opt(config: Mapping[str, Any]) -> ConfigModel:
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "ffn_dim")
    d, layers, heads, f = (_count(config, key) for key in names)
    if _count(config, "word_embed_proj_dim", d) != d:
        raise InputError(f"word_embed_proj_dim {config['word_embed_proj_dim']} beside hidden_size {d} is not counted")
    longest = _count(config, "max_position_embeddings", 2048)
    shape = _full_heads(config, (d, layers, heads, f), longest, tied=True)
    bias, affine = _on(config, "enable_bias", True), _on(config, "layer_norm_elementwise_affine", True)
    last = bool(config.get("do_layer_norm_before", True)) and not config.get("_remove_final_layer_norm")
    counts = counts_of_blocks(
        shape,
        mlp_matrices=2,
        vectors=4 * d * affine + (5 * d + f) * bias,
        final_norm=2 * d * last * affine,
        positions=(longest + 2) * d,  # the table has two rows more than there are positions
    )
    return ConfigModel(shape, counts)


def _full_heads(config: Mapping[str, Any], sizes: tuple[int, int, int, int], context: int, *, tied: bool) -> ModelShape:
    """The shape of GPT's kin: as many key as query heads, together as wide as the model. `tied` is the default."""
    d, layers, heads, f = sizes
    tied = bool(config.get("tie_word_embeddings", tied))
    vocab = _count(config, "vocab_size")
    return ModelShape(d, layers, heads, heads, d // heads, f, vocab, context, tied, config["model_type"])


def _longest(config: Mapping[str, Any]) -> int:
    return _count(config, "max_position_embeddings", 0)  # 0 is no context at all: not known


def _count(config: Mapping[str, Any], key: str, default: int | None = None) -> int:
    value = config.get(key)
    if value is None and default is not None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < _MOST:
        raise InputError(f"{key} is missing" if value is None else f"{key}: {value!r} is no count")
    return value


def _on(config: Mapping[str, Any], key: str | bool, default: bool = False) -> int:
    """1 where the switch `key` is on, else 0."""
    return int(key if isinstance(key, bool) else bool(config.get(key, default)))


_FAMILIES: Mapping[str, Callable[[Mapping[str, Any]], ConfigModel]] = {
    "llama": _Gated(qkv_bias="attention_bias", output_bias="attention_bias", mlp_bias="mlp_bias"),
    "mistral": _Gated(kv_heads=8, windowed=True),
    "qwen2": _Gated(kv_heads=32, qkv_bias=True, windowed="use_sliding_window"),
    "qwen3": _Gated(
        kv_heads=32,
        head_dim=128,
        qkv_bias="attention_bias",
        output_bias="attention_bias",
        qk_norm="head",
        windowed="use_sliding_window",
    ),
    "gemma": _Gated(tied=True, kv_heads=16, head_dim=256, qkv_bias="attention_bias", output_bias="attention_bias"),
    "gemma2": _Gated(
        tied=True,
        kv_heads=4,
        head_dim=256,
        qkv_bias="attention_bias",
        output_bias="attention_bias",
        block_norms=4,
        windowed=True,
    ),
    "olmo2": _Gated(qkv_bias="attention_bias", output_bias="attention_bias", qk_norm="all"),
    "smollm3": _Gated(
        tied=True, kv_heads=4, qkv_bias="attention_bias", output_bias="attention_bias", mlp_bias="mlp_bias"
    ),
    "gpt2": _gpt2,
    "gpt_neox": _gpt_neox,
    "opt": _opt,
}
