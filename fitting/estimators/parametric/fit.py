"""Approach 3 on a table of runs: the law, and what its exponents could be as well.

The optimum itself is `chinchilla.fit_law`'s; here are the resampling of independent units, the intervals and the
standard errors.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from ...arguments import check_fit
from ...cells import numbers_of
from ...errors import InputError
from ...results import Estimate, FitStatus, ParametricFit, Resampling
from ...runs import RunTable
from ...uncertainty import (
    MIN_BUDGETS,
    bias_corrected_estimate,
    generator,
    resampling_units,
    standard_error,
    weight_blocks,
)
from .chinchilla import LawFit, fit_law
from .objectives import Array
from .refits import params_exponents, refit

_SPARE_FOR_INTERVAL = 3  # independent units beyond the free parameters that an interval needs


def fit_parametric(
    table: RunTable,
    *,
    objective: str = "log_huber",
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    weights: str | ArrayLike | None = None,
    tied: bool = False,
    fixed_E: float | None = None,
    delta: float | None = None,
) -> ParametricFit:
    """Fit the form to the usable runs of `table` and interval its exponents by resampling independent units.

    Units are whole runs, all seeds of one cell together (`uncertainty.resampling_units`), drawn within budgets where
    the table has them; bias-corrected percentile intervals at `level`. `weights` is a column of the table or one
    number for each fitted row; the other options are those of `fit_law`. No interval with fewer than 4 budgets, fewer
    than 3 units more than free parameters, or more than 10 % of resamples failed, and none for what is on its bound,
    held, or made of such.
    Raises what `fit_law` raises, and InputError for weights that are no numbers.
    """
    check_fit(table, level, resamples)
    frame = table.fitted
    n, d, loss = (frame[name].to_numpy(dtype=float) for name in ("n_params", "tokens", "loss"))
    w = _weights(frame, weights)
    fit = fit_law(n, d, loss, objective=objective, weights=w, tied=tied, fixed_E=fixed_E, delta=delta)
    units = resampling_units(frame)[fit.order]
    budgets = None if table.budgets is None else table.budgets[fit.order]
    freedom = len(np.unique(units)) - fit.form.n_free
    few = freedom < _SPARE_FOR_INTERVAL or (budgets is not None and len(np.unique(budgets)) < MIN_BUDGETS)
    draws, resampling = None, None
    if resamples > 0 and not few:
        draws = _draws(fit, units, budgets, resamples, seed)
        where = "over all runs" if budgets is None else "within budgets"
        resampling = Resampling(
            f"whole runs, seeds of a cell together, {where}", resamples, resamples - len(draws), seed, freedom
        )
    estimates, errors = _estimates(fit, draws, resamples, level, freedom)
    return ParametricFit(
        status=FitStatus.TOO_FEW if few and fit.status is FitStatus.CONVERGED else fit.status,
        objective=objective,
        objective_value=fit.value,
        law=fit.law,
        params_exponent=estimates.pop("params_exponent"),
        tokens_exponent=estimates.pop("tokens_exponent"),
        parameters=estimates,
        condition_number=fit.condition_number,
        n_runs=len(fit.order),
        resampling=resampling,
        at_bound=fit.at_bound,
        standard_errors=errors,
        resamples=draws,
        tied=tied,
        fixed_E=fixed_E,
        counted_n_params=table.counted_n_params,
        counted_flops=table.counted_flops,
    )


def _weights(frame: pd.DataFrame, weights: str | ArrayLike | None) -> Array | None:
    if not isinstance(weights, str):
        return None if weights is None else np.asarray(weights, dtype=float)
    if weights not in frame:
        raise InputError(f"no column {weights!r} for the weights: choose from {', '.join(map(str, frame.columns))}")
    values = numbers_of(frame, weights).to_numpy()
    bad = ~(np.isfinite(values) & (values >= 0))
    if bad.any():
        run = frame["run"].iloc[int(np.flatnonzero(bad)[0])]
        raise InputError(
            f"column {weights!r} is {values[bad][0]:g} for run {run}: weights must be 0 or more and finite"
        )
    return values


def _draws(fit: LawFit, units: ArrayLike, budgets: Array | None, resamples: int, seed: int) -> Array:
    """E, A, B, alpha, beta of each resample that has an optimum, shape (n_successful, 5)."""
    rng = generator(seed)
    blocks = [refit(fit, counts * fit.weights) for counts in weight_blocks(units, budgets, resamples, rng)]
    draws = np.concatenate(blocks)
    return draws[np.isfinite(draws).all(axis=1)]


def _estimates(
    fit: LawFit, draws: Array | None, resamples: int, level: float, freedom: int
) -> tuple[dict[str, Estimate], dict[str, float | None]]:
    """Intervals and standard errors by name, of the law's fields and of the two exponents of compute."""
    law = fit.law
    values = {name: getattr(law, name) for name in ("E", "A", "B", "alpha", "beta")}
    values |= {"params_exponent": law.params_exponent, "tokens_exponent": law.tokens_exponent}
    sample = np.empty((0, 5)) if draws is None else draws
    params_exponent = params_exponents(sample)
    columns = [*sample.T, params_exponent, 1 - params_exponent]
    bounded = _without_interval(fit)
    estimates: dict[str, Estimate] = {}
    errors: dict[str, float | None] = {}
    for (name, value), column in zip(values.items(), columns, strict=True):
        asked = 0 if draws is None or name in bounded else resamples
        estimates[name] = bias_corrected_estimate(value, column, asked, level, freedom)
        errors[name] = standard_error(column, asked)
    return estimates, errors


def _without_interval(fit: LawFit) -> set[str]:
    """What the runs say nothing of: on its bound, held, or made of such."""
    names = set(fit.at_bound)
    names |= {exponent for term, exponent in (("A", "alpha"), ("B", "beta")) if term in names}
    if names & {"alpha", "beta"} or fit.form.tied:
        names |= {"params_exponent", "tokens_exponent"}
    if fit.form.fixed_E is not None:
        names.add("E")
    return names
