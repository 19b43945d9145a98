"""One look for every figure, and the way numbers are written in figures and tables."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves the **kwargs of its methods untyped.

from __future__ import annotations

import difflib
import functools
import logging
import math
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..errors import InputError

if TYPE_CHECKING:
    from matplotlib.colors import Colormap

# Okabe and Ito's palette: told apart by readers with any of the common colour deficiencies.
BLACK, ORANGE, SKY, GREEN, BLUE, RED = "#1a1a1a", "#e69f00", "#56b4e9", "#009e73", "#0072b2", "#d55e00"
GREY, WHITE = "#767676", "#ffffff"
SHADE = 0.5  # opacity of what darkens the ground of white words

_SIZES = {
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.title_fontsize": 7,
}
RC: dict[str, Any] = {
    **_SIZES,
    "figure.figsize": (3.35, 2.6),  # one column of a two-column page
    "font.size": 8,
    "legend.frameon": False,
    "text.color": BLACK,
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
    "svg.fonttype": "none",  # and in the SVG
    "svg.hashsalt": "isoflop",  # the same figure is the same file
}

_CHOSEN: ContextVar[Mapping[str, Any]] = ContextVar("settings of the user's style", default=MappingProxyType({}))


@contextmanager
def use_style(style: str | Path | None) -> Generator[None]:
    """Figures of the block are drawn and saved with a matplotlib style on top of ours; None changes nothing.

    `style` is the name of one of matplotlib's styles, or the path of an .mplstyle file.

    Raises:
        InputError: there is no such style or file, or matplotlib cannot read it.
    """
    if style is None:
        yield
        return
    token = _CHOSEN.set(_settings(str(style)))
    try:
        yield
    finally:
        _CHOSEN.reset(token)


def figure_style() -> AbstractContextManager[None]:
    """The settings to draw and to save under: ours, then those of `use_style`. Nothing global is left behind."""
    import matplotlib

    return matplotlib.rc_context({**RC, **_CHOSEN.get()})  # pyright: ignore[reportArgumentType]


def _settings(style: str) -> dict[str, Any]:
    from matplotlib import style as styles

    if style in styles.library:
        found = styles.library[style]
    elif not style.endswith(".mplstyle"):
        near = difflib.get_close_matches(style, styles.library, n=3) or styles.available[:5]
        raise InputError(
            f"--style {style}: matplotlib has none of that name; nearby: {', '.join(near)}; or a .mplstyle file"
        )
    elif not Path(style).is_file():
        raise InputError(f"--style {style}: no such file; give an .mplstyle file that exists, or the name of a style")
    else:
        found = _read(style)
    larger = found.get("font.size", RC["font.size"]) / RC["font.size"]
    sizes = {key: larger * size for key, size in _SIZES.items() if key not in found}
    # A journal's font may lack letters of our labels, as ∝; DejaVu, which matplotlib ships, has them.
    fonts = [*found.get("font.family", ["sans-serif"]), "DejaVu Sans"]
    # What shows figures on a screen is not for a style to say, and would outlast it.
    return (
        {key: value for key, value in found.items() if not key.startswith("backend")} | sizes | {"font.family": fonts}
    )


def _read(path: str) -> Mapping[str, Any]:
    """The settings of a file, refusing what matplotlib would only log: unknown keys, values that are none."""
    from matplotlib import rc_params_from_file  # pyright: ignore[reportUnknownVariableType]

    heard: list[str] = []

    def hear(record: logging.LogRecord) -> bool:
        heard.append(record.getMessage())
        return False

    found: dict[str, Any] = {}
    logger = logging.getLogger("matplotlib")
    logger.addFilter(hear)
    try:
        read: Mapping[str, Any] = cast("Any", rc_params_from_file)(path, fail_on_error=True, use_default_template=False)
        found = dict(read)
    except (ValueError, OSError) as error:
        heard.append(str(error))
    finally:
        logger.removeFilter(hear)
    if heard:
        raise InputError(f"--style {path}: {heard[0].strip().splitlines()[0]}")
    return found


def sequential_map() -> Colormap:
    """Dark to light: viridis without its yellow end, which vanishes on white."""
    import matplotlib
    from matplotlib.colors import ListedColormap

    return ListedColormap(matplotlib.colormaps["viridis"](np.linspace(0.0, 0.85, 256)))


def on_dark(color: str) -> str:
    """`color` as it is told from a dark ground: of `sequential_map` a lighter one, any other as it is."""
    return _lighter().get(color, color)


@functools.cache
def _lighter() -> dict[str, str]:
    import matplotlib
    from matplotlib.colors import to_hex

    light = matplotlib.colormaps["viridis"](np.linspace(0.35, 1.0, 256))
    return dict(zip(map(to_hex, sequential_map()(np.arange(256))), map(to_hex, light), strict=True))


def sequential_colors(count: int) -> list[str]:
    """`count` colours "#rrggbb" of `sequential_map`, from dark to light."""
    from matplotlib.colors import to_hex

    positions = np.linspace(0.0, 1.0, count) if count != 1 else np.array([0.35])
    return [to_hex(color) for color in sequential_map()(positions)]


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


def number_text(value: float, digits: int = 6) -> str:
    """A whole number in all its digits, as seeds have many; any other in `digits`."""
    return str(int(value)) if abs(value) < 1e15 and value == int(value) else f"{value:.{digits}g}"


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
