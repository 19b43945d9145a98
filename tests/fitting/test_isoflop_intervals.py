"""Approach 2: the noise of the losses, the intervals it gives, their coverage, and the method chosen by the data."""

import numpy as np
import pandas as pd
import pytest

from isoflop.fitting import RunTable, fit_isoflop

from .sweeps import ASYMMETRIC, HOFFMANN, changed, interval, size, sweep

BUDGETS = np.geomspace(1e18, 1e22, 5)


def noisy(frame, sigma, rng, law=HOFFMANN):
    """The frame's runs with noise of standard deviation `sigma` (one a row, or one for all)."""
    loss = law.loss(frame["n_params"], frame["tokens"])
    return RunTable(frame.assign(loss=loss + sigma * rng.standard_normal(len(frame))))


def coverage(simulate, count, **options):
    """How often the interval of a holds the truth, over tables `simulate(i)`."""
    held = 0
    for i in range(count):
        low, high = interval(fit_isoflop(simulate(i), resamples=200, seed=i, **options).params_exponent)
        held += low <= HOFFMANN.params_exponent <= high
    return held / count


# Noise alike in all budgets, rising and falling with C fourfold: 95 % intervals, 80 tables, three standard errors.
@pytest.mark.parametrize("ends", [(0.01, 0.01), (0.005, 0.02), (0.02, 0.005)])
def test_the_interval_covers_whatever_the_noise_does_with_compute(ends):
    frame = sweep(HOFFMANN, budgets=BUDGETS, sizes=7).frame
    sigma = np.repeat(np.geomspace(ends[0], ends[1], 5), 7)
    rng = np.random.default_rng(5)
    assert 0.88 <= coverage(lambda _: noisy(frame, sigma, rng), 80, minimum="parabola") <= 0.995


def test_the_interval_covers_where_budgets_scatter_by_more_than_their_runs():
    frame = sweep(HOFFMANN, budgets=BUDGETS, sizes=7).frame
    rng = np.random.default_rng(7)

    def scattered(_):
        shift = np.repeat(np.exp(0.1 * rng.standard_normal(5)), 7)
        loss = HOFFMANN.loss(frame["n_params"] * shift, frame["tokens"] / shift)
        return RunTable(frame.assign(loss=loss + 0.002 * rng.standard_normal(35)))

    assert 0.88 <= coverage(scattered, 80, minimum="parabola") <= 0.995


@pytest.mark.parametrize("minimum", ["akima", "auto"])
def test_the_other_methods_cover_too(minimum):
    frame = sweep(HOFFMANN, budgets=BUDGETS, sizes=7).frame
    rng = np.random.default_rng(9)
    assert coverage(lambda _: noisy(frame, 0.01, rng), 30, minimum=minimum) >= 0.85


def test_a_noisy_budget_weighs_less_and_its_minimum_is_known_less():
    frame = sweep(HOFFMANN, budgets=BUDGETS, sizes=12).frame
    sigma = np.repeat([0.03, 0.002, 0.002, 0.002, 0.002], 12)
    rng = np.random.default_rng(0)
    fits = [fit_isoflop(noisy(frame, sigma, rng), minimum="parabola", resamples=0) for _ in range(30)]
    noises = np.median(np.array([[found.noise for found in fit.minima] for fit in fits], dtype=float), axis=0)
    assert noises[0] > 4 * noises[1:].max()
    errors = np.array([fit.params_exponent.value - HOFFMANN.params_exponent for fit in fits])
    alike = np.array([_unweighted(fit) - HOFFMANN.params_exponent for fit in fits])
    assert np.std(errors) < 0.7 * np.std(alike)


def _unweighted(fit):
    inside = [found for found in fit.minima if found.n_params]
    return float(np.polyfit(np.log([f.flops for f in inside]), np.log([f.n_params for f in inside]), 1)[0])


