"""Damped Newton for the parameters of the Chinchilla form, many problems side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .objectives import BLOCK_CELLS, Array, Problem, evaluate

MAX_ITERATIONS = 200
TOLERANCE = 1e-14  # of the Newton decrement, relative to the objective
_FIRST_DAMPING = 0.1  # of the Gauss-Newton matrix
_LESS, _MORE = 0.2, 8.0  # after a step that led down, and after one that did not
_TRUSTED = 1.0  # with more damping a small decrease is promised anywhere
_RIDGE = 1e-9  # relative; keeps a Gauss-Newton matrix positive definite where two columns coincide
_VANISHED = 1e-200  # a parameter of less curvature does nothing at all
_ROUNDING = 1e-14  # a relative residual this small is rounding: nothing is left to fit


@dataclass(frozen=True)
class Solution:
    """Where each problem ended: theta (m, 5), the objective's sum (m,), whether it converged (m,)."""

    theta: Array
    value: Array
    converged: np.ndarray

    def __getitem__(self, keep: slice | list[int] | np.ndarray) -> Solution:
        """Some of the problems."""
        return Solution(self.theta[keep], self.value[keep], self.converged[keep])


def minimise(
    problem: Problem,
    start: Array,
    weights: Array,
    max_iterations: int = MAX_ITERATIONS,
    tolerance: float = TOLERANCE,
) -> Solution:
    """Minimise from each row of `start` (m, 5); `weights` is (n,) for all problems or (m, n), one row each.

    Each ends where Newton's step promises less than `tolerance` of the objective. A component of `start` at -infinity
    (a term that is absent) stays there. No exception leaves: a problem that does not converge says so.
    """
    size = max(1, BLOCK_CELLS // len(problem.rows.x))
    parts = [Solution(np.empty((0, 5)), np.empty(0), np.empty(0, dtype=bool))]
    for first in range(0, len(start), size):
        chunk = slice(first, first + size)
        own = weights if weights.ndim == 1 else weights[chunk]
        parts.append(_minimise_chunk(problem, start[chunk], own, max_iterations, tolerance))
    return Solution(
        np.concatenate([part.theta for part in parts]),
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.converged for part in parts]),
    )


def _minimise_chunk(problem: Problem, start: Array, weights: Array, max_iterations: int, tolerance: float) -> Solution:
    count = len(start)
    floor = _rounding_floor(problem, weights, count)
    theta, best, converged = start.copy(), np.empty(count), np.zeros(count, dtype=bool)
    live, at, own = np.arange(count), start, weights
    damping = np.full(count, _FIRST_DAMPING)
    lowest, *local = evaluate(problem, at, own)
    step, decrement = _newton_step(problem.basis, local, damping)
    for _ in range(max_iterations):
        trial = at + step
        trial_value, *trial_local = evaluate(problem, trial, own)
        # Near the optimum the true decrease drowns in rounding; there the step is trusted.
        better = trial_value <= lowest * (1 + 1e-15)
        done = (decrement <= tolerance * lowest + floor[live]) & (damping <= _TRUSTED)
        if better.all():
            at, lowest, local = trial, np.minimum(trial_value, lowest), trial_local
            damping = np.maximum(damping * _LESS, 1e-15)
        else:
            at = np.where(better[:, None], trial, at)
            lowest = np.where(better, np.minimum(trial_value, lowest), lowest)
            for i, new in enumerate(trial_local):
                local[i] = np.where(better.reshape(-1, *[1] * (new.ndim - 1)), new, local[i])
            damping = np.where(better, np.maximum(damping * _LESS, 1e-15), damping * _MORE)
        over = done | (damping > 1e8)
        if over.any():
            ended = live[over]
            theta[ended], best[ended], converged[ended] = at[over], lowest[over], done[over]
            on = ~over
            live = live[on]
            if not len(live):
                break
            at, lowest, damping = at[on], lowest[on], damping[on]
            local = [part[on] for part in local]
            own = own if own.ndim == 1 else own[on]
        step, decrement = _newton_step(problem.basis, local, damping)
    if len(live):
        theta[live], best[live] = at, lowest
    return Solution(theta, best, converged)


def _newton_step(basis: Array, local: list[Array], damping: Array) -> tuple[Array, Array]:
    """The step in theta (m, 5), -(H + damping G)^-1 g G the Gauss-Newton matrix, and the decrease it promises (m,).

    G's own step (iterated reweighting) always leads down a Huber's valley, so damping shortens no step along it.
    """
    gradient, hessian, gram = local
    if not np.isfinite(gradient.sum() + hessian.sum() + gram.sum()):
        lost = ~np.all([np.isfinite(part).reshape(len(damping), -1).all(axis=1) for part in local], axis=0)
        gradient, hessian, gram = (np.where(lost.reshape(-1, *[1] * (part.ndim - 1)), 0.0, part) for part in local)
    total = hessian + damping[:, None, None] * gram
    idle = _diagonal(gram) <= _VANISHED
    _diagonal(total)[:] += idle
    try:
        np.linalg.cholesky(total)
        step = -np.linalg.solve(total, gradient[:, :, None])[:, :, 0]
    except np.linalg.LinAlgError:
        step = _downhill(gradient, hessian, gram, idle, damping)
    decrement = -0.5 * np.einsum("mi,mi->m", gradient, step)
    return np.asarray(step if len(basis) == basis.shape[1] else step @ basis.T, dtype=float), decrement


def _downhill(gradient: Array, hessian: Array, gram: Array, idle: NDArray[np.bool_], damping: Array) -> Array:
    """The step where some H + damping G is not positive definite.

    H's eigenvalues in the metric G give way to their absolute values, so that the step points downhill and no singular
    matrix stops a batch.
    """
    metric = gram.copy()
    _diagonal(metric)[:] += _RIDGE * _diagonal(gram) + idle
    white = np.linalg.inv(np.linalg.cholesky(metric))
    across = white.transpose(0, 2, 1)
    eigenvalues, vectors = np.linalg.eigh(white @ hessian @ across)
    back = across @ vectors
    along = (gradient[:, None, :] @ back)[:, 0] / np.maximum(np.abs(eigenvalues) + damping[:, None], 1e-14)
    return -(back @ along[:, :, None])[:, :, 0]


def _diagonal(matrices: Array) -> Array:
    """A view of the diagonals, (m, k)."""
    return np.einsum("mii->mi", matrices)


def _rounding_floor(problem: Problem, weights: Array, count: int) -> Array:
    unit = 1.0 if problem.in_logs else problem.rows.loss
    floor = np.sum(weights * (_ROUNDING * unit) ** 2, axis=-1)
    return np.broadcast_to(floor, (count,))
