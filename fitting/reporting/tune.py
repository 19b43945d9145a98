"""The figure of a bracket: loss against learning rate by size, and the rates of the minima against N."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves the **kwargs of its methods untyped.

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .marks import n_params_label, write_ticks
from .style import BLACK, GREY, count_text, figure_style, sequential_colors

_DIAMOND: dict[str, Any] = {"marker": "D", "markersize": 5, "markeredgecolor": "white", "markeredgewidth": 0.6}
_OWN: dict[str, Any] = {"marker": "o", "markersize": 9, "markerfacecolor": "none", "linestyle": ""}
_BAR_LOOK: dict[str, Any] = {"fmt": "none", "ecolor": BLACK, "elinewidth": 1.0, "capsize": 2.5, "zorder": 4}


def tune_figure(report: Mapping[str, Any]) -> Figure:
    """Draw `report`, the content of tune.json: nats above each size's least loss, and LR* against N with its law.

    A ring is the recipe's own rate, a diamond the minimum of the parabola through the lowest loss and its
    neighbours; a hollow diamond is the lowest loss on an edge. Runs that diverged are not drawn.
    """
    sizes = report["sizes"]
    colors = sequential_colors(len(sizes))
    with figure_style():
        figure = Figure(figsize=(7.6, 3.4))
        left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
        for size, color in zip(sizes, colors, strict=True):
            _draw_losses(left, best_arm(size), color)
        left.set_xscale("log")
        left.set_xlabel("peak learning rate")
        left.set_ylabel("nats above the minimum")
        left.set_ylim(bottom=min(0.0, left.get_ylim()[0]))
        _draw_rates(right, sizes, colors)
        for axis in (left.xaxis, right.yaxis):
            write_ticks(axis, lambda value: f"{value:.3g}")
        write_ticks(right.xaxis, count_text)
        figure.legend(handles=_handles(sizes, colors), loc="outside lower center", ncols=min(len(sizes), 4) + 3)
    return figure


def best_arm(size: Mapping[str, Any]) -> Mapping[str, Any]:
    """The batch of a size of tune.json at which its loss is least."""
    return min(size["arms"], key=lambda arm: arm["loss"])


def _draw_losses(axes: Axes, arm: Mapping[str, Any], color: str) -> None:
    shown = [(rate, loss - arm["loss"]) for rate, loss in zip(arm["values"], arm["losses"], strict=True) if loss]
    axes.plot(*zip(*shown, strict=True), "o", color=color, markersize=3.5, zorder=3)
    place = int(np.argmin([np.inf if loss is None else loss for loss in arm["losses"]]))
    interior = arm["verdict"] == "interior"
    if interior:
        three = slice(place - 1, place + 2)
        x = np.log(arm["values"][three])
        fine = np.linspace(float(x[0]), float(x[2]), 60)
        middle = x[1]
        parabola = cast("Any", np.polyfit(x - middle, arm["losses"][three], 2))
        curve = np.asarray(np.polyval(parabola, fine - middle), dtype=float)
        axes.plot(np.exp(fine), curve - arm["loss"], color=color, linewidth=1.3)
    axes.plot(*zip(*shown, strict=True), color=color, linewidth=0.6, alpha=0.5)
    axes.plot(arm["best"], 0.0, color=color, zorder=5, **_DIAMOND, fillstyle="full" if interior else "none")
    own = dict(zip(arm["values"], arm["losses"], strict=True)).get(arm["rule_rate"])
    if own is not None:
        axes.plot(arm["rule_rate"], own - arm["loss"], color=color, zorder=4, **_OWN)


def _draw_rates(axes: Axes, sizes: list[Mapping[str, Any]], colors: list[str]) -> None:
    n_params = [size["n_params"] for size in sizes]
    arms = [best_arm(size) for size in sizes]
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.plot(n_params, [arm["law_rate"] for arm in arms], color=BLACK, linewidth=1.1)
    for n, arm, color in zip(n_params, arms, colors, strict=True):
        if arm["low"] is not None:
            axes.errorbar(n, arm["best"], yerr=[[arm["best"] - arm["low"]], [arm["high"] - arm["best"]]], **_BAR_LOOK)
        filled = "full" if arm["verdict"] == "interior" else "none"
        axes.plot(n, arm["best"], color=color, zorder=5, **_DIAMOND, fillstyle=filled)
        axes.plot(n, arm["rule_rate"], color=color, zorder=4, **_OWN)
    axes.margins(0.12)
    axes.set_xlabel(n_params_label("n_params"))
    axes.set_ylabel("peak learning rate")


def _handles(sizes: list[Mapping[str, Any]], colors: list[str]) -> list[Line2D]:
    handles = [
        Line2D([], [], color=color, marker="o", markersize=3.5, label=f"N = {count_text(size['n_params'])}")
        for size, color in zip(sizes, colors, strict=True)
    ]
    handles.append(Line2D([], [], color=GREY, linestyle="", label="minimum, 95 %", **_DIAMOND))
    handles.append(Line2D([], [], color=GREY, label="the recipe's own", **_OWN))
    handles.append(Line2D([], [], color=BLACK, linewidth=1.1, label="law, at each batch"))
    return handles
