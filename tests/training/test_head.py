"""A large vocabulary's loss in chunks of tokens: the same loss and gradients, and no logits of all tokens at a time."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils._python_dispatch import TorchDispatchMode

from isoflop.fitting.counting import ModelShape
from isoflop.training.config import ModelConfig
from isoflop.training.kernels.head import summed_loss, token_losses
from isoflop.training.memory import LOGITS_AT_ONCE
from isoflop.training.models.build import build_model

from . import bigram

VOCABULARY, CONTEXT, SEQUENCES = 301, 40, 5
SCALE = 1 / (CONTEXT * SEQUENCES)


def model_of(family: str, tied: bool) -> nn.Module:
    shape = ModelShape(24, 2, 2, 2, 12, 40, VOCABULARY, CONTEXT, tied, family)
    config = ModelConfig.model_validate({"family": family, "depth": 2, "heads": 2, "tied_embeddings": tied})
    return build_model(shape, config, seed=1)


def some_rows(vocabulary: int = VOCABULARY) -> Tensor:
    return torch.randint(0, vocabulary, (SEQUENCES, CONTEXT + 1), generator=torch.Generator().manual_seed(2))


def trained(model: nn.Module, rows: Tensor) -> tuple[float, dict[str, Tensor]]:
    """Loss and gradients, whole or in chunks as `LOGITS_AT_ONCE` says."""
    model.zero_grad()
    loss = summed_loss(model, rows, SCALE)
    loss.backward()
    return loss.item(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.fixture
def in_chunks(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Say whether logits of as many tokens as `some_rows` has are made in chunks from now on."""
    return lambda on: monkeypatch.setitem(LOGITS_AT_ONCE, "cpu", 1 if on else 1 << 30)


@pytest.mark.parametrize("family", ["llama", "qwen3", "gpt2"])
@pytest.mark.parametrize("tied", [True, False])
def test_chunks_give_the_loss_and_gradients_of_whole_logits(family: str, tied: bool, in_chunks: Any) -> None:
    model, rows = model_of(family, tied), some_rows()
    in_chunks(False)
    loss, gradients = trained(model, rows)
    in_chunks(True)
    found, chunked = trained(model, rows)
    assert found == pytest.approx(loss, rel=1e-6)
    assert chunked.keys() == gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(chunked[name], gradient, rtol=1e-4, atol=1e-7)


def test_under_bf16_chunks_are_as_near_to_fp32_as_whole_logits(in_chunks: Any) -> None:
    model, rows = model_of("llama", True), some_rows()
    loss, exact = trained(model, rows)
    with torch.autocast("cpu", torch.bfloat16):
        in_chunks(False)
        whole_loss, whole = trained(model, rows)
        in_chunks(True)
        chunked_loss, chunked = trained(model, rows)
    assert chunked_loss == pytest.approx(whole_loss, rel=1e-5)
    assert chunked_loss == pytest.approx(loss, rel=5e-3)

    def off(found: dict[str, Tensor]) -> float:
        each = [(found[name] - gradient).norm() / gradient.norm() for name, gradient in exact.items()]
        return float(torch.stack(each).max())

    assert 1e-4 < off(chunked) < 1.2 * off(whole)


class Largest(TorchDispatchMode):
    """The most numbers that any tensor made inside holds."""

    n = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, Tensor):
            self.n = max(self.n, made.untyped_storage().nbytes() // made.element_size())
        return made


@pytest.mark.parametrize("scored", [False, True])
def test_no_tensor_is_as_large_as_the_logits(scored: bool, in_chunks: Any) -> None:
    model, rows = model_of("llama", True), some_rows()
    sizes = []
    for on in (False, True):
        in_chunks(on)
        with Largest() as largest, torch.set_grad_enabled(not scored):
            if scored:
                token_losses(model, rows)
            else:
                trained(model, rows)
        sizes.append(largest.n)
    assert sizes[0] == SEQUENCES * CONTEXT * VOCABULARY
    assert sizes[1] <= 64 * VOCABULARY


def test_scored_in_chunks_each_token_has_the_nats_it_had(in_chunks: Any) -> None:
    model, rows = model_of("gpt2", False), some_rows()
    with torch.no_grad():
        in_chunks(False)
        whole = token_losses(model, rows)
        in_chunks(True)
        torch.testing.assert_close(token_losses(model, rows), whole, rtol=1e-6, atol=1e-6)
    assert whole.shape == (SEQUENCES, CONTEXT)


def test_a_second_backward_pass_is_refused_not_wrong(in_chunks: Any) -> None:
    in_chunks(True)
    loss = summed_loss(model_of("llama", True), some_rows(), SCALE)
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="inplace operation"):
        loss.backward()


def test_a_factorys_model_goes_its_own_way(in_chunks: Any) -> None:
    model, rows = bigram.Bigram(), some_rows(bigram.VOCABULARY)
    in_chunks(True)
    loss = summed_loss(model, rows, SCALE)
    logits = model(input_ids=rows[:, :-1])
    expected = nn.functional.cross_entropy(getattr(logits, "logits", logits).flatten(0, 1), rows[:, 1:].flatten())
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


def test_a_model_shared_by_processes_keeps_its_wrapped_forward_pass(in_chunks: Any, tmp_path: Path) -> None:
    in_chunks(True)
    model, rows = model_of("llama", True), some_rows()
    loss, gradients = trained(model, rows)
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        wrapped = DistributedDataParallel(copy.deepcopy(model))
        seen: list[Any] = []
        wrapped.register_comm_hook(seen, _noted)
        found, averaged = trained(wrapped, rows)
    finally:
        dist.destroy_process_group()
    assert seen, "no gradients went from process to process"
    assert found == pytest.approx(loss, rel=1e-6)
    for name, gradient in gradients.items():
        torch.testing.assert_close(averaged[f"module.{name}"], gradient, rtol=1e-4, atol=1e-7)


def _noted(seen, bucket):  # without annotations: torch refuses those that are text
    seen.append(bucket.index())
    future: torch.futures.Future[Tensor] = torch.futures.Future()
    future.set_result(bucket.buffer())
    return future
