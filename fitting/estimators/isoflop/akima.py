"""The exact lowest point of Akima splines, for many sets of values at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import Akima1DInterpolator

Array = NDArray[np.float64]


def spline_minimum(knots: Array, values: Array) -> tuple[Array, Array]:
    """Place and height, each (n_resamples,), of the lowest point of the splines (Akima 1970) through `values`.

    `knots` is (n_knots,), `values` (n_resamples, n_knots). The lowest of the knots and of the roots of the
    derivative: no grid.
    """
    spline = Akima1DInterpolator(knots, values, axis=1)
    c3, c2, c1, c0 = np.transpose(spline.c, (0, 2, 1))  # each (n_resamples, n_segments)
    width = np.diff(knots)
    places, heights = [knots[None, :] + np.zeros_like(values)], [values]
    for root in _quadratic_roots(3 * c3, 2 * c2, c1):
        inside = np.isfinite(root) & (root > 0) & (root < width)
        t = np.where(inside, root, 0.0)
        places.append(knots[:-1] + t)
        heights.append(np.where(inside, ((c3 * t + c2) * t + c1) * t + c0, np.inf))
    place, height = np.concatenate(places, axis=1), np.concatenate(heights, axis=1)
    lowest = np.argmin(height, axis=1)
    rows = np.arange(len(values))
    return place[rows, lowest], height[rows, lowest]


def _quadratic_roots(a: Array, b: Array, c: Array) -> tuple[Array, Array]:
    """Real roots of a t^2 + b t + c, NaN where there are none; stable when a is tiny."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        q = -0.5 * (b + np.where(b < 0, -1.0, 1.0) * np.sqrt(b * b - 4 * a * c))
        return q / a, c / q
