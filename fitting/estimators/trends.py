"""A power law through points, L(x) = (x_c/x)^exponent: least squares in logs with Student's intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from ..laws import PowerLaw
from ..results import Estimate
from ..uncertainty import MIN_BUDGETS
from .forms.descent import Array

MIN_SIZES = 4  # distinct values of x below which points do not show a law
_SAME = 0.02


@dataclass(frozen=True)
class Trend:
    """The law and its two constants. No interval with fewer than 4 distinct x."""

    law: PowerLaw
    exponent: Estimate
    scale: Estimate  # x_c, where the law reaches a loss of 1


def distinct_values(x: Array) -> int:
    """How many values of positive `x` there are, those chained by gaps under 2 % counting as one."""
    return 1 + int((np.diff(np.sort(np.log(x))) > _SAME).sum()) if len(x) else 0


def trend(x: Array, loss: Array, level: float) -> Trend:
    """Fit ln L = exponent (ln x_c - ln x) to positive `x` and `loss`, shape (n,), with at least 2 distinct x.

    Intervals at `level`: Student's for the exponent, Fieller's for ln x_c (the ratio of two estimates; both ends are
    None where the exponent is not distinguishable from 0).
    """
    log_x, log_loss = np.log(x), np.log(loss)
    middle, height = float(log_x.mean()), float(log_loss.mean())
    spread = float(np.sum((log_x - middle) ** 2))
    slope = float((log_x - middle) @ (log_loss - height)) / spread
    law = PowerLaw(float(np.exp(height - slope * middle)), slope)
    with np.errstate(over="ignore", divide="ignore"):
        scale = float(np.exp(middle - height / slope)) if slope else float("inf")
    if distinct_values(x) < MIN_BUDGETS:
        return Trend(law, Estimate(-slope, level=level), Estimate(scale, level=level))
    freedom = len(x) - 2
    residual = log_loss - height - slope * (log_x - middle)
    variance = float(residual @ residual) / freedom
    reach = float(stdtrit(freedom, (1 + level) / 2))
    width = reach * float(np.sqrt(variance / spread))
    exponent = Estimate(-slope, -slope - width, -slope + width, level)
    low, high = _fieller(slope, height, variance / spread, variance / len(x), reach)
    if low is None or high is None:
        return Trend(law, exponent, Estimate(scale, level=level))
    with np.errstate(over="ignore"):
        return Trend(law, exponent, Estimate(scale, float(np.exp(middle + low)), float(np.exp(middle + high)), level))


def _fieller(
    slope: float, height: float, slope_variance: float, height_variance: float, reach: float
) -> tuple[float | None, float | None]:
    """The u for which height + slope u may be 0, that is (height + slope u)^2 <= reach^2 (its variance)."""
    a = slope**2 - reach**2 * slope_variance
    if a <= 0:
        return None, None
    b, c = slope * height, height**2 - reach**2 * height_variance
    root = np.sqrt(max(b * b - a * c, 0.0))
    return float((-b - root) / a), float((-b + root) / a)
