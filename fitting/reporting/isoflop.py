"""Loss against size at each budget, and the size of least loss: the figure of Approach 2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ..errors import InputError
from ..results import IsoflopFit, Minimum, MinimumStatus
from .curves import budget_curve
from .marks import BAR_LOOK, error_bar, n_params_label, write_ticks
from .style import BLACK, GREY, Color, count_text, figure_style, flops_text, sequential_colors, unit_text

_MOST_LEGEND_BUDGETS = 14
_SAME_BUDGET = 0.3  # in ln C
_DIAMOND: dict[str, Any] = {"marker": "D", "markersize": 5, "markeredgecolor": BLACK, "markeredgewidth": 0.8}


def isoflop_figure(
    table: pd.DataFrame, isoflop: IsoflopFit, n_params_convention: str = "n_params", loss_unit: str | None = None
) -> Figure:
    """Loss against N, one colour a budget, with each budget's curve and minimum.

    `table` holds a row a run: `n_params` (a count, of the convention named), `loss` (in `loss_unit`, else nats per
    token), `budget` (FLOPs; else `flops`) and, where a run was left out, the reason in `flag`. Runs left out are
    crosses, on the edge where their loss lies beyond it. A budget without an interior minimum has a hollow mark at its
    lowest loss.

    Raises:
        InputError: a column is missing, or the fit has no budget.
    """
    minima = sorted(isoflop.minima, key=lambda minimum: minimum.budget)
    runs = _checked_runs(table, minima)
    colors = sequential_colors(len(minima))
    with figure_style():
        figure = Figure(figsize=(5.4, 3.6))
        axes = figure.add_subplot()
        axes.set_xscale("log")
        _limit_losses(axes, runs.loss[runs.kept])
        for place, (minimum, color) in enumerate(zip(minima, colors, strict=True)):
            of_budget = runs.budget == place
            _draw_budget(axes, runs.where(runs.kept & of_budget), isoflop, minimum, color)
            _draw_left_out(axes, runs.where(~runs.kept & of_budget), color)
        _draw_left_out(axes, runs.where(~runs.kept & (runs.budget < 0)), GREY)
        axes.set_xlabel(n_params_label(n_params_convention))
        axes.set_ylabel(f"validation loss, {unit_text(loss_unit)}")
        write_ticks(axes.xaxis, count_text)
        handles = _isoflop_handles(minima, colors, int((~runs.kept).sum()))
        figure.legend(handles=handles, loc="outside right upper", title="budget", alignment="left")
    return figure


@dataclass(frozen=True)
class _Runs:
    """Arrays of shape (n_runs,); `budget` is the place of a run's budget among the minima, -1 for none."""

    n_params: NDArray[np.float64]
    loss: NDArray[np.float64]
    budget: NDArray[np.intp]
    kept: NDArray[np.bool_]

    def where(self, chosen: NDArray[np.bool_]) -> _Runs:
        return _Runs(self.n_params[chosen], self.loss[chosen], self.budget[chosen], self.kept[chosen])


def _checked_runs(table: pd.DataFrame, minima: Sequence[Minimum]) -> _Runs:
    if not minima:
        raise InputError("the isoFLOP figure needs at least one budget; the fit has none")
    n_params, loss = (_numbers(table, column) for column in ("n_params", "loss"))
    budget = _numbers(table, "budget" if "budget" in table or "flops" not in table else "flops")
    if "flops" in table:
        budget = np.where(np.isfinite(budget), budget, _numbers(table, "flops"))
    kept = np.isfinite(n_params * loss * budget) & (n_params > 0) & (loss > 0) & (budget > 0)
    if "flag" in table:
        kept &= np.array([pd.isna(flag) or not flag for flag in table["flag"]], dtype=bool)
    # Runs of one plan differ a little in compute; a run far from every budget (all its peers were left out) has none.
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.abs(np.log(budget)[:, None] - np.log([minimum.budget for minimum in minima]))
    distance = np.nan_to_num(distance, nan=np.inf)
    places = np.where(distance.min(axis=1) < _SAME_BUDGET, distance.argmin(axis=1), -1)
    return _Runs(n_params, loss, places, kept)


def _numbers(table: pd.DataFrame, column: str) -> NDArray[np.float64]:
    if column not in table:
        raise InputError(f"the isoFLOP figure needs the column {column!r}, which the table of runs lacks")
    return table[column].to_numpy(dtype=float)


def _limit_losses(axes: Axes, losses: NDArray[np.float64]) -> None:
    """Fit the vertical axis to the fitted runs, whatever the runs left out have lost."""
    low, high = (float(losses.min()), float(losses.max())) if len(losses) else (0.0, 1.0)
    margin = 0.06 * (high - low or 1.0)
    axes.set_ylim(low - margin, high + margin)


def _draw_budget(axes: Axes, runs: _Runs, isoflop: IsoflopFit, minimum: Minimum, color: Color) -> None:
    if not len(runs.loss):
        return
    axes.plot(runs.n_params, runs.loss, "o", color=color, markersize=3.5, alpha=0.55, markeredgewidth=0)
    curve = budget_curve(runs.n_params, runs.loss, minimum, isoflop.minimum, isoflop.window)
    if curve is not None:
        axes.plot(*curve, color=color, linewidth=1.3)
    if minimum.status is MinimumStatus.INTERIOR and minimum.n_params and minimum.loss:
        bar = error_bar(minimum.n_params, minimum.log_n_params_se)
        if bar is not None:
            axes.errorbar(minimum.n_params, minimum.loss, xerr=bar, **BAR_LOOK)
        axes.plot(minimum.n_params, minimum.loss, color=color, zorder=5, **_DIAMOND)
    else:
        lowest = runs.loss.argmin()
        hollow = {**_DIAMOND, "markeredgecolor": color, "markerfacecolor": "white"}
        axes.plot(runs.n_params[lowest], runs.loss[lowest], zorder=5, **hollow)


def _draw_left_out(axes: Axes, runs: _Runs, color: Color | str) -> None:
    runs = runs.where(np.isfinite(runs.loss) & (runs.n_params > 0))
    if len(runs.loss):
        heights = np.clip(runs.loss, *axes.get_ylim())
        axes.plot(runs.n_params, heights, "x", color=color, markersize=5, clip_on=False, zorder=5)


def _isoflop_handles(minima: Sequence[Minimum], colors: Sequence[Color], left_out: int) -> list[Line2D]:
    """The budgets, largest loss on top as in the figure, then what the marks mean."""
    step = -(-len(minima) // _MOST_LEGEND_BUDGETS)
    handles = [
        Line2D([], [], color=color, marker="o", markersize=3.5, label=f"{flops_text(minimum.budget)} FLOPs")
        for minimum, color in list(zip(minima, colors, strict=True))[::step]
    ]
    statuses = {minimum.status for minimum in minima}
    mark = {**_DIAMOND, "linestyle": "", "color": GREY}
    if MinimumStatus.INTERIOR in statuses:
        handles.append(Line2D([], [], label="minimum, ±1 SE", **mark))
    if statuses != {MinimumStatus.INTERIOR}:
        handles.append(Line2D([], [], label="no interior minimum", **{**mark, "markerfacecolor": "white"}))
    if left_out:
        handles.append(Line2D([], [], linestyle="", color=GREY, marker="x", label=f"left out ({left_out})"))
    return handles
