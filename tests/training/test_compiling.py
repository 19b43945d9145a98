"""torch.compile: where the plan says that it pays, with eager's numbers and names."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from isoflop.fitting import InputError
from isoflop.training import compiling
from isoflop.training.compiling import compile_in_place, missing_for, pays, uncompiled
from isoflop.training.config import SweepConfig, parse_config
from isoflop.training.corpus import CorpusInfo, ValidationInfo
from isoflop.training.evaluate import token_losses
from isoflop.training.models.build import build_model
from isoflop.training.plan import RunPlan
from isoflop.training.planning import make_plan

from .helpers import tiny

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
CORPUS = CorpusInfo("f" * 16, "bytes", 256, 100, 0, 10**12, {"validation": ValidationInfo(10**6, 10, 10**6)})


def planned(budget: float, **changes: Any) -> tuple[RunPlan, SweepConfig]:
    """A cell that takes this many FLOPs."""
    grid = {"grid__budgets": [budget, 2 * budget], "grid__widths": [64], "model__depth": 2, "model__context": 64}
    config = parse_config(tiny(Path("none"), **(grid | changes)), "test")
    return make_plan(config, CORPUS).cells[0], config


def test_long_cells_are_compiled_and_short_ones_not() -> None:
    assert not pays(*planned(3e11), CPU)  # the demo's longest: 12 s
    assert pays(*planned(3e13), CPU)  # 20 minutes
    assert not pays(*planned(3e13, execution__threads=8), CPU)  # as many minutes less
    assert not pays(*planned(1e13), torch.device("cuda")) or not missing_for(CUDA)
    assert not pays(*planned(3e13), torch.device("mps"))  # nothing is known of others


def test_cells_of_a_trunk_stay_as_written_on_a_cpu() -> None:
    assert not pays(*planned(3e13, recipe__schedule={"kind": "wsd", "trunk": True}), CPU)


def test_what_is_configured_is_followed() -> None:
    assert pays(*planned(1e10, execution__compile="on"), CPU)
    assert not pays(*planned(3e15, execution__compile="off"), CPU)


def test_without_a_compiler_auto_says_so_once_and_on_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    compiling._warn.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert not any(pays(*planned(3e13), CPU) for _ in range(2))
    assert [record.message for record in caplog.records] == [
        "torch.compile would save time, and there is no C++ compiler (g++, clang++): training goes on without"
    ]
    with pytest.raises(InputError, match=r"^execution.compile: is on, and there is no C\+\+ compiler .* auto or off$"):
        pays(*planned(1e10, execution__compile="on"), CPU)


@pytest.mark.slow
@pytest.mark.skipif(missing_for(CPU) != "", reason=missing_for(CPU) or "-")
def test_a_compiled_model_has_the_numbers_and_names_of_the_written_one(monkeypatch: pytest.MonkeyPatch) -> None:
    cell, config = planned(1e10, grid__widths=[16], model__depth=1, model__context=16, execution__compile="on")
    rows = torch.randint(0, 256, (3, 17), generator=torch.Generator().manual_seed(0))
    written, compiled = (build_model(cell.shape, config.model, seed=0) for _ in range(2))
    compile_in_place(compiled, config)
    losses = [token_losses(model, rows) for model in (written, compiled)]
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] >= 1  # else this compares eager with eager
    for loss in losses:
        loss.sum().backward()
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-5, atol=1e-5)
    assert [name for name, _ in compiled.named_parameters()] == [name for name, _ in written.named_parameters()]
    for (name, mine), theirs in zip(compiled.named_parameters(), written.parameters(), strict=True):
        assert mine.grad is not None
        assert theirs.grad is not None
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-5, msg=name)
    # Scored as written, and without compiling other shapes.
    before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    with uncompiled(), torch.no_grad():
        assert torch.equal(token_losses(compiled, rows[:2]), token_losses(written, rows[:2]))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == before
