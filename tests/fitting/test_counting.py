"""Counts against the formulas of their papers, written out for one shape by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoflop.fitting import InputError
from isoflop.fitting.counting import FLOP_CONVENTIONS, ModelShape, count_params, counts_of, flops_per_token

SHAPE = ModelShape(
    width=64,
    depth=3,
    heads=4,
    kv_heads=2,
    head_dim=16,
    mlp_width=168,
    vocab_size=1000,
    context=128,
    tied_embeddings=False,
)
# d h k + 2 d g k + h k d + 3 d f, for one block
BLOCK = 64 * 64 + 2 * 64 * 32 + 64 * 64 + 3 * 64 * 168


def test_parts_add_up_to_the_formulas() -> None:
    n = count_params(SHAPE)
    assert n.block_matrices == 3 * BLOCK
    assert n.n_params_non_embedding == 3 * (BLOCK + 2 * 64) + 64
    assert n.n_params == n.n_params_non_embedding + 2 * 64_000
    assert n.n_params_blocks_and_head == 3 * (BLOCK + 2 * 64) + 64_000


def test_tying_removes_the_head_from_the_total_only() -> None:
    untied, tied = count_params(SHAPE), count_params(replace(SHAPE, tied_embeddings=True))
    assert untied.n_params - tied.n_params == 64_000
    assert untied.n_params_blocks_and_head == tied.n_params_blocks_and_head
    assert flops_per_token(SHAPE) == flops_per_token(replace(SHAPE, tied_embeddings=True))


def test_flops_per_token_of_every_convention() -> None:
    n = count_params(SHAPE)
    expected = {
        "exact": 6 * (3 * BLOCK + 64_000) + 6 * 3 * 64 * 128,
        "6nd": 6 * n.n_params,
        "6nd_non_embedding": 6 * n.n_params_non_embedding,
        "hoffmann": 3 * (4 * 64_000 + 3 * (2 * BLOCK + 4 * 128 * 64 + 3 * 4 * 128)),
        "palm": 6 * n.n_params + 12 * 3 * 64 * 128,
        "porian": 6 * (3 * BLOCK + 64_000),
        "deepseek": 72 * 3 * 64**2 + 12 * 3 * 64 * 128,
    }
    assert {name: flops_per_token(SHAPE, name) for name in FLOP_CONVENTIONS} == expected


def test_kaplans_count_of_a_gpt_like_block_is_12_d_squared() -> None:
    shape = replace(SHAPE, width=48, heads=3, kv_heads=3, mlp_width=128)  # 3 d f = 8 d^2 at f = 8 d / 3
    n = count_params(shape)
    assert n.block_matrices == 12 * 3 * 48**2


def test_qk_norms_are_all_that_qwen3_adds() -> None:
    assert count_params(replace(SHAPE, family="qwen3")) == replace(
        count_params(SHAPE), block_vectors=3 * (2 * 64 + 2 * 16)
    )


def test_gpt2_by_hand() -> None:
    n = count_params(replace(SHAPE, family="gpt2", kv_heads=4, mlp_width=256))
    biases = (3 * 64 + 64) + (256 + 64)
    assert n.block_matrices == 3 * 12 * 64**2
    assert n.n_params_non_embedding == 3 * (12 * 64**2 + biases + 4 * 64) + 2 * 64
    assert n.n_params == n.n_params_non_embedding + 128 * 64 + 2 * 64_000


def test_the_total_alone_holds_learned_positions() -> None:
    short, long = (count_params(replace(SHAPE, family="gpt2", context=context)) for context in (128, 256))
    assert long.n_params - short.n_params == 128 * 64
    assert long.n_params_non_embedding == short.n_params_non_embedding
    assert long.n_params_blocks_and_head == short.n_params_blocks_and_head


def test_a_shape_alone_does_not_count_another_family() -> None:
    with pytest.raises(InputError, match="'custom' that can be counted by its shape; llama, qwen3, gpt2 can"):
        count_params(replace(SHAPE, family="custom"))


def test_an_unknown_convention_lists_the_known() -> None:
    with pytest.raises(InputError, match=r"'6dn'.*exact, 6nd, "):
        flops_per_token(SHAPE, "6dn")


@given(st.integers(1, 10**12))
def test_flops_are_proportional_to_tokens(tokens: int) -> None:
    counts = counts_of(SHAPE).of_run(tokens)["flops"]
    assert isinstance(counts, dict)
    assert counts == {name: flops_per_token(SHAPE, name) * tokens for name in FLOP_CONVENTIONS}
