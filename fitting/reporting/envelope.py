"""Loss against compute along every curve, the envelope beneath them, and the sizes that hold it: Approach 1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..curves import CurveTable, size_groups
from ..errors import InputError
from ..results import EnvelopeFit, EnvelopePoint, MinimumStatus
from .marks import flops_label, n_params_label, write_ticks
from .style import BLACK, BLUE, GREY, count_text, figure_style, flops_text, interval_text, sequential_colors, unit_text

_MOST_LEGEND_SIZES = 10
_MOST_POINTS = 400  # drawn of one curve: more do not show


def envelope_figure(
    curves: CurveTable, envelope: EnvelopeFit, n_params_convention: str = "n_params", flops_convention: str = "flops"
) -> Figure:
    """Left, loss against C along each of `curves`, coloured by size, and their envelope; right, its sizes and N*(C).

    `envelope` is the fit of the same `curves`, counted by the conventions named. Where N*(C) lies at or
    beyond the sizes there the envelope is grey and dashed, its sizes hollow: they do not shape the line.

    Raises:
        InputError: the fit has no point.
    """
    if not envelope.points:
        raise InputError("the envelope figure needs points of the envelope; the fit has none")
    with figure_style():
        figure = Figure(figsize=(7.0, 4.1))
        left, right = figure.subplots(1, 2)
        handles = _draw_curves(left, curves, envelope)
        handles += _draw_envelope(left, envelope.points)
        handles += _draw_sizes(right, envelope)
        for axes in (left, right):
            axes.set(xscale="log", xlabel=flops_label(flops_convention))
        left.set_ylabel(f"loss, {unit_text(curves.table.loss_unit)}")
        right.set_ylabel(n_params_label(n_params_convention))
        right.set_yscale("log")
        compute = np.array([point.flops for point in envelope.points])
        left.set_xlim(compute.min() / 3, compute.max() * 3)
        for axes in (left, right):
            write_ticks(axes.xaxis, flops_text)
        write_ticks(right.yaxis, count_text)
        exponent = envelope.params_exponent
        interval = interval_text(exponent.value, exponent.low, exponent.high, f"({100 * exponent.level:g} %)")
        right.set_title(rf"$N^* \propto C^a$,  $a$ = {interval}")
        figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def _draw_curves(axes: Axes, curves: CurveTable, envelope: EnvelopeFit) -> list[Line2D]:
    frame = curves.fitted.sort_values(["flops", "loss"])
    group = size_groups(frame["n_params"].to_numpy(dtype=float))
    colors = sequential_colors(int(group.max()) + 1)
    for _, rows in frame.assign(size=group).groupby("curve"):
        step = -(-len(rows) // _MOST_POINTS)
        rows = rows.iloc[::step]
        axes.plot(rows["flops"], rows["loss"], color=colors[int(rows["size"].iloc[0])], linewidth=0.8, alpha=0.8)
    losses = np.array([point.loss for point in envelope.points])
    margin = 0.08 * float(np.ptp(losses) or 1.0)
    # Starts of training reach far above: what matters lies near the envelope.
    axes.set_ylim(losses.min() - margin, losses.max() + 4 * margin)
    sizes = np.exp(np.bincount(group, np.log(frame["n_params"])) / np.bincount(group))
    shown = range(0, len(sizes), -(-len(sizes) // _MOST_LEGEND_SIZES))
    return [Line2D([], [], color=colors[i], label=f"N = {count_text(sizes[i])}") for i in shown]


def _draw_envelope(axes: Axes, points: Sequence[EnvelopePoint]) -> list[Line2D]:
    flops, loss = (np.array([getattr(point, name) for point in points]) for name in ("flops", "loss"))
    inside = _inside(points)
    axes.plot(flops, loss, color=GREY, linestyle="--", linewidth=1.5, zorder=4)
    axes.plot(flops, np.where(inside, loss, np.nan), color=BLACK, linewidth=1.8, zorder=5)
    handles = [Line2D([], [], color=BLACK, linewidth=1.8, label="envelope")]
    if not inside.all():
        handles.append(Line2D([], [], color=GREY, linestyle="--", label="left out of the line"))
    return handles


def _draw_sizes(axes: Axes, envelope: EnvelopeFit) -> list[Line2D]:
    flops = np.array([point.flops for point in envelope.points])
    sizes = np.array([point.n_params for point in envelope.points])
    inside = _inside(envelope.points)
    axes.plot(flops[~inside], sizes[~inside], "o", color=GREY, markerfacecolor="white", markersize=3)
    axes.plot(flops[inside], sizes[inside], "o", color=BLACK, markersize=3, markeredgewidth=0)
    handles = [Line2D([], [], color=BLACK, marker="o", markersize=3, linestyle="", label="size of least loss")]
    band = envelope.params_band(flops, envelope.params_exponent.level)
    if band is not None:
        axes.fill_between(flops, *band, color=BLUE, alpha=0.2, linewidth=0)
    axes.plot(flops, envelope.params_law(flops), color=BLUE)
    level = f" and {100 * envelope.params_exponent.level:g} % band" if band is not None else ""
    return [*handles, Line2D([], [], color=BLUE, label=f"N*(C){level}")]


def _inside(points: Sequence[EnvelopePoint]) -> np.ndarray:
    return np.array([point.status is MinimumStatus.INTERIOR for point in points])
