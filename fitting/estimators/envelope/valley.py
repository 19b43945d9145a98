"""The valley of losses along the line N*(C): a least-squares fit of all curves near their envelope, many at once.

    L(N, C) = L*(C) + k(C) (u^2 / 2 + s u^3 / 6),   u = ln N - ln N*(C),
    ln N*(C) = p0 + p1 ln C,   ln k(C) = k0 + k1 ln C,   L*(C) free at each C.

Chinchilla's law expanded to third order about its optimum at C = 6 N D is of this form exactly, with k a power of
C and s = beta - alpha; p1 is its a. The form is general near any straight valley. Parameters are (p0, p1, k0, k1, s).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

N_PARAMETERS = 5
_ROUNDS = 200
_LEAST_DAMPING, _MOST_DAMPING = 1e-12, 1e8


@dataclass(frozen=True)
class ValleyPoints:
    """Where losses are compared: points (P,) in order of `start`, the first point of each FLOP value.

    `x` is ln N and `c` ln C, both about centres of the caller's choice.
    """

    x: Array
    c: Array
    start: NDArray[np.int_]

    def centred(self, values: Array) -> Array:
        """`values` (..., P) less their mean at each FLOP value: L*(C) drops out."""
        count = np.diff(np.append(self.start, len(self.x)))
        means = np.add.reduceat(values, self.start, axis=-1) / count
        return values - np.repeat(means, count, axis=-1)

    def thinned(self, most: int) -> tuple[ValleyPoints, NDArray[np.int_]]:
        """Every so many FLOP values, to have about `most` points, and which of the points those are."""
        count = np.diff(np.append(self.start, len(self.x)))
        value = np.repeat(np.arange(len(self.start)), count)
        kept = np.flatnonzero(value % -(-len(self.x) // most) == 0)
        start = np.flatnonzero(np.diff(value[kept], prepend=-1) > 0)
        return ValleyPoints(self.x[kept], self.c[kept], start), kept

    def shape(self, theta: Array) -> tuple[Array, Array]:
        """The valley (R, P) and its derivatives (R, P, 5), both centred, at parameters (R, 5)."""
        p0, p1, k0, k1, s = (theta[:, i, None] for i in range(N_PARAMETERS))
        u = self.x - p0 - p1 * self.c
        k = np.exp(k0 + k1 * self.c)
        height = k * (u * u / 2 + s * u**3 / 6)
        slope = -k * (u + s * u * u / 2)
        parts = np.stack([slope, slope * self.c, height, height * self.c, k * u**3 / 6], axis=1)
        return self.centred(height), np.moveaxis(self.centred(parts), 1, 2)


def fit_valley(
    points: ValleyPoints, losses: Array, theta: Array, *, tolerance: float = 1e-9
) -> tuple[Array, NDArray[np.bool_]]:
    """Parameters (R, 5) of least squares for `losses` (R, P), from `theta` (R, 5), and which fits converged.

    A fit has converged when no parameter moves by more than `tolerance`; one that has not holds its best parameters.
    Levenberg and Marquardt's method, within `_bounds`.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # a trial may overflow: it is then no better
        return _fit(points, losses, theta, tolerance)


def _fit(points: ValleyPoints, losses: Array, theta: Array, tolerance: float) -> tuple[Array, NDArray[np.bool_]]:
    goal = points.centred(losses)
    low, high = _bounds(float(losses.mean()))
    theta = theta.copy()
    damping = np.full(len(theta), 1e-3)
    done = np.zeros(len(theta), dtype=bool)
    converged = done.copy()
    model, jacobian = points.shape(theta)
    residual = goal - model
    cost = np.sum(residual**2, axis=1)
    normal, gradient = _normal(jacobian, residual)
    for _ in range(_ROUNDS):
        live = np.flatnonzero(~done)
        if not len(live):
            break
        pressed = ((theta[live] <= low) & (gradient[live] < 0)) | ((theta[live] >= high) & (gradient[live] > 0))
        step = _step(normal[live], gradient[live], damping[live], pressed)
        trial = np.clip(theta[live] + step, low, high)
        model, jacobian = points.shape(trial)
        residual = goal[live] - model
        new = np.sum(residual**2, axis=1)
        better = new <= cost[live]  # False where the trial overflowed
        small = np.max(np.abs(trial - theta[live]), axis=1) < tolerance
        taken = live[better]
        theta[taken], cost[taken] = trial[better], new[better]
        normal[taken], gradient[taken] = _normal(jacobian[better], residual[better])
        damping[live] = np.clip(damping[live] * np.where(better, 0.2, 5.0), _LEAST_DAMPING, None)
        converged[live[small]] = True
        done[live] = small | (damping[live] > _MOST_DAMPING)
    return theta, converged


def _normal(jacobian: Array, residual: Array) -> tuple[Array, Array]:
    transposed = np.swapaxes(jacobian, 1, 2)
    return transposed @ jacobian, (transposed @ residual[:, :, None])[:, :, 0]


def is_flat(theta: Array, losses: Array) -> bool:
    """Whether k of one fit's parameters (5,) lies on its lower bound."""
    low, _ = _bounds(float(losses.mean()))
    return bool(theta[2] <= low[2] + 1e-6)


def _bounds(loss: float) -> tuple[Array, Array]:
    """Lowest and highest parameters, about what published laws have: noise must not flatten the valley.

    There k is 1 to 20 % of the loss and falls as C^-.04 to C^-.33, and s lies between -.31 and .07.
    """
    low = np.array([-np.inf, -np.inf, np.log(0.002 * loss), -0.35, -0.4])
    return low, np.array([np.inf, np.inf, np.log(2 * loss), -0.02, 0.4])


def _step(normal: Array, gradient: Array, damping: Array, pressed: NDArray[np.bool_]) -> Array:
    """Damped steps (R, 5), none along a parameter that is `pressed` against its bound."""
    free = ~pressed
    normal = normal * free[:, :, None] * free[:, None, :]
    gradient = gradient * free
    diagonal = np.einsum("rii->ri", normal)
    least = 1e-14 * diagonal.max(axis=1, keepdims=True) + 1e-300
    ridge = np.maximum(diagonal, least) * damping[:, None] + least
    damped = normal + ridge[:, :, None] * np.eye(N_PARAMETERS)
    return cast("Array", np.linalg.solve(damped, gradient[:, :, None]))[:, :, 0]
