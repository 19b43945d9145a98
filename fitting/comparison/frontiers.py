"""The best loss of each compute budget, read off a sweep's approach-2 minima, and that of another beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import stdtrit

from .moves import Move

Bound = tuple[str, float]  # "over" or "under", and what
SAME_BUDGET = 0.05  # relative: budgets this near are one
# Minima from which on ln loss in ln C is a parabola, a cubic: a parabola through many budgets bends too little.
_MIN_PARABOLA, _MIN_CUBIC = 4, 6


@dataclass(frozen=True)
class Frontier:
    """ln L as a polynomial in x = ln C - `centre` through the minima: a line, from 4 a parabola, from 6 a cubic.

    `flops` and `losses` are the minima's, shape (n,); `coefficients` (p,) and their `covariance` (p, p), None where
    the noise of the runs is not known; `freedom` is the noise's.
    """

    flops: NDArray[np.float64]
    losses: NDArray[np.float64]
    standard_errors: NDArray[np.float64] | None
    centre: float
    coefficients: NDArray[np.float64]
    covariance: NDArray[np.float64] | None
    freedom: float

    def log_loss(self, log_flops: float) -> float:
        """ln L at ln C."""
        return float(self._powers(log_flops) @ self.coefficients)

    def slope(self, log_flops: float) -> float:
        """d ln L / d ln C."""
        x = log_flops - self.centre
        orders = np.arange(1, len(self.coefficients))
        return float(np.sum(orders * self.coefficients[1:] * x ** (orders - 1)))

    def falls(self) -> bool:
        """Whether the loss falls all the way from the smallest budget to the largest."""
        low, high = np.log(self.flops[0]), np.log(self.flops[-1])
        return all(self.slope(x) < 0 for x in np.linspace(float(low), float(high), 50).tolist())

    def standard_error(self, log_flops: float) -> float | None:
        """Of ln L at ln C."""
        powers = self._powers(log_flops)
        return None if self.covariance is None else float(np.sqrt(powers @ self.covariance @ powers))

    def covers(self, flops: float) -> bool:
        """Whether C lies within the budgets, as far as budgets are told apart."""
        return bool(self.flops[0] * (1 - SAME_BUDGET) <= flops <= self.flops[-1] * (1 + SAME_BUDGET))

    def _powers(self, log_flops: float) -> NDArray[np.float64]:
        return np.power(log_flops - self.centre, np.arange(len(self.coefficients)), dtype=np.float64)


def frontier_of(fit: Mapping[str, Any] | None) -> Frontier | None:
    """From the isoFLOP fit of a fit.json; None with fewer than two interior minima.

    A minimum's loss is as certain as its own curve's noise, window and sizes make it (`_leverage`). Where the minima
    scatter about the line by more than that, their errors are raised to it (the ratio of Birge 1932, Physical Review
    40, 207). Without a known noise the scatter alone tells.
    """
    inside = sorted(
        (each for each in (fit or {}).get("minima", ()) if each.get("status") == "interior"), key=lambda m: m["flops"]
    )
    if fit is None or len(inside) < 2:
        return None
    flops, losses = (np.array([float(each[name]) for each in inside]) for name in ("flops", "loss"))
    errors = _errors(fit, inside)
    centre = float(np.log(flops).mean())
    order = 1 + (len(inside) >= _MIN_PARABOLA) + (len(inside) >= _MIN_CUBIC)
    design = (np.log(flops) - centre)[:, None] ** np.arange(order + 1)
    weights = np.ones(len(flops)) if errors is None else (losses / errors) ** 2
    inverse = np.asarray(np.linalg.inv(design.T @ (weights[:, None] * design)), dtype=np.float64)
    coefficients = inverse @ design.T @ (weights * np.log(losses))
    spare = len(flops) - order - 1
    excess = float(weights @ (np.log(losses) - design @ coefficients) ** 2) / spare if spare else None
    if errors is not None:
        noise: Mapping[str, Any] = fit.get("noise") or {}
        freedom = float(noise.get("freedom") or spare or 1)
        covariance = inverse * max(1.0, excess or 0.0)
    else:
        freedom, covariance = float(spare), None if excess is None else inverse * excess
    return Frontier(flops, losses, errors, centre, coefficients, covariance, freedom)


def _errors(fit: Mapping[str, Any], minima: Sequence[Mapping[str, Any]]) -> NDArray[np.float64] | None:
    """Standard error of each minimum's loss; None where some budget shows no noise."""
    if any(not each.get("noise") for each in minima):
        return None
    spline = fit.get("minimum") == "akima"
    return np.array([each["noise"] * np.sqrt(_leverage(each, spline)) for each in minima])


