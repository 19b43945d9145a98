"""The first step: loss from parameters and tokens, or from compute alone, at the ends of runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import FitError
from ..estimators.forms.search import FormFit, fit_form
from ..estimators.forms.starts import Parameter
from ..estimators.parametric.chinchilla import LawFit, fit_law
from ..estimators.parametric.refits import refit
from ..laws import ChinchillaLaw, SaturatingLaw
from .runs import TaskRuns

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Target:
    """A model to predict: parameters and tokens, or training FLOPs alone."""

    n_params: float | None = None
    tokens: float | None = None
    flops: float | None = None
    name: str = "target"

    @property
    def has_size(self) -> bool:
        return self.n_params is not None and self.tokens is not None


class LossStep(Protocol):
    """A law of the loss, and the same law of every resample."""

    @property
    def law(self) -> ChinchillaLaw | SaturatingLaw: ...

    @property
    def n_free(self) -> int: ...

    def loss(self, target: Target) -> float: ...

    def draw(self, weights: Array, targets: list[Target]) -> list[Array]:
        """The loss of each target under each row of `weights` (m, n), rows as the task's: (m,) each; NaN for none."""
        ...


@dataclass(frozen=True)
class LossOfSize:
    """L(N, D) = E + A/N^alpha + B/D^beta at the ends of runs (Bhagia 2024, arXiv:2412.04403, equation 1)."""

    fit: LawFit
    ends: NDArray[np.intp]
    n_free: int = 5

    @property
    def law(self) -> ChinchillaLaw:
        return self.fit.law

    def loss(self, target: Target) -> float:
        return float(self.law.loss(float(target.n_params or 0), float(target.tokens or 0)))

    def draw(self, weights: Array, targets: list[Target]) -> list[Array]:
        own = weights[:, self.ends][:, self.fit.order]
        laws = refit(self.fit, own)
        for row in np.flatnonzero(np.isnan(laws).any(axis=1)):  # far from the table's own optimum: sought afresh
            laws[row] = self._afresh(own[row])
        E, A, B, alpha, beta = laws.T
        return [
            E + A * np.exp(-alpha * np.log(float(t.n_params or 0))) + B * np.exp(-beta * np.log(float(t.tokens or 0)))
            for t in targets
        ]

    def _afresh(self, weights: Array) -> Array:
        rows = self.fit.rows
        n, d = np.exp(rows.x + rows.x_mean), np.exp(rows.y + rows.y_mean)
        try:
            law = fit_law(n, d, rows.loss, weights=weights).law
        except FitError:
            return np.full(5, np.nan)
        return np.array([law.E, law.A, law.B, law.alpha, law.beta])


@dataclass(frozen=True)
class LossOfCompute:
    """L(C) = E + (C0/C)^gamma at the ends of runs, whatever their tokens per parameter."""

    fit: FormFit
    ends: NDArray[np.intp]
    x: Array  # ln C about its mean
    loss_seen: Array
    middle: float  # of ln C
    n_free: int = 3

    @property
    def law(self) -> SaturatingLaw:
        E, K, gamma = map(float, self.fit.theta)
        return SaturatingLaw(E, float(np.exp(np.log(K) / gamma + self.middle)), gamma)

    def loss(self, target: Target) -> float:
        return float(self._of(self.fit.theta[None], target)[0])

    def draw(self, weights: Array, targets: list[Target]) -> list[Array]:
        own = weights[:, self.ends]
        theta, good = self.fit.resample(own)
        for row in np.flatnonzero(~good):
            try:
                theta[row] = _power(self.x, self.loss_seen, own[row]).theta
            except FitError:
                theta[row] = np.nan
        return [self._of(theta, target) for target in targets]

    def _of(self, theta: Array, target: Target) -> Array:
        E, K, gamma = theta.T
        return E + K * np.exp(-gamma * (np.log(float(target.flops or 0)) - self.middle))


def fit_loss_of_size(runs: TaskRuns) -> LossOfSize:
    """Raises FitError for too few run ends, sizes or token counts."""
    ends = runs.ends
    return LossOfSize(fit_law(runs.n_params[ends], runs.tokens[ends], runs.loss[ends]), ends)


def fit_loss_of_compute(runs: TaskRuns) -> LossOfCompute:
    """Raises FitError for too few run ends, or losses that do not fall with compute."""
    ends = runs.ends
    log_flops = np.log(runs.flops[ends])
    middle = float(log_flops.mean())
    x = log_flops - middle
    fit = _power(x, runs.loss[ends], np.ones(len(ends)))
    if not fit.theta[1] > 0:
        raise FitError(f"task {runs.task}: the losses do not fall with compute")
    return LossOfCompute(fit, ends, x, runs.loss[ends], middle)


def _power(x: Array, loss: Array, weights: Array) -> FormFit:
    """E + K exp(-gamma x), in logs of the loss."""

    def predict(theta: Array) -> Array:
        E, K, gamma = theta.T[:, :, None]
        return E + K * np.exp(-gamma * x)

    parameters = (Parameter("E", 0.0), Parameter("K", 0.0), Parameter("gamma", 1e-3, 3.0, (0.01, 1.0)))
    return fit_form(predict, parameters, loss, weights, "log_huber")
