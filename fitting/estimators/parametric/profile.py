"""The objective over (alpha, beta), everything else at its best: what the runs say of the two exponents together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...arguments import check_interval
from ...errors import InputError
from ...results import ExponentProfile, ParametricFit
from .chinchilla import LawFit
from .lad import SMOOTHED
from .newton import minimise
from .objectives import ABSENT, Array

_POINTS = 25
_DRAWS = 400  # resamples that calibrate the region
_MARGIN = 0.25  # the grid goes beyond the resamples by this part of their spread
_WITHOUT_DRAWS = 1.4  # and without resamples this factor to either side of the optimum
_STEPS = 60


def exponent_profile(
    fit: LawFit, parametric: ParametricFit | None = None, *, level: float = 0.95, points: int = _POINTS
) -> ExponentProfile:
    """The objective of `fit` over a grid of `points` x `points` exponents about its optimum, relative to that optimum.

    The grid spans the resamples of `parametric` (else a factor 1.4 to either side), which also calibrate the region
    of `level`. Raises InputError where alpha and beta are tied, or one of them belongs to a term that is absent.
    """
    if not isinstance(fit, LawFit):  # pyright: ignore[reportUnnecessaryIsInstance]: callers may have no types
        raise InputError(f"a LawFit is wanted, not {type(fit).__name__}; analyse(table).profile has a table's profile")
    check_interval(level)
    if fit.form.tied:
        raise InputError("the exponents are tied: there is no profile of alpha and beta; fit without tied")
    if not (fit.law.A > 0 and fit.law.B > 0):
        raise InputError(f"{' and '.join(fit.at_bound)} lie on their bound: there is no profile of alpha and beta")
    draws = None if parametric is None or parametric.resamples is None else parametric.resamples[:, 3:]
    optimum = fit.theta[3:]
    alphas, betas = (_axis(optimum[k], None if draws is None else draws[:, k], points) for k in (0, 1))
    grid = np.stack(np.meshgrid(alphas, betas, indexing="ij"), axis=-1).reshape(-1, 2)
    sample = np.empty((0, 2)) if draws is None else draws[:_DRAWS]
    values = _profiled(fit, np.concatenate([optimum[None], grid, sample]))
    rise = np.maximum(values[1:] / values[0] - 1, 0.0) if values[0] > 0 else values[1:]
    threshold = None if draws is None else float(np.quantile(rise[len(grid) :], level))
    return ExponentProfile(fit.objective, alphas, betas, rise[: len(grid)].reshape(points, points), threshold, level)


def _axis(optimum: float, draws: Array | None, points: int) -> Array:
    low, high = optimum / _WITHOUT_DRAWS, optimum * _WITHOUT_DRAWS
    if draws is not None:
        low, high = np.quantile(draws, [0.005, 0.995])
        margin = _MARGIN * (high - low)
        low, high = min(max(low - margin, low / 2), optimum), max(high + margin, optimum)
    return np.linspace(low, high, points)


def _profiled(fit: LawFit, exponents: Array) -> Array:
    """The objective's sum at each pair of `exponents` (m, 2), minimised over the other parameters, shape (m,).

    Each starts at the optimum's terms, turned about the table's centre; log_lad is a Huber of width 1e-5.
    """
    problem = replace(fit.problem, basis=fit.form.basis(held=(3, 4)))
    start = np.repeat(fit.theta[None], len(exponents), axis=0)
    start[:, 3:] = exponents
    widths = [problem.delta]
    if fit.objective == "log_lad":
        widths = [1e-3, 1e-4, SMOOTHED]
    elif fit.objective != "mse":
        widths = [10 * problem.delta, problem.delta]
    for width in widths[:-1]:
        start = minimise(problem.at(width), start, fit.weights, _STEPS).theta
    found = minimise(problem.at(widths[-1]), start, fit.weights, _STEPS)
    value = found.value
    if fit.form.fixed_E is None:
        without = np.where(np.arange(5) == 2, ABSENT, found.theta)
        value = np.minimum(value, minimise(problem.at(widths[-1]), without, fit.weights, _STEPS).value)
    return value
