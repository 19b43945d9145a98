"""A one-dimensional law in words, a table of what one more unit buys, and its figure."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves the **kwargs of its methods untyped.

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table

from ..marginal import Marginal
from ..one_dimensional import PowerAnalysis
from .estimates import estimate_text, number_text
from .style import BLACK, BLUE, GREY, ORANGE, amount_text, count_text, exponent_number, figure_style
from .tables import plain_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CURVE_POINTS = 120
_MARGIN = 1.3  # times the outermost x drawn
_FURTHEST = 1e3  # times the largest x fitted: a target beyond is not drawn


def power_lines(found: PowerAnalysis) -> list[str]:
    """The law with its intervals, its scatter, and what holding out the largest x says; extrapolation comes first."""
    fit, asked = found.fit, found.asked
    first = [f"EXTRAPOLATED: {warning.text}" for warning in found.warnings if warning.code == "extrapolation"]
    way, side, sign = ("rises", "ceiling", "-") if fit.law.rising else ("falls", "floor", "+")
    rows = f" from {found.n_rows} rows" if found.n_rows > len(fit.points.x) else ""
    level = f"{100 * fit.level:g} %"
    unit = "%" if fit.error == "relative" else asked.y
    scatter = 100 * fit.scatter if fit.error == "relative" else fit.scatter
    replicates = ""
    if fit.replicates is not None:
        deviation = fit.replicates.deviation * (100 if fit.error == "relative" else 1)
        replicates = f"; rows of one {asked.x} scatter by {deviation:.2g} {unit}"
    given = " (given)" if fit.offset_given else ""
    shown = f"   intervals: {level}" if fit.region is not None else ""
    return [
        *first,
        f"{asked.y} {way} with {asked.x}: {asked.y} = {side} {sign} coefficient * {asked.x}^-exponent, least "
        f"{fit.error} squares, {len(fit.points.x)} points{rows}, {asked.x} {amount_text(fit.x_range[0])} to "
        f"{amount_text(fit.x_range[1])}",
        f"  {side} {estimate_text(fit.offset, number_text)}{given}   "
        f"exponent {estimate_text(fit.exponent, exponent_number)}   coefficient {fit.coefficient.value:.4g}{shown}",
        f"  scatter {scatter:.2g} {unit} a row{replicates}",
        *_target_lines(found),
        *_left_out_lines(found),
    ]


def _target_lines(found: PowerAnalysis) -> list[str]:
    target, asked = found.target, found.asked
    if target is None:
        return []
    if target.x is None:
        least = (
            ""
            if target.least_x is None
            else f"; at {100 * found.fit.level:g} % it takes at least {amount_text(target.least_x)} {asked.x}"
        )
        return [f"  {asked.y} {target.target:g}: {target.words}{least}"]
    line = f"  {asked.y} {target.target:g} needs {asked.x} {estimate_text(target.x, amount_text)}"
    if target.price is not None and target.further_price is not None:
        line += f": {estimate_text(target.price, dollars_text)}, of that "
        line += f"{estimate_text(target.further_price, dollars_text)} beyond the largest fitted"
    return [line]


def _left_out_lines(found: PowerAnalysis) -> list[str]:
    held = found.left_out
    if held is None:
        return []
    return [
        f"  the largest left out and predicted from the others: at {amount_text(held.x)} "
        f"{estimate_text(held.y, number_text)}, measured {number_text(held.measured)} "
        f"({100 * held.relative_error:+.2g} %)"
    ]


def gains_table(found: PowerAnalysis) -> Table:
    """What one more unit buys at the largest x fitted and at each x asked for."""
    asked = found.asked
    verb = "raises" if found.fit.law.rising else "lowers"
    table = plain_table(f"What more {asked.x} buys: by how much it {verb} {asked.y}")
    dollars = asked.price is not None
    headers = [asked.x, asked.y, "one more", "per dollar", "doubling it", "its price", "decades beyond"]
    for header in headers if dollars else [each for each in headers if each not in ("per dollar", "its price")]:
        table.add_column(header, justify="right")
    for each in (found.last, *found.at):
        table.add_row(*_cells(each, dollars))
    return table


def _cells(each: Marginal, dollars: bool) -> list[str]:
    price = [estimate_text(each.gain_per_dollar, gain_text)] if each.gain_per_dollar is not None else []
    cost = [dollars_text(each.cost_of_doubling)] if each.cost_of_doubling is not None else []
    return [
        amount_text(each.x),
        estimate_text(each.y, number_text),
        estimate_text(each.gain_per_unit, gain_text),
        *(price if dollars else []),
        estimate_text(each.gain_of_doubling, gain_text),
        *(cost if dollars else []),
        f"{each.decades_beyond:+.1f}" if each.decades_beyond else "-",
    ]


def gain_text(value: float) -> str:
    """A small difference to two digits."""
    return f"{value:.2g}"


def dollars_text(value: float) -> str:
    """Such as $1.2M."""
    return f"${count_text(value)}"


def power_figure(found: PowerAnalysis) -> Figure:
    """y against x with the law, its band, its offset and the target; dashed beyond the points."""
    from .shown_figure import ShownFigure  # matplotlib, where something is drawn

    fit, asked = found.fit, found.asked
    with figure_style():
        figure = ShownFigure(figsize=(5.2, 3.6))
        axes = figure.subplots()
        x = _drawn_range(found)
        low, high = fit.x_range
        within = (x >= low) & (x <= high)
        law = fit.law.value(x)
        axes.plot(x, law, color=BLUE, linestyle="--", linewidth=1)
        axes.plot(x[within], law[within], color=BLUE, label="law")
        _draw_band(axes, found, x)
        shown = _offset_shown(found, law)
        if shown:
            kind = "ceiling" if fit.law.rising else "floor"
            axes.axhline(
                fit.offset.value, color=GREY, linewidth=1, linestyle=":", label=f"{kind} {fit.offset.value:.3g}"
            )
        axes.plot(fit.points.x, fit.points.y, "o", color=BLACK, markersize=4, label="measured", zorder=3)
        _draw_target(axes, found, (float(x[0]), float(x[-1])))
        axes.set_xscale("log")
        axes.set_xlim(float(x[0]), float(x[-1]))
        if fit.error == "relative" and not (shown and fit.offset.value <= 0):
            axes.set_yscale("log")
        axes.set_xlabel(asked.x)
        axes.set_ylabel(asked.y)
        axes.legend(loc="lower right" if fit.law.rising else "upper right")
    return figure


def _drawn_range(found: PowerAnalysis) -> np.ndarray:
    low, high = found.fit.x_range
    most = high * _FURTHEST
    asked = [each.x for each in found.at]
    needed = [found.target.x.value] if found.target and found.target.x and found.target.x.value <= most else []
    ends = min([low, *asked]) / _MARGIN, max([high, *asked, *needed]) * _MARGIN
    return np.unique(np.concatenate([np.geomspace(*ends, _CURVE_POINTS), [low, high]]))


def _draw_band(axes: Axes, found: PowerAnalysis, x: np.ndarray) -> None:
    fit = found.fit
    if fit.region is None:
        return
    ends = [fit.estimate(lambda law, at=at: law.value(at)) for at in x]
    low, high = (
        np.array([np.nan if end is None else end for end in side])
        for side in zip(*((e.low, e.high) for e in ends), strict=True)
    )
    axes.fill_between(x, low, high, color=BLUE, alpha=0.18, linewidth=0, label=f"{100 * fit.level:g} % of the law")


def _offset_shown(found: PowerAnalysis, law: np.ndarray) -> bool:
    """An offset far from everything else would flatten the curve."""
    return abs(found.fit.offset.value - law[-1]) <= 2 * float(np.ptp(law)) and found.fit.offset.value != 0


def _draw_target(axes: Axes, found: PowerAnalysis, ends: tuple[float, float]) -> None:
    """The target, and across the axis, from `ends` to `ends`, the x it needs with its interval."""
    target = found.target
    if target is None:
        return
    axes.axhline(target.target, color=ORANGE, linewidth=1, label=f"target {target.target:g}")
    if target.x is not None and target.x.value <= found.fit.x_range[1] * _FURTHEST:
        # An end that the points do not show lies beyond the axis.
        low, high = (
            end if given is None else given for given, end in zip((target.x.low, target.x.high), ends, strict=True)
        )
        axes.plot([max(low, ends[0]), min(high, ends[1])], [target.target] * 2, color=ORANGE, linewidth=4, alpha=0.5)
        axes.plot(target.x.value, target.target, "D", color=ORANGE, markersize=5, zorder=3)
