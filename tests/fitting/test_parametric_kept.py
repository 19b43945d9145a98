"""What approach 3 must keep whoever edits it: the objective as its formula says, derivatives, weights and bounds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from isoflop.fitting import InputError, RunTable, fit_parametric
from isoflop.fitting.estimators.parametric.chinchilla import LawFit, fit_law
from isoflop.fitting.estimators.parametric.form import Form
from isoflop.fitting.estimators.parametric.newton import minimise
from isoflop.fitting.estimators.parametric.objectives import Problem, Rows, evaluate, value
from isoflop.fitting.estimators.parametric.refits import leave_out
from isoflop.fitting.estimators.parametric.starts import starting_points
from isoflop.fitting.results import FitStatus

from .sweeps import HOFFMANN, interval, sweep

SMOOTH = ("log_huber", "huber", "mse")


def rows_of(table: RunTable) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n, d, loss = (table.frame[name].to_numpy(dtype=float) for name in ("n_params", "tokens", "loss"))
    return n, d, loss


def noisy(sizes: int = 7, noise: float = 0.01) -> RunTable:
    return sweep(HOFFMANN, sizes=sizes, noise=noise)


def as_named(fit: LawFit, rows: tuple[np.ndarray, ...], weights: np.ndarray) -> float:
    """The objective by its formula."""
    n, d, loss = rows
    predicted = fit.law.loss(n, d)
    residual = np.log(loss / predicted) if fit.objective.startswith("log_") else loss - predicted
    size = np.abs(residual)
    huber = np.where(size <= 1e-3, size**2 / 2, 1e-3 * (size - 5e-4))
    each = {"mse": size**2, "log_lad": size}.get(fit.objective, huber)
    total = float(weights @ each)
    return total / float(weights.sum()) if fit.objective in ("huber", "mse") else total


@pytest.mark.parametrize("objective", [*SMOOTH, "log_lad"])
def test_the_value_is_the_objective_as_named_and_weights_of_0_are_no_runs(objective: str) -> None:
    rows = rows_of(noisy())
    weights = np.tile([1.0, 2.0, 0.0, 1.0, 0.5], 7)
    fit = fit_law(*rows, objective=objective, weights=weights)
    assert fit.value == pytest.approx(as_named(fit, rows, weights), rel=1e-9)
    assert len(fit.order) == np.count_nonzero(weights)
    kept = fit_law(*(part[weights > 0] for part in rows), objective=objective, weights=weights[weights > 0])
    assert kept.law == fit.law


@pytest.mark.parametrize("objective", SMOOTH)
@pytest.mark.parametrize("delta", [1e-2, 10.0])
def test_gradient_and_hessian_are_the_differences_of_the_value(objective: str, delta: float) -> None:
    rng = np.random.default_rng(0)
    problem = Problem(Rows.of(*rows_of(noisy(noise=0.3))), objective, delta, np.eye(5))
    theta, weights = np.array([[-0.7, 0.1, 0.6, 0.33, 0.21]]), rng.uniform(0.5, 2, 35)
    total, gradient, hessian, _ = evaluate(problem, theta, weights)
    assert total == pytest.approx(value(problem, theta, weights), rel=1e-12)
    for i in range(5):
        step = np.zeros_like(theta)
        step[0, i] = 1e-6
        up, down = (evaluate(problem, theta + sign * step, weights) for sign in (1, -1))
        assert gradient[0, i] == pytest.approx((up[0] - down[0])[0] / 2e-6, rel=1e-5, abs=1e-7)
        if delta > 1 or objective == "mse":  # elsewhere residuals cross the width within the step
            assert hessian[0, i] == pytest.approx((up[1] - down[1])[0] / 2e-6, rel=1e-4, abs=1e-5)


def test_what_is_tied_or_held_is_not_free() -> None:
    assert [Form(tied, fixed).n_free for tied in (False, True) for fixed in (None, 1.0)] == [5, 4, 4, 3]
    table = noisy()
    fit = fit_parametric(table, tied=True, fixed_E=1.69, resamples=30)
    assert fit.resampling is not None
    assert fit.resampling.freedom == len(table) - 3


def test_seeds_of_a_cell_are_one_unit_of_the_degrees_of_freedom() -> None:
    frame = pd.concat([noisy().frame.assign(seed=seed) for seed in range(3)], ignore_index=True)
    fit = fit_parametric(RunTable(frame), resamples=30)
    assert fit.resampling is not None
    assert fit.resampling.freedom == 35 - 5


def test_b_s_interval_is_one_less_a_s_and_holds_b() -> None:
    fit = fit_parametric(noisy(), resamples=200)
    a, b = interval(fit.params_exponent), interval(fit.tokens_exponent)
    assert b == pytest.approx((1 - a[1], 1 - a[0]), abs=2e-3)  # percentiles of one side and of the other
    assert b[0] < fit.tokens_exponent.value < b[1]


def test_weights_count_in_the_resamples_too() -> None:
    frame = noisy().frame
    light = np.arange(len(frame)) % 5 == 2
    weights = np.where(light, 1e-12, 1.0)
    spoilt = frame.assign(loss=np.where(light, 1.5 * frame["loss"], frame["loss"]))
    found = [
        interval(fit_parametric(RunTable(each), objective="mse", weights=weights, resamples=60).params_exponent)
        for each in (frame, spoilt)
    ]
    assert found[1] == pytest.approx(found[0], abs=1e-4)


def test_one_bad_weight_of_many_is_refused_with_its_run() -> None:
    frame = noisy().frame.assign(weight=1.0)
    frame.loc[4, "weight"] = -1.0
    with pytest.raises(InputError, match=r"weight.*-1"):
        fit_parametric(RunTable(frame), weights="weight", resamples=0)


def test_a_law_steeper_than_the_bound_ends_on_it_and_says_so() -> None:
    n, d = (part.reshape(-1) for part in np.meshgrid(np.geomspace(1e6, 1.6e6, 5), np.geomspace(1e8, 1e10, 5)))
    loss = 2 + (n / 1e6) ** -14.0 + 40 * d**-0.2
    fit = fit_law(n, d, loss, objective="mse")
    assert fit.status is FitStatus.BOUND_HIT
    assert fit.at_bound == ("alpha",)
    assert fit.law.alpha == 10


def test_a_start_without_a_value_is_no_optimum_and_stops_no_other() -> None:
    problem, form = Problem(Rows.of(*rows_of(noisy())), "mse", 1e-3, np.eye(5)), Form()
    good = starting_points(problem, form, np.ones(35))[:1]
    found = minimise(problem, np.concatenate([np.full((1, 5), np.nan), good]), np.ones(35))
    assert found.converged.tolist() == [False, True]
    assert found.value[1] == pytest.approx(35 * fit_law(*rows_of(noisy()), objective="mse").value, rel=1e-6)


def test_every_group_whose_others_are_enough_is_left_out() -> None:
    table = noisy()
    fit = fit_law(*rows_of(table))
    out = leave_out(fit, np.where(np.arange(35) < 30, "most", "few"))
    assert np.isnan(out.params_exponent).tolist() == [False, True]  # five runs stay without "most"


def test_the_condition_number_tells_a_narrow_table_from_a_wide_one() -> None:
    wide, narrow = (sweep(HOFFMANN, sizes=7, noise=1e-3, half_width=width) for width in (8, 1.1))
    numbers = [fit_law(*rows_of(table), objective="mse").condition_number for table in (wide, narrow)]
    assert numbers[1] > 10 * numbers[0] > 100
