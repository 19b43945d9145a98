"""The power laws through the minima: weighted lines of ln N* and ln D* against ln C, for many resamples at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from ...isoflop_evidence import CentreDrift
from ...laws import PowerLaw
from ...results import Minimum
from .parabola import Curve

Array = NDArray[np.float64]


def lines_through(
    log_flops: Array, curves: list[Curve], variance: Array | None, *, sum_to_one: bool = False
) -> tuple[Array, NDArray[np.int_]]:
    """Weighted lines of x = ln N* and ln D* against ln C through the minima that are interior in each resample.

    `log_flops` is (n_budgets,), `curves` one a budget, `variance` (n_resamples, n_budgets) that of each x; None
    weighs them alike. Returns (n_resamples, 4): ln coefficient and exponent of N*, then of D*, NaN with fewer than
    two minima; and the number of minima (n_resamples,). The variance of ln D* is that of x times the square of
    d ln D / d ln N, about 1 at every budget, so one set of weights serves both. `sum_to_one` is the joint least
    squares of both lines under a + b = 1: a becomes (a + 1 - b) / 2, and both lines still pass their mean points.
    """
    inside = np.stack([curve.interior for curve in curves], axis=1)
    weights = _weights(variance, inside)
    count = inside.sum(axis=1)
    fine = count >= 2
    total = np.where(fine, weights.sum(axis=1), 1.0)
    centre = weights @ log_flops / total
    offset = log_flops[None, :] - centre[:, None]
    spread = np.where(fine, np.sum(weights * offset**2, axis=1), 1.0)
    means: list[Array] = []
    slopes: list[Array] = []
    for values in ([curve.x for curve in curves], [curve.log_d for curve in curves]):
        y = np.where(inside, np.stack(values, axis=1), 0.0)
        means.append(np.sum(weights * y, axis=1) / total)
        slopes.append(np.sum(weights * offset * y, axis=1) / spread)
    if sum_to_one:
        joint = (slopes[0] + 1 - slopes[1]) / 2
        slopes = [joint, 1 - joint]
    lines = np.stack([means[0] - slopes[0] * centre, slopes[0], means[1] - slopes[1] * centre, slopes[1]], axis=1)
    lines[~fine] = np.nan
    return lines, count


def excess_variance(log_flops: Array, x: Array, variance: Array) -> float:
    """The variance of the minima `x` about their line beyond their own `variance` (n_budgets,), 0 for none.

    Moment estimate of a random effect of each budget (DerSimonian and Laird 1986). Budgets scatter by more than
    their runs do wherever something differs between them: learning rates, digitising, sizes rounded to shapes.
    """
    freedom = len(x) - 2
    if freedom < 1 or not (np.isfinite(variance).all() and (variance > 0).all()):
        return 0.0
    weights = variance.min() / variance
    design = np.stack([np.ones_like(log_flops), log_flops - log_flops.mean()], axis=1)
    normal = design.T @ (weights[:, None] * design)
    residuals = x - design @ cast("Array", np.linalg.solve(normal, design.T @ (weights * x)))
    spare = weights.sum() - np.trace(
        cast("Array", np.linalg.solve(normal, design.T @ ((weights**2)[:, None] * design)))
    )
    return max(0.0, float((weights @ residuals**2 - freedom * variance.min()) / spare))


def power_laws(lines: Array) -> tuple[PowerLaw, PowerLaw]:
    """N*(C) and D*(C) of the first of `lines` (n_resamples, 4)."""
    params, params_exponent, tokens, tokens_exponent = (float(value) for value in lines[0])
    return PowerLaw(float(np.exp(params)), params_exponent), PowerLaw(float(np.exp(tokens)), tokens_exponent)


def centre_drift(minima: Sequence[Minimum]) -> CentreDrift | None:
    """The line of the interior minima's centre offsets on ln C, unweighted; None with fewer than three."""
    inside = [(minimum.flops, minimum.centre_offset) for minimum in minima if minimum.centre_offset is not None]
    freedom = len(inside) - 2
    if freedom < 1:
        return None
    flops, offset = np.array(inside, dtype=float).T
    x = np.log(flops) - np.log(flops).mean()
    slope = float(x @ offset / (x @ x))
    residuals = offset - offset.mean() - slope * x
    error = float(np.sqrt(residuals @ residuals / freedom / (x @ x)))
    p_value = 2 * float(stdtr(freedom, -abs(slope) / error)) if error > 0 else float(slope == 0)
    first, last = np.exp(offset.mean() + slope * np.array([x.min(), x.max()]))
    return CentreDrift(slope, error, p_value, float(first), float(last))


def _weights(variance: Array | None, inside: NDArray[np.bool_]) -> Array:
    """One over the variance, 0 where there is no minimum, scaled to at most 1 in each resample."""
    if variance is None:
        return inside.astype(float)
    known = inside & np.isfinite(variance) & (variance > 0)
    least = np.min(variance, axis=1, keepdims=True, where=known, initial=np.inf)
    return np.where(known, least / np.where(known, variance, 1.0), 0.0)
