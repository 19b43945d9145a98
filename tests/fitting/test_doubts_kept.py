"""What doubts, left-out budgets and measured noise must keep whoever edits them: definitions, and planted numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from isoflop.fitting import InputError, RunTable, fit_isoflop
from isoflop.fitting.diagnostics.law import outliers
from isoflop.fitting.diagnostics.minima import influential_budget
from isoflop.fitting.estimators.data_constrained import fit_data_constrained
from isoflop.fitting.holdout import hold_out
from isoflop.fitting.laws import DataConstrainedLaw
from isoflop.fitting.precision import NoiseModel, PlannedGrid

from .sweeps import HOFFMANN, changed, interval, sweep


def test_a_sixth_of_the_runs_far_off_does_not_hide_itself() -> None:
    residuals = 0.01 * np.random.default_rng(0).standard_normal(30)
    residuals[:5] += 1.0
    assert np.flatnonzero(outliers(residuals)).tolist() == [0, 1, 2, 3, 4]


def test_of_many_budgets_those_that_pull_hardest_are_left_out() -> None:
    """16 budgets, the largest of them off by a third: its grid's centre goes along, so that it keeps its minimum."""
    table = sweep(HOFFMANN, budgets=np.geomspace(1e17, 1e22, 16), sizes=7, noise=1e-4)
    last = table.frame["budget"] == table.frame["budget"].max()
    n = np.where(last, 1.5 * table.frame["n_params"], table.frame["n_params"])
    fit = fit_isoflop(changed(table, n_params=n), resamples=100)
    asked: list[float] = []

    def without(budget: float) -> float:
        asked.append(budget)
        return fit.params_exponent.value

    influential_budget(fit, without)
    assert len(asked) == 12
    assert max(asked) == pytest.approx(1e22)


@pytest.mark.parametrize("value", [-5.0, 0.0, np.nan])
def test_unique_tokens_that_are_no_count_are_refused(value: float) -> None:
    frame = sweep(HOFFMANN, sizes=7).frame
    unique = (frame["tokens"] / 2).to_numpy().copy()
    unique[7] = value
    with pytest.raises(InputError, match=r"unique_tokens is .* it must be a positive count"):
        fit_data_constrained(RunTable(frame.assign(unique_tokens=unique)), HOFFMANN, resamples=0)


def test_a_model_smaller_than_its_data_would_bear_has_no_surplus_to_wear_out() -> None:
    law = DataConstrainedLaw(HOFFMANN, 12.0, 4.0)
    unique = 1e11
    small = float(law.matching_params(unique)) / 10
    assert law.loss(small, unique, unique) == pytest.approx(float(HOFFMANN.loss(small, unique)), rel=1e-12)


def test_runs_above_the_largest_budget_held_out_are_no_part_of_its_prediction() -> None:
    frame = sweep(HOFFMANN, budgets=np.geomspace(1e17, 1e21, 6), sizes=5, noise=0.002).frame
    above = frame.tail(2).assign(budget=1e23, flops=1e23, tokens=1e23 / 6 / frame["n_params"].tail(2), loss=9.0)
    plain, more = (hold_out(RunTable(part)) for part in (frame, pd.concat([frame, above], ignore_index=True)))
    assert more.budget == plain.budget
    assert more.largest == plain.largest


def test_two_laws_are_compared_by_students_interval_over_the_budgets() -> None:
    result = hold_out(sweep(HOFFMANN, budgets=np.geomspace(1e17, 1e21, 7), sizes=7, noise=0.003), level=0.9)
    first, second = ([each.rms_error for each in result.each[name]] for name in ("chinchilla", "kaplan"))
    ratios = np.log(np.array(first) / np.array(second))
    half = student.ppf(0.95, len(ratios) - 1) * ratios.std(ddof=1) / np.sqrt(len(ratios))
    (found,) = result.comparisons
    assert interval(found.log_ratio) == pytest.approx((ratios.mean() - half, ratios.mean() + half), rel=1e-9)


def test_a_law_s_misfit_is_what_is_left_beside_seeds_as_large() -> None:
    grid = PlannedGrid.centred(HOFFMANN, np.geomspace(1e15, 1e19, 6), 12, 4.0, 3)
    _, budget = np.unique(grid.budget, return_inverse=True)
    off = np.where(budget % 2 == 0, 0.01, -0.01) + 0.012 * np.random.default_rng(1).standard_normal(grid.n_runs)
    loss = HOFFMANN.loss(grid.n_params, grid.tokens) * (1 + off)
    names = ("n_params", "tokens", "flops", "budget")
    found = NoiseModel.measured(RunTable(pd.DataFrame({name: getattr(grid, name) for name in names} | {"loss": loss})))
    assert found.size == pytest.approx(0.012, rel=0.15)
    assert found.law_misfit == pytest.approx(0.01, rel=0.2)
