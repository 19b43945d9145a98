"""Doubts about the parametric law: what its optimum sits on, and which runs decide it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import fdtrc

from ..results import FitStatus, ParametricFit, Resampling
from ..runs import RunTable
from .warn import Warn, listed, shown, standard_error

ILL_CONDITIONED = 1e5  # of the scaled Hessian; the public data sets lie between 500 and 5000
OUTLYING = 6.0  # robust standard deviations from the law: of normal residuals one in 500 million
_INFLUENCE = 0.6  # standard errors of a that leaving one run out may move it: a third of its variance
_LEAST_SHIFT = 0.01  # of a: less than this is not worth a word
_VAGUE = 5.0  # ratio of an interval's ends from which a coefficient says nothing
_LACK = 1e-3  # p value below which residuals are more than seed noise
_ROUNDING = 1e-20  # a variance of ln L below this is rounding


def log_residuals(table: RunTable, fit: ParametricFit) -> np.ndarray:
    """ln L less ln of the law at each fitted run, shape (n,)."""
    frame = table.fitted
    predicted = fit.law.loss(frame["n_params"].to_numpy(dtype=float), frame["tokens"].to_numpy(dtype=float))
    return np.log(frame["loss"].to_numpy(dtype=float)) - np.log(predicted)


def outliers(residuals: np.ndarray) -> np.ndarray:
    """Which runs lie over 6 robust standard deviations (1.4826 MAD) off the law, shape (n,)."""
    centred = np.abs(residuals - np.median(residuals))
    scale = 1.4826 * np.median(centred)
    return centred > OUTLYING * max(float(scale), 1e-9)


def bound(fit: ParametricFit) -> Warn | None:
    """Parameters on their bounds."""
    if fit.status is not FitStatus.BOUND_HIT:
        return None
    named = ", ".join(fit.at_bound) or "a term"
    return Warn(
        "bound_hit",
        f"the optimum has {named} on its bound, with no interval there: the runs do not show it; widen the range of "
        "sizes and tokens, and do not extrapolate this law",
    )


def condition(fit: ParametricFit) -> Warn | None:
    """Parameters that cannot be told apart."""
    if fit.condition_number <= ILL_CONDITIONED:
        return None
    return Warn(
        "ill_conditioned",
        f"the parametric fit's condition number is {fit.condition_number:.1e} (over {ILL_CONDITIONED:.0e}): its "
        "parameters cannot be told apart; widen the range of sizes within budgets or add budgets",
    )


def vague_coefficients(fit: ParametricFit) -> Warn | None:
    """A or B known to no better than a factor."""
    spans = {
        name: estimate.high / estimate.low
        for name in ("A", "B")
        if (estimate := fit.parameters[name]).low is not None and estimate.high is not None and estimate.low > 0
    }
    vague = {name: span for name, span in spans.items() if span > _VAGUE}
    if not vague:
        return None
    parts = " and ".join(f"{name} by a factor {span:.0f}" for name, span in vague.items())
    return Warn(
        "vague_coefficients",
        f"the interval of {parts} wide, while a = {shown(fit.params_exponent)}: quote the exponents and predictions, "
        "never A and B alone",
    )


def outlying(table: RunTable, fit: ParametricFit, without: Callable[[np.ndarray], float]) -> Warn | None:
    """Runs far off the law, and what a is without them; `without` refits a less the rows of a mask."""
    residuals = log_residuals(table, fit)
    far = outliers(residuals)
    if not far.any():
        return None
    worst = np.argsort(-np.abs(residuals))[: int(far.sum())]
    frame = table.fitted
    names = [f"{frame['run'].iloc[i]} ({np.expm1(residuals[i]):+.1%})" for i in worst]
    return Warn(
        "outliers",
        f"{int(far.sum())} of {len(far)} runs lie over {OUTLYING:.0f} robust standard deviations off the law: "
        f"{listed(names)}; parametric a = {fit.params_exponent.value:.3f} with them, {without(far):.3f} without: look "
        "at their curves, and say which you report",
    )


def influential(
    table: RunTable, fit: ParametricFit, exponents: np.ndarray, units: np.ndarray, names: np.ndarray
) -> Warn | None:
    """A single run that moves a by more than its standard error.

    `units` is the unit of each run, `exponents` a without each of the units `names`.
    """
    error = standard_error(fit.params_exponent)
    shift = np.abs(exponents - fit.params_exponent.value)
    if error is None or not np.isfinite(shift).any():
        return None
    worst = int(np.nanargmax(shift))
    if shift[worst] <= max(_INFLUENCE * error, _LEAST_SHIFT):
        return None
    row = table.fitted.iloc[int(np.flatnonzero(units == names[worst])[0])]
    return Warn(
        "influential_runs",
        f"without {row['run']} (N {row['n_params']:.3g}, D {row['tokens']:.3g}) parametric a would be "
        f"{exponents[worst]:.3f}, not {shown(fit.params_exponent)}: rerun it, or report both",
    )


def lack_of_fit(table: RunTable, fit: ParametricFit, cells: np.ndarray) -> Warn | None:
    """Cells off the law by more than their seeds differ: the F test of lack of fit against pure error.

    `cells` numbers each run's cell: the runs of one size and token count, which differ by seed.
    """
    residuals = log_residuals(table, fit)
    count = np.bincount(cells)
    pure_freedom, lack_freedom = len(cells) - len(count), len(count) - 5
    if pure_freedom < 3 or lack_freedom < 1:
        return None
    mean = np.bincount(cells, residuals) / count
    pure = float(np.sum((residuals - mean[cells]) ** 2)) / pure_freedom
    lack = float(np.sum(count * mean**2)) / lack_freedom
    if pure <= _ROUNDING or fdtrc(lack_freedom, pure_freedom, lack / pure) > _LACK:
        return None
    return Warn(
        "lack_of_fit",
        f"the cells' means lie {np.sqrt(lack):.2%} off the law where seeds differ by {np.sqrt(pure):.2%} (F = "
        f"{lack / pure:.1f}): the form or the recipe, not noise, is what is off; do not extrapolate far",
    )


def failed(law: str, resampling: Resampling | None, least: float) -> Warn | None:
    """An interval of `law` withheld because too many resamples had no optimum."""
    if resampling is None or resampling.n_failed <= (1 - least) * resampling.n_resamples:
        return None
    return Warn(
        "failed_resamples",
        f"{resampling.n_failed} of {resampling.n_resamples} resamples of {law} have no optimum (over "
        f"{1 - least:.0%}), so it has no interval: add runs, or widen the range of sizes and tokens",
    )
