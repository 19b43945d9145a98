"""Training curves on one grid of compute: smoothed, interpolated, and merged into one loss a size and FLOP value.

Every loss on the grid is a fixed linear combination of the points given, so that the noise of runs can be carried
through. Below S sizes and G FLOP values.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...curves import CurveKind, CurveTable, size_groups
from ...errors import FitError

Array = NDArray[np.float64]

DENSE_POINTS = 20  # curves of fewer points are interpolated, not smoothed
_FALL = 0.3  # the power of C by which a size's loss falls to its floor; published: .28 to .45
_WINDOW_POINTS = 5  # the smoothing window takes in at least as many points
_SAME_TOKENS = 0.01  # points of one curve closer than this in ln C are one; runs of one length end this close


@dataclass(frozen=True)
class Curve:
    """One curve on the grid. Loss and ln D are NaN where it has no points to either side."""

    log_n: float
    loss: Array  # (G,)
    log_d: Array  # (G,)
    carry: Array  # (G, n): what an error of 1 in each of its independent runs does to `loss`
    jitter: Array  # (G, m): what is left of the noise between its checkpoints, by m independent unit normals
    name: str
    end: float  # ln of its last tokens


@dataclass(frozen=True)
class Grid:
    """The least loss of each size at each FLOP value, sizes rising."""

    log_flops: Array  # (G,)
    log_n: Array  # (S,)
    loss: Array  # (S, G), NaN where no curve of the size covers the value
    log_d: Array  # (S, G)
    carry: tuple[Array, ...]  # a size (G, U): the errors of its own U independent runs, 0 where they do not count
    jitter: tuple[Array, ...]  # a size (G, V): the noise left between checkpoints
    curve: NDArray[np.int_]  # (S, G): which curve gave the loss, -1 for none
    curves: tuple[Curve, ...]


def make_grid(
    table: CurveTable, *, flop_points: int, smoothing: float, skip: float, hull: bool
) -> tuple[Grid, tuple[str, ...]]:
    """The curves of `table` on `flop_points` values of C, even in ln C, and what was done to them.

    Raises FitError where nowhere three sizes cover one FLOP value.
    """
    pieces = _pieces(table, skip)
    log_flops = _axis(pieces, flop_points)
    curves, notes = _read_at(pieces, log_flops, smoothing, skip, table.kind)
    if hull:
        kept = _on_hull(log_flops, curves)
        notes.append(f"{len(kept)} of {len(curves)} curves touch the lower convex hull of ln loss in ln C")
        curves = kept
    return _merged(log_flops, curves, averaged=table.decaying is False), tuple(notes)


def curves_at(
    table: CurveTable, log_flops: Array, *, smoothing: float, skip: float, beyond: float
) -> tuple[list[Curve], list[str]]:
    """The curves of `table` at the given values of ln C, and notes; a curve ends `beyond` in ln C after its last point,
    and is NaN from there on and before its first.
    """
    return _read_at(_pieces(table, skip), log_flops, smoothing, skip, table.kind, beyond)


def _pieces(table: CurveTable, skip: float) -> list[_Piece]:
    """What is left of each curve after its start. Raises FitError where no curve keeps two points."""
    whole = table.kind is CurveKind.CHECKPOINTS
    pieces: list[_Piece] = []
    for _, part in table.fitted.groupby("curve"):
        rows = pd.DataFrame(part)
        if whole:
            tokens = rows["tokens"].to_numpy(dtype=float)
            rows = rows.iloc[np.flatnonzero(tokens > skip * tokens.max() * (1 + 1e-9))]
        if len(rows) and len((piece := _Piece.of(rows, whole)).log_flops) >= 2:
            pieces.append(piece)
    if not pieces:
        raise FitError("no curve has two points after its start: log more often, or lower `skip`")
    # By what they hold, not by name: the order decides which draw of a resample goes to which run.
    return sorted(pieces, key=lambda piece: (piece.log_n, piece.end, tuple(piece.loss)))


def _read_at(
    pieces: list[_Piece], log_flops: Array, smoothing: float, skip: float, kind: CurveKind, beyond: float = 0.0
) -> tuple[list[Curve], list[str]]:
    whole = kind is CurveKind.CHECKPOINTS
    dense = [whole and smoothing > 0 and len(piece.log_flops) >= DENSE_POINTS for piece in pieces]
    curves = [
        piece.on_grid(log_flops, smoothing if d else 0.0, whole, beyond) for piece, d in zip(pieces, dense, strict=True)
    ]
    notes: list[str] = []
    if any(dense):
        notes.append(
            f"{sum(dense)} of {len(pieces)} curves smoothed by local lines within +-{smoothing:g} in ln tokens"
        )
    if whole:
        notes.append(f"the first {skip:.0%} of each run's tokens are left out")
    return curves, notes


@dataclass(frozen=True)
class _Piece:
    """The points of one curve by compute, near-equal ones averaged: `averages` (nodes, rows) says how."""

    name: str
    log_n: float
    log_flops: Array
    log_d: Array
    loss: Array
    averages: Array
    end: float

    @classmethod
    def of(cls, rows: pd.DataFrame, whole: bool) -> _Piece:
        rows = rows.sort_values(["flops", "tokens", "loss", "n_params"])
        n, d, loss, flops = (rows[name].to_numpy(dtype=float) for name in ("n_params", "tokens", "loss", "flops"))
        c = np.log(flops)
        near = 1e-9 if whole else _SAME_TOKENS
        node = np.concatenate([[0], np.cumsum(np.diff(c) > near)])
        averages = np.zeros((int(node[-1]) + 1, len(c)))
        averages[node, np.arange(len(c))] = 1.0
        averages /= averages.sum(axis=1, keepdims=True)
        nodes = (averages @ c, averages @ np.log(d), averages @ loss)
        return cls(str(rows["curve"].iloc[0]), float(np.log(n).mean()), *nodes, averages, float(np.log(d.max())))

    def on_grid(self, log_flops: Array, smoothing: float, whole: bool, beyond: float) -> Curve:
        last = self.log_flops[-1]
        covered = (log_flops >= self.log_flops[0]) & (log_flops <= last + beyond)
        inside = log_flops[covered]
        if smoothing:
            operator = _local_lines(self.log_flops, inside, smoothing)
        else:
            operator = _interpolation(*(_straightened(x, self.log_flops[0]) for x in (self.log_flops, inside)))

        def spread(values: Array, missing: float) -> Array:
            out = np.full((len(log_flops), *values.shape[1:]), missing)
            out[covered] = values
            return out

        # A run's error is the same along its checkpoints; end points have one each, and no noise between them.
        carry = np.ones((len(inside), 1)) if whole else operator @ self.averages
        jitter = operator * self._step_noise() if whole else np.zeros((len(inside), 0))
        if jitter.shape[1] > len(inside):
            jitter = np.asarray(np.linalg.qr(jitter.T, mode="r")).T  # of the same covariance
        loss, log_d = (
            spread(operator @ self.loss, np.nan),
            spread(np.interp(inside, self.log_flops, self.log_d) + np.maximum(inside - last, 0.0), np.nan),
        )
        return Curve(self.log_n, loss, log_d, spread(carry, 0.0), spread(jitter, 0.0), self.name, self.end)

    def _step_noise(self) -> float:
        """The standard deviation of a checkpoint about the line through its two neighbours, 0 for under 4 points."""
        if len(self.loss) < 4:
            return 0.0
        x, y = _straightened(self.log_flops, self.log_flops[0]), self.loss
        share = (x[1:-1] - x[:-2]) / (x[2:] - x[:-2])
        off = y[1:-1] - (1 - share) * y[:-2] - share * y[2:]
        return float(np.sqrt(np.mean(off**2 / (1 + share**2 + (1 - share) ** 2))))


def _axis(pieces: list[_Piece], flop_points: int) -> Array:
    """FLOP values even in ln C over the range that at least three curves cover."""
    starts, ends = (np.array([piece.log_flops[i] for piece in pieces]) for i in (0, -1))
    events = np.concatenate([starts, ends])
    covered = events[((starts <= events[:, None]) & (events[:, None] <= ends)).sum(axis=1) >= 3]
    if not len(covered) or covered.min() == covered.max():
        raise FitError(
            f"{len(pieces)} curves never cover one FLOP value by three: train at least 3 sizes over overlapping compute"
        )
    return np.linspace(float(covered.min()), float(covered.max()), flop_points)


def _straightened(log_flops: Array, first: float) -> Array:
    """A rising function of ln C in which training curves are nearly straight: their loss falls as about C^-.3."""
    return -np.expm1(-_FALL * (log_flops - first))


def _interpolation(x: Array, at: Array) -> Array:
    """Weights (len(at), len(x)) of the piecewise cubic through the points with three-point slopes (Bessel's)."""
    i = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    h = np.diff(x)
    t = (at - x[i]) / h[i]
    slopes = _slopes(h)
    rows = np.arange(len(at))
    weights = np.zeros((len(at), len(x)))
    weights[rows, i] += (1 + 2 * t) * (1 - t) ** 2
    weights[rows, i + 1] += t * t * (3 - 2 * t)
    weights += (h[i] * t * (1 - t) ** 2)[:, None] * slopes[i] - (h[i] * t * t * (1 - t))[:, None] * slopes[i + 1]
    return weights


def _slopes(h: Array) -> Array:
    """Weights (n, n) of the slope at each point: of the parabola through it and its neighbours; `h` the gaps."""
    n = len(h) + 1
    secant = np.zeros((n - 1, n))
    rows = np.arange(n - 1)
    secant[rows, rows], secant[rows, rows + 1] = -1 / h, 1 / h
    slopes = np.zeros((n, n))
    if n == 2:
        slopes[:] = secant[0]
        return slopes
    left, right = h[:-1, None], h[1:, None]
    slopes[1:-1] = (right * secant[:-1] + left * secant[1:]) / (left + right)
    slopes[0] = 2 * secant[0] - slopes[1]
    slopes[-1] = 2 * secant[-1] - slopes[-2]
    return slopes


def _local_lines(x: Array, at: Array, width: float) -> Array:
    """Weights (len(at), len(x)) of least-squares lines through the points within `width`, at least five of them.

    A line rather than a mean: at the curve's ends, and where it falls, a mean lags.
    """
    reach = np.sort(np.abs(x[None, :] - at[:, None]), axis=1)[:, _WINDOW_POINTS - 1]
    inside = np.abs(x[None, :] - at[:, None]) <= np.maximum(reach, width)[:, None]
    count = inside.sum(axis=1)
    z, goal = (_straightened(values, x[0]) for values in (x, at))
    centre = (inside @ z) / count
    offset = np.where(inside, z[None, :] - centre[:, None], 0.0)
    return inside / count[:, None] + offset * ((goal - centre) / np.sum(offset**2, axis=1))[:, None]


def _on_hull(log_flops: Array, curves: list[Curve]) -> list[Curve]:
    """The curves that hold a corner of the lower convex hull of all points (ln C, ln loss)."""
    losses = np.stack([np.where(np.isnan(curve.loss), np.inf, curve.loss) for curve in curves])
    holders = losses.argmin(axis=0)
    least = losses.min(axis=0)
    places = np.flatnonzero(np.isfinite(least))
    points = [(float(log_flops[i]), float(np.log(least[i])), int(i)) for i in places]
    corners: list[tuple[float, float, int]] = []
    for point in points:
        while len(corners) >= 2 and _turns_right(corners[-2], corners[-1], point):
            corners.pop()
        corners.append(point)
    chosen = {int(holders[i]) for _, _, i in corners}
    return [curve for i, curve in enumerate(curves) if i in chosen]


def _turns_right(a: tuple[float, float, int], b: tuple[float, float, int], c: tuple[float, float, int]) -> bool:
    return (b[1] - a[1]) * (c[0] - a[0]) >= (c[1] - a[1]) * (b[0] - a[0])


def _merged(log_flops: Array, curves: list[Curve], averaged: bool) -> Grid:
    """One loss a size: the mean of runs of one length (seeds), then the least over lengths.

    `averaged` takes the mean over all runs of a size: without a decaying rate their lengths make no difference.
    """
    group = size_groups(np.exp([curve.log_n for curve in curves]))
    log_n = np.bincount(group, [curve.log_n for curve in curves]) / np.bincount(group)
    parts = [_size(curves, np.flatnonzero(group == size), averaged) for size in range(int(group.max()) + 1)]
    loss, log_d, chosen, carry, jitter = zip(*parts, strict=True)
    return Grid(log_flops, log_n, np.stack(loss), np.stack(log_d), carry, jitter, np.stack(chosen), tuple(curves))


def _size(
    curves: list[Curve], members: NDArray[np.int_], averaged: bool
) -> tuple[Array, Array, NDArray[np.int_], Array, Array]:
    """Loss, ln D, the curve that gave it, and what it carries of the runs' errors and jitter, for one size."""
    places: list[int] = members.tolist()
    own = [curves[i] for i in places]
    values = np.stack([curve.loss for curve in own])
    ends = np.exp([curve.end for curve in own])
    lengths = np.zeros(len(members), dtype=int) if averaged else size_groups(ends, _SAME_TOKENS)
    there = np.isfinite(values)
    alike = lengths[:, None] == np.unique(lengths)  # (members, lengths)
    count = alike.T.astype(float) @ there
    total = alike.T.astype(float) @ np.where(there, values, 0.0)
    means = np.where(count > 0, total / np.maximum(count, 1), np.inf)
    best = means.argmin(axis=0)
    weights = alike[:, best] * there / np.maximum(np.take_along_axis(count, best[None], axis=0), 1)
    covered = there.any(axis=0)
    log_d = np.sum(weights * np.nan_to_num([curve.log_d for curve in own]), axis=0)
    return (
        np.where(covered, means.min(axis=0), np.nan),
        np.where(covered, log_d, np.nan),
        np.where(covered, members[weights.argmax(axis=0)], -1),
        np.concatenate([w[:, None] * curve.carry for w, curve in zip(weights, own, strict=True)], axis=1),
        np.concatenate([w[:, None] * curve.jitter for w, curve in zip(weights, own, strict=True)], axis=1),
    )
