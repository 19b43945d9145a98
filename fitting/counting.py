"""Parameters and training FLOPs of a transformer, under every convention that published exponents use.

The same runs give exponents from .37 to .70 depending on what is counted, so nothing here is called just
"the" parameter count: `count_params` gives the parts, `FLOP_CONVENTIONS` the counts of compute by name.
A multiply-add is 2 FLOPs and a training step costs 3 forward passes (backward = 2 x forward).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .errors import InputError


@dataclass(frozen=True)
class ModelShape:
    """A decoder of one of the `FAMILIES`, or of another for whose counts this shape alone does not suffice."""

    width: int  # d, the residual stream
    depth: int  # L, blocks
    heads: int  # h, query heads
    kv_heads: int  # g, key and value heads
    head_dim: int  # k
    mlp_width: int  # f
    vocab_size: int  # V
    context: int  # S, tokens a sequence
    tied_embeddings: bool  # the head reuses the embedding matrix
    family: str = "llama"

    @property
    def attention_width(self) -> int:
        """h k, the width of all query heads together."""
        return self.heads * self.head_dim


@dataclass(frozen=True)
class ParamCounts:
    """Parameters by part; the three totals are the conventions that published exponents speak.

    Biases stand with the norms: like those they multiply no activations.
    """

    embedding: int  # V d
    head: int  # V d, or 0 when tied
    attention: int  # query, key, value and output matrices of all blocks
    mlp: int  # the MLP's matrices of all blocks
    block_vectors: int  # norms and biases of all blocks
    final_norm: int
    positions: int = 0  # learned positions, S d

    @property
    def block_matrices(self) -> int:
        """What multiplies activations inside the blocks."""
        return self.attention + self.mlp

    @property
    def n_params(self) -> int:
        """Every parameter once (Hoffmann 2022, appendix F: "we also count embeddings")."""
        return self.embedding + self.positions + self.head + self.n_params_non_embedding

    @property
    def n_params_non_embedding(self) -> int:
        """Blocks and the final norm (Kaplan 2020, section 2.1, whose N excludes "vocabulary and positional
        embeddings" and leaves out norms and biases as negligible)."""
        return self.block_matrices + self.block_vectors + self.final_norm

    @property
    def n_params_blocks_and_head(self) -> int:
        """Blocks and the V d matrix that makes logits, tied or not (Porian 2024; nanochat)."""
        return self.block_matrices + self.block_vectors + self.embedding

    @property
    def without_embeddings(self) -> int:
        """What transformers' num_parameters(exclude_embeddings=True) says: an untied head counts, a tied one not."""
        return self.n_params_non_embedding + self.head


def counts_of_blocks(
    shape: ModelShape, *, mlp_matrices: int, vectors: int, final_norm: int, positions: int = 0
) -> ParamCounts:
    """The parts of a decoder whose blocks have q, k, v and output matrices, `mlp_matrices` of d x f, and vectors.

    `vectors`, `final_norm` and `positions` count numbers: norms and biases of one block, of the last norm, and of the
    table of learned positions.
    """
    d, layers = shape.width, shape.depth
    keys = shape.kv_heads * shape.head_dim
    table = shape.vocab_size * d
    return ParamCounts(
        embedding=table,
        head=0 if shape.tied_embeddings else table,
        attention=layers * 2 * d * (shape.attention_width + keys),
        mlp=layers * mlp_matrices * d * shape.mlp_width,
        block_vectors=layers * vectors,
        final_norm=final_norm,
        positions=positions,
    )


def _llama(shape: ModelShape) -> ParamCounts:
    """SwiGLU, grouped keys and values, two RMSNorms a block, rotary positions, no biases."""
    return counts_of_blocks(shape, mlp_matrices=3, vectors=2 * shape.width, final_norm=shape.width)


def _qwen3(shape: ModelShape) -> ParamCounts:
    """Llama's, and an RMSNorm over a head's k channels on queries and one on keys."""
    vectors = 2 * shape.width + 2 * shape.head_dim
    return counts_of_blocks(shape, mlp_matrices=3, vectors=vectors, final_norm=shape.width)


def _gpt2(shape: ModelShape) -> ParamCounts:
    """GELU between two matrices, full heads, LayerNorms with biases, biases everywhere else too, learned positions."""
    d = shape.width
    norms, biases = 2 * 2 * d, 4 * d + (shape.mlp_width + d)
    positions = shape.context * d
    return counts_of_blocks(shape, mlp_matrices=2, vectors=norms + biases, final_norm=2 * d, positions=positions)


FAMILIES: Mapping[str, Callable[[ModelShape], ParamCounts]] = {"llama": _llama, "qwen3": _qwen3, "gpt2": _gpt2}


def count_params(shape: ModelShape) -> ParamCounts:
    """Count the parameters of `shape` by part; equal to the real model's, which `training.models` checks.

    Raises:
        InputError: a family that the shape alone does not describe.
    """
    if shape.family not in FAMILIES:
        raise InputError(f"no family {shape.family!r} that can be counted by its shape; {', '.join(FAMILIES)} can")
    return FAMILIES[shape.family](shape)


def _exact(shape: ModelShape, n: ParamCounts) -> float:
    """6 (block matrices + V d) + 6 L h k S: the matmuls that are run, attention over the causal half.

    No embedding look-up, no softmax or norms, no recomputation. Full attention is 12 L h k S (two matmuls of
    2 S h k a token, times 3); half of that square lies above the diagonal and is not counted.
    """
    return 6 * (n.block_matrices + n.embedding) + 6 * shape.depth * shape.attention_width * shape.context


def _6nd(shape: ModelShape, n: ParamCounts) -> float:
    """6 N, N total: most papers' shorthand."""
    return 6 * n.n_params


def _6nd_non_embedding(shape: ModelShape, n: ParamCounts) -> float:
    """6 N, N non-embedding (Kaplan 2020, section 2.1: the context term is dropped)."""
    return 6 * n.n_params_non_embedding


def _hoffmann(shape: ModelShape, n: ParamCounts) -> float:
    """Hoffmann 2022, appendix F, per token: look-up as a matmul, full attention, softmax, logits.

    Their dense block has two matrices and as many key as query heads; the matrices counted here are the
    shape's own (three for SwiGLU, fewer for grouped keys and values).
    """
    s, hk = shape.context, shape.attention_width
    attention = 2 * s * hk + 3 * shape.heads * s + 2 * s * hk  # logits, softmax, weighted sum
    forward = 2 * n.embedding + 2 * n.block_matrices + shape.depth * attention + 2 * n.embedding
    return 3 * forward


def _palm(shape: ModelShape, n: ParamCounts) -> float:
    """6 N + 12 L h k S, N total (Chowdhery 2022, appendix B: full attention)."""
    return 6 * n.n_params + 12 * shape.depth * shape.attention_width * shape.context


def _porian(shape: ModelShape, n: ParamCounts) -> float:
    """6 (block matrices + V d): the head counted once, no attention (Porian 2024, "standard" count)."""
    return 6 * (n.block_matrices + n.embedding)


def _deepseek(shape: ModelShape, n: ParamCounts) -> float:
    """M = 72 L d^2 + 12 L d S (DeepSeek 2024, section 3.2), as printed: it supposes 12 d^2 a block."""
    d, layers = shape.width, shape.depth
    return 72 * layers * d**2 + 12 * layers * d * shape.context


FLOP_CONVENTIONS: Mapping[str, Callable[[ModelShape, ParamCounts], float]] = {
    "exact": _exact,
    "6nd": _6nd,
    "6nd_non_embedding": _6nd_non_embedding,
    "hoffmann": _hoffmann,
    "palm": _palm,
    "porian": _porian,
    "deepseek": _deepseek,
}


def flops_per_token(shape: ModelShape, convention: str = "exact") -> float:
    """Training FLOPs a token (forward and backward) under the named convention.

    Raises:
        InputError: no such convention.
    """
    if convention not in FLOP_CONVENTIONS:
        raise InputError(f"no FLOP convention {convention!r}; there are {', '.join(FLOP_CONVENTIONS)}")
    return FLOP_CONVENTIONS[convention](shape, count_params(shape))


@dataclass(frozen=True)
class ModelCounts:
    """One model's parameters by part, and its training FLOPs a token by convention."""

    params: ParamCounts
    flops_per_token: Mapping[str, float]

    def of_run(self, tokens: int) -> dict[str, Any]:
        """Every convention of N, and of C for training on `tokens`, under the names records and tables use."""
        return {
            "n_params": self.params.n_params,
            "n_params_non_embedding": self.params.n_params_non_embedding,
            "n_params_blocks_and_head": self.params.n_params_blocks_and_head,
            "n_params_by_part": asdict(self.params),
            "flops": {name: flops * tokens for name, flops in self.flops_per_token.items()},
        }


def counts_of(shape: ModelShape, params: ParamCounts | None = None) -> ModelCounts:
    """The counts of `shape` under every convention; `params` are the model's own where the shape's are not."""
    params = params or count_params(shape)
    return ModelCounts(params, {name: per_token(shape, params) for name, per_token in FLOP_CONVENTIONS.items()})
