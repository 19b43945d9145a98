"""A table of runs before any fit: which sizes were trained at which compute, and the losses that came out."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ...runs import RunTable
from ..marks import flops_label, n_params_label
from ..style import GREY
from .captions import loss_label, runs_words
from .hover import run_hover
from .picture import Axis, Mark, Panel, Picture, Points, Symbol
from .sizes import size_classes

_SYMBOLS: tuple[Symbol, ...] = ("circle", "diamond", "square", "triangle")


def runs_picture(table: RunTable) -> Picture:
    """Left, size against compute; right, loss against compute, coloured by size. Runs left out are crosses."""
    marks: dict[str, list[Mark]] = {"n_params": [], "loss": []}
    frame = table.fitted
    classes = size_classes(frame["n_params"].to_numpy(dtype=float))
    for place, (label, color) in enumerate(zip(classes.labels, classes.colors, strict=True)):
        rows = frame.iloc[np.flatnonzero(classes.of == place)]
        for name, found in marks.items():
            found.append(_points(rows, name, color, _SYMBOLS[place % len(_SYMBOLS)], label))
    left_out = _drawable(table)
    if len(left_out):
        for name, found in marks.items():
            found.append(_points(left_out, name, GREY, "cross", "left out"))
    compute = Axis(flops_label(table.counted_flops), True, "flops")
    column = table.counted_n_params
    size = "parameters N (column n_params)" if column == "n_params" else n_params_label(column)
    panels = (
        Panel(compute, Axis(size, True, "count"), tuple(marks["n_params"])),
        Panel(compute, Axis(loss_label(table)), tuple(marks["loss"])),
    )
    caption = (
        f"{runs_words(table)}: size and loss against training compute, coloured by size. Crosses are runs that are "
        "flagged and not fitted, where their numbers can be drawn."
    )
    return Picture("runs", "The runs", caption, panels)


def _drawable(table: RunTable) -> pd.DataFrame:
    """The rows left out whose numbers have a place on log axes, and whose losses do not hide the others."""
    rows = table.frame.loc[~table.usable]
    numbers = rows[["n_params", "flops", "loss"]].to_numpy(dtype=float)
    highest = float(table.fitted["loss"].max())
    there = np.isfinite(numbers).all(axis=1) & (numbers > 0).all(axis=1) & (numbers[:, 2] <= 1.2 * highest)
    return rows.iloc[np.flatnonzero(there)]


def _points(rows: pd.DataFrame, name: str, color: str, symbol: Symbol, label: str) -> Points:
    hover, links = run_hover(rows)
    x, y = (rows[column].to_numpy(dtype=float) for column in ("flops", name))
    return Points(x, y, color, symbol, 4.0, label=label, hover=hover, links=links)
