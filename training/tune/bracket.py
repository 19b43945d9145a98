"""Where a loss is least along a learning rate (or a batch), and whether the values tried show it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...fitting.errors import FitError

INTERIOR, ON_EDGE = "interior", "on edge"
DRAWS = 4000  # of the noise, for an interval
_NEAREST = 4  # lowest losses of an arm, by which its noise is judged: it grows at rates too high


@dataclass(frozen=True)
class Bracketed:
    """The minimum of one arm. Values are rates (or batches); losses are means over seeds, inf where a run diverged.

    `best` is the vertex of the parabola in ln value through the lowest loss and its two neighbours; on an edge it
    is the value of the lowest loss. `wide` is the vertex of the parabola through all points, for comparison,
    and None where that lies beyond them.
    """

    values: tuple[float, ...]
    losses: tuple[float, ...]
    verdict: str
    best: float
    loss: float  # at `best`
    low: float | None  # 95 %
    high: float | None
    wide: float | None

    @property
    def edge(self) -> int:
        """-1 where the lowest loss is at the least value tried, 1 at the greatest, else 0.

        It is 0 and yet no minimum is shown where the next value up diverged.
        """
        place = int(np.argmin(self.losses))
        return -1 if place == 0 else int(place == len(self.losses) - 1)

    def cost(self, value: float) -> float | None:
        """Nats above the minimum at `value`, tried or not, by the parabola through `best`; None on an edge."""
        if self.verdict != INTERIOR:
            return None
        place = int(np.argmin(self.losses))
        three = slice(place - 1, place + 2)
        middle = math.log(self.values[place])
        parabola = np.polyfit(np.log(self.values[three]) - middle, self.losses[three], 2)
        return float(np.polyval(parabola, math.log(value) - middle)) - self.loss


def bracket(values: Sequence[float], losses: Sequence[float], noise: float | None = None) -> Bracketed:
    """The minimum of `losses` over `values` (ascending); `noise` is a loss's standard deviation, if known.

    The interval is of the vertex under that noise in each of its three losses, cut off at the two neighbours.

    Raises:
        FitError: every loss is infinite.
    """
    log_values, found = np.log(values), np.asarray(losses, dtype=float)
    place = int(np.argmin(found))
    if not math.isfinite(found[place]):
        raise FitError(f"every rate tried from {values[0]:.3g} to {values[-1]:.3g} diverged: try lower ones")
    three = slice(place - 1, place + 2)
    inside = 0 < place < len(found) - 1 and bool(np.isfinite(found[three]).all())
    finite = np.isfinite(found)
    wide = _vertex(log_values[finite], found[finite]) if finite.sum() > 2 else None
    wide = math.exp(wide) if wide is not None and log_values[0] <= wide <= log_values[-1] else None
    common = {"values": tuple(values), "losses": tuple(float(loss) for loss in found), "wide": wide}
    if not inside:
        best = float(values[place])
        return Bracketed(**common, verdict=ON_EDGE, best=best, loss=float(found[place]), low=None, high=None)
    x, y = log_values[three], found[three]
    vertex = _vertex(x, y)
    vertex = float(x[1]) if vertex is None else vertex  # three equal losses
    low, high = (None, None) if noise is None else _interval(x, y, noise)
    loss = float(np.polyval(np.polyfit(x - x[1], y, 2), vertex - x[1]))
    return Bracketed(**common, verdict=INTERIOR, best=math.exp(vertex), loss=loss, low=low, high=high)


def _vertex(x: NDArray[np.float64], y: NDArray[np.float64]) -> float | None:
    """Where the least-squares parabola is least; None where it has no minimum."""
    curvature, slope, _ = np.polyfit(x - x.mean(), y, 2)
    return float(x.mean() - slope / (2 * curvature)) if curvature > 0 else None


def _interval(x: NDArray[np.float64], y: NDArray[np.float64], noise: float) -> tuple[float, float]:
    drawn = y + noise * np.random.default_rng(0).standard_normal((DRAWS, 3))
    # Divided differences: exact for three points, whatever their spacing.
    left, right = (drawn[:, 1] - drawn[:, 0]) / (x[1] - x[0]), (drawn[:, 2] - drawn[:, 1]) / (x[2] - x[1])
    curvature = (right - left) / (x[2] - x[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        vertex = (x[0] + x[1]) / 2 - left / (2 * curvature)
    ends = np.where(drawn[:, 0] < drawn[:, 2], x[0], x[2])
    vertex = np.clip(np.where(curvature > 0, vertex, ends), x[0], x[2])
    low, high = np.exp(np.percentile(vertex, [2.5, 97.5]))
    return float(low), float(high)


def noise_of(arms: Sequence[tuple[Sequence[float], Sequence[Sequence[float]]]]) -> float | None:
    """The standard deviation of a mean loss near the minimum, from the 4 lowest of each arm: (values, seeds' losses).

    Of several seeds it is what is left of their losses beside the means of each rate and each seed: all rates have the
    same seeds, and what is common to a seed moves no minimum. Of one seed it is the scatter around a parabola in ln
    value, which also holds what the loss is not parabolic by. None where nothing is left to judge by.
    """
    squares, freedom, seeds = 0.0, 0, 1
    for values, losses in arms:
        table = np.array([list(group) for group in losses])
        means = table.mean(axis=1)
        lowest = np.sort(np.argsort(means, kind="stable")[:_NEAREST])
        lowest = lowest[np.isfinite(means[lowest])]
        table, seeds = table[lowest], table.shape[1]
        if seeds > 1 and len(lowest) > 1:
            left = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
            squares += float((left**2).sum())
            freedom += (len(lowest) - 1) * (seeds - 1)
        elif seeds == 1 and len(lowest) == _NEAREST:
            x = np.log(np.asarray(values)[lowest])
            squares += float(np.polyfit(x - x.mean(), table[:, 0], 2, full=True)[1][0])
            freedom += 1
    return math.sqrt(squares / freedom / seeds) if freedom else None
