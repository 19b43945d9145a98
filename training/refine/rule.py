"""Which cells a sweep needs most: beyond the edge that a minimum lies at, else about the least certain minimum."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ...fitting.errors import InputError
from ...fitting.results import Minimum, MinimumStatus
from ..plan import Plan, RunPlan
from ..planning import lay_out, make_cell
from ..shapes import shape_for_width
from .curves import Curve, Size, curves_of
from .ladder import Ladder

FARTHEST = math.log(16)  # in ln N beyond an edge, in one round
MOST_SIZES = 4  # a budget and round, beyond an edge
NEAREST = 4  # sizes about a minimum that get another seed at least: those that its parabola has at least
TYPICAL_EXPONENT = 0.5  # of N*(C): published ones lie within .3 of it
DOUBTING = 3  # other budgets that it takes to doubt one's minimum by their N*

_NAMES = {-1: "lower", 1: "upper"}
_REASONS = {
    MinimumStatus.INTERIOR: "lowest loss at the {edge} edge, though its parabola bends up before",
    MinimumStatus.EDGE: "minimum at the {edge} edge",
    MinimumStatus.CONCAVE: "losses bend downwards to the {edge} edge",
    MinimumStatus.TOO_FEW: "{n} sizes are too few, on to the {edge} edge",
    MinimumStatus.WIDE: "runs of several budgets, on to the {edge} edge",
}


@dataclass(frozen=True)
class Addition:
    """Cells for one budget and why; `seeds` None: as many as the budget has."""

    budget: float
    widths: tuple[int, ...]
    reason: str
    seeds: int | None = None

    @property
    def said(self) -> str:
        """In a line."""
        return f"budget {self.budget:g}: {self.reason}: widths {_listed(self.widths)}"


@dataclass(frozen=True)
class Proposal:
    """What a round adds, and what it would have added but for a bound, in sentences.

    `bracketed` counts the budgets whose minimum needs no further sizes: it is inside them, so is the lowest loss, and
    no other budget speaks against it.
    """

    additions: tuple[Addition, ...]
    refused: tuple[str, ...]
    bracketed: int


def propose(
    plan: Plan,
    minima: Iterable[Minimum],
    losses: Mapping[str, float],
    admit: Callable[[RunPlan], None] = lambda _: None,
) -> Proposal:
    """The cells to add to `plan`, by the minima of its fit and the losses of the runs in it, by run id.

    `admit` raises InputError for a cell that is too large for any device.

    **Bracketing.** A budget whose minimum, or whose lowest loss, is not inside its sizes gets sizes beyond one edge:
    that of the lowest loss, or where this is at a size between, the one that the parabola's vertex lies beyond. They
    reach a factor of 16 in N: what noise bends on a flank says little of where the minimum is, and stopping short
    costs a round. Where the parabola's curvature is four of its standard errors or more, they reach only one spacing
    (the mean distance of its sizes in ln N) beyond its vertex or beyond where the other budgets put N*, whichever is
    farther. They are evenly spaced, no denser than a spacing, one to four of them. Where there can be none and the
    lowest loss lies between sizes, or where the vertex lies beyond neither edge, there are up to four sizes halfway
    between those about the lowest loss, or one more seed of those there. The other budgets' N* is the median of theirs,
    each minimum or believed vertex carried along C^.5: a line through a few would follow a false one.

    **Doubt.** Three things make a minimum doubtful, even one that is inside its sizes, and each tells the edge to go
    beyond: a smaller budget has a lower loss, at a size beyond it (the least loss falls with C); the minimum of a
    larger budget is beyond a lower edge that is below this minimum, or that of a smaller one beyond an upper edge above
    it (N* grows with C); three others or more put it over a spacing beyond the sizes (a dip of the noise).

    **Sharpening.** Only where no budget gets any of these, the least certain minimum does: that of the largest standard
    error of ln N*, or, where the runs show no noise, of the fewest runs in its parabola, the cheaper of two alike. It
    gets two sizes, halfway from its two neighbours to the next ones outward: flanks tell a vertex, not its middle.
    Where the ladder holds none there, the sizes in the window get one more seed.

    No cell is proposed that `plan` has. A size that breaks a bound of it (tokens below a batch, `data.max_epochs`, the
    ladder's end, the devices' memory) is left out and said, as is a budget whose sizes beyond the edge failed or
    diverged.
    """
    rule = _Rule(plan, minima, losses, admit)
    with_loss = {curve.budget for curve in rule.curves}
    for budget in sorted(set(plan.config.grid.budgets) - with_loss):
        rule.refuse(budget, "none of its runs has a loss to go by")
    bracketed = [curve for curve in rule.curves if not (rule.doubt(curve) or rule.bracket(curve))]
    if bracketed and not rule.additions:
        rule.sharpen(_least_certain(bracketed))
    return Proposal(tuple(rule.additions), tuple(rule.refused), len(bracketed))


def _least_certain(curves: Sequence[Curve]) -> Curve:
    errors = [curve.minimum.log_n_params_se or math.nan for curve in curves]
    if all(math.isfinite(error) for error in errors):
        return curves[errors.index(max(errors))]
    return min(curves, key=lambda curve: (curve.minimum.n_window, curve.budget))


class _Rule:
    def __init__(
        self,
        plan: Plan,
        minima: Iterable[Minimum],
        losses: Mapping[str, float],
        admit: Callable[[RunPlan], None],
    ) -> None:
        self.plan, self.admit = plan, admit
        self.ladder = Ladder(plan.config, plan.corpus.vocab_size, {cell.shape.width for cell in plan.cells})
        self.tuned = lay_out(plan.config, plan.corpus)[1]
        curves = curves_of(plan, minima, losses, self.ladder)
        self.curves = sorted(curves, key=lambda curve: curve.budget)
        self.additions: list[Addition] = []
        self.refused: list[str] = []

    def refuse(self, budget: float, why: str) -> None:
        self.refused.append(f"budget {budget:g}: {why}")

    def bracket(self, curve: Curve) -> bool:
        """Sizes to where the minimum may be, if it is not inside the sizes; whether it is not."""
        if not curve.sides and curve.interior:
            return False
        reason = str(curve.minimum.status)
        gone = False
        for side in curve.sides:
            reason = _REASONS[curve.minimum.status].format(edge=_NAMES[side], n=len(curve.tried))
            gone = self.beyond(curve, side, self.distance(curve, side), reason) or gone
        if not gone and 0 < curve.lowest < len(curve.tried) - 1:
            self.around(curve, reason)
        return True

    def around(self, curve: Curve, reason: str) -> None:
        """Sizes on both sides of the lowest loss, which the fit does not see as a minimum; seeds where they are few."""
        lowest = curve.tried[curve.lowest]
        reason = f"{reason}, though the lowest loss is at width {lowest.width} between others"
        gaps = list(itertools.pairwise(curve.tried))[max(0, curve.lowest - 2) : curve.lowest + 2]
        widths = self.halfway(curve, gaps)
        if (not self.add(curve.budget, widths, reason) or len(widths) < 2) and not self.reseed(curve, lowest, reason):
            self.refuse(curve.budget, f"{reason}: no width is beside it")

    def distance(self, curve: Curve, side: int) -> float:
        """How far beyond the edge the minimum of an unbracketed budget may be, in ln N."""
        places = (curve.vertex, self.by_the_others(curve, 1)) if curve.bends_surely else ()
        known = max((side * (place - curve.edge(side).log_n) for place in places if place is not None), default=0.0)
        return known if known > 0 else FARTHEST

    def by_the_others(self, curve: Curve, at_least: int) -> float | None:
        """ln N* of a budget by those of so many others or more."""
        carried = [
            other.guess + TYPICAL_EXPONENT * math.log(curve.minimum.flops / other.minimum.flops)
            for other in self.curves
            if other is not curve and other.guess is not None
        ]
        return statistics.median(carried) if len(carried) >= at_least else None

    def doubt(self, curve: Curve) -> bool:
        """Sizes to where the other budgets put the minimum, if that is beyond this one's sizes; whether it is."""
        found = self.by_loss(curve) or self.by_order(curve) or self.by_place(curve)
        if found is None:
            return False
        side, distance, why = found
        added = self.beyond(curve, side, distance, f"minimum doubted, {why} the {_NAMES[side]} edge")
        return added or not curve.sides

    def by_loss(self, curve: Curve) -> tuple[int, float, str] | None:
        """The side on which a smaller budget has a lower loss than this one anywhere: the least loss falls with C."""
        least = curve.tried[curve.lowest].loss or math.inf
        for other in self.curves:
            best = other.tried[other.lowest]
            if other.budget < curve.budget and (best.loss or math.inf) < least:
                for side in (-1, 1):
                    distance = side * (best.log_n - curve.edge(side).log_n)
                    if distance > 0:
                        return side, distance, f"budget {other.budget:g} has a lower loss, beyond"
        return None

    def by_order(self, curve: Curve) -> tuple[int, float, str] | None:
        """The side on which another budget's minimum must lie, where this one's is inside: N* grows with C."""
        if curve.guess is None or not curve.interior:
            return None
        for other in self.curves:
            side = -1 if other.budget > curve.budget else 1
            past = side * (other.edge(side).log_n - curve.guess)
            if other is not curve and other.sides == [side] and past > 0 and self.next_beyond(curve, side):
                return side, FARTHEST, f"N* grows with C and that of {other.budget:g} is beyond"
        return None

    def by_place(self, curve: Curve) -> tuple[int, float, str] | None:
        """The side on which the other budgets' N* put a minimum that is inside the sizes, if well beyond them."""
        place = self.by_the_others(curve, DOUBTING)
        if place is None or curve.sides or not curve.interior:
            return None
        for side in (-1, 1):
            distance = side * (place - curve.edge(side).log_n)
            if distance > curve.spacing:
                return side, distance, "the others put it beyond"
        return None

    def beyond(self, curve: Curve, side: int, far: float, reason: str) -> bool:
        """Sizes from the edge to one spacing more than `far` beyond it, in ln N; whether there is any."""
        edge, spacing = curve.edge(side), curve.spacing
        lost = [size.width for size in curve.planned if side * (size.log_n - edge.log_n) > 0]
        next_one = self.next_beyond(curve, side)
        why = ""
        if lost:
            why = f"widths {_listed(lost)} beyond have no loss to go by: see their records"
        elif next_one is None:
            why = f"the ladder's least width is {edge.width}"
        else:
            reach = min(far + spacing, FARTHEST)
            count = min(MOST_SIZES, max(1, math.ceil(reach / spacing - 1e-9)))
            places = [edge.log_n + side * reach * i / count for i in range(1, count + 1)]
            widths = [self.ladder.nearest(place, *_beyond(edge, side)) for place in places]
            if any(self.add(curve.budget, each, reason) for each in (widths, [next_one])):
                return True
            why = self.problem(curve.budget, next_one)
        self.refuse(curve.budget, f"{reason}, but {why}")
        return False

    def next_beyond(self, curve: Curve, side: int) -> int | None:
        """The ladder's next width beyond the edge; None at its end."""
        edge = curve.edge(side)
        return self.ladder.nearest(edge.log_n, *_beyond(edge, side))

    def sharpen(self, curve: Curve) -> None:
        """Sizes, or else seeds, that tell an interior minimum better."""
        minimum, place = curve.minimum, math.log(curve.minimum.n_params or math.nan)
        gaps = list(itertools.pairwise(curve.tried))
        middle = next(i for i, (_, above) in enumerate(gaps) if above.log_n > place)
        outward = [gaps[max(0, middle - 1)], gaps[min(len(gaps) - 1, middle + 1)]]
        error = minimum.log_n_params_se
        doubt = f"standard error {error:.2g} of ln N*" if error else f"{minimum.n_window} runs shape it"
        reason = f"minimum least certain ({doubt})"
        if any(self.add(curve.budget, self.halfway(curve, each), reason) for each in (outward, [gaps[middle]])):
            return
        nearest = min(curve.tried, key=lambda size: abs(size.log_n - place))
        self.reseed(curve, nearest, reason)

    def reseed(self, curve: Curve, middle: Size, reason: str) -> bool:
        """One more seed of the sizes that shape the parabola about `middle`, those with the fewest first."""
        window = self.plan.config.fit.window
        least = curve.minimum.loss or middle.loss or 0.0
        most = math.inf if window is None else least * (1 + window)
        by_distance = sorted(curve.tried, key=lambda size: abs(size.log_n - middle.log_n))
        near = [size for i, size in enumerate(by_distance) if i < NEAREST or (size.loss or math.inf) <= most]
        seeds = min(size.seeds for size in near) + 1
        few = [size.width for size in near if size.seeds < seeds]
        return self.add(curve.budget, few, f"{reason}, no width beside it: seed number {seeds}", seeds)

    def halfway(self, curve: Curve, gaps: Iterable[tuple[Size, Size]]) -> list[int]:
        """A new width in the middle of each gap that has one."""
        planned = {size.width for size in curve.planned}
        found = [self.ladder.nearest((a.log_n + b.log_n) / 2, a.width, b.width) for a, b in gaps]
        return [width for width in found if width is not None and width not in planned]

    def add(self, budget: float, widths: Iterable[int | None], reason: str, seeds: int | None = None) -> bool:
        """Add the cells of those widths that can be planned, and say which cannot; whether there is any."""
        wanted = sorted({width for width in widths if width is not None})
        problems = {width: self.problem(budget, width) for width in wanted}
        fine = tuple(width for width in wanted if not problems[width])
        if not fine:
            return False
        self.additions.append(Addition(budget, fine, reason, seeds))
        left_out = [width for width in wanted if problems[width]]
        if left_out:
            self.refuse(budget, f"widths {_listed(left_out)} are left out: {problems[left_out[0]]}")
        return True

    def problem(self, budget: float, width: int) -> str:
        """Why there can be no cell of `width` at `budget`, "" where there can."""
        config, corpus = self.plan.config, self.plan.corpus
        try:
            shape = shape_for_width(width, config.model, corpus.vocab_size)
            self.admit(make_cell(config, corpus, budget, shape, config.seed, tuned_at=self.tuned.get(shape)))
        except InputError as error:
            return str(error)
        return ""


def _beyond(edge: Size, side: int) -> tuple[int, int | None]:
    """The widths that all of those beyond `edge` lie between."""
    return (edge.width, None) if side > 0 else (0, edge.width)


def _listed(widths: Iterable[int]) -> str:
    return ", ".join(map(str, widths))
