"""The sum of squares of y = offset +- coefficient x^-exponent for a given exponent, and the set of laws near its least.

Written as y = m + b q with q = (x^-exponent - 1)/exponent, x in units of its geometric mean, the law is linear in m and
b and stays well-conditioned down to exponent 0, where it is a straight line in ln x.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq, minimize_scalar

from .law import Array, OffsetPowerLaw

EXPONENTS = np.geomspace(1e-3, 8.0, 400)  # from a line in ln x to a step after the first point
_SLICES, _ANGLES = 81, 64  # of the region: exponents, and directions from the centre at each
_TINY = 1e-9  # relative: by rounding, an end of the set lies on either side of its limit


@dataclass(frozen=True)
class Profile:
    """Points (n,) with `weight` (n,), the inverse of each point's standard deviation up to one factor.

    `offset` holds the offset at a value; `limit` bounds a free one, from below where y falls, from above where it
    rises.
    """

    log_x: Array  # less its mean
    y: Array
    weight: Array
    rising: bool = False
    offset: float | None = None
    limit: float | None = None

    @property
    def free(self) -> int:
        """The number of parameters fitted."""
        return 3 if self.offset is None else 2

    def _basis(self, exponents: Array) -> Array:
        return np.expm1(-exponents[:, None] * self.log_x) / exponents[:, None]

    def linear(self, exponents: Array) -> tuple[Array, Array]:
        """The best m and b at each exponent, shape (k,), with the offset within its limit and b of the law's sign."""
        if self.offset is not None:
            return self._on_offset(exponents, self.offset)
        q, w = self._basis(exponents), self.weight**2
        mean_q, mean_y = (q @ w) / w.sum(), (self.y @ w) / w.sum()
        centred = q - mean_q[:, None]
        b = self._signed((centred * w) @ (self.y - mean_y) / np.sum(centred**2 * w, axis=1))
        m = mean_y - b * mean_q
        if self.limit is None:
            return m, b
        held_m, held_b = self._on_offset(exponents, self.limit)
        beyond = (m - b / exponents < self.limit) if not self.rising else (m - b / exponents > self.limit)
        return np.where(beyond, held_m, m), np.where(beyond, held_b, b)

    def _on_offset(self, exponents: Array, offset: float) -> tuple[Array, Array]:
        """The best laws whose offset m - b/exponent is `offset`."""
        power = np.exp(-exponents[:, None] * self.log_x) * self.weight / exponents[:, None]
        b = self._signed(power @ ((self.y - offset) * self.weight) / np.sum(power**2, axis=1))
        return offset + b / exponents, b

    def _signed(self, b: Array) -> Array:
        return np.minimum(b, 0.0) if self.rising else np.maximum(b, 0.0)

    def squares_of(self, exponents: Array, m: Array, b: Array) -> Array:
        """The sum of squares of each law, shape (k,)."""
        return np.sum(((m[:, None] + b[:, None] * self._basis(exponents) - self.y) * self.weight) ** 2, axis=1)

    def squares(self, exponents: Array) -> Array:
        """The least sum of squares at each exponent, shape (k,)."""
        return self.squares_of(exponents, *self.linear(exponents))

    def squares_at(self, exponent: float) -> float:
        """The same at one exponent."""
        return float(self.squares(np.array([exponent]))[0])

    def best(self) -> tuple[float, float]:
        """The exponent of least squares and those squares: the least of a fine grid, refined between its neighbours."""
        grid = self.squares(EXPONENTS)
        i = int(np.argmin(grid))
        ends = EXPONENTS[max(i - 1, 0)], EXPONENTS[min(i + 1, len(EXPONENTS) - 1)]
        found = minimize_scalar(
            lambda log: self.squares_at(float(np.exp(log))),
            bounds=tuple(np.log(ends)),
            method="bounded",
            options={"xatol": 1e-10},
        )
        refined = float(np.exp(found.x))
        return (refined, float(found.fun)) if found.fun < grid[i] else (float(EXPONENTS[i]), float(grid[i]))

    def law(self, exponents: Array, m: Array, b: Array, mean_log_x: float) -> OffsetPowerLaw:
        """The laws as people write them, x in its own unit again; shape (k,)."""
        with np.errstate(divide="ignore"):
            log_c = np.log(np.abs(b) / exponents) + exponents * mean_log_x
        return OffsetPowerLaw(m - b / exponents, log_c, exponents, self.rising)

    def exponents_within(self, limit: float, best: float) -> tuple[float, float]:
        """The least and the largest exponent whose least squares are within `limit`; an end of the grid at most."""
        inside = EXPONENTS[self.squares(EXPONENTS) <= limit]
        low, high = min(best, *inside, best), max(best, *inside, best)
        below, above = EXPONENTS[low > EXPONENTS], EXPONENTS[high < EXPONENTS]
        return (
            self._crossing(float(below[-1]), float(low), limit) if len(below) else float(low),
            self._crossing(float(above[0]), float(high), limit) if len(above) else float(high),
        )

    def _crossing(self, outside: float, inside: float, limit: float) -> float:
        """Where the profile comes to `limit` between an exponent outside the set and one inside."""
        if self.squares_at(inside) >= limit:
            return inside
        ends = np.log([outside, inside])
        return float(np.exp(brentq(lambda log: self.squares_at(float(np.exp(log))) - limit, *ends)))

    def region(self, limit: float, best: float) -> tuple[Array, Array, Array]:
        """Exponents, m and b, shape (k,) each, on the edge of the set of laws with squares within `limit`.

        At each exponent that set is an ellipse in m and b, cut by the offset's limit and by the sign of b; what is
        linear in m and b has its extremes on its edge or on the cuts' ends.
        """
        low, high = self.exponents_within(limit, best)
        slices = np.unique(np.append(np.geomspace(low, high, _SLICES), best))
        parts = [self._on_line(slices, limit, self.offset if self.offset is not None else self.limit)]
        if self.offset is None:
            parts.append(self._ellipses(slices, limit))
        exponents, m, b = (np.concatenate(each) for each in zip(*parts, strict=True))
        sign = -1.0 if self.rising else 1.0
        offsets = m - b / exponents
        keep = sign * b > 0
        if self.offset is None and self.limit is not None:
            keep &= sign * (offsets - self.limit) >= -_TINY * np.maximum(np.abs(offsets), np.abs(self.y).max())
        return exponents[keep], m[keep], b[keep]

    def _on_line(self, slices: Array, limit: float, offset: float | None) -> tuple[Array, Array, Array]:
        """Both ends of the laws with this very offset, and the best of them."""
        if offset is None:
            return np.empty(0), np.empty(0), np.empty(0)
        power = np.exp(-slices[:, None] * self.log_x) * self.weight / slices[:, None]
        _, b = self._on_offset(slices, offset)
        slack = limit - self.squares_of(slices, offset + b / slices, b)
        half = np.sqrt(np.maximum(slack, 0.0) / np.sum(power**2, axis=1))
        inside = np.tile(slack >= -_TINY * limit, 3)
        exponents, all_b = np.tile(slices, 3)[inside], np.concatenate([b - half, b, b + half])[inside]
        return exponents, offset + all_b / exponents, all_b

    def _ellipses(self, slices: Array, limit: float) -> tuple[Array, Array, Array]:
        q, w = self._basis(slices), self.weight**2
        mean_q, mean_y = (q @ w) / w.sum(), (self.y @ w) / w.sum()
        spread = np.sum((q - mean_q[:, None]) ** 2 * w, axis=1)
        b = ((q - mean_q[:, None]) * w) @ (self.y - mean_y) / spread
        slack = limit - self.squares_of(slices, mean_y - b * mean_q, b)
        inside = slack >= -_TINY * limit
        slices, mean_q, spread, b = (each[inside] for each in (slices, mean_q, spread, b))
        slack = np.maximum(slack[inside], 0.0)
        angles = np.linspace(0, 2 * np.pi, _ANGLES, endpoint=False)
        # In b and the value at the mean of q the ellipse is upright.
        around_b = b[:, None] + np.sqrt(slack / spread)[:, None] * np.cos(angles)
        level = mean_y + np.sqrt(slack / w.sum())[:, None] * np.sin(angles)
        return np.repeat(slices, _ANGLES), (level - around_b * mean_q[:, None]).ravel(), around_b.ravel()
