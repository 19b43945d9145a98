"""A picture as Plotly draws it: plain JSON for `Plotly.newPlot`, a graph a panel, without importing Plotly.

The panels are graphs of their own, so that a page lays them side by side or one below the other as its width allows,
and the legend is the page's: `legend_groups` says which traces share a line of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from ..style import BLACK, GREY, SHADE, WHITE
from .contours import contours
from .extent import limits
from .picture import Axis, Band, Field, Line, Mark, Panel, Picture, Points, Rule, Text
from .plain import escaped, numbers, translucent, web_address
from .ticks import WORDS, log_ticks

Json = dict[str, Any]
FONT = "-apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Liberation Sans', Arial, sans-serif"
SYMBOLS = {"circle": "circle", "diamond": "diamond", "square": "square", "cross": "x-thin", "triangle": "triangle-up"}
DASHES = {"solid": "solid", "dash": "dash", "dot": "dot"}
MARK_PIXELS, LINE_PIXELS = 1.8, 1.4  # a point of print on the page, where a panel is wider
_INCH_PIXELS, _ROW_PIXELS, _ROWS_MARGIN = 140, 27, 70
_USUAL_HEIGHT = 400
_EXPONENTS = {"number": "B", "percent": "B", "count": "B", "flops": "e"}
_TOP = 0.9  # of a panel: words above stand below their place
_EDGE = 0.015  # of an axis: half a mark
_CONFIG: Json = {
    "displaylogo": False,
    "typesetMath": False,
    "modeBarButtons": [["toImage", "resetScale2d"]],
}


def plotly_of(picture: Picture) -> list[Json]:
    """A graph a panel of `picture`, in their order: {"data", "layout", "config"} as `Plotly.newPlot` takes them.

    Names are escaped, as Plotly reads a part of HTML; a point's address stands in `customdata`, "" where it is not of
    http or https. `layout.meta` says of a graph whether its x axis is `compute`, and whether its y axis is
    `rows`, and which of them are `strong`.
    """
    groups = legend_groups(picture)
    return [_graph(picture, panel, groups) for panel in picture.panels]


def legend_groups(picture: Picture) -> dict[str, list[Mark]]:
    """The marks under each label of the legend, in the order of their first appearance."""
    groups: dict[str, list[Mark]] = {}
    for panel in picture.panels:
        for mark in panel.marks:
            label = legend_label(mark)
            if label:
                groups.setdefault(label, []).append(mark)
    return groups


def legend_label(mark: Mark) -> str:
    """What the legend says of `mark`, "" for nothing."""
    return mark.label_lines if isinstance(mark, Field) else getattr(mark, "label", "")


def panel_height(picture: Picture, panel: Panel) -> int:
    """Pixels of a graph: a row's height for each of its rows, else as the picture asks."""
    if panel.y.names:
        return _ROWS_MARGIN + _ROW_PIXELS * len(panel.y.names)
    return round(_INCH_PIXELS * picture.height) if picture.height else _USUAL_HEIGHT


