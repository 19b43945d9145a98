"""A picture as a matplotlib figure for print: one column wide (3.35 inches) for one panel, two columns (7) for more.

A user's style that sets `figure.figsize` moves both widths and the heights with it.
"""

# pyright: reportUnknownMemberType=false
# matplotlib leaves the **kwargs of its methods untyped.

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rcParams
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis as MatplotlibAxis
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text as Text2D

from ..marks import formatter, write_ticks
from ..shown_figure import ShownFigure
from ..style import BLACK, GREY, RC, SHADE, WHITE, figure_style, on_dark, sequential_map
from .picture import Axis, Band, Field, Line, Mark, Panel, Picture, Points, Rule, Text
from .ticks import WORDS

_TWO_COLUMNS = 7.0 / 3.35  # of one, with the gap between them
_SIDE_BY_SIDE = 3  # panels of one row
_PANEL_HEIGHT = {1: 2.6, 2: 2.7, 3: 2.3}  # inches, by the panels of a row
_ROW_HEIGHT, _ROWS_MARGIN = 0.165, 0.75
_LONG_NAME = 24  # letters: rows with longer names need the page's whole width
_LONG_LABEL = {"x": {1: 48, 2: 48, 3: 30}, "y": {1: 34, 2: 34, 3: 28}}  # letters that stand beside one panel of a row
_MARKERS = {"circle": "o", "diamond": "D", "square": "s", "cross": "x", "triangle": "^"}
_DASHES = {"solid": "-", "dash": (0, (4, 1.6)), "dot": (0, (1.2, 1.5))}
_LEGEND: dict[str, Any] = {
    "loc": "outside lower center",
    "alignment": "left",
    "borderpad": 0.1,
    "columnspacing": 1.4,
    "handlelength": 1.9,
    "handletextpad": 0.5,
}
_LEGEND_WIDTH = 0.97  # of the figure: saved at other dots per inch letters are a little wider
_Handles = dict[str, dict[type[Any], Artist]]  # of each label, the first artist of each kind of mark


