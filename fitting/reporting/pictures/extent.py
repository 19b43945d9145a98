"""What of its coordinates a panel shows, where its axes do not say."""

from __future__ import annotations

from typing import Literal

import numpy as np

from .picture import Array, Band, Field, Line, Mark, Panel, Points, Rule

_MARGIN = 0.05  # of the span, to each side


def limits(panel: Panel, which: Literal["x", "y"]) -> tuple[float, float]:
    """The axis's own limits; else what its marks span with a margin, none beside a field; (1, 10) of nothing."""
    axis = panel.x if which == "x" else panel.y
    if axis.names:
        return len(axis.names) - 0.4, -0.6
    if axis.limits is not None:
        return axis.limits
    fields = [mark for mark in panel.marks if isinstance(mark, Field)]
    found = [np.ravel(values) for mark in fields or panel.marks for values in _coordinates(mark, which)]
    values = np.concatenate([np.zeros(0), *found])
    values = values[np.isfinite(values) & ((values > 0) | (not axis.log))]
    if not len(values):
        return 1.0, 10.0
    low, high = float(values.min()), float(values.max())
    if fields and low < high:
        return low, high
    return _widened(low, high, axis.log)


def _widened(low: float, high: float, log: bool) -> tuple[float, float]:
    if log:
        factor = (high / low) ** _MARGIN if high > low else 1.5
        return low / factor, high * factor
    margin = _MARGIN * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def _coordinates(mark: Mark, which: Literal["x", "y"]) -> list[Array]:
    match mark:
        case Points():
            bars = [bound for bound in (mark.low, mark.high) if mark.error == which and bound is not None]
            return [np.asarray(values, dtype=float) for values in (getattr(mark, which), *bars)]
        case Line() | Field():
            return [np.asarray(getattr(mark, which), dtype=float)]
        case Band():
            return [np.asarray(v, dtype=float) for v in ((mark.x,) if which == "x" else (mark.low, mark.high))]
        case Rule():
            return [np.array([mark.at])] if mark.axis == which else []
        case _:
            return []
