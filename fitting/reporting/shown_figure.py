"""A matplotlib figure that a notebook shows without pyplot: returned from a cell's last line, it is drawn there."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves the **kwargs of its methods untyped.

from __future__ import annotations

import io

from matplotlib.figure import Figure

from .style import figure_style

_DPI = 144


class ShownFigure(Figure):
    """A `Figure`: `savefig` and all the rest as matplotlib has them."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        with figure_style():
            self.savefig(buffer, format="png", dpi=_DPI)
        return buffer.getvalue()
