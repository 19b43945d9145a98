"""The one-dimensional law of a metric and a resource: which way it goes, its least squares, its intervals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import fdtri

from ...arguments import check_interval
from ...errors import FitError, InputError
from ...results import Estimate, FitStatus
from ...uncertainty import SAME_CELL
from .evidence import correlation, replicates, trend_p
from .law import Array, OffsetPowerLaw, Points, PowerFit
from .profile import EXPONENTS, Profile

MIN_POINTS = 4
MIN_FREEDOM = 2  # points less parameters that an interval needs
ERRORS = ("relative", "absolute")
BOUNDS = {"lower": False, "upper": True}  # which side the offset is on -> whether y rises to it
_NO_TREND = 0.05
_EDGE = 1.001

Index = NDArray[np.intp]


def fit_power(
    x: ArrayLike,
    y: ArrayLike,
    *,
    offset: float | None = None,
    bound: str | None = None,
    limit: float | None = None,
    error: str | None = None,
    runs: ArrayLike | None = None,
    level: float = 0.95,
) -> PowerFit:
    """Fit y = offset + coefficient x^-exponent where y falls with x, offset - coefficient x^-exponent where it rises.

    `x` (a resource, positive) and `y` (a metric), shape (n,), in any units. `offset` holds the floor or ceiling at a
    value; `bound` says which of the two it is ("lower", "upper"; None: as the points go); `limit` is what a fitted one
    cannot pass (None: 0 below a falling y that is positive, else nothing). `error` is what is squared: "relative"
    (None: where y falls and is positive) or "absolute". For a given exponent the law is linear, so the squares are
    searched over the exponent alone, and the least is the global one.

    Rows of one x are one point, their mean weighed by their number. Intervals at `level` are profiles: every law whose
    squares are within 1 + F(1, n - p)/(n - p) of the least, for n points and p parameters. There are none with n - p
    below 2, nor where rows of one of `runs` stand at several x: points of one curve are not independent.

    Raises InputError for fewer than 4 distinct x, an x that is not positive, an offset or a limit on the wrong side of
    the points; FitError where y does not move with x beyond its scatter (at 5 %, by two tests).
    """
    check_interval(level)
    rows_x, rows_y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if not (np.isfinite(rows_x).all() and np.isfinite(rows_y).all() and (rows_x > 0).all()):
        raise InputError("x must be positive and finite, y finite")
    points, point_of_row = points_of(rows_x, rows_y)
    if len(points.x) < MIN_POINTS:
        raise InputError(f"{len(points.x)} distinct x: a one-dimensional law needs at least {MIN_POINTS}")
    rising, positive = _direction(points, bound), bool((rows_y > 0).all())
    error = error or ("relative" if positive and not rising else "absolute")
    if error == "relative" and not positive:
        raise InputError(f"--error relative: y goes down to {rows_y.min():g}; give --error absolute")
    if limit is None and positive and not rising:
        limit = 0.0
    _check_side(points, rising, offset, limit)
    profile, exponent, squares = _fitted(points, rising, offset, limit, error)
    freedom = len(points.x) - profile.free
    p_value = trend_p(points, profile, squares, freedom)
    optimum = np.array([exponent])
    m, b = profile.linear(optimum)
    if b[0] == 0 or p_value > _NO_TREND:
        raise FitError(
            f"y does not move with x beyond its scatter (p = {p_value:.2g} for a constant): no law to fit; widen the "
            "range of x or average more seeds"
        )
    mean_log_x = float(np.log(points.x).mean())
    no_interval = _why_no_interval(freedom, points, point_of_row, runs)
    region = None
    if not no_interval:
        edge = profile.region(squares * (1 + float(fdtri(1, freedom, level)) / freedom), exponent)
        region = profile.law(*edge, mean_log_x)
    law = _single(profile.law(optimum, m, b, mean_log_x))
    at_limit = offset is None and limit is not None and abs(law.offset - limit) < 1e-9 * np.ptp(points.y)
    if offset is not None or at_limit:  # which m - b/exponent is but for rounding
        law = replace(law, offset=offset if offset is not None else limit)
    at_edge = is_straight(exponent) or is_steep(exponent)
    status = FitStatus.BOUND_HIT if at_limit or at_edge else FitStatus.CONVERGED
    scale = np.sqrt(points.n_rows) / profile.weight
    return PowerFit(
        status=FitStatus.TOO_FEW if freedom < MIN_FREEDOM and status is FitStatus.CONVERGED else status,
        law=law,
        **_estimates(law, region, offset is not None, limit is not None, level),
        offset_given=offset is not None,
        offset_limit=None if offset is not None else limit,
        error=error,
        scatter=float(np.sqrt(squares / freedom)),
        freedom=freedom,
        correlation=None if offset is not None or at_limit or at_edge else correlation(profile, exponent, float(b[0])),
        points=points,
        trend_p=p_value,
        level=level,
        replicates=replicates((rows_y - points.y[point_of_row]) / scale[point_of_row], squares, freedom, len(points.x)),
        no_interval=no_interval,
        region=region,
    )


def is_straight(exponent: float) -> bool:
    """Whether it is the least looked at: the law is a line in ln x, and its offset nowhere near."""
    return exponent <= EXPONENTS[0] * _EDGE


def is_steep(exponent: float) -> bool:
    """Whether it is the largest looked at: y levels off after the first points."""
    return exponent >= EXPONENTS[-1] / _EDGE


def _single(law: OffsetPowerLaw) -> OffsetPowerLaw:
    """One law of an array of one."""
    parts = (float(np.ravel(part)[0]) for part in (law.offset, law.log_coefficient, law.exponent))
    return OffsetPowerLaw(next(parts), next(parts), next(parts), law.rising)


def points_of(x: Array, y: Array) -> tuple[Points, Index]:
    """The mean y at each distinct x (equal to 1e-9), in rising order, and which point each row belongs to."""
    order = np.argsort(x, kind="stable")
    point = np.empty(len(x), dtype=np.intp)
    point[order] = np.concatenate([[0], np.cumsum(np.diff(np.log(x[order])) > SAME_CELL)])
    n_rows = np.bincount(point).astype(float)
    return Points(np.bincount(point, x) / n_rows, np.bincount(point, y) / n_rows, n_rows), point


def _direction(points: Points, bound: str | None) -> bool:
    """Whether y rises with x, by the line through y and ln x."""
    log_x = np.log(points.x)
    slope = float(np.sum(points.n_rows * (log_x - np.average(log_x, weights=points.n_rows)) * points.y))
    if bound is None:
        return slope > 0
    rising = BOUNDS[bound]
    if slope != 0 and rising != (slope > 0):
        way, other = ("rises", "upper") if slope > 0 else ("falls", "lower")
        raise InputError(f"--bound {bound}: y {way} with x, to a bound on the other side; give --bound {other} or none")
    return rising


def _check_side(points: Points, rising: bool, offset: float | None, limit: float | None) -> None:
    nearest = float(points.y.max() if rising else points.y.min())
    for name, value in (("--offset", offset), ("--bound", limit if offset is None else None)):
        if value is None:
            continue
        if not np.isfinite(value):
            raise InputError(f"{name} {value:g} must be a finite number")
        if rising and value <= nearest:
            raise InputError(f"{name} {value:g}: y rises, so its ceiling must be above the largest, {nearest:g}")
        if not rising and value >= nearest:
            raise InputError(f"{name} {value:g}: y falls, so its floor must be below the least, {nearest:g}")


def _fitted(
    points: Points, rising: bool, offset: float | None, limit: float | None, error: str
) -> tuple[Profile, float, float]:
    """The profile, its best exponent and squares.

    Relative errors are of the law: dividing by the measured y would weigh what happened to come out low. So the law is
    fitted twice, the second time with the first one's values.
    """
    log_x = np.log(points.x)
    root = np.sqrt(points.n_rows)
    first = points.y if error == "relative" else np.ones(len(log_x))
    profile = Profile(log_x - log_x.mean(), points.y, root / first, rising, offset, limit)
    exponent, squares = profile.best()
    if error == "relative":
        best = np.array([exponent])
        values = profile.law(best, *profile.linear(best), float(log_x.mean())).value(points.x)
        if (values > 0).all():
            profile = replace(profile, weight=root / values)
            exponent, squares = profile.best()
    return profile, exponent, squares


def _why_no_interval(freedom: int, points: Points, point_of_row: Index, runs: ArrayLike | None) -> str:
    if freedom < MIN_FREEDOM:
        needed = len(points.x) + MIN_FREEDOM - freedom
        return f"{len(points.x)} distinct x are too few for one, {needed} the least"
    if runs is None:
        return ""
    names = np.asarray(runs, dtype=object).astype(str)
    named = names != ""  # a row without a name is nobody's checkpoint
    of_pair = np.unique(np.stack([names[named], point_of_row[named].astype(str)]), axis=1)[0]
    n_runs = len(np.unique(of_pair))
    if n_runs == len(of_pair):
        return ""
    return f"{len(of_pair)} points are of {n_runs} runs, and those of one curve are not independent"


def _estimates(
    law: OffsetPowerLaw, region: OffsetPowerLaw | None, offset_given: bool, limited: bool, level: float
) -> dict[str, Estimate]:
    """Of the offset, the coefficient and the exponent over the region; an end that the points do not show is None."""
    values = {"offset": law.offset, "coefficient": law.coefficient, "exponent": law.exponent}
    found = {name: Estimate(float(value), level=level) for name, value in values.items()}
    if region is None:
        return found
    low, high = (float(end) for end in (np.min(region.exponent), np.max(region.exponent)))
    straight, steep = is_straight(low), is_steep(high)
    found["exponent"] = replace(found["exponent"], low=0.0 if straight else low, high=None if steep else high)
    if not (straight or steep):
        low, high = (float(end) for end in (np.min(region.coefficient), np.max(region.coefficient)))
        found["coefficient"] = replace(found["coefficient"], low=low, high=high)
    if not offset_given:
        low, high = float(np.min(region.offset)), float(np.max(region.offset))
        if straight and not limited:  # a line in ln x has no offset at all
            low, high = (low, None) if law.rising else (None, high)
        found["offset"] = replace(found["offset"], low=low, high=high)
    return found
