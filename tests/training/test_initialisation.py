"""First weights: their scale by width, transformers' constant one beside it, the rules a config may name."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from isoflop.fitting import InputError
from isoflop.training.config import ModelConfig, parse_config
from isoflop.training.models import model_identity
from isoflop.training.models.build import build_model
from isoflop.training.shapes import shape_for_width

from .helpers import tiny

CONSTANT = {"kind": "constant", "std": 0.02}


def ladder(family: str = "llama", **words: Any) -> ModelConfig:
    given = {"family": family, "depth": 3, "head_dim": 16, "context": 32, "tied_embeddings": False}
    return ModelConfig.model_validate(given | words)


def model_of(width: int, config: ModelConfig) -> nn.Module:
    return build_model(shape_for_width(width, config, 256), config, seed=0)


def stds(model: nn.Module) -> dict[str, float]:
    return {name: p.detach().std().item() for name, p in model.named_parameters() if p.ndim == 2}


def test_std_follows_the_width() -> None:
    config = ladder(initialisation={"embedding_std": 0.5})
    std = stds(model_of(128, config))
    layer, mlp_width = "model.layers.1.", shape_for_width(128, config, 256).mlp_width
    assert std["model.embed_tokens.weight"] == pytest.approx(0.5, rel=0.03)
    assert std[layer + "self_attn.q_proj.weight"] == pytest.approx(128**-0.5, rel=0.03)
    assert std[layer + "mlp.down_proj.weight"] == pytest.approx(mlp_width**-0.5 * 6**-0.5, rel=0.03)
    assert std["lm_head.weight"] == pytest.approx(128**-0.5, rel=0.03)


def test_gpt2_matrices_stand_the_other_way_round() -> None:
    std = stds(model_of(128, ladder("gpt2")))
    layer = "transformer.h.1."
    assert std[layer + "mlp.c_fc.weight"] == pytest.approx(128**-0.5, rel=0.03)
    assert std[layer + "mlp.c_proj.weight"] == pytest.approx(512**-0.5 * 6**-0.5, rel=0.03)
    assert std[layer + "attn.c_attn.weight"] == pytest.approx(128**-0.5, rel=0.03)
    assert std["transformer.wte.weight"] == pytest.approx(0.25, rel=0.03)
    assert std["transformer.wpe.weight"] == pytest.approx(0.025, rel=0.05)


@pytest.mark.parametrize("family", ["llama", "qwen3", "gpt2"])
def test_vectors_begin_as_if_they_were_not_there(family: str) -> None:
    for name, parameter in model_of(48, ladder(family)).named_parameters():
        if parameter.ndim == 1:
            assert torch.equal(parameter, torch.full_like(parameter, 0.0 if name.endswith("bias") else 1.0)), name


@pytest.mark.parametrize("family", ["llama", "qwen3", "gpt2"])
def test_the_constant_one_is_that_of_transformers(family: str) -> None:
    ours = model_of(128, ladder(family, initialisation=CONSTANT))
    theirs = type(ours)(ours.config)  # type: ignore[operator,call-arg]
    assert stds(ours) == pytest.approx(stds(theirs), rel=0.05)


@pytest.mark.parametrize("family", ["llama", "qwen3", "gpt2"])
def test_scales_stay_level_over_widths_and_drift_under_the_constant(family: str) -> None:
    """Root mean squares at the first step: what the blocks add to the residual stream, and the logits."""

    def scales(width: int, config: ModelConfig) -> torch.Tensor:
        model: Any = model_of(width, config)
        rows = torch.randint(0, 256, (8, 32), generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            output = model(input_ids=rows, output_hidden_states=True)
        # The last of the states has been through the final norm: the one before it has not.
        added = output.hidden_states[-2] - output.hidden_states[0]
        return torch.stack([added.square().mean().sqrt(), output.logits.square().mean().sqrt()])

    narrow, wide = 16, 256
    ours = scales(wide, ladder(family)) / scales(narrow, ladder(family))
    constant = ladder(family, initialisation=CONSTANT)
    drift = scales(wide, constant) / scales(narrow, constant)
    assert torch.all((ours > 0.7) & (ours < 1.4)), ours
    assert torch.all(drift > 3), drift  # logits as sqrt(width): 4


def test_rules_are_told_apart_in_a_cells_identity() -> None:
    rules = [{}, CONSTANT, {"kind": "constant", "std": 0.03}, {"linear_gain": 0.5}]
    identities = [model_identity(ladder(initialisation=rule)) for rule in rules]
    assert all(a != b for i, a in enumerate(identities) for b in identities[:i])
    assert model_identity(ladder(initialisation={"kind": "width"})) == identities[0]
    assert model_identity(ladder(rope_theta=1e4)) == identities[0]


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ({"family": "gpt2", "kv_heads": 1}, "model: kv_heads: gpt2 has as many key as query heads; leave it out"),
        ({"family": "gpt2", "rope_theta": 5e5}, "model: rope_theta: gpt2 has no such setting"),
        ({"initialisation": {"kind": "own"}}, "initialisation.kind: own is for model.factory"),
        ({"initialisation": {"kind": "constant", "embedding_std": 1.0}}, "embedding_std: unknown key"),
        ({"initialisation": {"kind": "zeros"}}, "model.initialisation"),
        ({"factory_options": {"a": 1}}, "factory_options: are for model.factory"),
        ({"family": "custom"}, "family: custom is what model.factory builds"),
        ({"family": "gpt2", "factory": "a:b"}, "family: gpt2 beside model.factory"),
        ({"factory": "a.b"}, "model.factory"),
    ],
)
def test_settings_that_a_family_has_not_are_refused(tmp_path: Any, model: dict[str, Any], says: str) -> None:
    words = tiny(tmp_path)
    words["model"] |= model
    with pytest.raises(InputError, match=r"^[^\n]*$") as refused:
        parse_config(words, "x.yaml")
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("width", "words", "says"),
    [
        (20, {"heads": 3, "head_dim": None}, "width 20 does not divide into 3 heads"),
        (20, {"head_dim": 16}, "width 20 does not divide"),
        (30, {"heads": 2, "head_dim": None}, "heads of 15, an odd size"),
        (64, {"kv_heads": 3}, "model.kv_heads: 3 does not divide the 4 heads"),
        (64, {"vocab_size": 200}, "an embedding of 200 rows is too small for the tokenizer's 256 tokens"),
    ],
)
def test_shapes_that_cannot_be(width: int, words: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        shape_for_width(width, ladder(**words), 256)


def test_an_embedding_may_have_rows_to_spare_and_gpt2_odd_heads() -> None:
    shape = shape_for_width(15, ladder("gpt2", heads=3, head_dim=None, vocab_size=320), 256)
    assert (shape.vocab_size, shape.head_dim) == (320, 5)
