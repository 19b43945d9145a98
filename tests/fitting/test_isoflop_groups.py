"""Approach 2: which runs are one budget, which are one size, and whose FLOPs count."""

import numpy as np
import pandas as pd
import pytest

from isoflop.fitting import FitError, RunTable, fit_isoflop
from isoflop.fitting.estimators.isoflop.budgets import budget_labels
from isoflop.fitting.results import MinimumStatus

from .sweeps import HOFFMANN, changed, size, sweep


def loose_sweep(spread):
    """Runs that miss their budgets by up to `spread` in ln C, without a budget column."""
    table = sweep(HOFFMANN, sizes=7)
    jitter = np.exp(np.random.default_rng(0).uniform(-spread, spread, len(table)))
    frame = table.frame.drop(columns=["budget", "flops_6nd"])
    tokens = frame["tokens"] * jitter
    loss = HOFFMANN.loss(frame["n_params"], tokens)
    return RunTable(frame.assign(tokens=tokens, flops=frame["flops"] * jitter, loss=loss))


def test_budgets_are_clusters_of_flops_where_no_column_names_them():
    loose = loose_sweep(0.03)
    labels, guessed = budget_labels(loose)
    assert guessed
    assert len(np.unique(labels)) == 5
    fit = fit_isoflop(loose, resamples=0)
    assert any("no budget column" in note and "10%" in note for note in fit.notes)
    assert fit.params_exponent.value == pytest.approx(HOFFMANN.params_exponent, abs=0.004)


def test_the_gap_between_guessed_budgets_is_an_option():
    labels, _ = budget_labels(loose_sweep(0.03), tolerance=0.001)
    assert len(np.unique(labels)) > 5
    wide = loose_sweep(0.3)
    assert len(np.unique(budget_labels(wide)[0])) > 5
    fit = fit_isoflop(wide, budget_tolerance=0.6, resamples=0)
    assert len(fit.minima) == 5
    assert fit.params_exponent.value == pytest.approx(HOFFMANN.params_exponent, abs=0.02)


def test_a_chain_over_a_continuum_is_no_budget():
    table = sweep(HOFFMANN, budgets=np.geomspace(1e18, 1e21, 4), sizes=7)
    n = np.geomspace(1e8, 1e9, 60)
    flops = np.geomspace(2e21, 2e22, 60)
    chain = pd.DataFrame({"n_params": n, "tokens": flops / 6 / n, "flops": flops})
    chain["loss"] = HOFFMANN.loss(chain["n_params"], chain["tokens"])
    frame = pd.concat([table.frame.drop(columns=["budget", "flops_6nd"]), chain])
    fit = fit_isoflop(RunTable(frame), resamples=0)
    assert [found.status for found in fit.minima] == [MinimumStatus.INTERIOR] * 4 + [MinimumStatus.WIDE]
    assert fit.minima[-1].n_runs == 60
    assert any("--budget-tolerance" in note and "60 runs" in note for note in fit.notes)
    with pytest.raises(FitError, match="wide"):
        fit_isoflop(RunTable(pd.concat([chain, chain.assign(flops=chain["flops"] * 20, tokens=chain["tokens"] * 20)])))


def test_each_run_counts_with_its_own_flops():
    # Larger sizes miss their budget by up to 30 %: uncarried, this tilts every curve and moves the minima.
    table = sweep(HOFFMANN, sizes=11)
    frame = table.frame
    factor = 1.3 ** np.tile(np.linspace(0, 1, 11), 5)
    tokens = frame["tokens"] * factor
    own = RunTable(
        frame.assign(tokens=tokens, flops=frame["flops"] * factor, loss=HOFFMANN.loss(frame["n_params"], tokens)).drop(
            columns="flops_6nd"
        )
    )
    fit = fit_isoflop(own, resamples=0)
    exact = fit_isoflop(table, resamples=0)
    assert fit.common_flops == "runs"
    assert any("carried" in note for note in fit.notes)
    for found, true in zip(fit.minima, exact.minima, strict=True):
        assert found.flops == pytest.approx(true.flops * 1.3**0.5, rel=1e-6)
        assert found.n_params == pytest.approx(float(HOFFMANN.optimum(found.flops)[0]), rel=0.03)
        assert found.tokens == pytest.approx(found.flops / 6 / size(found), rel=1e-6)
    uncarried = fit_isoflop(own, common_flops="budget", resamples=0)
    assert not uncarried.notes
    assert abs(np.log(size(uncarried.minima[2]) / size(exact.minima[2]))) > 0.1


def ladder_in_two_counts():
    """One ladder of sizes at every budget, planned by a count that charges small sizes less than 6 N D does."""
    n = np.geomspace(2e7, 2e9, 15)
    budgets = np.geomspace(1e18, 1e20, 5)
    n_params, budget = np.tile(n, 5), np.repeat(budgets, 15)
    per_token = 6 * n_params**1.03 / 1e9**0.03
    tokens = budget / per_token
    frame = pd.DataFrame({"n_params": n_params, "tokens": tokens, "flops": 6 * n_params * tokens, "budget": budget})
    return RunTable(frame.assign(loss=HOFFMANN.loss(n_params, tokens)))


