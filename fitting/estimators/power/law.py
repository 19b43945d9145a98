"""y(x) = offset + coefficient * x^-exponent, or offset - coefficient * x^-exponent, and the fit of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...results import Estimate, FitStatus
from ...shown import Shown

Array = NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class OffsetPowerLaw(Shown, says="laws.offset_power"):
    """y = offset + coefficient x^-exponent (falling) or offset - coefficient x^-exponent (rising), exponent > 0.

    Kaplan 2020 (arXiv:2001.08361, section 1.2) has it without, Henighan 2020 (arXiv:2010.14701, equation 1.1) with the
    offset. Parameters may be arrays of one shape: as many laws, which the methods take through each x.
    """

    offset: float | Array  # the floor of a metric that falls, the ceiling of one that rises; the metric's unit
    log_coefficient: float | Array  # natural logarithm: at large exponents the coefficient itself overflows
    exponent: float | Array
    rising: bool = False

    @property
    def coefficient(self) -> Array:
        """In the metric's unit times the resource's to the exponent; inf where that overflows."""
        with np.errstate(over="ignore"):
            return np.exp(np.asarray(self.log_coefficient, dtype=float))

    def distance(self, x: ArrayLike) -> Array:
        """How far y at `x` is from the offset, positive."""
        log_x = np.log(np.asarray(x, dtype=float))
        with np.errstate(over="ignore"):
            return np.exp(np.asarray(self.log_coefficient) - np.asarray(self.exponent) * log_x)

    def value(self, x: ArrayLike) -> Array:
        """y at `x`."""
        return np.asarray(self.offset) + (-1.0 if self.rising else 1.0) * self.distance(x)

    def gain(self, x: ArrayLike) -> Array:
        """By how much y improves for one more unit of the resource at `x`: the size of dy/dx."""
        return np.asarray(self.exponent) * self.distance(x) / np.asarray(x, dtype=float)

    def gain_of_times(self, x: ArrayLike, times: float) -> Array:
        """By how much y improves from `x` to `times` x."""
        return self.distance(x) * -np.expm1(-np.asarray(self.exponent) * np.log(times))

    def needed(self, target: float) -> Array:
        """The x at which y is `target`; inf at the offset and beyond it."""
        left = (np.asarray(self.offset, dtype=float) - target) * (1.0 if self.rising else -1.0)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            x = np.exp((np.asarray(self.log_coefficient) - np.log(left)) / np.asarray(self.exponent))
        return np.where(left > 0, x, np.inf)


@dataclass(frozen=True)
class Points:
    """What is fitted: the mean of the rows at each distinct x, in rising order; all shape (n,)."""

    x: Array
    y: Array
    n_rows: Array


@dataclass(frozen=True)
class Replicates:
    """The rows that share an x: their pooled standard deviation (relative where the error is), and the F test of
    whether the points lie further from the law than that explains.
    """

    deviation: float
    freedom: int
    lack_of_fit_p: float | None  # None where the law leaves no degree of freedom


@dataclass(frozen=True, repr=False)
class PowerFit(Shown, says="law_fits.power"):
    """A one-dimensional law by least squares, and the laws that the points do not tell from it.

    `region` holds laws on the edge of the set whose sum of squares is within the profile limit; None where there is no
    honest interval, and `no_interval` says why. An end that the points do not show is None.
    """

    status: FitStatus
    law: OffsetPowerLaw
    offset: Estimate
    coefficient: Estimate
    exponent: Estimate
    offset_given: bool
    offset_limit: float | None  # the metric cannot pass it: the floor not below, the ceiling not above
    error: str  # "relative" or "absolute": what is squared
    scatter: float  # standard deviation of a row about the law, relative or in the metric's unit
    freedom: int  # points less parameters
    correlation: float | None  # of offset and exponent
    points: Points
    trend_p: float  # of y being one constant
    level: float
    replicates: Replicates | None = None
    no_interval: str = ""  # why there is none
    region: OffsetPowerLaw | None = field(default=None, repr=False)

    def estimate(self, quantity: Callable[[OffsetPowerLaw], Array]) -> Estimate:
        """`quantity` of the law, with its profile interval: its range over the region. An end at infinity is None."""
        value = float(quantity(self.law))
        if self.region is None:
            return Estimate(value, level=self.level)
        found = quantity(self.region)
        low, high = float(np.min(found, initial=value)), float(np.max(found, initial=value))
        return Estimate(value, low if np.isfinite(low) else None, high if np.isfinite(high) else None, self.level)

    @property
    def x_range(self) -> tuple[float, float]:
        """The least and the largest x fitted."""
        return float(self.points.x[0]), float(self.points.x[-1])

    def beyond(self, x: float) -> float:
        """Decades by which `x` is above (positive) or below (negative) the points, 0 among them."""
        low, high = self.x_range
        return float(np.log10(max(x / high, 1.0)) + np.log10(min(x / low, 1.0)))
