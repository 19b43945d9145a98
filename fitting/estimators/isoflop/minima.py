"""The size of least loss within one budget, by a windowed parabola or an Akima spline; resampled, all at once.

Below x = ln N. Losses have shape (n_resamples, n_runs): the table itself is one row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...results import MinimumStatus
from .akima import spline_minimum
from .budgets import Group
from .parabola import Curve, Parabola, Polynomial, parabola_of, polynomial_of

Array = NDArray[np.float64]

PARABOLA_SIZES = 3  # distinct sizes a parabola needs
AKIMA_SIZES = 4  # distinct sizes below which a spline shows nothing that a parabola does not
WINDOW_SIZES = 4  # sizes the window keeps at least, so that the noise shows
_WINDOW_ROUNDS = 20
_CUBIC_SIZES = 6
_FARTHEST = 100.0  # in ln N


@dataclass(frozen=True)
class BudgetMinimum:
    """A group with its parabola (None with too few sizes) and the minimum of the table's own losses by `method`."""

    group: Group
    method: str
    parabola: Parabola | None
    curve: Curve | None
    status: MinimumStatus

    @property
    def interior(self) -> bool:
        """Whether the minimum enters the line."""
        return self.status is MinimumStatus.INTERIOR

    @property
    def shape(self) -> Parabola:
        """The parabola of a budget that has one."""
        assert self.parabola is not None
        return self.parabola

    @property
    def found(self) -> Curve:
        """The curve of a budget that has one."""
        assert self.curve is not None
        return self.curve

    @cached_property
    def smooth(self) -> Polynomial:
        """What the losses scatter about: the parabola, or beside a spline a cubic where six sizes bear one.

        A spline is chosen where the curves are no parabolas: the misfit of one would pass for noise.
        """
        used = self.shape.used
        cubic = self.method == "akima" and len(np.unique(self.group.sizes[used])) >= _CUBIC_SIZES
        return replace(polynomial_of(self.group, used, 3), between=self.shape.between) if cubic else self.shape

    def vertex(self) -> Curve | None:
        """The parabola's vertex for the table's own losses, wherever it lies; None where it opens downwards.

        None too where the curve is so flat that its vertex is no number of parameters.
        """
        if self.parabola is None:
            return None
        vertex = self.parabola.minima(self.group.loss[None, self.parabola.used])
        lost = vertex.concave[0] or abs(vertex.x[0] - self.parabola.centre) > _FARTHEST
        return None if lost else vertex

    def sharing(self, between: float) -> BudgetMinimum:
        """The same minimum where runs of a size share a deviation of `between` times the variance of a run's noise."""
        if self.parabola is None or not between:
            return self
        parabola = replace(self.parabola, between=between)
        curve = None if self.curve is None else _minima(self.group, parabola, self.method, self.group.loss[None])
        return replace(self, parabola=parabola, curve=curve)

    def minima(self, losses: Array) -> Curve:
        """The minima of other losses of the same runs, shape (n_resamples, n_runs)."""
        return _minima(self.group, self.shape, self.method, losses)


def minimum_of(group: Group, method: str, window: float | None) -> BudgetMinimum:
    """The minimum of a group's own losses by `method`, "parabola" (over `window`) or "akima"."""
    parabola = windowed_parabola(group, window)
    if group.wide:
        return BudgetMinimum(group, method, parabola, None, MinimumStatus.WIDE)
    if parabola is None or (method == "akima" and group.n_sizes < AKIMA_SIZES):
        return BudgetMinimum(group, method, parabola, None, MinimumStatus.TOO_FEW)
    curve = _minima(group, parabola, method, group.loss[None])
    if curve.interior[0]:
        return BudgetMinimum(group, method, parabola, curve, MinimumStatus.INTERIOR)
    status = MinimumStatus.CONCAVE if curve.concave[0] else MinimumStatus.EDGE
    return BudgetMinimum(group, method, parabola, curve, status)


def windowed_parabola(group: Group, window: float | None) -> Parabola | None:
    """The parabola through the runs whose loss is within `window` (a fraction) of the least; None: all runs.

    The least is the lowest run at first, then the parabola's own minimum where that lies between runs, until the
    choice repeats. At least the four sizes nearest to the minimum stay. Returns None with fewer than 3 sizes.
    """
    if group.n_sizes < PARABOLA_SIZES:
        return None
    if window is None:
        return parabola_of(group, np.ones(len(group.loss), dtype=bool))
    lowest = int(np.argmin(group.loss))
    x_best, least = group.log_n[lowest], group.loss[lowest]
    seen: set[bytes] = set()
    parabola = None
    for _ in range(_WINDOW_ROUNDS):
        used = group.loss <= least * (1 + window)
        used |= _nearest(group, x_best)
        if used.tobytes() in seen:
            break
        seen.add(used.tobytes())
        parabola = parabola_of(group, used)
        curve = parabola.minima(group.loss[None, used])
        if curve.interior[0]:
            x_best, least = curve.x[0], curve.loss[0]
    return parabola


def spline_knots(group: Group) -> tuple[Array, Array]:
    """The group's sizes as knots, shape (n_sizes,), and the averaging of runs over them, shape (n_runs, n_sizes)."""
    mean = np.zeros((len(group.sizes), group.n_sizes))
    mean[np.arange(len(group.sizes)), group.sizes] = group.counts
    mean /= mean.sum(axis=0)
    return group.log_n @ mean, mean


def _minima(group: Group, parabola: Parabola, method: str, losses: Array) -> Curve:
    if method == "parabola":
        return parabola.minima(losses[:, parabola.used])
    return _akima(group, parabola, losses)


def _akima(group: Group, parabola: Parabola, losses: Array) -> Curve:
    """The lowest point of an Akima spline of ln loss on x through the group's sizes, replicates averaged.

    On the first or last knot it is no minimum. ln D there comes from the windowed parabola's tokens.
    """
    knots, mean = spline_knots(group)
    # Noise may not take a loss to zero: those resamples have no logarithm and count as failed.
    averaged = losses @ mean
    positive = np.all(averaged > 0, axis=1)
    x, lowest = spline_minimum(knots, np.log(np.where(positive[:, None], averaged, 1.0)))
    interior = positive & (x > knots[0]) & (x < knots[-1])
    nothing = np.full(len(x), np.nan)
    return Curve(interior, np.zeros_like(interior), x, parabola.log_tokens(x), np.exp(lowest), nothing)


def _nearest(group: Group, x_best: float) -> NDArray[np.bool_]:
    distance = np.full(group.n_sizes, np.inf)
    np.minimum.at(distance, group.sizes, np.abs(group.log_n - x_best))
    nearest = np.argsort(distance, kind="stable")[:WINDOW_SIZES]
    return np.isin(group.sizes, nearest)


def shifted(curve: Curve, parabola: Parabola, by: Array) -> Curve:
    """The same minima moved by `by` in x, shape (n_resamples,), along the group's tokens."""
    x = curve.x + by
    return replace(curve, x=x, log_d=parabola.log_tokens(x))
