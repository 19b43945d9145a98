"""The line N*(C): the bottom of the valley that the losses near it make, wherever sizes on both sides are there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import FitError
from .grid import Grid
from .valley import N_PARAMETERS, ValleyPoints, fit_valley, is_flat

Array = NDArray[np.float64]

MIN_SIZES = 3  # that hold the envelope in turn, and that cover a FLOP value
_REACH = float(np.log(4.0))  # sizes within a factor 4 of N* shape the valley, and the nearest MIN_SIZES
_CURVATURE = 0.02  # where the search for k starts, as a fraction of the loss
_DECAY = -0.15  # and where that for its power of C does
_ROUNDS = 5


@dataclass(frozen=True)
class Line:
    """The valley at the centre of ln C and ln N, and the FLOP values and sizes that shaped it."""

    grid: Grid
    centre_c: float
    centre_x: float
    size: NDArray[np.int_]  # (P,) of each point
    place: NDArray[np.int_]  # (P,) its FLOP value
    points: ValleyPoints
    theta: Array  # (5,)
    converged: bool

    @property
    def flat(self) -> bool:
        """Whether the valley is as shallow as it may be: its bottom is then anywhere."""
        return is_flat(self.theta, self.losses)

    @property
    def losses(self) -> Array:
        """(P,)"""
        return self.grid.loss[self.size, self.place]

    def lines(self, theta: Array) -> Array:
        """(R, 4): ln coefficient and exponent of N*, then of D*, for parameters (R, 5)."""
        places = np.unique(self.place)
        c = self.grid.log_flops[places] - self.centre_c
        x = theta[:, :1] + theta[:, 1:2] * c
        log_d = np.empty_like(x)
        for i, place in enumerate(places):
            near = self.size[self.place == place]
            # ln D is smooth in ln N at one C: a straight line wherever C is 6 N D.
            sizes = self.grid.log_n[near] - self.centre_x
            log_d[:, i] = np.polyval(np.polyfit(sizes, self.grid.log_d[near, place], min(2, len(near) - 2)), x[:, i])
        offset = c - c.mean()
        slope = log_d @ offset / (offset @ offset)
        level = log_d.mean(axis=1) - slope * c.mean()
        return np.stack(
            [
                theta[:, 0] + self.centre_x - theta[:, 1] * self.centre_c,
                theta[:, 1],
                level - slope * self.centre_c,
                slope,
            ],
            axis=1,
        )


def holders(grid: Grid) -> tuple[NDArray[np.int_], NDArray[np.bool_]]:
    """The size of least loss at each FLOP value, and whether smaller and larger ones are there to compare."""
    losses = np.where(np.isnan(grid.loss), np.inf, grid.loss)
    holder = losses.argmin(axis=0)
    there = np.isfinite(losses)
    sizes = np.arange(len(grid.log_n))[:, None]
    inner = (there & (sizes < holder)).any(axis=0) & (there & (sizes > holder)).any(axis=0)
    return holder, inner


def fit_line(grid: Grid, holder: NDArray[np.int_], inner: NDArray[np.bool_]) -> Line:
    """The valley through the points near it: the line decides which those are, until they stay the same."""
    centre_c, centre_x = float(grid.log_flops.mean()), float(grid.log_n.mean())
    c = grid.log_flops - centre_c
    slope, height = np.polyfit(c[inner], grid.log_n[holder[inner]] - centre_x, 1)
    typical = float(np.nanmean(grid.loss))
    theta = np.array([height, slope, np.log(_CURVATURE * typical), _DECAY, 0.0])
    line: Line | None = None
    for _ in range(_ROUNDS):
        near = _near(grid, centre_x + theta[0] + theta[1] * c)
        if near.any(axis=0).sum() < N_PARAMETERS:
            raise FitError(
                "nowhere along the envelope do sizes on both sides of N* cover one FLOP value: train more sizes, each "
                "over more compute"
            )
        place, size = np.nonzero(near.T)
        if line is not None and np.array_equal(line.place, place) and np.array_equal(line.size, size):
            break
        start = np.flatnonzero(np.append(True, np.diff(place) > 0))
        points = ValleyPoints(grid.log_n[size] - centre_x, c[place], start)
        found, converged = fit_valley(points, grid.loss[size, place][None], theta[None])
        theta = found[0]
        line = Line(grid, centre_c, centre_x, size, place, points, theta, bool(converged[0]))
    assert line is not None  # there is a first round
    return line


def _near(grid: Grid, best: Array) -> NDArray[np.bool_]:
    """(S, G): the losses that shape the valley, where ln N* is `best` (G,)."""
    there = np.isfinite(grid.loss)
    distance = grid.log_n[:, None] - best
    inside = (
        (there & (distance < 0)).any(axis=0) & (there & (distance > 0)).any(axis=0) & (there.sum(axis=0) >= MIN_SIZES)
    )
    away = np.where(there, np.abs(distance), np.inf)
    nearest = away.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable") < MIN_SIZES
    return there & inside & ((away <= _REACH) | nearest)
