"""What a picture shows, before any plotting library: panels of points, lines, bands and fields, in words and numbers.

Two renderers draw the same `Picture`: `paper` with matplotlib for print, `interactive` with Plotly for the page.
Texts are plain Unicode; colours are "#rrggbb"; coordinates are in the axes' own units, never logs. NaN breaks a line.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Symbol = Literal["circle", "diamond", "square", "cross", "triangle"]
Dash = Literal["solid", "dash", "dot"]
Written = Literal["number", "count", "flops", "percent"]  # how an axis writes its ticks; percent: of fractions


@dataclass(frozen=True)
class Axis:
    """One axis: its label with the unit, its scale, and how its ticks are written (`style.count_text`, `flops_text`).

    With `names` it is a list of rows: row i lies at coordinate i, the first on top, and `strong` rows are headings.
    """

    label: str
    log: bool = False
    written: Written = "number"
    limits: tuple[float, float] | None = None
    names: tuple[str, ...] = ()
    strong: frozenset[int] = frozenset()
    faint: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Points:
    """Markers at `x`, `y` (n,). `low` and `high` are bounds (n,) of the `error` coordinate, drawn as bars.

    `hover` has a text for each point, its lines separated by newlines; `links` an address or "" for each, opened by a
    click in the page. `size` is a diameter in points of print; `edge` the colour of an outline and of the bars, "" for
    `color`. `axis_edge` marks points that lie beyond the limits, given at the edge's coordinates and drawn whole there.
    """

    x: Array
    y: Array
    color: str
    symbol: Symbol = "circle"
    size: float = 4.0
    hollow: bool = False
    opacity: float = 1.0
    label: str = ""
    error: Literal["x", "y"] | None = None
    low: Array | None = None
    high: Array | None = None
    hover: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    axis_edge: bool = False
    edge: str = ""


@dataclass(frozen=True)
class Line:
    """A line through `x`, `y` (n,); `width` in points of print."""

    x: Array
    y: Array
    color: str
    width: float = 1.5
    dash: Dash = "solid"
    opacity: float = 1.0
    label: str = ""
    hover: str = ""  # of the whole line: its name


@dataclass(frozen=True)
class Band:
    """What lies between `low` and `high` (n,) over `x` (n,)."""

    x: Array
    low: Array
    high: Array
    color: str
    label: str = ""


@dataclass(frozen=True)
class Field:
    """Values `z` (len(y), len(x)) over a grid, as filled contours at `levels` with a colour bar of `label`.

    `lines` are single levels drawn as black lines; `label_lines` their legend.
    """

    x: Array
    y: Array
    z: Array
    label: str
    levels: Array | None = None
    lines: tuple[float, ...] = ()
    label_lines: str = ""


@dataclass(frozen=True)
class Rule:
    """A straight line across the panel at `at` on one axis."""

    axis: Literal["x", "y"]
    at: float
    color: str
    dash: Dash = "dot"
    label: str = ""


@dataclass(frozen=True)
class Text:
    """Words at a place."""

    x: float
    y: float
    text: str
    color: str


Mark = Points | Line | Band | Field | Rule | Text


@dataclass(frozen=True)
class Panel:
    """One pair of axes with its marks, drawn in their order."""

    x: Axis
    y: Axis
    marks: tuple[Mark, ...]
    title: str = ""


@dataclass(frozen=True)
class Picture:
    """One figure of one panel or several side by side, under one legend made of the marks' labels, each once.

    `name` is the stem of its files; `title` and `caption` are sentences for the page and for a paper's caption: what is
    drawn, in which units and conventions, and what the bars and bands are. `legend_title` heads the legend. `height`
    is in inches of print for one panel; None: as is usual.
    """

    name: str
    title: str
    caption: str
    panels: tuple[Panel, ...]
    legend_title: str = ""
    height: float | None = None
    notes: tuple[str, ...] = field(default=())  # what a reader must know, as points left out
