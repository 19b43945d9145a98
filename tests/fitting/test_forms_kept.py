"""What the fits of any form must keep whoever edits them: exact corners, bounds, weights that count, seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from isoflop.fitting import InputError, RunTable
from isoflop.fitting.estimators.forms.custom import _parameter, fit_custom
from isoflop.fitting.estimators.forms.descent import Differenced, minimise
from isoflop.fitting.estimators.frontier import frontier
from isoflop.fitting.estimators.parametric import fit_law
from isoflop.fitting.results import FitStatus

from .sweeps import HOFFMANN, interval, sweep

SIZE_BOUNDS = {"E": (0, None), "A": (0, None), "alpha": (0.01, 2)}


def size_only(n_params, *, E, A, alpha):
    return E + A / n_params**alpha


def sizes(count: int = 24, noise: float = 0.01, seed: int = 0) -> RunTable:
    rng = np.random.default_rng(seed)
    n = np.geomspace(1e6, 1e9, count)
    frame = sweep(HOFFMANN, budgets=[1e20], sizes=count).frame.drop(columns="budget")
    return RunTable(frame.assign(n_params=n, loss=(1.7 + 400 * n**-0.34) * np.exp(noise * rng.standard_normal(count))))


def test_least_absolute_residuals_pass_exactly_through_as_many_runs_as_there_are_parameters() -> None:
    table = sizes()
    fit = fit_custom(size_only, table, bounds=SIZE_BOUNDS, objective="log_lad", resamples=0)
    frame = table.fitted
    residual = np.log(frame["loss"]) - np.log(size_only(frame["n_params"], **fit.values))
    assert np.sort(np.abs(residual))[:3] == pytest.approx(0, abs=1e-11)


def test_a_start_on_a_bound_leaves_it_for_an_optimum_inside() -> None:
    form = Differenced(lambda theta: np.repeat(theta.sum(axis=1)[:, None], 4, axis=1))
    for start in (1.0, -1.0):
        found = minimise(form, np.full(4, 0.3), np.array([[start]]), np.ones(4), None, lower=-1.0, upper=1.0)
        assert found.theta[0, 0] == pytest.approx(0.3, abs=1e-9)


@pytest.mark.parametrize("objective", ["huber", "mse"])
def test_a_mean_objective_is_over_the_weights(objective: str) -> None:
    table = sizes()
    once = fit_custom(size_only, table, bounds=SIZE_BOUNDS, objective=objective, resamples=0)
    weights = np.full(len(table), 3.0)
    thrice = fit_custom(size_only, table, bounds=SIZE_BOUNDS, objective=objective, weights=weights, resamples=0)
    assert thrice.objective_value == pytest.approx(once.objective_value, rel=1e-9)


def test_weights_count_in_the_resamples_too() -> None:
    """Runs of weight 0 change neither the law nor its interval, however far they lie off."""
    table = sizes(30)
    weights = np.ones(30)
    weights[::3] = 0.0
    spoilt = table.frame.assign(loss=np.where(weights > 0, table.frame["loss"], 2 * table.frame["loss"]))
    found = [
        fit_custom(size_only, each, bounds=SIZE_BOUNDS, weights=weights, resamples=60).parameters["alpha"]
        for each in (table, RunTable(spoilt))
    ]
    assert interval(found[1]) == pytest.approx(interval(found[0]), rel=1e-6)


def test_the_seed_decides_the_resamples() -> None:
    table = sizes()
    found = [
        interval(fit_custom(size_only, table, bounds=SIZE_BOUNDS, resamples=40, seed=seed).parameters["alpha"])
        for seed in (1, 1, 2)
    ]
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_eight_runs_are_enough_for_an_interval_and_seven_are_not() -> None:
    for count, there in ((8, True), (7, False)):
        fit = fit_custom(size_only, sizes(count), bounds=SIZE_BOUNDS, resamples=20)
        assert (fit.parameters["alpha"].low is not None) == there


def test_without_minima_the_frontier_is_the_runs_that_no_cheaper_run_matches() -> None:
    rng = np.random.default_rng(3)
    n, c = 10 ** rng.uniform(6, 9, 30), 10 ** rng.uniform(17, 21, 30)
    loss = rng.uniform(2, 4, 30)
    table = RunTable(pd.DataFrame({"n_params": n, "tokens": c / 6 / n, "loss": loss, "flops": c}))
    found = frontier(table)
    best = {i for i in range(30) if not ((c < c[i]) & (loss <= loss[i])).any()}
    assert set(found.rows) == best
    assert len(best) > 2
    assert (np.diff(found.flops) > 0).all()
    assert (np.diff(found.loss) < 0).all()


def test_on_an_easy_table_every_start_ends_at_the_optimum() -> None:
    for noise in (0.001, 0.0):
        fit = fit_custom(size_only, sizes(noise=noise), bounds=SIZE_BOUNDS, objective="mse", resamples=0)
        assert fit.n_agreeing == fit.n_starts > 1


def test_a_start_of_one_number_is_searched_from_a_third_of_it_to_three_times_it() -> None:
    assert _parameter("gamma", {"gamma": (0, None)}, {"gamma": 3.0}).start == (1.0, 9.0)
    assert _parameter("gamma", {"gamma": (2, 5)}, {"gamma": 3.0}).start == (2.0, 5.0)


def test_huber_in_a_unit_of_large_numbers_comes_near_the_best_there_is() -> None:
    """Its width is then far below all residuals; the wide ones that lead there go by the numbers' own size."""
    table = sweep(HOFFMANN, sizes=7, noise=0.03)
    n, d, loss = (table.frame[name].to_numpy(dtype=float) for name in ("n_params", "tokens", "loss"))

    def chinchilla(n_params, tokens, *, E, A, alpha, B, beta):
        return E + A / n_params**alpha + B / tokens**beta

    bounds = {"E": (0, None), "A": (0, None), "alpha": (0, 2), "B": (0, None), "beta": (0, 2)}
    scaled = RunTable(table.frame.assign(loss=1e4 * loss))
    fit = fit_custom(chinchilla, scaled, bounds=bounds, objective="huber", resamples=0)
    best = fit_law(n, d, 1e4 * loss, objective="huber").value
    assert best * (1 - 1e-9) <= fit.objective_value < 1.02 * best


def test_a_term_that_the_runs_do_not_have_is_put_at_0_and_said() -> None:
    table = sizes()
    rising = RunTable(table.frame.assign(loss=2 + 0.01 * np.log(table.frame["n_params"])))
    fit = fit_custom(size_only, rising, bounds=SIZE_BOUNDS, resamples=0)
    assert fit.values["A"] == 0
    assert "A" in fit.at_bound
    assert fit.status is FitStatus.BOUND_HIT


def test_logs_of_what_is_not_positive_are_refused_with_the_least_value() -> None:
    table = sizes()
    table = RunTable(table.frame.assign(gain=np.linspace(-1.5, 3, len(table))))
    with pytest.raises(InputError, match=r"whose least is -1\.5"):
        fit_custom(size_only, table, bounds=SIZE_BOUNDS, target="gain", resamples=0)
