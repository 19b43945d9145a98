"""How far the envelope's line may be off: the noise between runs, read from the fit's residuals and drawn anew."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...uncertainty import generator
from .line import Line
from .valley import N_PARAMETERS, fit_valley

Array = NDArray[np.float64]

_CHUNK = 100  # resamples line at once: what keeps the arrays small
_RESAMPLED_POINTS = 500  # of each resample, about
_RESAMPLED_STEP = 1e-6  # where its fit has converged: in exponents far below any interval
_SHOWN = 0.3  # noise is read from directions of the runs that keep this much of the clearest one's length


def run_noise(line: Line) -> tuple[float, int]:
    """The standard deviation of the runs' errors in the loss, and its degrees of freedom.

    Residuals show what of those errors the valley cannot follow: residuals = shown @ errors. The errors' least
    squares, in the directions that the residuals show clearly, have variance sigma^2 in each of them.
    """
    points, theta = line.points, line.theta
    height, parts = points.shape(theta[None])
    residual = points.centred(line.losses) - height[0]
    basis, _ = np.linalg.qr(parts[0])
    shown = points.centred(_carried(line).T).T
    shown = shown - basis @ (basis.T @ shown)
    left, lengths, _ = np.linalg.svd(shown, full_matrices=False)
    clear = lengths > _SHOWN * lengths[0]
    errors = (left[:, clear].T @ residual) / lengths[clear]
    freedom = int(clear.sum())
    if not freedom:
        return float("nan"), 0
    return float(np.sqrt(errors @ errors / freedom)), freedom


def resampled_lines(line: Line, sigma: float, freedom: int, count: int, seed: int) -> Array:
    """Lines of the resamples that converged, shape (n_successful, 4)."""
    rng = generator(seed)
    carry = _carried(line)
    # The curves are smooth in C: fewer FLOP values show the spread as well. What they change is taken off.
    thin, kept = line.points.thinned(_RESAMPLED_POINTS)
    base, _ = fit_valley(thin, line.losses[None, kept], line.theta[None])
    # One factor a resample makes the error Student's: sigma is itself estimated from few runs.
    scale = sigma * np.sqrt(freedom / rng.chisquare(freedom, size=count))
    lines: list[Array] = []
    for first in range(0, count, _CHUNK):
        some = scale[first : first + _CHUNK]
        errors = some[:, None] * rng.standard_normal((len(some), carry.shape[1]))
        losses = line.losses + errors @ carry.T + _jitter(line, len(some), rng)
        start = np.broadcast_to(base, (len(some), N_PARAMETERS))
        theta, converged = fit_valley(thin, losses[:, kept], start, tolerance=_RESAMPLED_STEP)
        lines.append(line.lines(theta[converged] - base + line.theta))
    drawn = np.concatenate(lines)
    return drawn[np.isfinite(drawn).all(axis=1)]


def _carried(line: Line) -> Array:
    """(P, U): what an error of 1 in each independent run does to each point."""
    blocks: list[Array] = []
    for size, carry in enumerate(line.grid.carry):
        block = np.where((line.size == size)[:, None], carry[line.place], 0.0)
        blocks.append(block[:, block.any(axis=0)])
    return np.concatenate(blocks, axis=1)


def _jitter(line: Line, count: int, rng: np.random.Generator) -> Array:
    """(count, P): draws of the noise between checkpoints that smoothing leaves."""
    out = np.zeros((count, len(line.size)))
    for size, jitter in enumerate(line.grid.jitter):
        mine = line.size == size
        out[:, mine] = rng.standard_normal((count, jitter.shape[1])) @ jitter[line.place[mine]].T
    return out
