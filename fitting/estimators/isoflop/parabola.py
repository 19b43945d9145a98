"""Least squares of a budget's losses on powers of x = ln N, for many resamples at once: the parabola and its vertex.

Losses have shape (n_resamples, n_runs): the table itself is one row.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .budgets import Group

Array = NDArray[np.float64]

_FLAT = 1e-12  # a curve that bends by less than this part of the loss is flat to rounding


@dataclass(frozen=True)
class Curve:
    """Minima of one budget. Arrays have shape (n_resamples,); x, log_d and loss mean nothing where `concave`, and
    lie beyond the sizes where neither `concave` nor `interior`.

    `variance` is that of x for a noise of variance 1 in the losses; NaN for a spline, which has no simple one.
    """

    interior: NDArray[np.bool_]
    concave: NDArray[np.bool_]
    x: Array
    log_d: Array
    loss: Array
    variance: Array


@dataclass(frozen=True)
class Polynomial:
    """Least squares of loss on powers of x - centre over the runs in the window, ready for new losses.

    Variances are for a run's own noise of variance 1. The runs of one size share a deviation of variance `between`
    beside that: then they are not independent.
    """

    used: NDArray[np.bool_]  # of the group's runs, shape (n,)
    centre: float
    design: Array  # (n_used, n_powers)
    solver: Array  # (n_powers, n_used): coefficients = solver @ losses
    spread: Array  # (n_used,): variance of each loss by the runs' own noise
    sizes: NDArray[np.int_]  # (n_used,): the number of each run's size
    between: float  # variance of the deviation that the runs of a size share

    @property
    def covariance(self) -> Array:
        """Of the coefficients, shape (n_powers, n_powers)."""
        of_runs = (self.solver * self.spread) @ self.solver.T
        if not self.between:
            return of_runs
        of_sizes = self.solver @ self._members
        return of_runs + self.between * of_sizes @ of_sizes.T

    @property
    def run_variance(self) -> Array:
        """Of each used run's residual by the runs' own noise, shape (n_used,)."""
        leverage = np.einsum("ij,ji->i", self.design, self.solver)
        covariance = (self.solver * self.spread) @ self.solver.T
        of_fit = np.einsum("ij,jk,ik->i", self.design, covariance, self.design)
        return self.spread * (1 - 2 * leverage) + of_fit

    @property
    def size_variance(self) -> Array:
        """Of each used run's residual by deviations of variance 1 shared by the runs of a size, shape (n_used,)."""
        left = self._members - self.design @ (self.solver @ self._members)
        return np.sum(left**2, axis=1)

    @property
    def residual_variance(self) -> Array:
        """Of each used run's residual, shape (n_used,)."""
        return self.run_variance + self.between * self.size_variance if self.between else self.run_variance

    @property
    def freedom(self) -> int:
        """Used runs beyond the powers."""
        return self.design.shape[0] - self.design.shape[1]

    @property
    def replicates(self) -> int:
        """Used runs beyond the first of their size."""
        return len(self.sizes) - self._members.shape[1]

    def within(self, residuals: Array) -> Array:
        """Sums of squares of `residuals` (..., n_used) about the means of their sizes, on `replicates` degrees."""
        members = self._members
        return np.sum((residuals - residuals @ (members / members.sum(axis=0)) @ members.T) ** 2, axis=-1)

    def squares(self, residuals: Array) -> Array:
        """Sums of squares of `residuals` (..., n_used) on `freedom` degrees: over it, the variance of a run's noise."""
        if self.freedom < 1:
            return np.zeros(residuals.shape[:-1])
        total = np.sum(residuals**2, axis=-1)
        if not self.between:
            return total * (self.freedom / self.residual_variance.sum())
        # What sizes scatter holds both deviations: it is scaled down to its share of a run's noise.
        within, spare = self.within(residuals), self.freedom - self.replicates
        if spare < 1:
            return within
        return within + (total - within) * (spare / (self.residual_variance.sum() - self.replicates))

    def fitted(self, losses: Array) -> Array:
        """The polynomial's losses at the used runs for `losses`, shape (..., n_used)."""
        return losses @ self.solver.T @ self.design.T

    @cached_property
    def _members(self) -> Array:
        """Which runs are of which size, ones and zeros of shape (n_used, n_sizes)."""
        return (self.sizes[:, None] == np.unique(self.sizes)).astype(float)


@dataclass(frozen=True)
class Parabola(Polynomial):
    """The polynomial on (1, x - centre, (x - centre)^2), with the tokens of its runs."""

    tokens: Array  # coefficients of the quadratic of ln D in x

    def log_tokens(self, x: Array) -> Array:
        """ln D at each x."""
        u = x - self.centre
        return self.tokens[0] + self.tokens[1] * u + self.tokens[2] * u * u

    def minima(self, losses: Array) -> Curve:
        """The vertices for `losses`, shape (n_resamples, n_used)."""
        c = losses @ self.solver.T
        curved = np.abs(c[:, 2]) * np.ptp(self.design[:, 1]) ** 2 > _FLAT * np.abs(c[:, 0])
        concave = ~((c[:, 2] > 0) & curved)
        c2 = np.where(concave, 1.0, c[:, 2])
        x = -c[:, 1] / (2 * c2)
        interior = ~concave & (x > self.design[:, 1].min()) & (x < self.design[:, 1].max())
        # Delta method on x = -c1 / (2 c2).
        gradient = np.stack([np.zeros_like(x), -0.5 / c2, -x / c2], axis=1)
        variance = np.einsum("ri,ij,rj->r", gradient, self.covariance, gradient)
        place = x + self.centre
        return Curve(interior, concave, place, self.log_tokens(place), c[:, 0] - c2 * x * x, variance)


def parabola_of(group: Group, used: NDArray[np.bool_]) -> Parabola:
    """The parabola through the `used` runs of a group, shape (n,)."""
    plain = polynomial_of(group, used, 2)
    tokens = plain.solver @ group.log_d[used]
    return Parabola(used, plain.centre, plain.design, plain.solver, plain.spread, plain.sizes, 0.0, tokens)


def polynomial_of(group: Group, used: NDArray[np.bool_], degree: int) -> Polynomial:
    """The polynomial of `degree` through the `used` runs of a group, shape (n,)."""
    x = group.log_n[used]
    centre = float(x.mean())
    design = np.stack([(x - centre) ** power for power in range(degree + 1)], axis=1)
    solver = np.asarray(np.linalg.pinv(design), dtype=float)
    return Polynomial(used, centre, design, solver, 1 / group.counts[used], group.sizes[used], 0.0)
