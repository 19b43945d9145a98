"""What approach 1 must keep whoever edits it: the valley's derivatives, the noise it reads, the width of its draws."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from isoflop.fitting import CurveTable
from isoflop.fitting.estimators.envelope import fit_envelope
from isoflop.fitting.estimators.envelope.grid import curves_at, make_grid
from isoflop.fitting.estimators.envelope.line import Line, fit_line, holders
from isoflop.fitting.estimators.envelope.noise import resampled_lines, run_noise
from isoflop.fitting.estimators.envelope.valley import ValleyPoints
from isoflop.fitting.results import MinimumStatus

from .envelope_curves import changed, training_curves


def line_of(table: CurveTable, smoothing: float = 0.2) -> Line:
    grid, _ = make_grid(table, flop_points=60, smoothing=smoothing, skip=0.0, hull=False)
    return fit_line(grid, *holders(grid))


def test_the_valley_s_derivatives_are_its_differences() -> None:
    rng = np.random.default_rng(0)
    points = ValleyPoints(rng.normal(size=12), np.repeat([-1.0, 0.0, 1.5], 4), np.array([0, 4, 8]))
    theta = np.array([[0.1, 0.4, -1.0, -0.2, 0.3]])
    _, slopes = points.shape(theta)
    for i in range(5):
        step = np.zeros_like(theta)
        step[0, i] = 1e-6
        difference = (points.shape(theta + step)[0] - points.shape(theta - step)[0]) / 2e-6
        assert slopes[0, :, i] == pytest.approx(difference[0], rel=1e-6, abs=1e-8)


def test_the_noise_between_checkpoints_is_a_checkpoint_s_own() -> None:
    table = training_curves(points=400, steps=0.01)
    inner = np.log(np.geomspace(3e18, 3e20, 50))
    read, _ = curves_at(table, inner, smoothing=0.0, skip=0.0, beyond=0.0)
    shown = [curve.jitter[np.isfinite(curve.loss)] for curve in read]
    # Between two points a cubic averages them; at worst the noise is theirs, on average over places less.
    deviation = np.sqrt(np.mean(np.concatenate([np.sum(rows**2, axis=1) for rows in shown if len(rows)])))
    assert 0.0075 < deviation < 0.0095


def test_errors_of_few_degrees_of_freedom_spread_as_students() -> None:
    line = line_of(training_curves(points=30, runs=0.003))
    few, many = (
        np.quantile(resampled_lines(line, 0.003, freedom, 300, 0)[:, 1], [0.025, 0.975]) for freedom in (2, 10_000)
    )
    assert 1.5 < np.ptp(few) / np.ptp(many) < 3.5  # t of 2 over t of many: 2.2


def test_noise_between_checkpoints_alone_spreads_the_exponent() -> None:
    noisy, smooth = line_of(training_curves(points=60, steps=0.01)), line_of(training_curves(points=60))
    assert np.std(resampled_lines(noisy, 0.0, 5, 50, 0)[:, 1]) > 1e-4
    assert np.std(resampled_lines(smooth, 0.0, 5, 50, 0)[:, 1]) < 1e-4


def test_the_noise_of_runs_is_read_from_what_the_valley_cannot_follow() -> None:
    found = [run_noise(line_of(training_curves(points=30, runs=0.003, sizes=16, seed=seed))) for seed in range(4)]
    assert np.sqrt(np.mean([sigma**2 for sigma, _ in found])) == pytest.approx(0.003, rel=0.15)
    # Of 16 runs' errors at least three do not show: what all share, and what moves the line or turns it.
    assert max(freedom for _, freedom in found) <= 13


def test_a_point_of_two_sizes_is_too_few_where_the_minimum_lies_between_them() -> None:
    table = training_curves(sizes=17, points=400, beyond=30.0)
    frame = table.table.frame
    sizes = np.unique(frame["n_params"])
    small, large = sizes[8], sizes[10]
    n, c = frame["n_params"], frame["flops"]
    kept = n.isin([small, large]) | (n < small) & (c < 1e20) | (n > large) & (c > 1e21)
    fit = fit_envelope(changed(table, pd.DataFrame(frame[kept]).reset_index(drop=True)), skip=0.0, resamples=0)
    two = [point for point in fit.points if 1.1e20 < point.flops < 0.9e21]
    for point in two:
        between = small < float(fit.params_law(point.flops)) < large
        assert point.status is (MinimumStatus.TOO_FEW if between else MinimumStatus.EDGE)
    assert {point.status for point in two} == {MinimumStatus.TOO_FEW, MinimumStatus.EDGE}
