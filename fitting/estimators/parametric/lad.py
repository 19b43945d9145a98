"""The exact optimum of sum |ln L - ln L_hat|: down a narrowing Huber, then onto the vertex.

At such an optimum some residuals, as many as there are free parameters as a rule, are exactly zero. A Huber of width
delta ends within about delta of it, its inner rows being those residuals and their slopes over delta the multipliers;
Newton's method on the optimality conditions (the zero residuals and the stationary Lagrangian) does the rest.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from .basins import around, distinct, held, joined, search, within_bounds
from .form import Form
from .newton import TOLERANCE, Solution, minimise
from .objectives import Array, Problem, lagrangian, residuals

_WIDTHS = (3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6, 3e-7, 1e-7)
_SHAKEN_AT = 1e-4  # the width at which the best optimum is shaken
_STEPS = 100  # iterations a width
_POLISHED = 6  # of the Huber optima, those taken to their vertex
_SAME = 1e-6  # optima closer than this in every parameter are one
_LOOSE = 1e-8  # of the objective, until the last width
_VERTEX_STEPS = 12
_NARROWINGS = 8
_EXACT = 1e-13  # a residual this small is zero
SMOOTHED = 1e-5  # the width at which resamples stop: a thousandth of what residuals usually are


def search_lad(problem: Problem, form: Form, weights: Array) -> Solution:
    """The distinct local optima found, lowest first; the values are sums of weighted absolute residuals.

    `problem` is log_huber. `converged` says that the optimality conditions hold.
    """
    found = search(problem, form, weights)
    theta = found.theta
    for width in _WIDTHS:
        narrow = problem.at(width)
        found = distinct(minimise(narrow, theta, weights, _STEPS, _LOOSE if width > _WIDTHS[-1] else TOLERANCE), _SAME)
        if width == _SHAKEN_AT and len(found.theta):
            near = minimise(narrow, around(narrow, form, weights, found[:1]), weights, _STEPS)
            found = distinct(joined(found, near), _SAME)
        theta = distinct(within_bounds(narrow, form, weights, found), _SAME).theta[:_POLISHED]
    ends = [
        _vertex(replace(problem, delta=_WIDTHS[-1], basis=form.basis(held(start))), start, weights) for start in theta
    ]
    order: list[int] = np.argsort([value for _, value, _ in ends], kind="stable").tolist()
    return Solution(
        np.array([ends[i][0] for i in order]).reshape(-1, 5),
        np.array([ends[i][1] for i in order]),
        np.array([ends[i][2] for i in order], dtype=bool),
    )


def absolute(problem: Problem, theta: Array, weights: Array) -> Array:
    """Sum of weighted absolute residuals, shape (m,)."""
    return np.abs(residuals(problem, theta)) @ weights


def _vertex(problem: Problem, theta: Array, weights: Array) -> tuple[Array, float, bool]:
    """From a Huber optimum to the exact one beside it: theta (5,), its value, and whether it is a local optimum."""
    problem, theta = _isolated(problem, theta, weights)
    residual = residuals(problem, theta[None])[0]
    zero, sign = np.abs(residual) <= problem.delta, np.sign(residual)
    slopes = cast("Array", np.where(zero, residual / problem.delta, sign))
    end = theta.copy()
    for _ in range(_VERTEX_STEPS):
        step, change = _kkt_step(problem, end, weights, zero, slopes)
        end = end + problem.basis @ step
        slopes[zero] += change
        if not np.abs(step).max() > _EXACT:
            break
    residual = residuals(problem, end[None])[0]
    optimal = (
        bool(np.abs(residual[zero]).max(initial=0.0) <= _EXACT)
        and bool(np.abs(slopes[zero]).max(initial=0.0) <= 1 + 1e-6)
        and bool((np.sign(residual[~zero]) == sign[~zero]).all())
    )
    before, after = absolute(problem, np.stack([theta, end]), weights).tolist()
    lower = after <= before + _EXACT * float(weights.sum())
    return (end, after, optimal) if lower else (theta, before, False)


def _isolated(problem: Problem, theta: Array, weights: Array) -> tuple[Problem, Array]:
    """Narrow the Huber until no more residuals lie inside than there are free parameters."""
    for _ in range(_NARROWINGS):
        inside = np.abs(residuals(problem, theta[None])[0]) <= problem.delta
        if inside.sum() <= problem.basis.shape[1]:
            break
        problem = problem.at(0.3 * problem.delta)
        theta = minimise(problem, theta[None], weights, _STEPS).theta[0]
    return problem, theta


def _kkt_step(
    problem: Problem, theta: Array, weights: Array, zero: NDArray[np.bool_], slopes: Array
) -> tuple[Array, Array]:
    """Newton's step of the free parameters and of the multipliers (the slopes of the residuals that are `zero`)."""
    gradient, hessian, jacobian = lagrangian(problem, theta, weights * slopes)
    normals = jacobian[zero] * weights[zero, None]
    free, count = len(gradient), len(normals)
    system = np.zeros((free + count, free + count))
    system[:free, :free], system[:free, free:], system[free:, :free] = hessian, normals.T, normals
    right = np.concatenate([gradient, residuals(problem, theta[None])[0][zero] * weights[zero]])
    if not (np.isfinite(system).all() and np.isfinite(right).all()):
        return np.zeros(free), np.zeros(count)
    step = -np.asarray(np.linalg.lstsq(system, right, rcond=1e-13)[0], dtype=float)
    return step[:free], step[free:]
