"""Round values at which the colours of a field change."""

from __future__ import annotations

import numpy as np

from .picture import Array


def round_levels(low: float, high: float, about: int = 12) -> Array:
    """Multiples of 1, 2, 2.5 or 5 times a power of ten, at most some `about`, from `low` or below to `high`."""
    wanted = max(high - low, 1e-6 * max(abs(low), abs(high)), 1e-300) / about
    size = 10.0 ** np.floor(np.log10(wanted))
    step = next(part * size for part in (1, 2, 2.5, 5, 10) if part * size >= wanted * (1 - 1e-9))
    return float(step) * np.arange(float(np.floor(low / step)), float(np.ceil(high / step)) + 1)
