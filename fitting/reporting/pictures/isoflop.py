"""Loss against size at each budget, and the size of least loss: the picture of approach 2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...results import IsoflopFit, MinimumStatus
from ...runs import RunTable
from ..marks import n_params_label, standard_error
from ..style import BLACK, GREY
from .budgets import Budget, budget_name, budgets_of, places_of
from .captions import loss_label, runs_words, size_words
from .curves import Curve, budget_curve
from .hover import minimum_hover, run_hover
from .picture import Array, Axis, Line, Mark, Panel, Picture, Points

_MINIMUM: dict[str, Any] = {"symbol": "diamond", "size": 5.0}
_FAR = 0.25  # of the span of what is fitted: runs further above lie on the edge
_BEYOND = "beyond the range"
_HOLLOW = "no interior minimum"
_GREY = "of budgets without a curve"


def isoflop_picture(table: RunTable, isoflop: IsoflopFit, n_params_convention: str = "n_params") -> Picture:
    """Loss against N, one colour and symbol a budget, with each budget's curve and minimum.

    `table` is the one that was fitted, its runs in the fit's own budgets; it counts N by the convention named. Runs
    left out are crosses, on the edge where their loss lies beyond it. Budgets of too few sizes, or over too much
    compute, have grey runs and no curve. One without an interior minimum has a hollow mark at its lowest loss.

    Raises:
        InputError: the fit has no budget, or is of other runs.
    """
    if not isoflop.minima:
        raise InputError("the isoFLOP picture needs at least one budget; the fit has none")
    budgets = budgets_of(isoflop)
    runs = _runs(table, isoflop)
    curves = {
        budget.place: budget_curve(mine.n_params, mine.loss, budget.minimum, isoflop.minimum, isoflop.window)
        for budget in budgets
        if len((mine := runs.of(budget)).loss)
    }
    limits = _loss_limits(runs, curves)
    shapeless = runs.where(runs.kept & ~np.isin(runs.budget, [budget.place for budget in budgets]))
    marks = _grey(shapeless, limits)
    marks += [mark for budget in budgets for mark in _of_budget(runs.of(budget), budget, curves, limits)]
    above = [(shapeless, GREY), *((runs.of(budget), budget.color) for budget in budgets)]
    marks += [mark for mine, color in above for mark in _beyond(mine, color, limits)]
    marks += _minima(runs, budgets) + _left_out(runs, budgets, limits)
    size = Axis(n_params_label(n_params_convention), log=True, written="count")
    panel = Panel(size, Axis(loss_label(table, "validation"), limits=limits), tuple(marks))
    said = _caption(table, isoflop, n_params_convention, marks)
    said += _not_all(isoflop, budgets, len(shapeless.loss))
    return Picture("isoflop_curves", "Loss against size at each budget", f"{'; '.join(said)}.", (panel,))


_Curves = dict[int, Curve | None]  # of the budgets with runs, by their places


@dataclass(frozen=True)
class _Runs:
    """Arrays of shape (n_runs,); `budget` is the place of a run's budget, -1 for none."""

    n_params: Array
    loss: Array
    budget: NDArray[np.intp]
    kept: NDArray[np.bool_]
    hover: NDArray[np.object_]
    links: NDArray[np.object_]

    def where(self, chosen: NDArray[np.bool_]) -> _Runs:
        return _Runs(**{name: values[chosen] for name, values in vars(self).items()})

    def of(self, budget: Budget) -> _Runs:
        return self.where(self.kept & (self.budget == budget.place))

    def held_in(self, limits: tuple[float, float]) -> _Runs:
        return replace(self, loss=np.clip(self.loss, *limits))

    def points(self, color: str, **look: Any) -> Points:
        hover, links = tuple(map(str, self.hover)), tuple(map(str, self.links))
        return Points(self.n_params, self.loss, color, hover=hover, links=links, **look)


def _runs(table: RunTable, isoflop: IsoflopFit) -> _Runs:
    frame = table.frame
    n_params, loss = (frame[name].to_numpy(dtype=float) for name in ("n_params", "loss"))
    hover, links = (np.array(texts, dtype=object) for texts in run_hover(frame))
    return _Runs(n_params, loss, places_of(table, isoflop), table.usable.to_numpy(dtype=bool), hover, links)


def _loss_limits(runs: _Runs, curves: _Curves) -> tuple[float, float]:
    """The vertical axis fits the fitted runs, but for those far above every curve and every budget's lowest loss."""
    losses = runs.loss[runs.kept]
    if not len(losses):
        return 0.0, 1.0
    tops = [curve[1].max() for curve in curves.values() if curve is not None]
    tops += [runs.loss[runs.kept & (runs.budget == place)].min() for place in curves]
    low, high, top = float(losses.min()), float(losses.max()), float(max(tops, default=losses.max()))
    high = min(high, top + _FAR * (top - low)) if top > low else high
    margin = 0.06 * (high - low or 1.0)
    return low - margin, high + margin


