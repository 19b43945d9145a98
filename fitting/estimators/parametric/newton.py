"""Damped Newton for the parameters of the Chinchilla form, many problems side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .objectives import Array, Problem, evaluate

MAX_ITERATIONS = 200
_CHUNK_CELLS = 12_000  # rows times problems worked on at once: what stays in a core's cache
_TOLERANCE = 1e-14  # of the Newton decrement, relative to the objective
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


def minimise(problem: Problem, start: Array, weights: Array, max_iterations: int = MAX_ITERATIONS) -> Solution:
    """Minimise from each row of `start` (m, 5); `weights` is (n,) for all problems or (m, n), one row each.

    A component of `start` at -infinity (a term that is absent) stays there. No exception leaves: a problem that
    does not converge says so.
    """
    size = max(1, _CHUNK_CELLS // len(problem.rows.x))
    parts = [Solution(np.empty((0, 5)), np.empty(0), np.empty(0, dtype=bool))]
    for first in range(0, len(start), size):
        chunk = slice(first, first + size)
        own = weights if weights.ndim == 1 else weights[chunk]
        parts.append(_minimise_chunk(problem, start[chunk], own, max_iterations))
    return Solution(
        np.concatenate([part.theta for part in parts]),
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.converged for part in parts]),
    )


def _minimise_chunk(problem: Problem, start: Array, weights: Array, max_iterations: int) -> Solution:
    count = len(start)
    floor = _rounding_floor(problem, weights, count)
    theta, best, converged = start.copy(), np.empty(count), np.zeros(count, dtype=bool)
    live, at, own = np.arange(count), start, weights
    damping = np.full(count, 1e-3)
    lowest, *local = evaluate(problem, at, own)
    step, decrement = _newton_step(problem.basis, local, damping)
    for _ in range(max_iterations):
        trial = at + step
        trial_value, *trial_local = evaluate(problem, trial, own)
        # Near the optimum the true decrease drowns in rounding; there the step is trusted.
        better = trial_value <= lowest * (1 + 1e-15)
        small = decrement <= _TOLERANCE * lowest + floor[live]
        if better.all():
            at, lowest, local = trial, np.minimum(trial_value, lowest), trial_local
            damping = np.maximum(damping * 0.1, 1e-15)
        else:
            at = np.where(better[:, None], trial, at)
            lowest = np.where(better, np.minimum(trial_value, lowest), lowest)
            for i, new in enumerate(trial_local):
                local[i] = np.where(better.reshape(-1, *[1] * (new.ndim - 1)), new, local[i])
            damping = np.where(better, np.maximum(damping * 0.1, 1e-15), damping * 8)
        done = small & (damping < 1e-2)
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
    """The step in theta (m, 5) and the decrease it promises (m,).

    In units of each parameter's own curvature the Hessian's eigenvalues are about 1; their absolute values plus
    the damping are inverted, so that the step always points downhill and no singular matrix stops a batch.
    """
    gradient, hessian, scale = local
    unit = np.sqrt(np.where(scale > 0, scale, 1.0))
    scaled = hessian / (unit[:, :, None] * unit[:, None, :])
    slope = gradient / unit
    if not np.isfinite(scaled.sum() + slope.sum()):
        usable = np.isfinite(scaled).all(axis=(1, 2)) & np.isfinite(slope).all(axis=1)
        scaled[~usable], slope[~usable] = np.eye(scaled.shape[1]), 0.0
    eigenvalues, vectors = np.linalg.eigh(scaled)
    along = (slope[:, None, :] @ vectors)[:, 0]
    curvature = np.maximum(np.abs(eigenvalues) + damping[:, None], 1e-14)
    step = -(vectors @ (along / curvature)[:, :, None])[:, :, 0] / unit
    decrement = 0.5 * np.sum(along * along / curvature, axis=1)
    return (step if basis.shape[1] == 5 else step @ basis.T), decrement


def _rounding_floor(problem: Problem, weights: Array, count: int) -> Array:
    unit = 1.0 if problem.in_logs else problem.rows.loss
    floor = np.sum(weights * (_ROUNDING * unit) ** 2, axis=-1)
    return np.broadcast_to(floor, (count,))
