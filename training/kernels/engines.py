"""Ways to take a training step, for one model or for a stack of K equal ones: written out, by autograd, or vectorised.

All hold fp32 parameters and AdamW's moments, and name them alike, so that a state saved by one loads into another.
Rows are token ids, (K, B, S + 1): inputs and, one later, their targets.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ...fitting.counting import ModelShape
from ..compiling import compile_in_place, pays
from ..config import SweepConfig
from ..memory import is_written_out
from ..plan import RunPlan
from .flat import MOMENTS, FlatAdamW, FlatWeights, Rates
from .fused import FusedLlama
from .head import summed_loss


@dataclass(frozen=True)
class Step:
    """How one optimiser step is to be taken."""

    rate: float  # of the peak learning rate
    scale: float  # of the summed nats: 1 / tokens, x processes
    micro_batch: int  # sequences of each model at a time
    clip: float


class Engine(ABC):
    """K models with their optimiser; none of its steps waits for the device."""

    name: str  # as the record says it
    compiled = False
    models: list[nn.Module]

    @abstractmethod
    def step(self, rows: Tensor, how: Step) -> Tensor:
        """Train on `rows`; returns the loss and the gradient's norm before clipping of each model, (2, K)."""

    @abstractmethod
    def tensors(self, k: int) -> dict[str, Tensor]:
        """Model `k`'s state by name, as it is now: `model.NAME` and `optimizer.MOMENT.NAME`."""

    @abstractmethod
    def restore(self, k: int, stored: dict[str, Tensor]) -> None:
        """Take over what `tensors` gave."""

    def begin(self) -> None:  # noqa: B027 (most have nothing to do)
        """Called once after any `restore`, before the first step."""


def make_engine(
    models: list[nn.Module], cells: Sequence[RunPlan], config: SweepConfig, accelerator: Accelerator
) -> Engine:
    """The way for these models, on the accelerator's device: a stack of `cells` has one shape and batch."""
    rates = [_rates(cell, config) for cell in cells]
    alone = accelerator.num_processes == 1
    if alone and is_written_out(cells[0], config, accelerator.device.type):
        return WrittenOut(models, rates, cells[0].shape)
    if len(models) > 1:
        return Vectorised(models, rates, accelerator)
    return Autograd(models[0], rates[0], config, accelerator, compiled=pays(cells[0], config, accelerator.device))


def _rates(cell: RunPlan, config: SweepConfig) -> Rates:
    optimizer = config.recipe.optimizer
    return Rates(cell.learning_rate, optimizer.beta1, cell.beta2, optimizer.eps, cell.weight_decay)


class Autograd(Engine):
    """One transformers model, or a factory's, on any number of processes."""

    name = "transformers"

    def __init__(
        self, model: nn.Module, rates: Rates, config: SweepConfig, accelerator: Accelerator, *, compiled: bool
    ) -> None:
        self.models, self.rates, self.config = [model], rates, config
        self.accelerator, self.compiled = accelerator, compiled
        self.optimizer: Any = make_optimizer(model, rates)
        self.wrapped: Any = model

    def begin(self) -> None:
        """Wrap the model for the devices, which all get the first process's parameters."""
        if self.compiled:
            compile_in_place(self.models[0], self.config)
        self.wrapped, self.prepared = self.accelerator.prepare(self.models[0], self.optimizer)
        self.parameters = list(self.models[0].parameters())
        self.wrapped.train()

    def step(self, rows: Tensor, how: Step) -> Tensor:
        """As `Engine` says; rows are this process's share, and the loss is of them."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rates.learning_rate * how.rate
        parts = rows[0].split(how.micro_batch)
        total = torch.zeros((), device=rows.device)
        for part in parts[:-1]:
            with self.accelerator.no_sync(self.wrapped):
                total += self._backward(part, how.scale)
        total += self._backward(parts[-1], how.scale)
        norm = self.accelerator.clip_grad_norm_(self.parameters, how.clip)
        self.prepared.step()
        self.prepared.zero_grad()
        return torch.stack([total, torch.as_tensor(norm, device=total.device)]).unsqueeze(1)

    def _backward(self, rows: Tensor, scale: float) -> Tensor:
        with self.accelerator.autocast():
            loss = summed_loss(self.wrapped, rows, scale)
        self.accelerator.backward(loss)
        return loss.detach()

    def tensors(self, k: int) -> dict[str, Tensor]:
        """See `Engine`."""
        found: dict[str, Tensor] = {}
        for name, parameter in self.models[k].named_parameters():
            found[f"model.{name}"] = parameter.detach()
            for moment, value in self.optimizer.state.get(parameter, {}).items():
                found[f"optimizer.{moment}.{name}"] = value
        return found

    def restore(self, k: int, stored: dict[str, Tensor]) -> None:
        """See `Engine`."""
        with torch.no_grad():
            for name, parameter in self.models[k].named_parameters():
                parameter.copy_(stored[f"model.{name}"])
                for moment in (*MOMENTS, "step"):
                    value = stored.get(f"optimizer.{moment}.{name}")
                    if value is not None:
                        # The step counts stay where a fused optimiser wants them: on the parameter's device.
                        self.optimizer.state[parameter][moment] = value.to(parameter.device)


class _Flat(Engine):
    """Models whose parameters lie side by side."""

    weights: FlatWeights
    adam: FlatAdamW

    def step(self, rows: Tensor, how: Step) -> Tensor:
        """See `Engine`."""
        total = torch.zeros(len(self.models), device=rows.device)
        for part in rows.split(how.micro_batch, dim=1):
            total += self.accumulate(part, how.scale)
        norms = self.weights.clip(how.clip)
        self.adam.step(how.rate)
        self.weights.zero()
        return torch.stack([total, norms])

    @abstractmethod
    def accumulate(self, rows: Tensor, scale: float) -> Tensor:
        """Add to the gradients; returns each model's loss, (K,)."""

    def tensors(self, k: int) -> dict[str, Tensor]:
        """See `Engine`."""
        values = {f"model.{name}": self.weights.value(name)[k] for name in self.weights.places}
        return values | self.adam.tensors(k)

    @torch.no_grad()
    def restore(self, k: int, stored: dict[str, Tensor]) -> None:
        """See `Engine`."""
        for name in self.weights.places:
            self.weights.value(name)[k].copy_(stored[f"model.{name}"])
        self.adam.restore(k, stored)


