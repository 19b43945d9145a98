"""Intervals of the rarer laws: whole runs drawn within budgets, and the same refusals for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...results import Estimate, FitStatus, Resampling
from ...runs import RunTable
from ...uncertainty import MIN_BUDGETS, generator, percentile_estimate, run_weights
from .descent import Array
from .search import FormFit

MIN_RUNS_FOR_INTERVAL = 8


@dataclass(frozen=True)
class Draws:
    """How often each run occurs in each resample, shape (n_resamples, n_runs), and how they were drawn."""

    weights: Array
    method: str
    seed: int

    def record(self, n_successful: int) -> Resampling:
        return Resampling(self.method, len(self.weights), len(self.weights) - n_successful, self.seed)


def too_few(table: RunTable) -> bool:
    """Whether the table is too small for an interval: fewer than 8 runs, or than 4 budgets where it states them."""
    budgets = table.budgets
    few_budgets = budgets is not None and len(np.unique(budgets)) < MIN_BUDGETS
    return few_budgets or int(table.usable.sum()) < MIN_RUNS_FOR_INTERVAL


def run_draws(table: RunTable, resamples: int, seed: int, remark: str = "") -> Draws | None:
    """Resamples of whole runs, within budgets where the table states them; None where there is to be no interval."""
    if resamples < 1 or too_few(table):
        return None
    budgets = table.budgets
    where = "within budgets" if budgets is not None else "over all runs"
    weights = run_weights(table.fitted["run"], budgets, resamples, generator(seed))
    return Draws(weights, f"whole runs, {where}{remark}", seed)


def estimates(
    names: Sequence[str], fit: FormFit, weights: Array, draws: Draws | None, level: float
) -> tuple[dict[str, Estimate], Resampling | None]:
    """Each parameter of `fit` with its percentile interval; none for one that lies on a bound."""
    if draws is None:
        return {name: Estimate(float(value), level=level) for name, value in zip(names, fit.theta, strict=True)}, None
    theta, good = fit.resample(draws.weights * weights)
    sample = theta[good]
    asked = len(draws.weights)
    out = {
        name: percentile_estimate(float(fit.theta[i]), sample[:, i], 0 if fit.at_bound[i] else asked, level)
        for i, name in enumerate(names)
    }
    return out, draws.record(len(sample))


def status_of(fit: FormFit, table: RunTable) -> FitStatus:
    """What may be said of `fit`: a bound before a failure to converge before too few runs."""
    if fit.at_bound.any():
        return FitStatus.BOUND_HIT
    if not fit.converged:
        return FitStatus.MAX_ITER
    return FitStatus.TOO_FEW if too_few(table) else FitStatus.CONVERGED
