"""Damped Newton for any form, many problems side by side: the optimiser of the laws that have none of their own.

A problem is a row of theta, shape (p,); a form predicts, for m rows, the losses (or their logs) of all n runs at
once. Residuals are target - prediction; the row loss is Huber's of half-width `delta`, or the square (delta None).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
# Sum over runs of a coefficient times the second derivatives of its prediction: (m, n) -> (m, p, p).
Bend = Callable[[Array], Array]

MAX_ITERATIONS = 200
_CHUNK_CELLS = 60_000  # runs times parameters times problems worked on at once: what stays in a core's cache
_TOLERANCE = 1e-13  # of the Newton decrement, relative to the objective
_ROUNDING = 1e-13  # a relative residual this small is rounding: nothing is left to fit
_STEP = 3e-5  # of the differences: their error in a slope is then about 1e-8 of it


class Form(Protocol):
    """A law as the optimiser sees it. `value` is (m, n); NaN where the law has no value: such a step is refused."""

    def value(self, theta: Array, /) -> Array: ...

    def jet(self, theta: Array, /) -> tuple[Array, Array, Bend]:
        """The values (m, n), their slopes (m, p, n) and their weighted second derivatives."""
        ...


@dataclass(frozen=True)
class Differenced:
    """A form known by its values alone: central differences, with components of size 1 or in logs."""

    value: Callable[[Array], Array]

    def jet(self, theta: Array) -> tuple[Array, Array, Bend]:
        count = theta.shape[1]
        middle = self.value(theta)
        up = [self.value(_moved(theta, i)) for i in range(count)]
        down = [self.value(_moved(theta, i, sign=-1)) for i in range(count)]
        slopes = np.stack([(up[i] - down[i]) / (2 * _STEP) for i in range(count)], axis=1)

        def bend(coefficients: Array) -> Array:
            out = np.empty((len(theta), count, count))
            for i in range(count):
                own = up[i] - 2 * middle + down[i]
                out[:, i, i] = np.sum(coefficients * own, axis=1)
                for j in range(i):
                    both, neither = self.value(_moved(theta, i, j)), self.value(_moved(theta, i, j, sign=-1))
                    cross = both + neither - up[i] - down[i] - up[j] - down[j] + 2 * middle
                    out[:, i, j] = out[:, j, i] = np.sum(coefficients * cross, axis=1) / 2
            return out / _STEP**2

        return middle, slopes, bend


@dataclass(frozen=True)
class Solution:
    """Where each problem ended: theta (m, p), the objective's sum (m,), whether it converged (m,)."""

    theta: Array
    value: Array
    converged: NDArray[np.bool_]


def row_losses(residual: Array, delta: float | None) -> Array:
    """Huber's r^2/2 up to `delta`, delta (|r| - delta/2) beyond it; r^2 for None. inf where r is NaN."""
    size = np.abs(residual)
    if delta is None:
        loss = size * size
    else:
        inside = np.minimum(size, delta)
        loss = inside * (size - 0.5 * inside)
    return np.where(np.isnan(loss), np.inf, loss)


def objective(form: Form, target: Array, theta: Array, weights: Array, delta: float | None) -> Array:
    """The weighted sum of row losses, shape (m,); `weights` is (n,) or (m, n)."""
    losses = row_losses(target - form.value(theta), delta)
    return np.sum(np.where(weights > 0, losses * weights, 0.0), axis=-1)


def minimise(
    form: Form,
    target: Array,
    start: Array,
    weights: Array,
    delta: float | None,
    *,
    lower: ArrayLike = -np.inf,
    upper: ArrayLike = np.inf,
    max_iterations: int = MAX_ITERATIONS,
) -> Solution:
    """Minimise from each row of `start` (m, p); `weights` is (n,) for all problems or (m, n), one row each.

    `lower` and `upper` broadcast to (m, p); a component whose bounds agree is fixed, and one at -infinity (the log
    of a parameter that is 0) stays there. No exception leaves: a problem that does not converge says so.
    """
    lows, highs = (np.broadcast_to(np.asarray(bound, dtype=float), start.shape) for bound in (lower, upper))
    size = max(1, _CHUNK_CELLS // (len(target) * start.shape[1]))
    parts: list[Solution] = []
    for first in range(0, len(start), size):
        chunk = slice(first, first + size)
        own = weights if weights.ndim == 1 else weights[chunk]
        problem = _Problem(form, target, own, delta, lows[chunk], highs[chunk])
        with np.errstate(all="ignore"):
            parts.append(_descend(problem, start[chunk], max_iterations))
    return Solution(
        np.concatenate([part.theta for part in parts]),
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.converged for part in parts]),
    )


@dataclass(frozen=True)
class _Problem:
    form: Form
    target: Array
    weights: Array
    delta: float | None
    lower: Array
    upper: Array

    def of(self, live: NDArray[np.intp]) -> _Problem:
        weights = self.weights if self.weights.ndim == 1 else self.weights[live]
        return _Problem(self.form, self.target, weights, self.delta, self.lower[live], self.upper[live])

    def objective(self, theta: Array) -> Array:
        return objective(self.form, self.target, theta, self.weights, self.delta)


