"""What the figures share: axis labels with units and conventions, ticks, error bars, an exponent's own words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..results import Estimate
from .style import interval_text

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.ticker import FuncFormatter

Array = NDArray[np.float64]

_N_PARAMS_LABELS = {
    "n_params": "parameters N (total, embeddings included)",
    "n_params_non_embedding": "parameters N (without embeddings)",
    "n_params_blocks_and_head": "parameters N (blocks and head)",
}
_FLOPS_WORDS = {"6nd": "6ND", "6nd_non_embedding": "6ND, no embeddings"}


def n_params_label(convention: str) -> str:
    """The axis label of N counted as `convention`, a column's name."""
    return _N_PARAMS_LABELS.get(convention, f"parameters N ({convention})")


def flops_label(convention: str) -> str:
    """The axis label of C counted as `convention`; "flops" is the table's own count and says no more."""
    if convention == "flops":
        return "compute C, FLOPs"
    return f"compute C, FLOPs ({_FLOPS_WORDS.get(convention, convention)})"


def exponent_title(side: str, exponent: Estimate) -> str:
    """Such as "N* ∝ Cᵃ, a = .49 [.46, .53] (95 %)", of `side` "params" or "tokens" with its exponent."""
    interval = interval_text(exponent.value, exponent.low, exponent.high, f"({100 * exponent.level:g} %)")
    return f"{'N* ∝ Cᵃ, a' if side == 'params' else 'D* ∝ Cᵇ, b'} = {interval}"


def write_ticks(axis: Axis, text: Callable[[float], str]) -> None:
    """Ticks at 1, 2 and 5 of each decade where they fit, in words rather than powers of ten."""
    from matplotlib.ticker import LogLocator, NullLocator

    low, high = axis.get_view_interval()
    decades = np.log10(high / low)
    steps = (1.0, 2.0, 5.0) if decades < 2 else (1.0, 3.0) if decades < 3 else (1.0,)
    axis.set_major_locator(LogLocator(subs=steps))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(formatter(text))


def formatter(text: Callable[[float], str]) -> FuncFormatter:
    """Of an axis whose ticks are written by `text`."""
    from matplotlib.ticker import FuncFormatter

    def written(value: float, _place: int | None) -> str:
        return text(value)

    return FuncFormatter(written)


def standard_error(values: Array, log_se: float | Sequence[float | None] | None) -> tuple[Array, Array]:
    """One standard error of ln(value) below and above `values` (n,); NaN where it is None or NaN."""
    se = np.array(log_se, dtype=float)
    return values * np.exp(-se), values * np.exp(se)