def draw(picture: Picture) -> Figure:
    """`picture` as a figure of its own, without display or global state, in the style in force (`figure_style`).

    Marks of one label share one line of the legend, which stands below. Texts are 7 points or more.
    """
    across = min(len(picture.panels), _SIDE_BY_SIDE)
    down = -(-len(picture.panels) // across)
    with figure_style():
        height = down * _height(picture, across)
        figure = ShownFigure(figsize=(_width(picture), height), layout="constrained")
        cells = figure.subplots(down, across, squeeze=False).flatten()
        handles: _Handles = {}
        for axes, panel in zip(cells, picture.panels, strict=False):
            _draw_panel(axes, panel, handles, across)
        for unused in cells[len(picture.panels) :]:
            unused.remove()
        if handles:
            _add_legend(figure, handles, picture.legend_title, height)
    return figure


def _width(picture: Picture) -> float:
    names = [name for panel in picture.panels for name in panel.y.names]
    wide = len(picture.panels) > 1 or any(len(name) > _LONG_NAME for name in names)
    return rcParams["figure.figsize"][0] * (_TWO_COLUMNS if wide else 1)


def _height(picture: Picture, across: int) -> float:
    rows = max(len(panel.y.names) for panel in picture.panels)
    letters = max(1.0, Text2D(size=rcParams["ytick.labelsize"]).get_fontsize() / RC["ytick.labelsize"])
    usual = letters * (_ROWS_MARGIN + _ROW_HEIGHT * rows) if rows else _PANEL_HEIGHT[across]
    return (picture.height or usual) * rcParams["figure.figsize"][1] / RC["figure.figsize"][1]


def _ink(color: str) -> str:
    """Black is the colour of the text; where a style makes that light, for a dark ground, others are too."""
    if color == BLACK:
        return rcParams["text.color"]
    return on_dark(color) if np.mean(to_rgb(rcParams["text.color"])) > 0.5 else color


def _draw_panel(axes: Axes, panel: Panel, handles: _Handles, across: int) -> None:
    axes.set_xscale("log" if panel.x.log else "linear")
    axes.set_yscale("log" if panel.y.log else "linear")
    for place, mark in enumerate(panel.marks):
        artist = _DRAW[type(mark)](axes, mark, 2 + 0.01 * place)
        label = mark.label_lines if isinstance(mark, Field) else getattr(mark, "label", "")
        if label and artist is not None:
            kinds = handles.setdefault(label, {})
            kinds[type(mark)] = _of_both(kinds.get(type(mark), artist), artist)
    _dress(axes.xaxis, panel.x, axes.set_xlim, _LONG_LABEL["x"][across])
    _dress(axes.yaxis, panel.y, axes.set_ylim, _LONG_LABEL["y"][across])
    if panel.y.names:
        axes.set_ylim(len(panel.y.names) - 0.4, -0.6)
    axes.set_title(panel.title)
    for text in axes.texts:
        _turn_inwards(axes, text)


def _of_both(first: Artist, second: Artist) -> Artist:
    """What stands in the legend for two marks of one label and kind: the first, or one in grey where colours differ."""
    if not isinstance(first, Line2D) or not isinstance(second, Line2D) or first.get_color() == second.get_color():
        return first
    grey = Line2D([], [])
    grey.update_from(first)
    grey.set_color(GREY)
    grey.set_markeredgecolor(GREY if first.get_markeredgecolor() == first.get_color() else first.get_markeredgecolor())
    if first.get_markerfacecolor() == first.get_color():
        grey.set_markerfacecolor(GREY)
    return grey


def _dress(axis: MatplotlibAxis, wanted: Axis, limit: Callable[[float, float], Any], long: int) -> None:
    """Label, limits and ticks, in the words that `wanted` asks for; a label is broken that is longer than `long`.

    So many letters of our own size fit one of our own figures.
    """
    axis.set_label_text(wanted.label)
    long = round(
        long
        * rcParams["figure.figsize"][0]
        / RC["figure.figsize"][0]
        * RC["axes.labelsize"]
        / axis.label.get_fontsize()
    )
    if len(wanted.label) > long:
        axis.set_label_text(_broken(wanted.label, long))
    if wanted.limits is not None:
        limit(*wanted.limits)
    if wanted.names:
        axis.set_ticks(range(len(wanted.names)), wanted.names)
        axis.set_tick_params(length=0)
        axis.grid(False)
        for row, text in enumerate(axis.get_ticklabels()):
            text.set_color(GREY if row in wanted.faint else _ink(BLACK))
            text.set_fontweight("bold" if row in wanted.strong else "normal")
    elif wanted.log:
        write_ticks(axis, WORDS[wanted.written])
    elif wanted.written != "number":
        axis.set_major_formatter(formatter(WORDS[wanted.written]))


def _broken(label: str, long: int) -> str:
    """Before its bracket, else where a line of `long` letters ends."""
    return label.replace(" (", "\n(", 1) if " (" in label else textwrap.fill(label, long)


def _draw_points(axes: Axes, mark: Points, order: float) -> Artist:
    face = {"markerfacecolor": rcParams["axes.facecolor"]} if mark.hollow else {}
    width = 1.0 if mark.hollow or mark.symbol == "cross" else 0.6 if mark.edge else 0.0
    if mark.error is not None and mark.low is not None and mark.high is not None:
        _draw_bars(axes, mark, order)
    (artist,) = axes.plot(
        mark.x,
        mark.y,
        linestyle="",
        marker=_MARKERS[mark.symbol],
        markersize=mark.size,
        color=_ink(mark.color),
        markeredgecolor=_ink(mark.edge or mark.color),
        markeredgewidth=width,
        alpha=mark.opacity,
        clip_on=not mark.axis_edge,
        zorder=order + 0.005,
        **face,
    )
    return artist


def _draw_bars(axes: Axes, mark: Points, order: float) -> None:
    low, high = np.asarray(mark.low, dtype=float), np.asarray(mark.high, dtype=float)
    known = np.isfinite(low) & np.isfinite(high)
    middle = np.asarray(mark.x if mark.error == "x" else mark.y, dtype=float)
    bars = np.clip([middle - low, high - middle], 0, None)[:, known]
    look: dict[str, Any] = {"fmt": "none", "ecolor": _ink(mark.edge or mark.color), "elinewidth": 1.0, "capsize": 2.0}
    axes.errorbar(
        np.asarray(mark.x)[known], np.asarray(mark.y)[known], **{f"{mark.error}err": bars}, **look, zorder=order
    )


def _draw_line(axes: Axes, mark: Line, order: float) -> Artist:
    (artist,) = axes.plot(
        mark.x,
        mark.y,
        color=_ink(mark.color),
        linewidth=mark.width,
        linestyle=_DASHES[mark.dash],
        alpha=mark.opacity,
        zorder=order,
    )
    return artist


def _draw_band(axes: Axes, mark: Band, order: float) -> Artist:
    return axes.fill_between(mark.x, mark.low, mark.high, color=_ink(mark.color), alpha=0.2, linewidth=0, zorder=order)


def _draw_field(axes: Axes, mark: Field, order: float) -> Artist | None:
    levels = 12 if mark.levels is None else mark.levels
    look: Mapping[str, Any] = {"cmap": sequential_map(), "zorder": order}
    filled = axes.contourf(mark.x, mark.y, mark.z, levels, extend="both" if mark.levels is not None else None, **look)
    filled.set_edgecolor("face")  # else viewers of PDFs show white seams
    bar = axes.get_figure().colorbar(filled, ax=axes, label=mark.label, aspect=28, pad=0.02)  # type: ignore[union-attr]
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]
    if not mark.lines:
        return None
    axes.contour(mark.x, mark.y, mark.z, sorted(mark.lines), colors=BLACK, linewidths=0.8, zorder=order + 0.005)
    return Line2D([], [], color=_ink(BLACK), linewidth=0.8)


