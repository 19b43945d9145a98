"""What one more unit of a resource buys under a one-dimensional law, and what a target costs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtrit

from .errors import InputError
from .estimators.power.fit import MIN_POINTS, fit_power
from .estimators.power.law import PowerFit
from .results import Estimate


@dataclass(frozen=True)
class Marginal:
    """The law at one `x`. Gains are improvements: positive, in the metric's unit, whichever way it goes.

    `gain_per_unit` is the size of dy/dx, `gain_of_doubling` what 2x buys; `gain_per_dollar` None without a price.
    `decades_beyond` is how far x lies above (positive) or below (negative) the points.
    """

    x: float
    y: Estimate
    gain_per_unit: Estimate
    gain_per_dollar: Estimate | None
    gain_of_doubling: Estimate
    cost_of_doubling: float | None
    decades_beyond: float


@dataclass(frozen=True)
class TargetCost:
    """What it takes to bring the metric to `target`.

    `x` is what the law needs in all, None where the target is not reachable; its `high` is None where laws that the
    points allow never reach it. `least_x` is then the low end: no law of the region reaches it with less (None: none
    does). `price` is of x, `further_price` of what x adds to the largest x fitted; None without a price.
    """

    target: float
    reachable: bool
    x: Estimate | None
    least_x: float | None
    price: Estimate | None
    further_price: Estimate | None
    decades_beyond: float | None
    words: str


@dataclass(frozen=True)
class LargestLeftOut:
    """The largest x predicted from the others.

    `y` is the prediction, its interval that of the mean of as many new rows as were measured there.
    """

    x: float
    measured: float
    y: Estimate
    relative_error: float  # (predicted - measured) / |measured|
    decades_beyond: float
    inside: bool | None  # whether the measured lies in the interval; None without one


def marginal(fit: PowerFit, x: float, price: float | None = None) -> Marginal:
    """The law's value and gains at `x` (in the unit fitted), and with `price` dollars a unit what a dollar buys.

    Raises InputError for an x or a price that is not positive and finite.
    """
    _positive("--at", x)
    _positive("--price-per-unit", price)
    per_unit = fit.estimate(lambda law: law.gain(x))
    return Marginal(
        x=x,
        y=fit.estimate(lambda law: law.value(x)),
        gain_per_unit=per_unit,
        gain_per_dollar=None if price is None else _times(per_unit, 1 / price),
        gain_of_doubling=fit.estimate(lambda law: law.gain_of_times(x, 2.0)),
        cost_of_doubling=None if price is None else price * x,
        decades_beyond=fit.beyond(x),
    )


def target_cost(fit: PowerFit, target: float, price: float | None = None) -> TargetCost:
    """The x that `target` needs, and its price at `price` dollars a unit.

    Raises InputError for a target that is not finite or is worse than every point: it lies on the side that the metric
    moves away from.
    """
    _positive("--price-per-unit", price)
    rising = fit.law.rising
    worst = float(fit.points.y.min() if rising else fit.points.y.max())
    if not np.isfinite(target):
        raise InputError(f"--target {target:g} must be a finite number")
    if (target < worst) if rising else (target > worst):
        way, side = ("rises", "above") if rising else ("falls", "below")
        raise InputError(
            f"--target {target:g}: y {way} and its worst point is {worst:g} already; name a value {side} it"
        )
    found = fit.estimate(lambda law: law.needed(target))
    last, reachable = fit.x_range[1], bool(np.isfinite(found.value))
    further = _floored(Estimate(found.value - last, _less(found.low, last), _less(found.high, last), found.level))
    return TargetCost(
        target=target,
        reachable=reachable,
        x=found if reachable else None,
        least_x=found.low,
        price=_times(found, price) if reachable and price is not None else None,
        further_price=_times(further, price) if reachable and price is not None else None,
        decades_beyond=fit.beyond(found.value) if reachable else None,
        words="" if reachable else _why_not(fit),
    )


def largest_left_out(fit: PowerFit) -> LargestLeftOut | None:
    """The law fitted again without its largest x, and what it predicts there; None with too few points for that.

    The interval of the prediction holds the law's own and the scatter of the rows, Student's with the law's degrees of
    freedom. Raises FitError where the other points show no law.
    """
    points = fit.points
    if len(points.x) <= MIN_POINTS:
        return None
    rows = points.n_rows[:-1].astype(int)
    # A point of n rows stands for them: its mean n times over is the same fit.
    others = fit_power(
        np.repeat(points.x[:-1], rows),
        np.repeat(points.y[:-1], rows),
        offset=float(fit.offset.value) if fit.offset_given else None,
        bound="upper" if fit.law.rising else "lower",
        limit=fit.offset_limit,
        error=fit.error,
        level=fit.level,
    )
    if fit.no_interval:
        others = replace(others, region=None)
    x, measured = float(points.x[-1]), float(points.y[-1])
    predicted, inside = others.estimate(lambda law: law.value(x)), None
    if predicted.low is not None and predicted.high is not None:
        unit = abs(predicted.value) if fit.error == "relative" else 1.0
        noise = others.scatter * unit / np.sqrt(points.n_rows[-1])
        noise *= float(stdtrit(others.freedom, (1 + fit.level) / 2))
        low = predicted.value - float(np.hypot(predicted.value - predicted.low, noise))
        high = predicted.value + float(np.hypot(predicted.high - predicted.value, noise))
        predicted, inside = Estimate(predicted.value, low, high, fit.level), low <= measured <= high
    return LargestLeftOut(
        x=x,
        measured=measured,
        y=predicted,
        relative_error=(predicted.value - measured) / abs(measured) if measured else float("nan"),
        decades_beyond=others.beyond(x),
        inside=inside,
    )


def _why_not(fit: PowerFit) -> str:
    kind = "ceiling" if fit.law.rising else "floor"
    held = "given" if fit.offset_given else "fitted"
    return f"not reachable: the {held} {kind} is {fit.offset.value:.5g}"


def _positive(option: str, value: float | None) -> None:
    if value is not None and not (np.isfinite(value) and value > 0):
        raise InputError(f"{option} {value:g} must be a positive number")


def _less(end: float | None, by: float) -> float | None:
    return None if end is None else end - by


def _floored(estimate: Estimate) -> Estimate:
    """What is there already costs nothing more."""
    low, high = (None if end is None else max(end, 0.0) for end in (estimate.low, estimate.high))
    return Estimate(max(estimate.value, 0.0), low, high, estimate.level)


def _times(estimate: Estimate, factor: float) -> Estimate:
    low, high = (None if end is None else end * factor for end in (estimate.low, estimate.high))
    return Estimate(estimate.value * factor, low, high, estimate.level)