def _graph(picture: Picture, panel: Panel, groups: Mapping[str, object]) -> Json:
    view = {"x": limits(panel, "x"), "y": limits(panel, "y")}
    traces: list[Json] = []
    shapes: list[Json] = []
    annotations: list[Json] = []
    for mark in panel.marks:
        match mark:
            case Points():
                drawn = [_points(_kept_inside(mark, panel, view) if mark.axis_edge else mark)]
            case Line():
                drawn = [_line(mark)]
            case Band():
                drawn = _band(mark)
            case Field():
                drawn = contours(mark)
            case Rule():
                shapes.append(_rule(mark))
                continue
            case Text():
                annotations.append(_text(mark, panel, view))
                continue
        label = legend_label(mark)
        if label:
            for trace in drawn[isinstance(mark, Field) :]:  # of a field, its lines alone
                trace["legendgroup"] = str(list(groups).index(label))
        traces += drawn
    layout: Json = {
        "font": {"family": FONT, "size": 12, "color": BLACK},
        "height": panel_height(picture, panel),
        "margin": {"l": 56, "r": 14, "t": 34 if any(one.title for one in picture.panels) else 12, "b": 44},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "hovermode": "closest",
        "hoverlabel": {"align": "left", "bgcolor": "white", "bordercolor": GREY, "font": {"color": BLACK, "size": 12}},
        "showlegend": False,
        "xaxis": _axis(panel.x, view["x"]),
        "yaxis": _axis(panel.y, view["y"]),
        "shapes": shapes,
        "annotations": annotations,
        "meta": {
            "compute": panel.x.written == "flops" and panel.x.log,
            "rows": bool(panel.y.names),
            "strong": sorted(panel.y.strong),
        },
    }
    if panel.title:
        title = {"text": escaped(panel.title), "x": 0, "xref": "paper", "y": 1, "yref": "paper", "yanchor": "bottom"}
        layout["title"] = {**title, "pad": {"b": 8}, "font": {"size": 13}}
    return {"data": traces, "layout": layout, "config": {**_CONFIG, "toImageButtonOptions": {"filename": picture.name}}}


def _axis(axis: Axis, view: tuple[float, float]) -> Json:
    drawn: Json = {
        "title": {"text": escaped(axis.label), "standoff": 10, "font": {"size": 13}},
        "type": "log" if axis.log else "linear",
        "range": [math.log10(end) for end in view] if axis.log else list(view),
        "showline": True,
        "linecolor": "#8a8a8a",
        "ticks": "outside",
        "ticklen": 4,
        "tickcolor": "#8a8a8a",
        "gridcolor": "#ececec",
        "zeroline": False,
        "automargin": True,
        "exponentformat": _EXPONENTS[axis.written],
    }
    if axis.names:
        rows = range(len(axis.names))
        texts = [_row_name(name, row in axis.strong, row in axis.faint) for row, name in enumerate(axis.names)]
        bare = {"showgrid": False, "showline": False, "ticks": "", "fixedrange": True}
        drawn |= {"tickmode": "array", "tickvals": list(rows), "ticktext": texts, **bare}
    elif axis.log:
        ticks = log_ticks(min(view), max(view))
        drawn |= {"tickmode": "array", "tickvals": ticks, "ticktext": [WORDS[axis.written](tick) for tick in ticks]}
        drawn |= {"tickangle": 0} | ({"tickformat": "~e"} if axis.written == "flops" else {})  # zoomed in
    else:
        drawn |= {"nticks": 7, "tickangle": 0} | ({"tickformat": "~%"} if axis.written == "percent" else {})
    return drawn


def _row_name(name: str, strong: bool, faint: bool) -> str:
    text = escaped(name)
    if faint:
        text = f'<span style="color:{GREY}">{text}</span>'
    return f"<b>{text}</b>" if strong else text


def _points(mark: Points) -> Json:
    look: Json = {"symbol": SYMBOLS[mark.symbol], "size": round(MARK_PIXELS * mark.size, 1), "color": mark.color}
    edge = mark.edge or mark.color
    if mark.symbol == "cross":
        look["line"] = {"width": 1.6, "color": mark.color}
    elif mark.hollow:
        look |= {"color": "white", "line": {"width": 1.6, "color": edge}}
    elif mark.edge:
        look["line"] = {"width": 1, "color": edge}
    if mark.opacity < 1:
        look["opacity"] = mark.opacity
    trace: Json = {"type": "scatter", "mode": "markers", "x": numbers(mark.x), "y": numbers(mark.y), "marker": look}
    trace |= _hover(list(map(escaped, mark.hover)) if mark.hover else escaped(mark.label))
    if any(mark.links):
        trace["customdata"] = [web_address(link) for link in mark.links]
    if mark.error is not None and mark.low is not None and mark.high is not None:
        trace[f"error_{mark.error}"] = _bars(mark, mark.error, edge)
    return trace