def _draw_rule(axes: Axes, mark: Rule, order: float) -> Artist:
    look: dict[str, Any] = {"color": _ink(mark.color), "linestyle": _DASHES[mark.dash], "linewidth": 0.9}
    if mark.axis == "x":
        return axes.axvline(mark.at, **look, zorder=order)
    return axes.axhline(mark.at, **look, zorder=order)


def _draw_text(axes: Axes, mark: Text, order: float) -> None:
    look: dict[str, Any] = {"color": _ink(mark.color), "fontsize": rcParams["legend.fontsize"], "zorder": order + 1}
    if mark.color == WHITE:  # it stands on a field, whose light colours it would vanish in
        look["bbox"] = {"facecolor": BLACK, "alpha": SHADE, "linewidth": 0, "pad": 1}
    axes.annotate(mark.text, (mark.x, mark.y), (3, 3), textcoords="offset points", **look)


_DRAW: dict[type[Mark], Callable[..., Artist | None]] = {
    Points: _draw_points,
    Line: _draw_line,
    Band: _draw_band,
    Field: _draw_field,
    Rule: _draw_rule,
    Text: _draw_text,
}


def _turn_inwards(axes: Axes, text: Any) -> None:
    """Words in the right half of a panel end at their place instead of beginning there, so none run out of it."""
    across = axes.transAxes.inverted().transform(axes.transData.transform(text.xy))[0]
    if across > 0.5:
        text.set_horizontalalignment("right")
        text.set_position((-3, 3))


def _add_legend(figure: Figure, handles: _Handles, title: str, height: float) -> None:
    """Below the panels, in as many columns as fit; the figure grows by its height."""
    shown: Sequence[Any] = [tuple(kinds.values()) for kinds in handles.values()]
    for columns in range(min(len(shown), 6), 0, -1):
        legend = figure.legend(shown, list(handles), ncols=columns, title=title or None, **_LEGEND)
        extent = legend.get_window_extent()
        if extent.width <= _LEGEND_WIDTH * figure.bbox.width or columns == 1:
            figure.set_size_inches(figure.get_figwidth(), height + extent.height / figure.dpi)
            return
        legend.remove()
