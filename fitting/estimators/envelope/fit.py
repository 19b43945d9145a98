"""Approach 1: the envelope of training curves gives N*(C) and D*(C) (Hoffmann 2022, arXiv:2203.15556, section 3.1).

At each of many FLOP values the run of least loss is sought among smoothed and interpolated curves. Its sizes make a
staircase, for there are few sizes, and its ends are cut where a size ran out. So the line N*(C) is not drawn through
the staircase: it is the bottom of the valley (`envelope_valley`) fitted to the losses of all sizes near it, wherever
sizes on both sides cover the FLOP value. On simulated curves that halves the error of a and takes away its bias.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...arguments import check_interval
from ...curves import CurveTable, require_curves
from ...errors import FitError, InputError
from ...laws import PowerLaw
from ...results import EnvelopeFit, EnvelopePoint, Estimate, FitStatus, MinimumStatus, Resampling
from ...uncertainty import MIN_BUDGETS, percentile_estimate
from .grid import make_grid
from .line import MIN_SIZES, Line, fit_line, holders
from .noise import resampled_lines, run_noise

Array = NDArray[np.float64]

FLOP_POINTS = 150
SMOOTHING = 0.2  # in ln tokens
SKIP = 0.05  # of a run's tokens: its start
_MIN_FREEDOM = 2
_LARGEST = 700.0  # of ln coefficient: beyond it there is no such number


def fit_envelope(
    curves: CurveTable,
    *,
    flop_points: int = FLOP_POINTS,
    smoothing: float = SMOOTHING,
    skip: float = SKIP,
    hull: bool = False,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> EnvelopeFit:
    """N*(C) and D*(C) from the envelope of `curves`.

    Curves of 20 checkpoints or more are smoothed by local lines within `smoothing` in ln tokens (0: not); others,
    and end points, are interpolated. The first `skip` of each run's tokens are left out of checkpoint curves. No
    curve is extended beyond its points. Losses are then read at `flop_points` values of C, even in ln C. Runs of one
    size and length (seeds) are averaged, the best length counts. `hull` keeps only the curves that touch the lower
    convex hull of (ln C, ln loss).

    Intervals at `level` draw an error for each whole run (a checkpoint curve moves as one; end points each by
    themselves), as large as the runs' own residuals from the valley, and for checkpoints the noise between them that
    smoothing leaves, onto the curves, and fit again.

    Checkpoints of a decaying schedule lie above the loss that a run ending there would reach, the more the earlier:
    `decaying_schedule` then says True, and no interval covers that bias. On Chinchilla's surface .05 nats that the
    decay still takes off, in proportion to what is left of the run, turn a = .45 into .33 where each size has one
    length; with lengths a factor 2 apart the envelope lies on their ends, and a is .45.

    Raises InputError for a bad setting; FitError where no FLOP value is covered by three sizes, or fewer than three
    sizes hold the envelope between a smaller and a larger one. Three such sizes give numbers of status TOO_FEW
    without intervals; where losses hardly depend on the size the status is BOUND_HIT, without intervals too.
    """
    require_curves(curves)
    check_interval(level, resamples)
    _check(flop_points, smoothing, skip)
    grid, notes = make_grid(curves, flop_points=flop_points, smoothing=smoothing, skip=skip, hull=hull)
    holder, inner = holders(grid)
    sizes = np.unique(holder[inner])
    if len(sizes) < MIN_SIZES:
        raise FitError(
            f"{len(sizes)} of {len(grid.log_n)} sizes hold the envelope between a smaller and a larger one; "
            f"{MIN_SIZES} are needed: train more sizes, each over more compute"
        )
    line = fit_line(grid, holder, inner)
    status = FitStatus.CONVERGED if line.converged else FitStatus.MAX_ITER
    if line.flat:
        status = FitStatus.BOUND_HIT
    if len(sizes) < MIN_BUDGETS:
        status = FitStatus.TOO_FEW
    sigma, freedom = run_noise(line)
    draws, resampling = None, None
    wanted = resamples > 0 and status is FitStatus.CONVERGED
    if wanted and freedom >= _MIN_FREEDOM:
        draws = resampled_lines(line, sigma, freedom, resamples, seed)
        resampling = Resampling("an error a run, from residuals", resamples, resamples - len(draws), seed)
    elif wanted:
        notes = (*notes, "the curves do not show the noise between runs: no interval")
    found = line.lines(line.theta[None])[0]
    if np.abs(found[[0, 2]]).max() > _LARGEST:
        raise FitError(f"no line: a = {found[1]:.3g}, for losses hardly depend on the size; train sizes further apart")
    points = _points(line, holder)
    return EnvelopeFit(
        status=status,
        points=points,
        params_law=PowerLaw(float(np.exp(found[0])), float(found[1])),
        tokens_law=PowerLaw(float(np.exp(found[2])), float(found[3])),
        params_exponent=_estimate(found[1], draws, 1, resamples, level),
        tokens_exponent=_estimate(found[3], draws, 3, resamples, level),
        n_curves=len(grid.curves),
        n_sizes=len(sizes),
        n_edge_points=sum(point.status is MinimumStatus.EDGE for point in points),
        decaying_schedule=curves.decaying,
        run_fraction=_run_fraction(line, holder),
        run_noise=sigma,
        smoothing=smoothing,
        hull=hull,
        resampling=resampling,
        resamples=draws,
        notes=notes,
        counted_n_params=curves.table.counted_n_params,
        counted_flops=curves.table.counted_flops,
    )


def _check(flop_points: int, smoothing: float, skip: float) -> None:
    for name, value, fine, bound in (
        ("flop_points", flop_points, flop_points >= 20, "20 or more"),
        ("smoothing", smoothing, 0 <= smoothing <= 2, "a width in ln tokens from 0 to 2"),
        ("skip", skip, 0 <= skip < 1, "a fraction from 0 to below 1"),
    ):
        if not fine:
            raise InputError(f"{name} {value} must be {bound}")


def _points(line: Line, holder: NDArray[np.int_]) -> tuple[EnvelopePoint, ...]:
    grid = line.grid
    best = line.centre_x + line.theta[0] + line.theta[1] * (grid.log_flops - line.centre_c)
    there = np.isfinite(grid.loss)
    used = set(line.place.tolist())
    out: list[EnvelopePoint] = []
    for i, size in enumerate(holder):
        if not there[:, i].any():
            continue
        status = MinimumStatus.INTERIOR if i in used else MinimumStatus.EDGE
        sizes = grid.log_n[there[:, i]]
        if len(sizes) < MIN_SIZES and sizes[0] < best[i] < sizes[-1]:
            status = MinimumStatus.TOO_FEW
        out.append(
            EnvelopePoint(
                flops=float(np.exp(grid.log_flops[i])),
                n_params=float(np.exp(grid.log_n[size])),
                tokens=float(np.exp(grid.log_d[size, i])),
                loss=float(grid.loss[size, i]),
                run=grid.curves[int(grid.curve[size, i])].name,
                status=status,
            )
        )
    return tuple(out)


def _run_fraction(line: Line, holder: NDArray[np.int_]) -> float:
    grid = line.grid
    places = np.unique(line.place)
    ends = np.array([curve.end for curve in grid.curves])[grid.curve[holder[places], places]]
    return float(np.exp(np.median(grid.log_d[holder[places], places] - ends)))


def _estimate(value: float, draws: Array | None, column: int, resamples: int, level: float) -> Estimate:
    if draws is None:
        return Estimate(float(value), level=level)
    return percentile_estimate(float(value), draws[:, column], resamples, level)
