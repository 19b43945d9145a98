"""A user's own architecture: counted as the module is, refused in one line, told apart by its source."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from isoflop.fitting import InputError
from isoflop.fitting.counting import ModelShape, counts_of
from isoflop.training.config import ModelConfig
from isoflop.training.corpus import MAIN
from isoflop.training.evaluate import evaluate
from isoflop.training.export import export_run
from isoflop.training.models import counts_for, model_identity
from isoflop.training.models.build import build_model
from isoflop.training.shapes import shape_for_width, shapes_near

from .bench import Bench

SOURCE = """
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM
from transformers import GPT2Config, GPT2LMHeadModel

class Mean(nn.Module):
    "Each token sees the mean of those before it: no attention, logits as a bare tensor."
    def __init__(self, shape, bias=False):
        super().__init__()
        self.head = nn.Linear(shape.width, shape.vocab_size, bias=False)
        self.token = nn.Embedding(shape.vocab_size, shape.width)
        self.position = nn.Parameter(torch.randn(1, shape.context, shape.width))
        self.blocks = nn.ModuleList(nn.Linear(shape.width, shape.width, bias=bias) for _ in range(shape.depth))
        self.norm = nn.LayerNorm(shape.width)
        if shape.tied_embeddings:
            self.head.weight = self.token.weight

    def forward(self, input_ids):
        x = self.token(input_ids) + self.position[:, : input_ids.shape[1]]
        for block in self.blocks:
            x = x + block(x.cumsum(1) / torch.arange(1, x.shape[1] + 1)[:, None]).relu()
        return self.head(self.norm(x))

def mean(shape, bias=False):
    return Mean(shape, bias)

def llama(shape):
    return LlamaForCausalLM(LlamaConfig(
        vocab_size=shape.vocab_size, hidden_size=shape.width, intermediate_size=shape.mlp_width,
        num_hidden_layers=shape.depth, num_attention_heads=shape.heads, num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim, max_position_embeddings=shape.context, tie_word_embeddings=shape.tied_embeddings))

def gpt2(shape, dropout=0.0):
    return GPT2LMHeadModel(GPT2Config(
        vocab_size=shape.vocab_size, n_embd=shape.width, n_inner=shape.mlp_width, n_layer=shape.depth,
        n_head=shape.heads, n_positions=shape.context, tie_word_embeddings=shape.tied_embeddings,
        embd_pdrop=dropout, resid_pdrop=0.0, attn_pdrop=0.0, bos_token_id=None, eos_token_id=None))

def averaged(shape):
    model = Mean(shape)
    model.norm = nn.BatchNorm1d(shape.context)
    return model

def text(shape): return "a model"
def broken(shape): raise ValueError("first line\\nsecond")
def leaves(shape): raise SystemExit(2)
def short(shape): return nn.Embedding(shape.vocab_size, shape.width)
def unembedded(shape): return nn.Linear(3, 4)
number = 3

def counts(shape, **options):
    d, v = shape.width, shape.vocab_size
    return {"embedding": v * d, "mlp": shape.depth * d * d, "final_norm": 2 * d, "positions": shape.context * d,
            "flops_per_token": 5.0e6}

