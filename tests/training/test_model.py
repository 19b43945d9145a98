"""The real model against what is counted of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from isoflop.fitting.counting import ModelShape, count_params, flops_per_token
from isoflop.training.config import Initialisation, ModelConfig
from isoflop.training.evaluate import token_losses
from isoflop.training.fused import FusedLlama
from isoflop.training.models.build import build_model, check_counts
from isoflop.training.shapes import shape_for_width

MODEL = ModelConfig(depth=1, heads=2)  # what a shape does not say: rotary base, initialisation
SHAPES = [
    shape_for_width(8, ModelConfig(depth=2, heads=2, context=64), 256),
    shape_for_width(80, ModelConfig(depth=2, heads=2, context=64), 256),
    shape_for_width(64, ModelConfig(depth=4, heads=4, kv_heads=2, context=32), 512),
    shape_for_width(96, ModelConfig(width_per_layer=16, head_dim=16, kv_heads=1, context=128), 1000),
    shape_for_width(128, ModelConfig(depth=3, head_dim=32, context=64, tied_embeddings=False), 300),
    shape_for_width(48, ModelConfig(depth=5, heads=3, mlp_ratio=4, tied_embeddings=False), 256),
    ModelShape(64, 2, 4, 2, 32, 160, 256, 64, True),  # heads wider than the residual stream
]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"d{s.width}L{s.depth}")
def test_counts_equal_the_real_model(shape: ModelShape) -> None:
    model = build_model(shape, MODEL, seed=0)
    n = count_params(shape)
    body, head = model.model, model.lm_head

    def size(module: torch.nn.Module) -> int:
        return sum(p.numel() for p in module.parameters())

    assert n.n_params == size(model)
    assert n.n_params_non_embedding == size(body.layers) + size(body.norm)
    assert n.n_params_blocks_and_head == size(body.layers) + size(head)
    assert n.embedding == size(body.embed_tokens)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"d{s.width}L{s.depth}")
def test_exact_flops_equal_torch_counter_less_the_causal_half(shape: ModelShape) -> None:
    model = build_model(shape, MODEL, seed=0, attention="eager")
    rows = torch.zeros((2, shape.context), dtype=torch.long)
    counter = FlopCounterMode(display=False)
    with counter:
        model(input_ids=rows, use_cache=False).logits.sum().backward()
    # Eager attention computes the full square: two matmuls of 2 S h k a token forward, twice that backward.
    causal_half = 6 * shape.depth * shape.attention_width * shape.context
    per_token = counter.get_total_flops() / rows.numel() - causal_half
    # The step that torch does not take: the gradient of the embedding's output is never multiplied on.
    assert per_token == pytest.approx(flops_per_token(shape, "exact"), rel=1e-3)


def test_a_model_that_disagrees_with_its_shape_is_refused() -> None:
    model = build_model(SHAPES[0], MODEL, seed=0)
    with pytest.raises(AssertionError, match=r"counted .* the model has"):
        check_counts(model, replace(SHAPES[0], mlp_width=SHAPES[0].mlp_width + 8))


def test_weights_are_a_function_of_the_seed_alone() -> None:
    torch.manual_seed(1)
    first = build_model(SHAPES[0], MODEL, seed=3).state_dict()
    torch.manual_seed(2)
    second = build_model(SHAPES[0], MODEL, seed=3).state_dict()
    other = build_model(SHAPES[0], MODEL, seed=4).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["model.embed_tokens.weight"], other["model.embed_tokens.weight"])


def test_initialisation_follows_the_width() -> None:
    shape = SHAPES[4]
    weights = dict(
        build_model(
            shape, MODEL.model_copy(update={"initialisation": Initialisation(embedding_std=0.5)}), seed=0
        ).named_parameters()
    )
    layer = "model.layers.1."
    assert weights["model.embed_tokens.weight"].std().item() == pytest.approx(0.5, rel=0.02)
    assert weights[layer + "self_attn.q_proj.weight"].std().item() == pytest.approx(shape.width**-0.5, rel=0.03)
    residual = (2 * shape.depth) ** -0.5
    down = weights[layer + "mlp.down_proj.weight"].std().item()
    assert down == pytest.approx(shape.mlp_width**-0.5 * residual, rel=0.03)
    assert torch.equal(weights[layer + "input_layernorm.weight"], torch.ones(shape.width))


def test_attention_is_causal() -> None:
    model = build_model(SHAPES[2], MODEL, seed=0).eval()
    rows = torch.randint(0, 512, (1, 32), generator=torch.Generator().manual_seed(0))
    changed = rows.clone()
    changed[0, 20] += 1
    before, after = (model(input_ids=r % 512).logits for r in (rows, changed))
    assert torch.allclose(before[:, :20], after[:, :20], atol=1e-6)
    assert not torch.allclose(before[:, 20:], after[:, 20:], atol=1e-3)


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape.kv_heads == shape.heads])
def test_the_fused_step_is_the_models_own_loss_and_gradient(shape: ModelShape) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(0, shape.vocab_size, (11, shape.context + 1), generator=generator)
    model = build_model(shape, MODEL, seed=0)
    for parameter in model.parameters():  # norms too have weights that differ
        parameter.data.mul_(torch.rand(parameter.shape, generator=generator) + 0.5)
    loss = token_losses(model, rows).sum() / 100
    loss.backward()
    expected = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    fused = FusedLlama(model, shape)
    assert fused.accumulate(rows[:4], 0.01) + fused.accumulate(rows[4:], 0.01) == pytest.approx(loss.item(), rel=1e-5)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        largest = expected[name].abs().max().item()
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-3, atol=1e-5 * largest, msg=name)
    torch.testing.assert_close(token_losses(model, rows).sum() / 100, loss, rtol=1e-6, atol=0)


def test_the_fused_step_survives_losses_that_underflow() -> None:
    model = build_model(
        SHAPES[0], MODEL.model_copy(update={"initialisation": Initialisation(embedding_std=300.0)}), seed=0
    )
    rows = torch.randint(0, 256, (4, 65), generator=torch.Generator().manual_seed(0))
    expected = token_losses(model, rows).sum().item()
    assert expected > 200 * rows[:, 1:].numel()
    assert FusedLlama(model, SHAPES[0]).accumulate(rows, 1.0).item() == pytest.approx(expected, rel=1e-4)
