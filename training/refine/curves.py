"""What a sweep's runs show of each budget: its sizes, the loss of each, and on which side its minimum lies."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ...fitting.results import Minimum, MinimumStatus
from ..plan import Plan
from .ladder import Ladder

_SPACING = math.log(2)  # in ln N, where a budget has one size
_SURE = 4.0  # standard errors of a curvature that is believed


@dataclass(frozen=True)
class Size:
    """A planned size of one budget; `loss` is the mean of its fitted runs, nats per token, None where there is none."""

    width: int
    log_n: float
    loss: float | None
    seeds: int


@dataclass(frozen=True)
class Curve:
    """One budget: its minimum as the fit finds it, its planned sizes, and those `tried`, which have a loss.

    Sizes are in order of N. A budget with a minimum has one size at least that was tried.
    """

    minimum: Minimum
    planned: tuple[Size, ...]
    tried: tuple[Size, ...]

    @property
    def budget(self) -> float:
        """Planned FLOPs of a run."""
        return self.minimum.budget

    @property
    def interior(self) -> bool:
        """Whether the fit finds the minimum inside the sizes."""
        return self.minimum.status is MinimumStatus.INTERIOR

    @property
    def lowest(self) -> int:
        """The place in `tried` of the size of least loss."""
        losses = [math.inf if size.loss is None else size.loss for size in self.tried]
        return losses.index(min(losses))

    @property
    def spacing(self) -> float:
        """The mean distance of neighbours in ln N."""
        if len(self.tried) == 1:
            return _SPACING
        return (self.tried[-1].log_n - self.tried[0].log_n) / (len(self.tried) - 1)

    @property
    def vertex(self) -> float | None:
        """ln N of the parabola's vertex beyond the sizes; None where it has none there."""
        beyond = self.minimum.extrapolated_n_params
        return None if beyond is None else math.log(beyond)

    @property
    def sides(self) -> list[int]:
        """The edges that the minimum may lie beyond: -1 the lower, 1 the upper; none where it lies between sizes.

        The lowest loss decides, where it is at an edge: a parabola through a steep flank bends up before its lower end.
        """
        if len(self.tried) == 1:
            return [-1, 1]
        if self.lowest in (0, len(self.tried) - 1):
            return [1 if self.lowest else -1]
        if self.vertex is None or self.tried[0].log_n < self.vertex < self.tried[-1].log_n:
            return []
        return [-1 if self.vertex <= self.tried[0].log_n else 1]

    @property
    def bends_surely(self) -> bool:
        """Whether the parabola's vertex beyond the sizes is worth believing: its curvature is well above the noise.

        Three sizes cannot show it, as a parabola passes through any three.
        """
        return (self.minimum.curvature_snr or 0.0) >= _SURE

    @property
    def guess(self) -> float | None:
        """ln N* by this budget alone: its minimum if that is bracketed, else the vertex beyond the sizes."""
        if self.interior:
            return None if self.sides or self.minimum.n_params is None else math.log(self.minimum.n_params)
        return self.vertex if self.bends_surely else None

    def edge(self, side: int) -> Size:
        """The outermost size tried, -1 the lower, 1 the upper."""
        return self.tried[-1 if side > 0 else 0]


def curves_of(plan: Plan, minima: Iterable[Minimum], losses: Mapping[str, float], ladder: Ladder) -> list[Curve]:
    """A curve for each of `minima`; `losses` are those of the runs that the fit used, by run id."""
    found = {minimum.budget: minimum for minimum in minima}
    cells: dict[float, dict[int, list[float | None]]] = {budget: {} for budget in found}
    for cell in plan.cells:
        if cell.budget in found:
            cells[cell.budget].setdefault(cell.shape.width, []).append(losses.get(cell.run_id))
    curves = []
    for budget, minimum in found.items():
        planned = tuple(
            Size(width, ladder.log_n(width), _mean(seeds), len(seeds)) for width, seeds in sorted(cells[budget].items())
        )
        curves.append(Curve(minimum, planned, tuple(size for size in planned if size.loss is not None)))
    return curves


def _mean(losses: list[float | None]) -> float | None:
    there = [loss for loss in losses if loss is not None]
    return math.fsum(there) / len(there) if there else None
