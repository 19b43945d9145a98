"""Least absolute residuals: the last digits, which smooth steps cannot find.

The optimum of a sum of absolute residuals interpolates as many runs as there are parameters: a corner. Each round
solves the problem with the form made linear, a linear program, within a step that shrinks when it does not help.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog

from .descent import Array, Form

_ROUNDS = 40
_SETTLED = 1e-13  # relative decrease below which the corner is found


def corner(
    form: Form, target: Array, start: Array, weights: Array, lower: Array, upper: Array
) -> tuple[Array, float, bool]:
    """theta (p,), the weighted sum of |target - prediction| there, and whether it settled; from `start` (p,)."""
    theta, step = start.copy(), 0.1
    best = absolute_sum(form, target, theta, weights)
    for _ in range(_ROUNDS):
        here = np.where(np.isfinite(theta), theta, 0.0)
        low, high = np.clip(lower - here, -step, 0.0), np.clip(upper - here, 0.0, step)
        move = _linear_move(form, target, theta, weights, low, high)
        if move is None:
            return theta, best, False
        trial = theta + move
        value = absolute_sum(form, target, trial, weights)
        if value < best:
            settled = best - value <= _SETTLED * best
            theta, best, step = trial, value, min(4 * step, 1.0)
            if settled:
                return theta, best, True
            continue
        if np.abs(move).max() < 1e-11 or step < 1e-11:
            return theta, best, True
        step = np.abs(move).max() / 4
    return theta, best, False


def absolute_sum(form: Form, target: Array, theta: Array, weights: Array) -> float:
    """The weighted sum of |target - prediction| at `theta` (p,)."""
    return float(absolute_sums(form, target, theta[None], weights)[0])


def absolute_sums(form: Form, target: Array, theta: Array, weights: Array) -> Array:
    """The same at each row of `theta` (m, p)."""
    with np.errstate(all="ignore"):
        residual = np.abs(target - form.value(theta))
    residual = np.where(np.isnan(residual), np.inf, residual)
    return np.sum(np.where(weights > 0, residual * weights, 0.0), axis=-1)


def _linear_move(form: Form, target: Array, theta: Array, weights: Array, low: Array, high: Array) -> Array | None:
    """The move (p,) within its bounds that is best for the form made linear at `theta`; None where there is none."""
    with np.errstate(all="ignore"):
        value, slopes, _ = form.jet(theta[None])
    free = np.isfinite(theta) & (high > low)
    used = weights > 0
    own = int(free.sum())
    residual, slope = (target - value[0])[used], slopes[0][np.ix_(free, used)].T
    if not own or not np.isfinite(slope).all():
        return None
    count = len(residual)
    # Variables: the move, and each residual's positive and negative part.
    split = np.hstack([slope, np.eye(count), -np.eye(count)])
    cost = np.concatenate([np.zeros(own), weights[used], weights[used]])
    bounds = [*zip(low[free], high[free], strict=True), *[(0, None)] * (2 * count)]
    solved = linprog(cost, A_eq=split, b_eq=residual, bounds=bounds, method="highs")
    if not solved.success or solved.x is None:
        return None
    move = np.zeros(len(theta))
    move[free] = solved.x[:own]
    return move