def too_few(shape, **options): return counts(shape) | {"mlp": 0}
def named_wrong(shape, **options): return {"embeddings": 1}
def half(shape, **options): return {"embedding": 1.5}
"""
WRITTEN = iter(range(1000))

Written = Callable[..., ModelConfig]


@pytest.fixture
def of_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Written:
    """A config whose factory stands in a module of the folder the command is given in."""
    module = f"my_models_{next(WRITTEN)}"
    (tmp_path / f"{module}.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))  # taken back at the end, with what `sys.path` gains

    def config(name: str, counts: str | None = None, **words: Any) -> ModelConfig:
        given: dict[str, Any] = {"depth": 2, "heads": 2, "context": 32, "factory": f"{module}:{name}"}
        named = {} if counts is None else {"factory_counts": f"{module}:{counts}"}
        return ModelConfig.model_validate(given | named | words)

    return config


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("tied", [True, False])
def test_a_known_model_is_counted_as_its_family_is(of_module: Written, family: str, tied: bool) -> None:
    config = of_module(family, tied_embeddings=tied, mlp_ratio=4)
    shape = shape_for_width(48, config, 200)
    known = ModelConfig.model_validate(
        {"family": family, "depth": 2, "heads": 2, "context": 32, "tied_embeddings": tied, "mlp_ratio": 4}
    )
    assert counts_for(shape, config) == counts_of(shape_for_width(48, known, 200))


def test_what_grows_with_the_context_alone_is_attention(of_module: Written) -> None:
    config = of_module("mean", tied_embeddings=True)
    shape = shape_for_width(48, config, 200)
    counts = counts_for(shape, config)
    assert counts.params.positions == 32 * 48
    assert counts.params.n_params_non_embedding == 2 * 48 * 48 + 2 * 48
    assert counts.flops_per_token["exact"] == 6 * (2 * 48 * 48 + 200 * 48)
    assert counts.flops_per_token["6nd"] == 6 * sum(p.numel() for p in build_model(shape, config, seed=0).parameters())


def test_given_counts_stand(of_module: Written) -> None:
    config = of_module("mean", "counts")
    counts = counts_for(shape_for_width(48, config, 200), config)
    assert counts.flops_per_token["exact"] == 5.0e6
    assert counts.params.positions == 32 * 48
    build_model(shape_for_width(48, config, 200), config, seed=0)


def test_weights_are_ours_or_its_own_and_the_seeds_alone(of_module: Written) -> None:
    ours, own = of_module("mean"), of_module("mean", initialisation={"kind": "own"})
    shape = shape_for_width(64, ours, 200)

    def weights(config: ModelConfig, seed: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(seed + 100)  # nothing that happens outside decides
        torch.rand(3)
        return dict(build_model(shape, config, seed=seed).named_parameters())

    for config in (ours, own):
        first, again, other = weights(config, 0), weights(config, 0), weights(config, 1)
        assert all(torch.equal(first[name], again[name]) for name in first)
        assert not torch.equal(first["position"], other["position"])
    # The head comes first and is the embedding: it begins as one.
    assert weights(ours, 0)["head.weight"].std().item() == pytest.approx(0.25, rel=0.05)
    assert weights(own, 0)["head.weight"].std().item() == pytest.approx(1.0, rel=0.05)
    assert weights(ours, 0)["blocks.1.weight"].std().item() == pytest.approx(1 / 8, rel=0.05)


def test_a_ladder_of_ones_own_spans_sizes(of_module: Written) -> None:
    config = of_module("mean", width_multiple=32)
    found = [counts_for(shape, config).params.n_params for shape in shapes_near(2e5, 3, 4, config, 200)]
    assert found == pytest.approx([5e4, 2e5, 8e5], rel=0.25)


def test_identity_covers_name_options_and_source(of_module: Written, tmp_path: Path) -> None:
    config = of_module("mean")
    first = model_identity(config)
    assert model_identity(of_module("mean", "counts")) == first  # counts decide no loss
    assert model_identity(of_module("llama")) != first
    assert model_identity(of_module("mean", factory_options={"bias": True})) != first
    (module,) = tmp_path.glob("my_models_*.py")
    module.write_text(SOURCE.replace("relu", "tanh"))
    assert model_identity(config) != first
    json.dumps(first)


def test_a_package_s_other_files_are_told_apart_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`mine_9` makes `build` known, `model` holds it, and what it computes stands in `layers` and in `beside_9`."""
    package = tmp_path / "mine_9"
    package.mkdir()
    (package / "__init__.py").write_text("from .model import build\n")
    (package / "model.py").write_text("from . import layers\n\ndef build(shape):\n    import beside_9\n")
    (package / "layers.py").write_text("WIDTH = 1\n")
    (package / "unused.py").write_text("")
    (tmp_path / "beside_9.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    config = ModelConfig(depth=1, heads=1, family="custom", factory="mine_9:build")
    before = model_identity(config)
    for file, decides in (
        (package / "layers.py", True),
        (package / "unused.py", False),
        (tmp_path / "beside_9.py", True),
    ):
        file.write_text("WIDTH = 2\n")
        after = model_identity(config)
        assert (after != before) is decides
        before = after


@pytest.mark.parametrize(
    ("name", "counts", "says"),
    [
        ("nothing", None, "has no 'nothing'"),
        ("number", None, "is a int, where a function is due"),
        ("text", None, "returned a str, where a torch.nn.Module is due"),
        ("broken", None, "failed: ValueError: first line"),
        ("leaves", None, "failed: SystemExit: 2"),
        ("averaged", None, "has running averages; use track_running_stats=False or another norm (norm): a resumed"),
        ("short", None, "TypeError"),
        ("unembedded", None, "no nn.Embedding of 200 rows"),
        ("mean", "absent", "model.factory_counts: "),
        ("mean", "named_wrong", "'embeddings' is no part; there are embedding, head,"),
        ("mean", "half", "embedding: 1.5 is no count"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(
    of_module: Written, name: str, counts: str | None, says: str
) -> None:
    config = of_module(name, counts)
    with pytest.raises(InputError, match=r"^model\.factory[^\n]*$") as refused:
        counts_for(shape_for_width(48, config, 200), config)
    assert says in str(refused.value)


def test_dropout_is_refused_whose_draws_a_resumed_run_would_not_repeat(of_module: Written) -> None:
    """It is transformers' default in GPT-2."""
    config = of_module("gpt2", factory_options={"dropout": 0.1})
    with pytest.raises(InputError, match=r"has dropout 0\.1; set it to 0 \(transformer\.drop\): a resumed run would"):
        counts_for(shape_for_width(48, config, 200), config)


def test_logits_of_another_shape_are_refused(of_module: Written, tmp_path: Path) -> None:
    config = of_module("mean")
    (module,) = tmp_path.glob("my_models_*.py")
    module.write_text(SOURCE.replace("return self.head(self.norm(x))", "return self.head(self.norm(x))[:, -1]"))
    with pytest.raises(InputError, match=r"returns \(2, 200\), where logits of \(2, 32, 200\) are due$"):
        counts_for(shape_for_width(48, config, 200), config)


def test_a_module_that_does_not_import(of_module: Written, tmp_path: Path) -> None:
    for factory in ("nowhere_to_be_found:build", "broken_module:build"):
        (tmp_path / "broken_module.py").write_text("def build(:\n")
        with pytest.raises(InputError, match=rf"^model.factory: {factory}: .* cannot be imported, .*Error: [^\n]*$"):
            model_identity(of_module("mean", factory=factory))


def test_counts_that_are_not_the_models_are_refused(of_module: Written) -> None:
    config = of_module("mean", "too_few")
    with pytest.raises(InputError, match=r"^model.factory_counts: counts .* at width 48, the model has"):
        build_model(shape_for_width(48, config, 200), config, seed=0)


def test_it_trains_and_is_written_as_any_other(of_module: Written, text_folder: Path, tmp_path: Path) -> None:
    model = json.loads(of_module("mean", context=16, width_multiple=4).model_dump_json())
    bench = Bench(text_folder, tmp_path / "sweep", model=model, grid__budgets=[1e8, 4e8])
    record = bench.train()
    assert record["loss"] < math.log(256) - 1
    (bench.sweep.path / "plan.json").write_text(json.dumps(bench.plan.to_json()))
    assert bench.sweep.read_plan() == bench.plan
    export_run(bench.sweep, record["run_id"], tmp_path / "out")
    written = json.loads((tmp_path / "out" / "model.json").read_text())
    again = build_model(ModelShape(**written["shape"]), of_module("mean"), seed=1)
    again.load_state_dict(load_file(tmp_path / "out" / "weights.safetensors"), strict=False)
    held_out, accelerator = bench.corpus.validation[MAIN], bench.job().accelerator
    assert evaluate(again, held_out, 32, 16, accelerator).loss == pytest.approx(record["loss"], rel=1e-6)
    assert f'"factory": "{model["factory"]}"' in (tmp_path / "out" / "model.json").read_text()
