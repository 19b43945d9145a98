"""The curve of one budget as a figure shows it: drawn again from its points, for the eye only."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import Akima1DInterpolator

from ...results import Minimum

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]

_POINTS = 120
_WINDOW_SIZES = 4  # like the fit, keep this many sizes however narrow the window is


def budget_curve(
    n_params: NDArray[np.float64],
    loss: NDArray[np.float64],
    minimum: Minimum,
    method: str,
    window: float | None,
) -> Curve | None:
    """(n_params, loss) along the budget's curve, both of shape (120,); None with fewer than 3 sizes.

    `n_params` and `loss` have shape (n_runs,). `method` and `window` are `IsoflopFit`'s: "akima" interpolates
    ln loss in ln N through the mean at each size; "parabola" is the least-squares parabola of loss in ln N
    through the runs within the fraction `window` of the least loss (the minimum's, where it is interior). The
    curve ends where its points do.
    """
    x = np.log(n_params)
    if len(np.unique(x)) < 3:
        return None
    if method == "akima":
        return _spline(x, loss)
    inside = np.full(len(x), True) if window is None else _inside(x, loss, minimum, window)
    if len(np.unique(x[inside])) < 3:
        return None
    centre = x[inside].mean()
    coefficients = cast("NDArray[np.float64]", np.polyfit(x[inside] - centre, loss[inside], 2))
    grid = np.linspace(float(x[inside].min()), float(x[inside].max()), _POINTS)
    return np.exp(grid), np.asarray(np.polyval(coefficients, grid - centre), dtype=float)


def _spline(x: NDArray[np.float64], loss: NDArray[np.float64]) -> Curve:
    sizes, places = np.unique(x, return_inverse=True)
    means = np.bincount(places, weights=np.log(loss)) / np.bincount(places)
    grid = np.linspace(float(sizes[0]), float(sizes[-1]), _POINTS)
    return np.exp(grid), np.exp(Akima1DInterpolator(sizes, means)(grid))


def _inside(x: NDArray[np.float64], loss: NDArray[np.float64], minimum: Minimum, window: float) -> NDArray[np.bool_]:
    lowest = int(loss.argmin())
    least, best = float(loss[lowest]), float(x[lowest])
    if minimum.loss and minimum.n_params:
        least, best = minimum.loss, float(np.log(minimum.n_params))
    nearest = sorted(np.unique(x), key=lambda size: abs(size - best))[:_WINDOW_SIZES]
    return (loss <= least * (1 + window)) | np.isin(x, nearest)
