"""A field of values as Plotly draws it."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.interpolate import PchipInterpolator

from ..style import BLACK, sequential_colors
from .levels import round_levels
from .picture import Field
from .plain import escaped, numbers

_BAR_TICKS = 9


def contours(mark: Field) -> list[dict[str, Any]]:
    """Filled contours, then the lines. Plotly's levels are even, so `z` is drawn by its place among the levels."""
    z = np.asarray(mark.z, dtype=float)
    levels = round_levels(float(np.nanmin(z)), float(np.nanmax(z))) if mark.levels is None else np.asarray(mark.levels)
    places = np.arange(-1, len(levels) + 1)
    ends = (2 * levels[0] - levels[1], 2 * levels[-1] - levels[-2])
    place = PchipInterpolator([ends[0], *levels, ends[1]], places)(np.clip(z, *ends))
    colors = sequential_colors(12)
    step = -(-len(levels) // _BAR_TICKS)
    grid = {"type": "contour", "x": numbers(mark.x), "y": numbers(mark.y), "hoverinfo": "skip"}
    filled = {
        **grid,
        "z": [numbers(row) for row in place],
        "zmin": -0.5,
        "zmax": len(levels) - 0.5,
        "contours": {"start": 0, "end": len(levels) - 1, "size": 1, "coloring": "fill", "showlines": False},
        "line": {"width": 0},
        "colorscale": [[share, color] for share, color in zip(np.linspace(0, 1, 12).tolist(), colors, strict=True)],
        "colorbar": {
            "title": {"text": "<br>" + escaped(mark.label), "side": "right"},  # a line's space beside the ticks
            "thickness": 14,
            "outlinewidth": 0,
            "tickvals": list(range(0, len(levels), step)),
            "ticktext": [f"{level:.4g}" for level in levels[::step]],
        },
    }
    lines = [
        {
            **grid,
            "z": [numbers(row) for row in z],
            "contours": {"start": level, "end": level, "size": 1, "coloring": "none"},
            "line": {"color": BLACK, "width": 1.4},
            "showscale": False,
        }
        for level in mark.lines
    ]
    return [filled, *lines]