def test_shared_noise_is_pooled():
    table = sweep(HOFFMANN, budgets=BUDGETS, sizes=9, noise=0.01, seed=4)
    fit = fit_isoflop(table, minimum="parabola", resamples=0)
    assert fit.noise is not None
    assert fit.noise.sigma == pytest.approx(0.01, rel=0.3)
    assert (fit.noise.freedom, fit.noise.source) == (5 * 6, "residuals")
    if np.isinf(fit.noise.prior_freedom):
        assert len({found.noise for found in fit.minima}) == 1


@pytest.mark.parametrize("replicates", ["all", "mean"])
def test_seeds_measure_the_noise(replicates):
    frame = sweep(HOFFMANN, budgets=BUDGETS, sizes=7).frame
    seeds = pd.concat([frame.assign(seed=seed) for seed in range(4)], ignore_index=True)
    fit = fit_isoflop(noisy(seeds, 0.01, np.random.default_rng(2)), replicates=replicates, resamples=300)
    one = fit_isoflop(noisy(frame, 0.01, np.random.default_rng(2)), resamples=300)
    assert fit.noise is not None
    assert fit.noise.source == "residuals and replicates"
    assert fit.noise.freedom == 5 * (7 * 4 - 3)
    assert fit.noise.sigma == pytest.approx(0.01, rel=0.2)
    # Four seeds halve the interval.
    assert np.ptp(interval(fit.params_exponent)) < 0.7 * np.ptp(interval(one.params_exponent))


def cells_and_seeds(between, seeds, rng):
    """Five budgets of six sizes, `seeds` runs a size (a number a budget) with seed noise of .01 nats, and of `between`
    nats that the runs of a size share."""
    frame = sweep(HOFFMANN, budgets=BUDGETS, sizes=6).frame
    frame["loss"] += between * rng.standard_normal(len(frame))
    runs = frame.loc[np.repeat(np.arange(len(frame)), np.repeat(seeds, 6))].reset_index(drop=True)
    return RunTable(runs.assign(loss=runs["loss"] + 0.01 * rng.standard_normal(len(runs))))


def test_seeds_do_not_average_away_what_the_runs_of_a_size_share():
    rng = np.random.default_rng(3)
    fits = [fit_isoflop(cells_and_seeds(0.02, [6] * 5, rng), minimum="parabola", resamples=0) for _ in range(50)]
    noises = [fit.noise for fit in fits if fit.noise is not None]
    assert np.mean([noise.sigma for noise in noises]) == pytest.approx(0.01, rel=0.05)
    assert np.sqrt(np.mean([noise.between_cells**2 for noise in noises])) == pytest.approx(0.02, rel=0.1)
    found = [minimum for fit in fits for minimum in fit.minima if minimum.n_params]
    errors = [np.log(size(minimum) / HOFFMANN.optimum(minimum.flops)[0]) for minimum in found]
    said = np.median([minimum.log_n_params_se or 0 for minimum in found])
    # As independent runs they would say .4 of it. Medians: curves that happen to be flat say much.
    assert said == pytest.approx(np.median(np.abs(errors)) / 0.6745, rel=0.15)


@pytest.mark.parametrize(("seeds", "between"), [([3] * 5, 0.02), ([2, 2, 2, 1, 1], 0.0)])
def test_the_interval_covers_where_the_runs_of_a_size_share_a_deviation(seeds, between):
    rng = np.random.default_rng(13)
    assert 0.9 <= coverage(lambda _: cells_and_seeds(between, seeds, rng), 80, minimum="parabola") <= 1


@pytest.mark.parametrize("between", [0.0, 0.02])
def test_means_and_all_runs_share_alike(between):
    table = cells_and_seeds(between, [3] * 5, np.random.default_rng(4))
    every, means = (fit_isoflop(table, replicates=name, window=0.5, resamples=0) for name in ("all", "mean"))
    assert means.params_exponent.value == pytest.approx(every.params_exponent.value, abs=1e-9)
    assert every.noise is not None
    assert means.noise is not None
    assert means.noise.between_cells == pytest.approx(every.noise.between_cells, rel=1e-6)
    assert means.noise.sigma == pytest.approx(every.noise.sigma, rel=1e-6)


