"""The parameters of equal models in two tensors, so that one operator zeroes, clips or updates all of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class _Place:
    """Where a parameter lies in a row of its kind."""

    matrix: bool
    start: int
    shape: torch.Size


class _Kind:
    """All matrices, or all vectors: a row a model."""

    def __init__(self, n_models: int, size: int, device: torch.device) -> None:
        self.values = torch.zeros(n_models, size, device=device)
        self.gradient = torch.zeros(n_models, size, device=device)


class FlatWeights:
    """K equal models' parameters as `matrices` (K, m) and `vectors` (K, v), each with its gradient.

    The models keep working: their parameters become views, and so do these parameters' gradients.
    """

    def __init__(self, models: Sequence[nn.Module]) -> None:
        self.models = list(models)
        first = dict(models[0].named_parameters())
        device = next(iter(first.values())).device
        self.places: dict[str, _Place] = {}
        sizes = {True: 0, False: 0}
        for name, parameter in first.items():
            matrix = parameter.ndim >= 2
            self.places[name] = _Place(matrix, sizes[matrix], parameter.shape)
            sizes[matrix] += parameter.numel()
        self.matrices, self.vectors = (_Kind(len(models), sizes[kind], device) for kind in (True, False))
        for k, model in enumerate(models):
            for name, parameter in model.named_parameters():
                kind = self._kind(name)
                view = self.of(name, kind.values)[k]
                view.copy_(parameter.detach())
                parameter.data = view
                parameter.grad = self.of(name, kind.gradient)[k]

    def _kind(self, name: str) -> _Kind:
        return self.matrices if self.places[name].matrix else self.vectors

    def of(self, name: str, flat: Tensor, last: str | None = None) -> Tensor:
        """The parameter `name` of each model, (K, ...), in a tensor laid out as its kind; to `last`, rows joined."""
        first, place = self.places[name], self.places[last or name]
        flat = flat[:, first.start : place.start + place.shape.numel()]
        return flat.unflatten(1, (-1, *first.shape[1:])) if len(first.shape) > 1 else flat

    def value(self, name: str) -> Tensor:
        """The parameter `name` of each model, (K, ...)."""
        return self.of(name, self._kind(name).values)

    def gradient(self, name: str) -> Tensor:
        """Its gradient, likewise."""
        return self.of(name, self._kind(name).gradient)

    @torch.no_grad()
    def clip(self, max_norm: float) -> Tensor:
        """Scale each model's gradient down to `max_norm` where it is longer; returns the norms they had, (K,)."""
        parts = self.matrices.gradient, self.vectors.gradient
        norms = torch.hypot(*(torch.linalg.vector_norm(part, dim=1) for part in parts))
        factor = (max_norm / (norms + 1e-6)).clamp_(max=1.0).unsqueeze(1)
        for part in parts:
            part.mul_(factor)
        return norms

    def zero(self) -> None:
        """Forget the gradients."""
        self.matrices.gradient.zero_()
        self.vectors.gradient.zero_()


@dataclass(frozen=True)
class Rates:
    """What AdamW is told of one model."""

    learning_rate: float  # peak
    beta1: float
    beta2: float
    eps: float
    weight_decay: float  # of matrices; vectors are left alone


class FlatAdamW:
    """Fused AdamW over `FlatWeights`: one update for all neighbours with the same `Rates`."""

    def __init__(self, weights: FlatWeights, rates: Sequence[Rates]) -> None:
        self.weights, self.rates = weights, list(rates)
        self._group_of: dict[tuple[bool, int], tuple[nn.Parameter, int]] = {}
        groups = []
        for rate, members in itertools.groupby(range(len(rates)), key=lambda k: rates[k]):
            here = list(members)
            for matrix, kind in ((True, weights.matrices), (False, weights.vectors)):
                part = nn.Parameter(kind.values[here[0] : here[-1] + 1])
                part.grad = kind.gradient[here[0] : here[-1] + 1]
                self._group_of |= {(matrix, k): (part, k - here[0]) for k in here}
                decay = rate.weight_decay if matrix else 0.0
                betas = (rate.beta1, rate.beta2)
                groups.append({"params": [part], "betas": betas, "eps": rate.eps, "weight_decay": decay, "peak": rate})
        self.optimizer = torch.optim.AdamW(groups, lr=0.0, fused=True)

    def step(self, factor: float) -> None:
        """Update at `factor` of each model's peak rate."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"].learning_rate * factor
        self.optimizer.step()

    def tensors(self, k: int) -> dict[str, Tensor]:
        """Model `k`'s moments and step counts by the names of its parameters, as they are now; none before a step."""
        found: dict[str, Tensor] = {}
        for name, place in self.weights.places.items():
            part, row = self._group_of[place.matrix, k]
            state = self.optimizer.state.get(part, {})
            found |= {f"optimizer.{m}.{name}": self.weights.of(name, state[m])[row] for m in MOMENTS if m in state}
            if "step" in state:
                found[f"optimizer.step.{name}"] = state["step"].clone()  # each its own, as a file wants them
        return found

    @torch.no_grad()
    def restore(self, k: int, stored: dict[str, Tensor]) -> None:
        """Take model `k`'s moments from what `tensors` gave."""
        for name, place in self.weights.places.items():
            if f"optimizer.step.{name}" not in stored:
                continue
            part, row = self._group_of[place.matrix, k]
            state = self.optimizer.state[part]
            if not state:
                state |= {moment: torch.zeros_like(part) for moment in MOMENTS}
            # The step count stays where a fused optimiser wants it: on the parameter's device.
            state["step"] = stored[f"optimizer.step.{name}"].to(part.device)
            for moment in MOMENTS:
                self.weights.of(name, state[moment])[row].copy_(stored[f"optimizer.{moment}.{name}"])