class WrittenOut(_Flat):
    """`FusedLlama`, on a CPU."""

    name = "fused"

    def __init__(self, models: list[nn.Module], rates: Sequence[Rates], shape: ModelShape) -> None:
        self.models = models
        self.fused = FusedLlama(models, shape)
        self.weights = self.fused.weights
        self.adam = FlatAdamW(self.weights, rates)

    def accumulate(self, rows: Tensor, scale: float) -> Tensor:
        """See `_Flat`."""
        return self.fused.accumulate(rows, scale)


class Vectorised(_Flat):
    """A stack of any family on any one device: the first model's own code, vectorised over all models' parameters."""

    name = "vectorised"

    def __init__(self, models: list[nn.Module], rates: Sequence[Rates], accelerator: Accelerator) -> None:
        self.models, self.accelerator = models, accelerator
        self.weights = FlatWeights(models)
        self.adam = FlatAdamW(self.weights, rates)
        self.leaves = {name: self.weights.value(name).detach().requires_grad_() for name in self.weights.places}
        for name, leaf in self.leaves.items():
            leaf.grad = self.weights.gradient(name)
        self.losses = torch.func.vmap(self._loss)

    def _loss(self, parameters: dict[str, Tensor], rows: Tensor) -> Tensor:
        answer: Any = torch.func.functional_call(self.models[0], parameters, (), {"input_ids": rows[:, :-1]})
        logits = getattr(answer, "logits", answer).flatten(0, 1).float()
        return nn.functional.cross_entropy(logits, rows[:, 1:].flatten(), reduction="sum")

    def accumulate(self, rows: Tensor, scale: float) -> Tensor:
        """See `_Flat`."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "There is a performance drop")  # sdpa on a CPU goes model by model
            warnings.filterwarnings("ignore", "grad and param do not obey")  # a row holds all parameters of a model
            with self.accelerator.autocast(), _OneDtype(rows.device.type):
                losses = self.losses(self.leaves, rows) * scale
            losses.sum().backward()
        return losses.detach()


class _OneDtype(TorchFunctionMode):
    """Under autocast: attention's inputs in its precision, which vmap's take on attention is not told of."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is nn.functional.scaled_dot_product_attention and self.dtype is not None:
            args = tuple(arg.to(self.dtype) if isinstance(arg, Tensor) else arg for arg in args)
        return func(*args, **(kwargs or {}))


def make_optimizer(model: nn.Module, rates: Rates) -> torch.optim.AdamW:
    """Fused AdamW at rate 0 (each step sets it); weight decay on matrices only, norms are left alone."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": rates.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=0.0, betas=(rates.beta1, rates.beta2), eps=rates.eps, fused=True)
