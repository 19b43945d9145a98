"""Which grid measures an exponent best for a given total compute, by error propagation: no noise is drawn.

It ranks thousands of designs in seconds; `simulate` then says what the best of them are really worth.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from ..laws import ChinchillaLaw
from .noise import NoiseModel

Array = NDArray[np.float64]

N_BUDGETS = (4, 5, 6, 7, 8, 10)
FACTORS = (1.5, 2.0, 2.5, 10**0.5, 4.0, 6.0, 10.0)  # between neighbouring budgets
COUNTS = (5, 6, 7, 8, 9, 11)
WITHIN = (1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
SEEDS = (1, 2, 3, 4)
WINDOW = 0.10  # of approach 2: runs within this fraction of the least loss shape the parabola
_LEAST_IN_WINDOW = 4


@dataclass(frozen=True)
class Design:
    """`n_budgets` budgets a `factor` apart, the largest `top` FLOPs; `count` sizes within a factor `within` of N*."""

    n_budgets: int
    factor: float
    count: int
    within: float
    seeds: int
    top: float

    @classmethod
    def of_total(cls, total: float, n_budgets: int, factor: float, count: int, within: float, seeds: int) -> Design:
        """The one that takes `total` training FLOPs."""
        shares = factor ** -np.arange(n_budgets, dtype=float)
        return cls(n_budgets, factor, count, within, seeds, total / (count * seeds * float(shares.sum())))

    @property
    def budgets(self) -> Array:
        """Training FLOPs, ascending; shape (n_budgets,)."""
        return self.top * self.factor ** np.arange(1 - self.n_budgets, 1, dtype=float)

    @property
    def n_runs(self) -> int:
        """Runs in all."""
        return self.n_budgets * self.count * self.seeds


@dataclass(frozen=True)
class DesignError:
    """Root mean square errors, bias included: of a in N* ~ C^a, and of ln N* at a target C."""

    params_exponent: float
    log_n_params: float


def designs_within(total: float, least_budget: float, most_runs: int) -> Iterator[Design]:
    """All designs of `total` FLOPs whose least budget is at least `least_budget` and that take at most `most_runs`."""
    for n_budgets, factor, count, within, seeds in itertools.product(N_BUDGETS, FACTORS, COUNTS, WITHIN, SEEDS):
        if n_budgets * count * seeds > most_runs:
            continue
        design = Design.of_total(total, n_budgets, factor, count, within, seeds)
        if design.budgets[0] >= least_budget * (1 - 1e-9):
            yield design


def shifted(law: ChinchillaLaw, factor: float) -> ChinchillaLaw:
    """The law with N* `factor` times as large, and the same losses along the optimum at C = 6 N D."""
    return ChinchillaLaw(law.E, law.A * factor**law.alpha, law.B * factor**-law.beta, law.alpha, law.beta)


def expected_error(
    design: Design, law: ChinchillaLaw, noise: NoiseModel, at_flops: float, off: float, method: str = "isoflop"
) -> DesignError | None:
    """The error of `method`, "isoflop" or "parametric", on a grid centred on the prior `law`.

    `off` says how far the prior may be wrong: the truth is `law`, and `law` with N* moved by that factor up and down;
    the mean square error over the three counts. None where one of them has no interior minimum at some budget.
    """
    error_of = {"isoflop": _isoflop_error, "parametric": _parametric_error}[method]
    found = [error_of(design, law, shifted(law, factor), noise, at_flops) for factor in (1.0, off, 1 / off)]
    if any(np.isnan(error).any() for error in found):
        return None
    exponent, size = np.sqrt(np.mean(np.square(found), axis=0))
    return DesignError(float(exponent), float(size))


def _grid(design: Design, prior: ChinchillaLaw) -> tuple[Array, Array, Array]:
    """ln C (k, 1), ln N (k, count) and ln D (k, count)."""
    log_flops = np.log(design.budgets)[:, None]
    spread = np.log(design.within) * np.linspace(-1, 1, design.count)
    log_n = np.log(prior.optimum(design.budgets)[0])[:, None] + spread
    return log_flops, log_n, log_flops - np.log(6) - log_n


def _isoflop_error(
    design: Design, prior: ChinchillaLaw, truth: ChinchillaLaw, noise: NoiseModel, at_flops: float
) -> tuple[float, float]:
    """Root mean square errors of a and ln N*(at_flops): windowed parabolas, then the weighted line through them."""
    log_flops, log_n, log_d = _grid(design, prior)
    loss = truth.loss(np.exp(log_n), np.exp(log_d))
    variance = noise.cell_variance(loss, design.seeds)
    true = np.log(truth.optimum(design.budgets)[0])
    vertices = [_vertex(*row) for row in zip(log_n, loss, variance, strict=True)]
    bias, spread = np.array([found[0] for found in vertices]) - true, np.array([found[1] for found in vertices])
    if not np.isfinite(spread).all():
        return float("nan"), float("nan")
    x, weight = log_flops[:, 0], 1 / spread
    centre = float(np.average(x, weights=weight))
    slope = weight * (x - centre) / float(np.sum(weight * (x - centre) ** 2))  # a = sum of slope * ln N*
    away = np.log(at_flops) - centre
    line = weight / weight.sum() + away * slope
    return (
        float(np.sqrt(np.sum(slope**2 * spread) + np.sum(slope * bias) ** 2)),
        float(np.sqrt(np.sum(line**2 * spread) + np.sum(line * bias) ** 2)),
    )


def _vertex(log_n: Array, loss: Array, variance: Array) -> tuple[float, float]:
    """Where the parabola of one budget has its vertex without noise, and the variance noise gives it; NaN: nowhere."""
    near = loss <= loss.min() * (1 + WINDOW)
    if near.sum() < _LEAST_IN_WINDOW:
        return float("nan"), float("nan")
    u = log_n[near] - log_n[near].mean()
    solve = np.linalg.pinv(np.stack([np.ones_like(u), u, u**2], axis=1))
    c1, c2 = (solve @ loss[near])[1:]
    at = -c1 / (2 * c2)
    if c2 <= 0 or not log_n[0] < log_n[near].mean() + at < log_n[-1]:
        return float("nan"), float("nan")
    moved = -(solve[1] + 2 * at * solve[2]) / (2 * c2)  # of the vertex with each loss
    return float(log_n[near].mean() + at), float(np.sum(moved**2 * variance[near]))


def _parametric_error(
    design: Design, prior: ChinchillaLaw, truth: ChinchillaLaw, noise: NoiseModel, at_flops: float
) -> tuple[float, float]:
    """Standard errors of a and ln N*(at_flops) by the information of ln L in E, ln A, ln B, alpha, beta."""
    _, log_n, log_d = (part.reshape(-1) for part in np.broadcast_arrays(*_grid(design, prior)))
    by_n, by_d = truth.A * np.exp(-truth.alpha * log_n), truth.B * np.exp(-truth.beta * log_d)
    loss = truth.E + by_n + by_d
    slopes = np.stack([np.ones_like(loss), by_n, by_d, -log_n * by_n, -log_d * by_d], axis=1)
    weight = 1 / (noise.cell_variance(loss, design.seeds) + noise.misfit(loss) ** 2)
    scale = np.sqrt(np.sum(weight[:, None] * slopes**2, axis=0))
    information = (slopes / scale).T @ (weight[:, None] * slopes / scale)
    covariance = cast("Array", np.linalg.pinv(information, hermitian=True)) / np.outer(scale, scale)
    total = truth.alpha + truth.beta
    exponent = np.array([0, 0, 0, -truth.beta, truth.alpha]) / total**2
    # ln N* = a ln(C/6) + ln(alpha A / (beta B)) / (alpha + beta)
    log_g = np.log(truth.alpha * truth.A / (truth.beta * truth.B)) / total
    size = (
        exponent * np.log(at_flops / 6) + np.array([0, 1, -1, 1 / truth.alpha - log_g, -1 / truth.beta - log_g]) / total
    )
    return _spread(exponent, covariance), _spread(size, covariance)


def _spread(gradient: Array, covariance: Array) -> float:
    return float(np.sqrt(gradient @ covariance @ gradient))