def test_one_run_a_size_and_the_same_runs_twice_tell_no_sizes_from_seeds():
    table = cells_and_seeds(0.02, [1] * 5, np.random.default_rng(6))
    twice = RunTable(pd.concat([table.frame] * 2, ignore_index=True))
    for runs in (table, twice):
        fit = fit_isoflop(runs, resamples=100)
        assert fit.noise is not None
        assert fit.noise.between_cells == 0
        assert fit.resampling is not None
        assert fit.resampling.method.startswith("residuals, ")


def test_three_sizes_without_a_residual_still_have_an_interval_from_their_seeds():
    frame = sweep(HOFFMANN, budgets=BUDGETS, sizes=3, half_width=2).frame
    assert fit_isoflop(RunTable(frame), resamples=50).params_exponent.low is None
    seeds = pd.concat([frame.assign(seed=seed) for seed in range(3)], ignore_index=True)
    table = noisy(seeds, 0.002, np.random.default_rng(1))
    for replicates in ("all", "mean"):
        fit = fit_isoflop(table, replicates=replicates, resamples=200)
        low, high = interval(fit.params_exponent)
        assert abs(fit.params_exponent.value - HOFFMANN.params_exponent) < high - low < 0.02
        assert fit.noise is not None
        assert fit.noise.freedom == 5 * 6


def test_noise_free_runs_leave_no_residual():
    table = sweep(HOFFMANN, sizes=7)
    x = np.log(table.frame["n_params"])
    exact = changed(table, loss=3 + 0.05 * (x - np.log(HOFFMANN.optimum(table.frame["flops"])[0])) ** 2)
    fit = fit_isoflop(exact, minimum="parabola", resamples=100)
    assert fit.params_exponent.value == pytest.approx(HOFFMANN.params_exponent, abs=1e-9)
    assert np.ptp(interval(fit.params_exponent)) < 1e-9
    for found in fit.minima:
        assert found.n_params == pytest.approx(float(HOFFMANN.optimum(found.flops)[0]), rel=1e-9)
        assert found.loss == pytest.approx(3, abs=1e-9)
        assert found.log_n_params_se is None


def test_bands_and_seeds():
    table = sweep(HOFFMANN, sizes=7, noise=0.01)
    one, same, other = (fit_isoflop(table, seed=seed, resamples=200) for seed in (3, 3, 4))
    assert one.params_exponent == same.params_exponent
    assert one.params_exponent.value == other.params_exponent.value
    assert one.params_exponent.low != other.params_exponent.low
    band = one.params_band([1e18, 1e24])
    assert band is not None
    low, high = band
    assert (low < one.params_law([1e18, 1e24])).all()
    assert (high > one.params_law([1e18, 1e24])).all()
    assert np.log(high / low)[1] > np.log(high / low)[0]


def test_the_data_choose_the_method():
    # Noisy narrow curves are parabolas as far as anyone can see; wide smooth ones are not.
    noisy_fit = fit_isoflop(sweep(HOFFMANN, half_width=4, noise=0.01), resamples=0)
    smooth_fit = fit_isoflop(sweep(ASYMMETRIC, half_width=30, sizes=21, noise=1e-4), resamples=0)
    assert (noisy_fit.minimum, smooth_fit.minimum) == ("parabola", "akima")
    assert noisy_fit.choice is not None
    assert noisy_fit.choice.parabola_error < noisy_fit.choice.akima_error
    assert smooth_fit.choice is not None
    assert smooth_fit.choice.akima_error < smooth_fit.choice.parabola_error
    assert smooth_fit.params_exponent.value == pytest.approx(ASYMMETRIC.params_exponent, abs=0.005)
    assert fit_isoflop(sweep(HOFFMANN, half_width=30, sizes=21), window=None, resamples=0).minimum == "parabola"
