"""What approach 2 must keep whoever edits it: units that change nothing, and what it says of each minimum."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.interpolate import Akima1DInterpolator
from scipy.stats import linregress

from isoflop.fitting import RunTable, fit_isoflop
from isoflop.fitting.estimators.isoflop.akima import spline_minimum
from isoflop.fitting.estimators.isoflop.budgets import Group, budget_labels, grouped
from isoflop.fitting.estimators.isoflop.minima import minimum_of
from isoflop.fitting.estimators.isoflop.noise import _prior, noise_of, noisy
from isoflop.fitting.estimators.isoflop.parabola import parabola_of
from isoflop.fitting.estimators.isoflop.replicates import Scatter, best_rows, scatter_of
from isoflop.fitting.results import MinimumStatus

from .sweeps import HOFFMANN, interval, sweep


def test_the_unit_of_the_loss_does_not_move_the_line_with_edges() -> None:
    """Two of seven grids lie beside their minima, and budgets scatter by more than their runs do."""
    budgets = np.geomspace(1e17, 1e23, 7)
    frame = sweep(HOFFMANN, budgets=budgets, sizes=9, centre=[1, 1, 1, 1, 1, 6, 1 / 6], half_width=5).frame
    off = np.exp(np.repeat([0.2, -0.15, 0.1, -0.2, 0.25, 0.0, 0.1], 9))
    loss = HOFFMANN.loss(frame["n_params"] * off, frame["tokens"] / off)
    loss += np.repeat([1e-3, 8e-3, 1e-3, 4e-3, 1e-3, 2e-3, 1e-3], 9) * np.random.default_rng(1).standard_normal(63)
    found = []
    for unit in (1.0, 0.01):
        edges = fit_isoflop(RunTable(frame.assign(loss=unit * loss)), minimum="parabola", resamples=0).with_edges
        assert edges is not None
        found.append((edges.params_law.exponent, edges.tokens_law.exponent))
    assert found[1] == pytest.approx(found[0], rel=1e-6)


def test_under_c_of_6nd_b_and_its_interval_are_one_less_a_s() -> None:
    fit = fit_isoflop(sweep(HOFFMANN, noise=0.004, seed=2), resamples=200)
    a, b = interval(fit.params_exponent), interval(fit.tokens_exponent)
    assert fit.tokens_exponent.value == pytest.approx(1 - fit.params_exponent.value, abs=1e-9)
    assert b == pytest.approx((1 - a[1], 1 - a[0]), abs=1e-9)


def test_the_centre_s_drift_is_a_line_with_its_usual_error() -> None:
    centre = np.exp(np.random.default_rng(0).normal(0, 0.15, 7))
    fit = fit_isoflop(sweep(HOFFMANN, budgets=np.geomspace(1e17, 1e23, 7), centre=centre, half_width=6), resamples=0)
    assert fit.centre_drift is not None
    x, y = zip(*((np.log(each.flops), each.centre_offset) for each in fit.minima), strict=True)
    line = linregress(x, y)
    assert fit.centre_drift.slope == pytest.approx(line.slope, rel=1e-9)
    assert fit.centre_drift.slope_se == pytest.approx(line.stderr, rel=1e-9)
    assert fit.centre_drift.p_value == pytest.approx(line.pvalue, rel=1e-9)


def test_budgets_own_variances_scatter_about_the_prior_that_drew_them() -> None:
    """Smyth 2004, section 3: s_b^2 is s^2 F(f, p); the estimate finds p and s^2 again."""
    rng = np.random.default_rng(0)
    freedom = np.tile([3.0, 5.0, 9.0], 1000)
    squares = 0.04 * 7 / rng.chisquare(7, len(freedom)) * rng.chisquare(freedom)
    prior, variance = _prior(squares, freedom)
    assert prior == pytest.approx(7, rel=0.15)
    assert variance == pytest.approx(0.04, rel=0.05)


def test_means_of_seeds_and_all_of_them_have_intervals_of_one_width() -> None:
    frame = sweep(HOFFMANN, sizes=7).frame
    runs = pd.concat([frame] * 4, ignore_index=True)
    table = RunTable(runs.assign(loss=runs["loss"] + 0.01 * np.random.default_rng(2).standard_normal(len(runs))))
    means, every = (
        np.ptp(interval(fit_isoflop(table, minimum="parabola", window=0.5, replicates=name).params_exponent))
        for name in ("mean", "all")
    )
    assert means == pytest.approx(every, rel=0.15)


def test_a_spline_s_minimum_that_its_noise_takes_away_counts_among_the_least_certain() -> None:
    frame = sweep(HOFFMANN, budgets=np.geomspace(1e17, 1e21, 5), sizes=9, noise=0.004).frame
    loss = frame["loss"].to_numpy().copy()
    third = slice(18, 27)  # it rises throughout but for one lucky run
    loss[third] = loss[third].mean() + 0.004 * np.arange(9) + 0.002 * np.array([0, -1, 1, 0, 1, -1, 0, 1, -1])
    loss[19] = loss[18] - 0.001
    fit = fit_isoflop(RunTable(frame.assign(loss=loss)), minimum="akima", resamples=0)
    assert [minimum.status for minimum in fit.minima] == [MinimumStatus.INTERIOR] * 5
    errors = [minimum.log_n_params_se or 0.0 for minimum in fit.minima]
    assert errors[2] == max(errors)


def group_of(log_n: np.ndarray, loss: np.ndarray, log_d: np.ndarray) -> Group:
    count = len(log_n)
    return Group(1e20, np.log(1e20), log_n, log_d, loss, np.arange(count), np.ones(count), count, 0, Scatter())


def test_a_vertex_s_variance_is_that_of_its_draws_on_a_lopsided_grid() -> None:
    log_n = 18 + 3 * np.linspace(0, 1, 8) ** 2
    group = group_of(log_n, 2.5 + 0.1 * (log_n - 18.8) ** 2, 46 - log_n)
    parabola = parabola_of(group, np.ones(8, dtype=bool))
    noise = 0.003 * np.random.default_rng(0).standard_normal((20_000, 8))
    draws = parabola.minima(group.loss + noise)
    said = 0.003**2 * float(parabola.minima(group.loss[None]).variance[0])
    assert said == pytest.approx(np.var(draws.x), rel=0.06)


def test_the_tokens_of_a_minimum_follow_a_count_of_compute_that_bends() -> None:
    log_n = np.linspace(18, 21, 8)
    bent = 46 - log_n - 0.05 * (log_n - 19) ** 2
    parabola = parabola_of(group_of(log_n, 2.5 + 0.1 * (log_n - 19.5) ** 2, bent), np.ones(8, dtype=bool))
    assert parabola.log_tokens(log_n) == pytest.approx(bent, abs=1e-9)


def test_the_best_setting_is_that_of_the_lowest_mean_however_many_seeds_it_has() -> None:
    part = pd.DataFrame({"size": [0] * 4 + [1], "setting": [1, 1, 1, 2, 1], "loss": [2.0, 2.1, 2.2, 2.3, 3.0]})
    assert best_rows(part).tolist() == [True, True, True, False, True]


def test_the_noise_that_a_resample_shows_is_on_average_the_noise_drawn() -> None:
    frame = sweep(HOFFMANN, sizes=9).frame
    sigma = np.repeat([0.02, 0.001, 0.002, 0.001, 0.003], 9)
    table = RunTable(frame.assign(loss=frame["loss"] + sigma * np.random.default_rng(0).standard_normal(45)))
    used = [minimum_of(group, "parabola", None) for group in grouped(table, budget_labels(table)[0]).groups]
    noise = noise_of(used)
    assert noise is not None
    assert not noise.shared
    for place, budget in enumerate(used):
        losses, freedom = budget.group.loss[budget.smooth.used], budget.smooth.freedom
        squares = budget.smooth.squares(losses - budget.smooth.fitted(losses))
        assert noise.shrunk(squares, freedom) == pytest.approx(noise.sigma[place] ** 2, rel=1e-9)
        _, shown = noisy(budget, noise, place, 2000, np.random.default_rng(1))
        assert shown.mean() == pytest.approx(noise.shrunk(freedom * noise.sigma[place] ** 2, freedom), rel=0.1)


def test_replicates_residuals_are_scaled_to_one_run_s_variance() -> None:
    size = np.repeat(np.arange(3000), 2)
    loss = size + 0.01 * np.random.default_rng(0).standard_normal(6000)
    scatter = scatter_of(pd.DataFrame({"size": size, "loss": loss}))
    assert np.mean(scatter.residuals**2) == pytest.approx(1e-4, rel=0.06)
    assert scatter.squares / scatter.freedom == pytest.approx(1e-4, rel=0.06)


def test_the_curvature_is_the_second_derivative_where_no_noise_shows_too() -> None:
    table = sweep(HOFFMANN, sizes=3, half_width=2)
    fit = fit_isoflop(table, minimum="parabola", resamples=0)
    assert fit.noise is None
    for minimum in fit.minima:
        part = table.frame[table.frame["budget"] == minimum.budget]
        assert minimum.curvature == pytest.approx(
            2 * np.polyfit(np.log(part["n_params"]), part["loss"], 2)[0], rel=1e-6
        )


def test_a_spline_s_lowest_point_is_that_of_a_fine_grid() -> None:
    rng = np.random.default_rng(0)
    knots, values = np.cumsum(rng.uniform(0.2, 1, 9)), rng.normal(size=(200, 9))
    place, height = spline_minimum(knots, values)
    spline = Akima1DInterpolator(knots, values, axis=1)
    fine = spline(np.linspace(knots[0], knots[-1], 4001))
    assert (height <= fine.min(axis=1) + 1e-12).all()
    assert [spline(at)[row] for row, at in enumerate(place)] == pytest.approx(height, abs=1e-12)


def test_beside_splines_the_vertices_at_edges_weigh_alike() -> None:
    table = sweep(HOFFMANN, budgets=np.geomspace(1e17, 1e22, 6), sizes=9, centre=[1, 1, 1, 1, 6, 1 / 6], noise=5e-4)
    for minimum in ("akima", "parabola"):
        edges = fit_isoflop(table, minimum=minimum, resamples=0).with_edges
        assert edges is not None
        assert edges.params_law.exponent == pytest.approx(HOFFMANN.params_exponent, abs=0.06)


def test_a_budget_s_noise_holds_what_its_sizes_share_beside_what_its_runs_have() -> None:
    rng = np.random.default_rng(3)
    frame = sweep(HOFFMANN, sizes=7).frame
    frame = frame.assign(loss=frame["loss"] + 0.02 * rng.standard_normal(len(frame)))
    runs = pd.concat([frame] * 4, ignore_index=True)
    fit = fit_isoflop(RunTable(runs.assign(loss=runs["loss"] + 0.01 * rng.standard_normal(len(runs)))), resamples=0)
    assert fit.noise is not None
    assert fit.noise.between_cells > 0.012
    assert np.mean([m.noise**2 for m in fit.minima if m.noise]) == pytest.approx(
        fit.noise.sigma**2 + fit.noise.between_cells**2, rel=0.1
    )