def test_runs_planned_under_another_count_keep_the_planned_one():
    table = ladder_in_two_counts()
    planned = fit_isoflop(table, resamples=0)
    own = fit_isoflop(table, common_flops="runs", resamples=0)
    assert (planned.common_flops, own.common_flops) == ("budget", "runs")
    assert [found.flops for found in planned.minima] == pytest.approx(list(np.geomspace(1e18, 1e20, 5)))
    assert own.params_exponent.value == pytest.approx(HOFFMANN.params_exponent, abs=0.003)
    # Under C = k N^1.03 D the optimum is that of A N^-alpha + B' C^-beta N^(1.03 beta).
    under_plan = HOFFMANN.beta / (HOFFMANN.alpha + 1.03 * HOFFMANN.beta)
    assert planned.params_exponent.value == pytest.approx(under_plan, abs=0.003)
    assert any("planned" in note and f"{own.params_exponent.value:.3f}" in note for note in planned.notes)
    assert not any("planned" in note for note in own.notes)


def test_losses_that_cannot_be_carried_are_an_error_that_says_so():
    table = sweep(HOFFMANN, budgets=[1e18, 1e19], sizes=4)
    frame = table.frame.assign(tokens=1e9, flops=table.frame["flops"] * np.tile([1.0, 1.1, 1.2, 1.3], 2))
    with pytest.raises(FitError, match="cannot be carried"):
        fit_isoflop(RunTable(frame), resamples=0)


def searched_sweep(column):
    """Three runs a size: the right one, and two that lost more, the larger the size the more."""
    table = sweep(HOFFMANN, sizes=7)
    place = np.tile(np.arange(7), 5)
    parts = [
        table.frame.assign(loss=table.frame["loss"] + worse * place, **{column: value})
        for value, worse in ((1, 0.0), (2, 0.004), (3, 0.01))
    ]
    return RunTable(pd.concat(parts, ignore_index=True))


def test_the_best_of_several_learning_rates_stands_for_a_size():
    truth = fit_isoflop(sweep(HOFFMANN, sizes=7), minimum="parabola", resamples=0)
    table = searched_sweep("learning_rate")
    best = fit_isoflop(table, minimum="parabola", resamples=0)
    assert best.replicates == "best"
    assert [size(found) for found in best.minima] == pytest.approx([size(found) for found in truth.minima])
    assert [(found.n_runs, found.n_replicates, found.n_window) for found in best.minima] == [(21, 14, 7)] * 5
    assert any("70 runs share their size" in note for note in best.notes)
    every = fit_isoflop(table, minimum="parabola", replicates="all", resamples=0)
    assert size(every.minima[0]) < 0.97 * size(best.minima[0])


def test_seeds_all_count():
    table = searched_sweep("seed")
    fit = fit_isoflop(table, minimum="parabola", resamples=0)
    assert fit.replicates == "all"
    mean = fit_isoflop(table, minimum="parabola", replicates="mean", resamples=0)
    assert [size(found) for found in fit.minima] == pytest.approx([size(found) for found in mean.minima])


def test_seeds_of_the_best_setting_all_stay():
    # Two seeds of each learning rate; the worse rate has the luckiest single run of every size.
    table = sweep(HOFFMANN, sizes=7)
    parts = [
        table.frame.assign(loss=table.frame["loss"] + shift, lr=rate, seed=seed)
        for rate, seed, shift in ((1e-3, 0, 0.0), (1e-3, 1, 0.01), (3e-3, 0, -0.01), (3e-3, 1, 0.05))
    ]
    fit = fit_isoflop(RunTable(pd.concat(parts)), minimum="parabola", resamples=0)
    truth = fit_isoflop(table, minimum="parabola", resamples=0)
    assert fit.minima[0].n_window == 14
    assert fit.minima[0].loss == pytest.approx((truth.minima[0].loss or 0) + 0.005, abs=1e-6)


@pytest.mark.parametrize("minimum", ["parabola", "akima"])
def test_how_near_sizes_are_one_is_an_option(minimum):
    # Each size twice, half a percent apart, as a figure's digitised points are.
    table = sweep(HOFFMANN, sizes=7)
    near = table.frame.assign(n_params=table.frame["n_params"] * 1.005, tokens=table.frame["tokens"] / 1.005)
    both = RunTable(pd.concat([table.frame, near]))
    one = fit_isoflop(both, minimum=minimum, resamples=0)
    assert [found.n_sizes for found in one.minima] == [7] * 5
    strict = fit_isoflop(both, minimum=minimum, size_tolerance=0.001, resamples=0)
    assert [found.n_sizes for found in strict.minima] == [14] * 5
    assert one.params_exponent.value == pytest.approx(HOFFMANN.params_exponent, abs=0.004)


def test_tables_without_replicates_are_the_same_under_every_choice():
    table = changed(sweep(HOFFMANN, sizes=7, noise=0.01), learning_rate=1e-3)
    fits = [fit_isoflop(table, replicates=choice, resamples=30) for choice in ("auto", "all", "mean", "best")]
    for fit in fits[1:]:
        assert fit.params_exponent.value == pytest.approx(fits[0].params_exponent.value, abs=1e-12)
        assert fit.params_exponent.low == pytest.approx(fits[0].params_exponent.low, abs=1e-9)