def _kept_inside(mark: Points, panel: Panel, view: Mapping[str, tuple[float, float]]) -> Points:
    """`mark` with its points moved in from the edge by what shows them whole."""

    def moved(values: np.ndarray, axis: Axis, ends: tuple[float, float]) -> np.ndarray:
        low, high = sorted(np.log10(ends) if axis.log else ends)
        margin = _EDGE * (high - low)
        places = np.clip(np.log10(values) if axis.log else values, low + margin, high - margin)
        return 10**places if axis.log else places

    return replace(mark, x=moved(mark.x, panel.x, view["x"]), y=moved(mark.y, panel.y, view["y"]))


def _bars(mark: Points, error: Literal["x", "y"], color: str) -> Json:
    middle = np.asarray(mark.x if error == "x" else mark.y, dtype=float)
    above, below = np.asarray(mark.high, dtype=float) - middle, middle - np.asarray(mark.low, dtype=float)
    known = np.isfinite(above) & np.isfinite(below)
    lengths = {
        name: numbers(np.where(known, np.clip(length, 0, None), 0))
        for name, length in (("array", above), ("arrayminus", below))
    }
    return {"type": "data", "symmetric": False, **lengths, "color": color, "thickness": 1.4, "width": 3}


def _line(mark: Line) -> Json:
    look: Json = {"color": mark.color, "width": round(LINE_PIXELS * mark.width, 1), "dash": DASHES[mark.dash]}
    trace: Json = {"type": "scatter", "mode": "lines", "x": numbers(mark.x), "y": numbers(mark.y), "line": look}
    if mark.opacity < 1:
        trace["opacity"] = mark.opacity
    return trace | _hover(escaped(mark.hover or mark.label))


def _band(mark: Band) -> list[Json]:
    """A closed polygon for each stretch without a NaN."""
    x, low, high = (np.asarray(values, dtype=float) for values in (mark.x, mark.low, mark.high))
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(low) & np.isfinite(high))
    stretches = [part for part in np.split(known, np.flatnonzero(np.diff(known) > 1) + 1) if len(part) > 1]
    look = {"mode": "lines", "fill": "toself", "line": {"width": 0}, "hoverinfo": "skip"}
    return [
        {
            "type": "scatter",
            "x": numbers(np.concatenate([x[part], x[part][::-1]])),
            "y": numbers(np.concatenate([low[part], high[part][::-1]])),
            "fillcolor": translucent(mark.color),
            **look,
        }
        for part in stretches
    ]


def _rule(mark: Rule) -> Json:
    across = "y" if mark.axis == "x" else "x"
    ends = {f"{mark.axis}0": mark.at, f"{mark.axis}1": mark.at, f"{across}0": 0, f"{across}1": 1}
    line = {"color": mark.color, "width": 1.3, "dash": DASHES[mark.dash]}
    return {"type": "line", f"{across}ref": "paper", **ends, "line": line, "layer": "between"}


def _text(mark: Text, panel: Panel, view: Mapping[str, tuple[float, float]]) -> Json:
    """Words beside their place, towards the panel's middle, so that none run out of it."""
    x, across = _place(mark.x, panel.x, view["x"])
    y, up = _place(mark.y, panel.y, view["y"])
    inwards = {"xanchor": "right", "xshift": -5} if across > 0.5 else {"xanchor": "left", "xshift": 5}
    inwards |= {"yanchor": "top", "yshift": -3} if up > _TOP else {"yanchor": "bottom", "yshift": 3}
    words: Json = {"text": escaped(mark.text), "font": {"color": mark.color, "size": 12}}
    if mark.color == WHITE:
        words |= {"bgcolor": translucent(BLACK, SHADE), "borderpad": 1}
    return {"x": x, "y": y, "showarrow": False, **inwards, **words}


def _place(value: float, axis: Axis, view: tuple[float, float]) -> tuple[float, float]:
    """A coordinate as Plotly takes it, and how far along the axis it lies, from 0 to 1."""
    place, low, high = (math.log10(each) if axis.log else each for each in (value, *view))
    return place, (place - low) / (high - low)


def _hover(text: str | list[str]) -> Json:
    return {"hovertext": text, "hoverinfo": "text"} if text else {"hoverinfo": "skip"}
