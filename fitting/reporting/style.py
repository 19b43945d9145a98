"""One look for every figure, and the way numbers are written in figures and tables."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

# Okabe and Ito's palette: told apart by readers with any of the common colour deficiencies.
BLACK, ORANGE, SKY, GREEN, BLUE, RED = "#1a1a1a", "#e69f00", "#56b4e9", "#009e73", "#0072b2", "#d55e00"
GREY = "#767676"

RC: dict[str, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.title_fontsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.5,
    "figure.constrained_layout.use": True,
    "pdf.fonttype": 42,  # text stays text in the PDF
}


Color = tuple[float, float, float, float]


def figure_style() -> AbstractContextManager[None]:
    """The settings to draw and to save under; nothing global is left behind."""
    import matplotlib

    return matplotlib.rc_context(RC)  # pyright: ignore[reportArgumentType]


def sequential_colors(count: int) -> list[Color]:
    """`count` colours from dark to light, viridis without its yellow end, which vanishes on white."""
    import matplotlib

    positions = np.linspace(0.0, 0.85, count) if count > 1 else np.array([0.3])
    return [tuple(color) for color in matplotlib.colormaps["viridis"](positions)]


def exponent_number(value: float, signed: bool = False) -> str:
    """Two decimals without the zero before the point, as papers print exponents: .49, -.02, 1.21."""
    if abs(value) < 0.005:
        return ".00"
    text = f"{value:+.2f}" if signed else f"{value:.2f}"
    return text.replace("0.", ".", 1) if abs(value) < 0.995 else text


def interval_text(value: float, low: float | None, high: float | None, interval: str) -> str:
    """Such as ".49 [.46, .53] 80 %": the value, its bounds and what they are; or the value alone."""
    text = exponent_number(value)
    if low is None or high is None:
        return text
    return f"{text} [{exponent_number(low)}, {exponent_number(high)}] {interval}".rstrip()


def unit_text(loss_unit: str | None) -> str:
    """The unit of losses in words: nats per token, where nothing else is said of them."""
    return "nats per token" if loss_unit is None else loss_unit.replace("_", " ")


def count_text(count: float) -> str:
    """A count in at most three digits and a letter: 950, 28.6k, 1.3B."""
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(count) >= 0.9995 * size:
            return f"{float(f'{count / size:.3g}'):g}{letter}"
    return f"{count:.3g}"


def flops_text(flops: float) -> str:
    """Compute as people write it: 4e10, 1.25e16."""
    if not flops > 0 or not math.isfinite(flops):
        return f"{flops:g}"
    mantissa, exponent = f"{flops:.2e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def amount_text(amount: float) -> str:
    """An amount of anything: a count with its letter up to 1000T, compute above, 5.7e21."""
    return count_text(amount) if abs(amount) < 1e15 else flops_text(amount)
