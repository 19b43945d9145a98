"""The real models against what is counted of them, family by family."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from isoflop.fitting.counting import FLOP_CONVENTIONS, ModelShape, count_params, flops_per_token
from isoflop.training.config import Initialisation, ModelConfig
from isoflop.training.evaluate import token_losses
from isoflop.training.kernels.fused import FusedLlama
from isoflop.training.models import counts_for
from isoflop.training.models.build import build_model
from isoflop.training.shapes import shape_for_width

CONFIGS = [
    (8, 256, ModelConfig(depth=2, heads=2, context=64)),
    (80, 256, ModelConfig(depth=2, heads=2, context=64)),
    (64, 512, ModelConfig(depth=4, heads=4, kv_heads=2, context=32)),
    (96, 1000, ModelConfig(width_per_layer=16, head_dim=16, kv_heads=1, context=128)),
    (128, 300, ModelConfig(depth=3, head_dim=32, context=64, tied_embeddings=False)),
    (48, 256, ModelConfig(depth=5, heads=3, mlp_ratio=4, tied_embeddings=False)),
    (64, 300, ModelConfig(family="qwen3", depth=3, heads=4, kv_heads=2, context=32)),
    (96, 256, ModelConfig(family="qwen3", width_per_layer=48, head_dim=16, vocab_size=320, tied_embeddings=False)),
    (8, 256, ModelConfig(family="gpt2", depth=1, heads=1, context=16)),
    (60, 300, ModelConfig(family="gpt2", depth=3, heads=4, context=32, vocab_size=320)),
    (96, 256, ModelConfig(family="gpt2", width_per_layer=48, head_dim=16, mlp_ratio=3, tied_embeddings=False)),
]
LADDER = [(config, shape_for_width(width, config, vocab)) for width, vocab, config in CONFIGS]
WIDE_HEADS = ModelShape(64, 2, 4, 2, 32, 160, 256, 64, True)  # together wider than the residual stream
LADDER.append((CONFIGS[0][2], WIDE_HEADS))
IDS = [f"{shape.family}-d{shape.width}L{shape.depth}" for _, shape in LADDER]
LLAMAS = [(config, shape) for config, shape in LADDER if shape.family == "llama"]


@pytest.mark.parametrize(("config", "shape"), LADDER, ids=IDS)
def test_counts_equal_the_real_model_part_by_part(config: ModelConfig, shape: ModelShape) -> None:
    model = build_model(shape, config, seed=0)
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    matrices = {name: count for name, count in sizes.items() if model.get_parameter(name).ndim == 2}

    def total(of: dict[str, int], *words: str) -> int:
        return sum(count for name, count in of.items() if any(word in name for word in words))

    n = count_params(shape)
    assert n.n_params == sum(sizes.values())
    assert n.embedding == total(sizes, "embed_tokens", "wte")
    assert n.positions == total(sizes, "wpe")
    assert n.head == total(sizes, "lm_head")
    assert n.attention == total(matrices, "attn")
    assert n.mlp == total(matrices, "mlp")
    assert n.final_norm == total(sizes, "model.norm", "ln_f")
    assert n.n_params_non_embedding == sum(sizes.values()) - n.embedding - n.positions - n.head
    assert n.n_params_blocks_and_head == total(sizes, ".layers.", ".h.") + n.embedding


@pytest.mark.parametrize(("config", "shape"), LADDER, ids=IDS)
def test_exact_flops_equal_torch_counter_less_the_causal_half(config: ModelConfig, shape: ModelShape) -> None:
    model = build_model(shape, config, seed=0, attention="eager")
    rows = torch.zeros((2, shape.context), dtype=torch.long)
    counter = FlopCounterMode(display=False)
    with counter:
        model(input_ids=rows).logits.sum().backward()
    # Eager attention computes the full square: two matmuls of 2 S h k a token forward, twice that backward.
    causal_half = 6 * shape.depth * shape.attention_width * shape.context
    per_token = counter.get_total_flops() / rows.numel() - causal_half
    assert per_token == pytest.approx(flops_per_token(shape, "exact"), rel=1e-3)


@pytest.mark.parametrize("family", ["llama", "qwen3", "gpt2"])
def test_the_ladder_reaches_a_billion(family: str) -> None:
    config = ModelConfig.model_validate({"family": family, "width_per_layer": 64, "head_dim": 64, "context": 1024})
    shape = shape_for_width(1664, config, 32_768)
    with torch.device("meta"):
        model = build_model.__globals__["_FAMILIES"][family](shape, config, "sdpa")
    assert 0.8e9 < count_params(shape).n_params == sum(p.numel() for p in model.parameters()) < 1.2e9
    small = ModelConfig.model_validate({"family": family, "depth": 1, "heads": 1, "context": 16})
    assert count_params(shape_for_width(4, small, 128)).n_params < 1200


def test_weights_are_a_function_of_the_seed_alone() -> None:
    config, shape = LADDER[0]
    torch.manual_seed(1)
    first = build_model(shape, config, seed=3).state_dict()
    torch.manual_seed(2)
    second = build_model(shape, config, seed=3).state_dict()
    other = build_model(shape, config, seed=4).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["model.embed_tokens.weight"], other["model.embed_tokens.weight"])


@pytest.mark.parametrize(("config", "shape"), [LADDER[2], LADDER[6], LADDER[9]])
def test_attention_is_causal_and_nothing_is_dropped_out(config: ModelConfig, shape: ModelShape) -> None:
    model = build_model(shape, config, seed=0).train()
    rows = torch.randint(0, 256, (1, 32), generator=torch.Generator().manual_seed(0))
    changed = rows.clone()
    changed[0, 20] += 1
    before, again, after = (model(input_ids=r).logits for r in (rows, rows, changed))
    assert torch.equal(before, again)
    assert torch.allclose(before[:, :20], after[:, :20], atol=1e-6)
    assert not torch.allclose(before[:, 20:], after[:, 20:], atol=1e-3)


@pytest.mark.parametrize(("config", "shape"), LADDER, ids=IDS)
def test_every_matrix_decays_and_every_vector_does_not(config: ModelConfig, shape: ModelShape) -> None:
    """The optimiser tells them apart by their dimensions: that must be what the kinds are."""
    model = build_model(shape, config, seed=0)
    vectors = sum(parameter.numel() for parameter in model.parameters() if parameter.ndim < 2)
    n = counts_for(shape, config).params
    assert vectors == n.block_vectors + n.final_norm


FULL_HEADS = [entry for entry in LLAMAS if entry[1].kv_heads == entry[1].heads]


@pytest.mark.parametrize("n_models", [1, 3])
@pytest.mark.parametrize(("config", "shape"), FULL_HEADS)
def test_the_fused_step_is_each_models_own_loss_and_gradient(
    config: ModelConfig, shape: ModelShape, n_models: int
) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(0, shape.vocab_size, (n_models, 11, shape.context + 1), generator=generator)
    models = [build_model(shape, config, seed=seed) for seed in range(n_models)]
    losses, expected = [], []
    for model, mine in zip(models, rows, strict=True):
        for parameter in model.parameters():  # norms too have weights that differ
            parameter.data.mul_(torch.rand(parameter.shape, generator=generator) + 0.5)
        loss = token_losses(model, mine).sum() / 100
        loss.backward()
        losses.append(loss.detach())
        expected.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
    fused = FusedLlama(models, shape)
    sums = fused.accumulate(rows[:, :4], 0.01) + fused.accumulate(rows[:, 4:], 0.01)
    torch.testing.assert_close(sums, torch.stack(losses), rtol=1e-5, atol=0)
    for k, model in enumerate(models):
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None
            own, largest = expected[k][name], expected[k][name].abs().max().item()
            torch.testing.assert_close(parameter.grad, own, rtol=1e-3, atol=1e-5 * largest, msg=name)
        torch.testing.assert_close(token_losses(model, rows[k]).sum() / 100, losses[k], rtol=1e-6, atol=0)


def test_the_fused_step_survives_losses_that_underflow() -> None:
    config, shape = LADDER[0]
    config = config.model_copy(update={"initialisation": Initialisation(embedding_std=300.0)})
    model: nn.Module = build_model(shape, config, seed=0)
    rows = torch.randint(0, 256, (4, 65), generator=torch.Generator().manual_seed(0))
    expected = token_losses(model, rows).sum().item()
    assert expected > 200 * rows[:, 1:].numel()
    assert FusedLlama([model], shape).accumulate(rows[None], 1.0).item() == pytest.approx(expected, rel=1e-4)


def test_planning_a_built_in_family_needs_no_torch() -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'transformers'): sys.modules[name] = None\n"
        "from isoflop.training.config import ModelConfig\n"
        "from isoflop.training.models import counts_for, model_identity\n"
        "from isoflop.training.planning import make_plan\n"
        "from isoflop.training.shapes import shapes_near\n"
        "for family in ('llama', 'qwen3', 'gpt2'):\n"
        "    config = ModelConfig(family=family, depth=2, heads=2)\n"
        "    print([counts_for(shape, config).params.n_params for shape in shapes_near(1e8, 3, 4, config, 256)])\n"
        "    model_identity(config)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        assert json.loads(line) == pytest.approx([2.5e7, 1e8, 4e8], rel=0.02)


def test_conventions_hold_for_every_family() -> None:
    for _, shape in LADDER:
        n = count_params(shape)
        assert flops_per_token(shape, "6nd") == 6 * n.n_params
        assert flops_per_token(shape, "porian") == 6 * (n.attention + n.mlp + shape.vocab_size * shape.width)
        assert set(FLOP_CONVENTIONS) == set(counts_for(shape, CONFIGS[0][2]).flops_per_token)