def _of_budget(runs: _Runs, budget: Budget, curves: _Curves, limits: tuple[float, float]) -> list[Mark]:
    if not len(runs.loss):
        return []
    within = runs.where(runs.loss <= limits[1])
    marks: list[Mark] = [within.points(budget.color, symbol=budget.symbol, size=3.5, opacity=0.6, label=budget.label)]
    curve = curves[budget.place]
    if curve is not None:
        look: dict[str, Any] = {"label": budget.label, "hover": budget_name(budget.minimum)}
        marks.append(Line(*curve, color=budget.color, width=1.3, **look))
    return marks


def _grey(runs: _Runs, limits: tuple[float, float]) -> list[Mark]:
    within = runs.where(runs.loss <= limits[1])
    return [within.points(GREY, size=3.0, opacity=0.5, label=_GREY)] if len(within.loss) else []


def _beyond(runs: _Runs, color: str, limits: tuple[float, float]) -> list[Mark]:
    """Fitted runs whose loss lies above the range, on its edge."""
    above = runs.where(runs.loss > limits[1]).held_in(limits)
    look: dict[str, Any] = {"symbol": "triangle", "size": 4.5, "label": _BEYOND, "axis_edge": True}
    return [above.points(color, **look)] if len(above.loss) else []


def _minima(runs: _Runs, budgets: Sequence[Budget]) -> list[Mark]:
    interior: list[Mark] = []
    hollow: list[Mark] = []
    for budget in budgets:
        mine = runs.of(budget)
        if not len(mine.loss):
            continue
        if budget.minimum.status is MinimumStatus.INTERIOR and budget.minimum.n_params and budget.minimum.loss:
            interior.append(_minimum(budget))
        else:
            lowest = mine.where(np.arange(len(mine.loss)) == mine.loss.argmin())
            hollow.append(lowest.points(budget.color, hollow=True, label=_HOLLOW, **_MINIMUM))
    return [*interior, *hollow]


def _minimum(budget: Budget) -> Points:
    found = budget.minimum
    n_params, loss = np.array([found.n_params], dtype=float), np.array([found.loss], dtype=float)
    low, high = standard_error(n_params, found.log_n_params_se)
    look: dict[str, Any] = {"edge": BLACK, "label": "minimum, ±1 SE", "hover": (minimum_hover(found),), **_MINIMUM}
    return Points(n_params, loss, budget.color, error="x", low=low, high=high, **look)


def _left_out(runs: _Runs, budgets: Sequence[Budget], limits: tuple[float, float]) -> list[Mark]:
    """Crosses in the colours of their budgets, grey without one, on the edge where their loss lies beyond it."""
    label = f"left out ({int((~runs.kept).sum())})"
    drawn = ~runs.kept & np.isfinite(runs.loss) & (runs.n_params > 0)
    inside = runs.held_in(limits)
    marks: list[Mark] = []
    colors = {budget.place: budget.color for budget in budgets}
    for place in sorted(set(inside.budget[drawn].tolist())):
        mine, color = inside.where(drawn & (runs.budget == place)), colors.get(place, GREY)
        marks.append(mine.points(color, symbol="cross", size=5.0, label=label, axis_edge=True))
    return marks


def _caption(table: RunTable, isoflop: IsoflopFit, n_params_convention: str, marks: Sequence[Mark]) -> list[str]:
    """What is drawn, as a paper would say it, in parts."""
    labels = {getattr(mark, "label", "") for mark in marks}
    window = "" if isoflop.window is None else f" within {100 * isoflop.window:g} % of its lowest loss"
    curves = {
        "parabola": f"curves are parabolas in ln N through a budget's runs{window}",
        "akima": "curves are Akima's splines of ln loss in ln N through the mean at each size",
    }
    said = [f"Loss against N ({size_words(n_params_convention)}) at each compute budget, {runs_words(table)}"]
    said.append(curves.get(isoflop.minimum, f"curves are drawn by {isoflop.minimum}"))
    if any(label.startswith("minimum") for label in labels):
        said.append("diamonds are the minima with one standard error of N*")
    if _HOLLOW in labels:
        said.append("hollow diamonds are the lowest runs of budgets without an interior minimum, which shape no fit")
    if _BEYOND in labels:
        said.append("triangles are fitted runs whose loss lies above the range")
    if any(label.startswith("left out") for label in labels):
        said.append("crosses are runs left out, on the edge where their loss lies beyond it")
    return said


def _not_all(isoflop: IsoflopFit, budgets: Sequence[Budget], n_grey: int) -> list[str]:
    """Which budgets have no curve, and which curves no name in the legend."""
    said: list[str] = []
    bare = len(isoflop.minima) - len(budgets)
    if n_grey:
        said.append(
            f"grey dots are the {n_grey} runs of {bare} budgets without a curve, of too few sizes or over too much "
            "compute to be one budget"
        )
    named = sum(bool(budget.label) for budget in budgets)
    if named < len(budgets):
        said.append(f"the legend names {named} of {len(budgets)} curves, those with a minimum first")
    return said
