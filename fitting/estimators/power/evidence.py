"""What the points say of the law beside its parameters: whether there is one, and how far its form fits."""

from __future__ import annotations

from typing import cast

import numpy as np
from scipy.special import fdtrc

from .law import Array, Points, Replicates
from .profile import Profile


def trend_p(points: Points, profile: Profile, squares: float, freedom: int) -> float:
    """Of y being one constant: by the line in ln x, and by the law itself, the lesser p twice (Bonferroni)."""
    w = profile.weight**2
    centred = profile.log_x - np.average(profile.log_x, weights=w)
    residual = points.y - np.average(points.y, weights=w)
    constant = float(np.sum(w * residual**2))
    if constant <= 0:
        return 1.0
    line = constant - float(np.sum(w * centred * residual)) ** 2 / float(np.sum(w * centred**2))
    tests = ((1, len(points.x) - 2, line), (profile.free - 1, freedom, squares))
    tiny = 1e-24 * constant
    return min(
        1.0, 2 * min(float(fdtrc(k, f, max(constant - left, 0.0) / k / (max(left, tiny) / f))) for k, f, left in tests)
    )


def correlation(profile: Profile, exponent: float, b: float) -> float | None:
    """Of offset and exponent, by the curvature at the optimum."""
    power = b / exponent * np.exp(-exponent * profile.log_x)
    slopes = np.stack([np.ones_like(power), power, -power * profile.log_x]) * profile.weight
    slopes /= np.linalg.norm(slopes, axis=1, keepdims=True)  # which a correlation does not see
    covariance = cast("Array", np.linalg.pinv(slopes @ slopes.T))
    variance = covariance[0, 0] * covariance[2, 2]
    return float(np.clip(covariance[0, 2] / np.sqrt(variance), -1, 1)) if variance > 0 else None


def replicates(residuals: Array, squares: float, freedom: int, n_points: int) -> Replicates | None:
    """What rows of one x say: `residuals` are theirs about their means on the law's scale; None without such rows."""
    within = len(residuals) - n_points
    if within < 1:
        return None
    variance = float(np.sum(residuals**2)) / within
    known = freedom > 0 and variance > 0
    p = float(fdtrc(freedom, within, squares / freedom / variance)) if known else None
    return Replicates(float(np.sqrt(variance)), within, p)
