"""Approach 3 on tables: intervals, standard errors, what is on a bound, units of resampling, weights and refusals."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from isoflop.fitting import Estimate, FitError, InputError, RunTable, fit_parametric
from isoflop.fitting.estimators.parametric.objectives import OBJECTIVES
from isoflop.fitting.results import FitStatus

from .sweeps import HOFFMANN, changed, interval, reference_data, selected, sweep

NAMES = ("E", "A", "B", "alpha", "beta")


def test_epochs_published_bootstrap_is_met():
    data = reference_data("epoch_chinchilla.csv")
    table = RunTable(selected(data, ~data["dropped_by_epoch"]))
    fit = fit_parametric(table, resamples=2000)
    # arXiv:2404.10102, 4000 resamples of rows.
    for name, (low, high) in {"alpha": (0.317, 0.373), "beta": (0.331, 0.415)}.items():
        estimate = fit.parameters[name]
        assert (estimate.low, estimate.high) == (pytest.approx(low, abs=0.006), pytest.approx(high, abs=0.006))
    for name, error in {"alpha": 0.0154, "beta": 0.0206, "params_exponent": 0.020, "E": 0.0257, "A": 124.5}.items():
        assert fit.standard_errors[name] == pytest.approx(error, rel=0.1)
    assert fit.resampling is not None
    assert fit.resampling.n_failed == 0
    assert fit.resamples is not None
    assert fit.resamples.shape == (2000, 5)


def test_intervals_hold_the_truth():
    # Where the intervals hold what they say, one set of 40 sweeps in 500 has fewer than 33 hits.
    hits = 0
    for seed in range(40):
        table = sweep(HOFFMANN, budgets=np.geomspace(1e18, 1e22, 5), sizes=7, noise=0.01, seed=seed)
        low, high = interval(fit_parametric(table, resamples=150).params_exponent)
        hits += low < HOFFMANN.params_exponent < high
    assert hits >= 33


def test_a_law_without_asymptote_has_no_interval_there():
    table = sweep(dataclasses.replace(HOFFMANN, E=0.0), noise=0.02)
    rng = np.random.default_rng(0)
    # Losses that still fall faster than any positive E allows.
    loss = table.frame["loss"] * (table.frame["flops"] / 1e19) ** -0.05 * np.exp(0.005 * rng.standard_normal(75))
    fit = fit_parametric(changed(table, loss=loss), resamples=200)
    assert fit.status is FitStatus.BOUND_HIT
    assert fit.at_bound == ("E",)
    assert fit.parameters["E"].low is None
    assert fit.standard_errors["E"] is None
    assert fit.params_exponent.low is not None
    assert fit.standard_errors["params_exponent"] is not None


def test_a_size_that_does_nothing_has_no_exponent():
    table = sweep(HOFFMANN)
    fit = fit_parametric(changed(table, loss=2 + 400 * table.frame["tokens"] ** -0.3), resamples=20)
    assert fit.at_bound == ("A",)
    assert np.isnan(fit.params_exponent.value)
    for estimate in (fit.params_exponent, fit.tokens_exponent, fit.parameters["A"], fit.parameters["alpha"]):
        assert estimate.low is None


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_has_intervals_about_its_own_law(objective):
    fit = fit_parametric(sweep(HOFFMANN, sizes=7, noise=0.01), objective=objective, resamples=100)
    for estimate in (fit.params_exponent, fit.tokens_exponent, *fit.parameters.values()):
        low, high = interval(estimate)
        assert low < estimate.value < high
    assert {name for name, error in fit.standard_errors.items() if error} >= {*NAMES, "params_exponent"}


def test_what_is_imposed_has_no_interval():
    table = sweep(HOFFMANN, sizes=7, noise=0.01)
    tied = fit_parametric(table, tied=True, resamples=50)
    assert (tied.params_exponent.value, tied.params_exponent.low) == (0.5, None)
    assert interval(tied.parameters["alpha"]) == interval(tied.parameters["beta"])
    held = fit_parametric(table, fixed_E=1.69, resamples=50)
    assert held.parameters["E"] == Estimate(held.law.E)
    assert held.standard_errors["E"] is None
    low, high = interval(held.parameters["alpha"])
    assert low < HOFFMANN.alpha < high


def test_intervals_need_four_budgets_and_eight_units():
    three = sweep(HOFFMANN, budgets=[1e18, 1e19, 1e20], noise=0.01)
    fit = fit_parametric(three, resamples=50)
    assert fit.status is FitStatus.TOO_FEW
    assert fit.params_exponent.low is None
    assert fit.resampling is None
    assert set(fit.standard_errors.values()) == {None}
    few = RunTable(sweep(HOFFMANN, noise=0.01).frame.drop(columns="budget").iloc[::11])
    assert len(few.fitted) == 7
    assert fit_parametric(few, resamples=50).params_exponent.low is None
    assert fit_parametric(few, resamples=50, tied=True).parameters["alpha"].low is not None
    seeds = RunTable(pd.concat([few.frame.drop(columns="run")] * 3))
    assert fit_parametric(seeds, resamples=50).parameters["alpha"].low is None  # 21 runs, 7 units


def test_the_seed_decides_and_the_order_and_names_of_the_runs_do_not():
    table = sweep(HOFFMANN, sizes=7, noise=0.01)
    one, same, other = (fit_parametric(table, resamples=100, seed=seed) for seed in (1, 1, 2))
    assert one.params_exponent == same.params_exponent
    assert one.params_exponent != other.params_exponent
    shuffled = RunTable(table.frame.drop(columns="run").sample(frac=1, random_state=5))
    assert fit_parametric(shuffled, resamples=100, seed=1).params_exponent == one.params_exponent


@pytest.mark.parametrize("repeat", ["rows of one run", "seeds of one cell"])
def test_what_is_not_independent_is_resampled_together(repeat):
    frame = sweep(HOFFMANN, sizes=7, noise=0.01).frame
    doubled = pd.concat([frame, frame])
    if repeat == "seeds of one cell":
        doubled["run"] = [f"run {i}" for i in range(len(doubled))]
        doubled["n_params"] *= np.repeat([1, 1 + 1e-11], len(frame))
    one, two = (fit_parametric(RunTable(data), resamples=300).params_exponent for data in (frame, doubled))
    assert two.value == pytest.approx(one.value, abs=1e-6)
    # Twice the rows, no more information.
    assert np.ptp(interval(two)) == pytest.approx(np.ptp(interval(one)), rel=0.15)


def test_weights_by_column_or_by_number():
    table = sweep(HOFFMANN, sizes=7, noise=0.01)
    weights = np.linspace(0.1, 2, len(table))
    by_column = fit_parametric(changed(table, trust=weights), weights="trust", resamples=50)
    by_number = fit_parametric(table, weights=weights, resamples=50)
    assert by_column.params_exponent == by_number.params_exponent
    assert by_column.law != fit_parametric(table, resamples=0).law
    some = fit_parametric(table, weights=weights > 0.5, resamples=50)
    assert some.n_runs == (weights > 0.5).sum()
    rest = RunTable(selected(table.frame, weights > 0.5))
    assert some.params_exponent == fit_parametric(rest, resamples=50).params_exponent
    with pytest.raises(InputError, match="no column 'luck' for the weights"):
        fit_parametric(table, weights="luck")
    with pytest.raises(InputError, match="column 'trust' is -1 for run row 1: weights must be 0 or more"):
        fit_parametric(changed(table, trust=-1.0), weights="trust")


@pytest.mark.parametrize(("rows", "says"), [(slice(0, 5), "5 usable runs"), (slice(0, 0), "no usable run")])
def test_too_few_runs(rows, says):
    with pytest.raises((FitError, InputError), match=says):
        fit_parametric(RunTable(sweep(HOFFMANN).frame.iloc[rows]))


@pytest.mark.parametrize("seed", [1, 4])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_odd_tables_end_in_a_status_or_a_fit_error(seed, objective):
    # One budget exactly, constant losses, pure noise, tokens tied to size: nothing may leak but our own errors.
    rng = np.random.default_rng(seed)
    n = np.geomspace(1e6, 1e9, 12)
    cases = {
        "one budget": (n, 1e19 / 6 / n, HOFFMANN.loss(n, 1e19 / 6 / n)),
        "tied": (n, 20 * n, HOFFMANN.loss(n, 20 * n)),
        "constant": (n, rng.permutation(n), np.full(12, 3.0)),
        "noise": (n, rng.permutation(n), 3 + rng.standard_normal(12) ** 2),
        "rising": (n, rng.permutation(n), n**0.1),
        "two sizes": (np.repeat([1e6, 1e7], 6), np.tile(np.geomspace(1e8, 1e9, 6), 2), rng.uniform(2, 3, 12)),
    }
    for size, tokens, loss in cases.values():
        table = RunTable(pd.DataFrame({"n_params": size, "tokens": tokens, "loss": loss}))
        try:
            fit = fit_parametric(table, objective=objective, resamples=20)
        except FitError:
            continue
        assert np.isfinite(fit.objective_value)
        assert np.isfinite(fit.law.loss(size, tokens)).all()
