"""Numbers, names, colours and addresses as the page may hold them, whatever a log says."""

from __future__ import annotations

import html
import math
from typing import Any

import numpy as np

_LONGEST = 80  # letters of a line of a hover or a row's name


def web_address(url: str) -> str:
    """`url` where it leads to the web, else ""; what logs hold may be any scheme, as javascript:."""
    return url if url.startswith(("https://", "http://")) else ""


def escaped(text: str) -> str:
    """`text` as Plotly shows it letter by letter, its lines kept and those of over 80 letters cut."""
    lines = (line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…" for line in text.split("\n"))
    return "<br>".join(html.escape(line, quote=False) for line in lines)


def translucent(color: str, opacity: float = 0.2) -> str:
    """A colour, "#rrggbb", through which what is below shows; as a band's unless `opacity` is given."""
    red, green, blue = (int(color[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def numbers(values: Any) -> list[float | None]:
    """Six digits of each, which is finer than a pixel, and None for what is not finite."""
    return [float(f"{value:.6g}") if math.isfinite(value) else None for value in np.asarray(values, dtype=float)]
