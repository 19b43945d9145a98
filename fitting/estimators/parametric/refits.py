"""Many refits of one table under other row weights, side by side: resamples, and the table without some of its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import FitError, InputError
from .basins import FADED, admissible
from .chinchilla import LawFit, fit_law, parameters
from .lad import SMOOTHED
from .newton import Solution, minimise
from .objectives import ABSENT, Array, Problem

_STEPS = 100
_SHORT = 5
_CLOSE = 1e-10  # of the objective: a last step that promises less has ended on the optimum to all that intervals show
_WIDER = 10.0  # one path to a refit's optimum starts with a Huber this much wider
_LAD_WIDTHS = (1e-3, 1e-4)


@dataclass(frozen=True)
class LeftOut:
    """The law without each of `groups`: one row a group.

    `parameters` (m, 5) are E, A, B, alpha, beta, `params_exponent` (m,) is a = beta / (alpha + beta); NaN where
    nothing could be fitted to the rows that stayed, `params_exponent` also where a power term is absent.
    """

    groups: NDArray[Any]
    parameters: Array
    params_exponent: Array


def leave_out(fit: LawFit, groups: ArrayLike) -> LeftOut:
    """Refit without the rows of each distinct label of `groups`, shape (n,), one a row that `fit_law` was given.

    Every refit starts at the table's own optimum. log_lad stops at a Huber of width 1e-5. Raises InputError for a
    wrong number of labels.
    """
    labels = np.asarray(groups).reshape(-1)
    if len(labels) != fit.n_given:
        raise InputError(f"groups has {len(labels)} labels for {fit.n_given} runs: give one for each")
    names, group_of = np.unique(labels, return_inverse=True)
    group_of = group_of.reshape(-1)[fit.order]
    weights = np.where(np.arange(len(names))[:, None] == group_of, 0.0, fit.weights)
    enough = (weights > 0).sum(axis=1) > fit.form.n_free
    found = np.full((len(names), 5), np.nan)
    found[enough] = refit(fit, weights[enough])
    for i in np.flatnonzero(enough & np.isnan(found[:, 0])):
        found[i] = _cold(fit, weights[i])
    return LeftOut(names, found, params_exponents(found))


def params_exponents(laws: Array) -> Array:
    """a = beta / (alpha + beta) of each row E, A, B, alpha, beta, shape (m,); NaN where a power term is absent."""
    out = np.full(len(laws), np.nan)
    has = (laws[:, 1:] > 0).all(axis=1)
    out[has] = laws[has, 4] / (laws[has, 3] + laws[has, 4])
    return out


def _cold(fit: LawFit, weights: Array) -> Array:
    """A refit from scratch, for what did not converge from the table's own optimum; (5,)."""
    rows, form = fit.rows, fit.form
    n, d = np.exp(rows.x + rows.x_mean), np.exp(rows.y + rows.y_mean)
    delta = fit.problem.delta if fit.objective in ("log_huber", "huber") else None
    try:
        law = fit_law(
            n,
            d,
            rows.loss,
            objective=fit.objective,
            weights=weights,
            tied=form.tied,
            fixed_E=form.fixed_E,
            delta=delta,
        ).law
    except FitError:
        return np.full(5, np.nan)
    return np.array([law.E, law.A, law.B, law.alpha, law.beta])


def refit(fit: LawFit, weights: Array) -> Array:
    """E, A, B, alpha, beta under each row of `weights` (m, n), rows as in `fit.rows`; (m, 5), NaN where there is none.

    Several paths lead to each optimum, for a narrow Huber has local optima: from the table's own directly and over a
    wider Huber, and from the table's other local optima. The lowest end counts. E enters and leaves its bound.
    """
    problem = fit.problem
    start = np.repeat(fit.theta[None], len(weights), axis=0)
    if fit.objective == "log_lad":
        for width in _LAD_WIDTHS:
            start = minimise(problem.at(width), start, weights, _STEPS, _CLOSE).theta
        problem = problem.at(SMOOTHED)
    found = minimise(problem, start, weights, _STEPS, _CLOSE)
    others = [np.repeat(theta[None], len(weights), axis=0) for theta in fit.other_optima]
    if fit.objective in ("log_huber", "huber"):
        others.append(minimise(problem.at(_WIDER * problem.delta), start, weights, _SHORT).theta)
    for other in others:
        found = _lower(found, minimise(problem, other, weights, _STEPS, _CLOSE))
    if fit.form.fixed_E is None:
        found = _asymptote(problem, found, weights)
    good = found.converged & admissible(found.theta) & np.isfinite(found.value)
    return np.where(good[:, None], parameters(fit.rows, found.theta), np.nan)


def _lower(one: Solution, other: Solution) -> Solution:
    wins = (other.value < one.value) & (other.converged | ~one.converged)
    return Solution(
        np.where(wins[:, None], other.theta, one.theta),
        np.where(wins, other.value, one.value),
        np.where(wins, other.converged, one.converged),
    )


def _asymptote(problem: Problem, found: Solution, weights: Array) -> Solution:
    """Where E ran towards 0, put it there; where it is 0, see whether it would rather grow."""
    floor = np.log(problem.rows.loss.min())
    absent = found.theta[:, 2] == ABSENT
    doubtful = np.flatnonzero(absent | ~found.converged | (found.theta[:, 2] < floor - FADED))
    if not len(doubtful):
        return found
    start = found.theta[doubtful]
    start[:, 2] = np.where(absent[doubtful], floor - 3, ABSENT)
    other = minimise(problem, start, weights[doubtful], _STEPS, _CLOSE)
    better = _lower(found[doubtful], other)
    theta, value, converged = found.theta.copy(), found.value.copy(), found.converged.copy()
    theta[doubtful], value[doubtful], converged[doubtful] = better.theta, better.value, better.converged
    return Solution(theta, value, converged)