def _leverage(minimum: Mapping[str, Any], spline: bool) -> float:
    """The variance of a curve at its minimum, in that of one run.

    That of a parabola through m even steps is 3 (3 m^2 - 7) / (4 m (m^2 - 4)) in their middle, over the runs a
    size; a spline passes through its sizes, so it is as uncertain as one of them.
    """
    n_sizes = minimum.get("n_sizes") or 3
    runs_a_size = max(1.0, minimum.get("n_window", n_sizes) / n_sizes)
    if spline or n_sizes < 3:
        return 1 / runs_a_size
    return 3 * (3 * n_sizes**2 - 7) / (4 * n_sizes * (n_sizes**2 - 4)) / runs_a_size


def common_budgets(first: Frontier, second: Frontier) -> list[float]:
    """The first's budgets at which the second has one too, in FLOPs."""
    return [float(c) for c in first.flops if np.min(np.abs(np.log(second.flops / c))) <= SAME_BUDGET]


def loss_difference(first: Frontier, second: Frontier, flops: float, level: float = 0.95) -> Move:
    """The second's best loss minus the first's at C, in the unit of the losses."""
    x = np.log(flops)
    losses = [np.exp(each.log_loss(x)) for each in (first, second)]
    errors = [each.standard_error(x) for each in (first, second)]
    value = float(losses[1] - losses[0])
    if errors[0] is None or errors[1] is None:
        return Move(value, level=level)
    parts = [losses[0] * errors[0], losses[1] * errors[1]]
    return _between(value, parts, first, second, level)


def log_multiplier(
    first: Frontier, second: Frontier, flops: float, level: float = 0.95
) -> tuple[Move | None, Bound | None]:
    """ln of how many times `flops` the second needs for the first's best loss there, by its own budgets; and a bound.

    Where the loss wanted lies outside the second's budgets the difference is None, and the bound says that it is over
    the ln of the multiple at the second's largest budget, or under that at its smallest. Both None where the second's
    best losses do not fall with C.
    """
    x = float(np.log(flops))
    wanted = first.log_loss(x)
    low, high = (float(np.log(c)) for c in (second.flops[0], second.flops[-1]))
    if not second.falls():
        return None, None
    if second.log_loss(high) > wanted:
        return None, ("over", high - x)
    if second.log_loss(low) < wanted:
        return None, ("under", low - x)
    there = float(brentq(lambda at: second.log_loss(at) - wanted, low, high))  # pyright: ignore[reportArgumentType]
    errors = first.standard_error(x), second.standard_error(there)
    if errors[0] is None or errors[1] is None:
        return Move(there - x, level=level), None
    slope = abs(second.slope(there))
    return _between(there - x, [errors[0] / slope, errors[1] / slope], first, second, level), None


def _between(value: float, errors: list[float], first: Frontier, second: Frontier, level: float) -> Move:
    """Student's interval from two standard errors (freedom by Welch 1947, Biometrika 34, 28)."""
    squares = np.square(np.array(errors))
    total = float(squares.sum())
    freedom = total**2 / float(np.sum(squares**2 / np.array([first.freedom, second.freedom])))
    half = float(np.sqrt(total)) * float(stdtrit(freedom, (1 + level) / 2))
    return Move(value, value - half, value + half, level, "standard errors")