def _descend(problem: _Problem, start: Array, max_iterations: int) -> Solution:
    theta = np.clip(start, problem.lower, problem.upper)
    best = problem.objective(theta)
    floor = np.broadcast_to(np.sum(problem.weights * (_ROUNDING * problem.target) ** 2, axis=-1), best.shape)
    damping = np.full(len(theta), 1e-3)
    converged = np.zeros(len(theta), dtype=bool)
    live = np.flatnonzero(np.isfinite(best))
    for _ in range(max_iterations):
        if not len(live):
            break
        own = problem.of(live)
        step, decrement = _newton_step(own, theta[live], damping[live])
        trial = np.clip(theta[live] + step, own.lower, own.upper)
        trial_value = own.objective(trial)
        # Near the optimum the true decrease drowns in rounding; there the step is trusted.
        better = trial_value <= best[live] * (1 + 1e-15)
        small = decrement <= _TOLERANCE * best[live] + floor[live]
        accepted = live[better]
        theta[accepted] = trial[better]
        best[accepted] = np.minimum(trial_value[better], best[accepted])
        damping[live] = np.where(better, np.maximum(damping[live] * 0.1, 1e-15), damping[live] * 8)
        done = small & (damping[live] < 1e-2)
        converged[live[done]] = True
        live = live[~(done | (damping[live] > 1e8))]
    return Solution(theta, best, converged)


def condition_number(form: Form, theta: Array, weights: Array, free: NDArray[np.bool_]) -> float:
    """Of the Gauss-Newton matrix at `theta` (p,), scaled to a unit diagonal, over the `free` parameters (p,)."""
    with np.errstate(all="ignore"):
        slopes = form.jet(theta[None])[1][0][free] * np.sqrt(weights)
    sizes = np.linalg.norm(slopes, axis=1)
    if not free.any() or not np.isfinite(slopes).all() or not (sizes > 0).all():
        return float("inf")
    singular = np.linalg.svd(slopes / sizes[:, None], compute_uv=False)
    return float((singular[0] / singular[-1]) ** 2) if singular[-1] > 0 else float("inf")


def _newton_step(problem: _Problem, theta: Array, damping: Array) -> tuple[Array, Array]:
    """The step (m, p) and the decrease it promises (m,).

    In units of each parameter's own curvature the Hessian's eigenvalues are about 1; their absolute values plus the
    damping are inverted, so that the step always points downhill and no singular matrix stops a batch. Parameters
    held by a bound are left out.
    """
    gradient, hessian, scale = _derivatives(problem, theta)
    held = (theta <= problem.lower) & (gradient > 0) | (theta >= problem.upper) & (gradient < 0)
    held |= (problem.lower == problem.upper) | ~np.isfinite(theta)
    unit = np.sqrt(np.where(scale > 0, scale, 1.0))
    scaled = hessian / (unit[:, :, None] * unit[:, None, :])
    slope = np.where(held, 0.0, gradient / unit)
    either = held[:, :, None] | held[:, None, :]
    identity = np.eye(theta.shape[1])
    scaled = np.where(either, identity, scaled)
    usable = np.isfinite(scaled).all(axis=(1, 2)) & np.isfinite(slope).all(axis=1)
    scaled[~usable], slope[~usable] = identity, 0.0
    eigenvalues, vectors = np.linalg.eigh(scaled)
    along = np.einsum("mij,mi->mj", vectors, slope)
    curvature = np.maximum(np.abs(eigenvalues) + damping[:, None], 1e-14)
    step = -np.einsum("mij,mj->mi", vectors, along / curvature) / unit
    decrement = np.where(usable, 0.5 * np.sum(along * along / curvature, axis=1), np.inf)
    return step, decrement


def _derivatives(problem: _Problem, theta: Array) -> tuple[Array, Array, Array]:
    """Gradient (m, p), Hessian (m, p, p) and the diagonal of the reweighted Gauss-Newton matrix (m, p).

    Unlike the Hessian's, that diagonal cannot vanish where every residual lies outside `delta`.
    """
    value, slopes, bend = problem.form.jet(theta)
    residual = problem.target - value
    if problem.delta is None:
        slope, curvature, reweighted = 2 * residual, np.full_like(residual, 2.0), np.full_like(residual, 2.0)
    else:
        size = np.abs(residual)
        reweighted = problem.delta / np.maximum(size, problem.delta)
        slope, curvature = residual * reweighted, (size <= problem.delta).astype(float)
    slope, curvature, reweighted = (part * problem.weights for part in (slope, curvature, reweighted))
    across = slopes.transpose(0, 2, 1)
    hessian = (slopes * curvature[:, None, :]) @ across - bend(slope)
    gradient = -np.einsum("mn,mpn->mp", slope, slopes)
    return gradient, hessian, np.einsum("mn,mpn->mp", reweighted, slopes * slopes)


def _moved(theta: Array, *columns: int, sign: int = 1) -> Array:
    out = theta.copy()
    out[:, columns] += sign * _STEP
    return out
