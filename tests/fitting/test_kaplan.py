"""Kaplan's laws: the known optimum, planted laws, what a table can show, invariances, refusals."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isoflop.fitting import FitError, InputError, RunTable
from isoflop.fitting.estimators.forms.custom import fit_custom
from isoflop.fitting.estimators.kaplan import fit_kaplan
from isoflop.fitting.estimators.kaplan_law import fit_kaplan_law
from isoflop.fitting.laws import KaplanLaw
from isoflop.fitting.results import FitStatus

from .sweeps import interval, reference_data, selected

# arXiv:2001.08361, table 2: the joint fit.
KAPLAN = KaplanLaw(N_c=6.4e13, D_c=1.8e13, alpha_N=0.076, alpha_D=0.103)


def grid(noise=0.0, seed=0, tokens=(3e8, 3e11), sizes=(1e6, 3e9)):
    """Every size with every token count, as Kaplan trained them."""
    n, d = (
        a.reshape(-1) for a in np.meshgrid(np.geomspace(sizes[0], sizes[1], 9), np.geomspace(tokens[0], tokens[1], 8))
    )
    loss = KAPLAN.loss(n, d) * np.exp(noise * np.random.default_rng(seed).standard_normal(len(n)))
    return RunTable(pd.DataFrame({"n_params": n, "tokens": d, "loss": loss}))


def isoflop_grid(noise=0.0, sizes=7, half_width=2.0):
    budgets = np.geomspace(1e18, 1e22, 6)
    n = (KAPLAN.optimum(budgets)[0][:, None] * np.geomspace(1 / half_width, half_width, sizes)).reshape(-1)
    c = np.repeat(budgets, sizes)
    d = c / 6 / n
    loss = KAPLAN.loss(n, d) * np.exp(noise * np.random.default_rng(0).standard_normal(len(n)))
    return RunTable(pd.DataFrame({"n_params": n, "tokens": d, "loss": loss, "flops": c, "budget": c}))


def epoch():
    data = reference_data("epoch_chinchilla.csv")
    return selected(data, ~data["dropped_by_epoch"])


def test_the_law_at_kaplans_constants():
    # Equations 1.1 and 1.2 are the limits of the joint law; along C = 6 N D the optimum has the least loss.
    assert KAPLAN.loss(1e9, np.inf) == pytest.approx((6.4e13 / 1e9) ** 0.076)
    assert KAPLAN.loss(np.inf, 1e10) == pytest.approx((1.8e13 / 1e10) ** 0.103)
    n, d = KAPLAN.optimum(1e20)
    assert 6 * n * d == pytest.approx(1e20)
    for factor in (0.8, 1.25):
        assert KAPLAN.loss(n * factor, d / factor) > KAPLAN.loss(n, d)
    assert KAPLAN.params_law()(1e20) == pytest.approx(float(n))
    assert KAPLAN.tokens_law()(1e20) == pytest.approx(float(d))
    assert KAPLAN.params_exponent == pytest.approx(0.103 / 0.179)


def test_epochs_known_optimum_in_any_row_order_and_unit():
    data = epoch()
    for order, n_unit, d_unit, loss_unit in ((0, 1, 1, 1), (1, 1e-9, 1e6, 0.1), (2, 1e7, 1e-12, 40)):
        rows = data.sample(frac=1, random_state=order)
        fit = fit_kaplan_law(rows["n_params"] * n_unit, rows["tokens"] * d_unit, rows["loss"] * loss_unit)
        assert fit.value == pytest.approx(0.00266310149489, rel=1e-9)  # known as .002663101
        assert fit.law.alpha_N == pytest.approx(0.0947, abs=5e-5)
        assert fit.law.alpha_D == pytest.approx(0.1142, abs=6e-5)
        assert fit.status is FitStatus.CONVERGED


def test_many_random_starts_find_nothing_lower():
    def form(n_params, tokens, *, N_c, D_c, a, b):
        return ((N_c / n_params) ** (a / b) + D_c / tokens) ** b

    data = epoch()
    bounds = {"N_c": (0, None), "D_c": (0, None), "a": (0, 1), "b": (0, 1)}
    start = {"N_c": (1e9, 1e18), "D_c": (1e9, 1e18)}
    for objective in ("log_huber", "huber", "mse", "log_lad"):
        own = fit_kaplan_law(data["n_params"], data["tokens"], data["loss"], objective=objective)
        other = fit_custom(form, RunTable(data), bounds=bounds, start=start, objective=objective, resamples=0)
        assert own.value == pytest.approx(other.objective_value, rel=1e-8)


@pytest.mark.parametrize("objective", ["log_huber", "huber", "mse", "log_lad"])
def test_a_planted_law_is_recovered(objective):
    for table in (grid(), isoflop_grid()):
        frame = table.fitted
        fit = fit_kaplan_law(frame["n_params"], frame["tokens"], frame["loss"], objective=objective)
        assert fit.law.alpha_N == pytest.approx(KAPLAN.alpha_N, rel=1e-5)
        assert fit.law.alpha_D == pytest.approx(KAPLAN.alpha_D, rel=1e-5)
        assert fit.law.N_c == pytest.approx(KAPLAN.N_c, rel=1e-3)
        assert fit.law.D_c == pytest.approx(KAPLAN.D_c, rel=1e-3)


def test_a_full_grid_shows_both_single_laws():
    table = grid(noise=0.002, tokens=(1e8, 1e14), sizes=(1e6, 1e12))
    fit = fit_kaplan(table, resamples=200)
    for trend, exponent, scale in (
        (fit.loss_of_params, KAPLAN.alpha_N, KAPLAN.N_c),
        (fit.loss_of_tokens, KAPLAN.alpha_D, KAPLAN.D_c),
    ):
        assert trend.shown
        assert trend.exponent.value == pytest.approx(exponent, rel=0.05)
        assert np.log(trend.scale.value) == pytest.approx(np.log(scale), rel=0.05)
        assert trend.law(1e9) == pytest.approx((scale / 1e9) ** exponent, rel=0.03)
    unlimited = table.fitted.loc[list(fit.loss_of_params.rows)]
    assert (
        KAPLAN.loss(unlimited["n_params"], unlimited["tokens"]) < 1.025 * KAPLAN.loss(unlimited["n_params"], np.inf)
    ).all()
    low, high = interval(fit.parameters["alpha_N"])
    assert low < KAPLAN.alpha_N < high


def test_an_isoflop_grid_shows_neither_and_says_so():
    fit = fit_kaplan(isoflop_grid(noise=0.002), resamples=200)
    assert not fit.loss_of_params.shown
    assert not fit.loss_of_tokens.shown
    assert "0 of 42 runs lose under 2% to limited tokens" in fit.loss_of_params.why
    assert "the joint law's limit" in fit.loss_of_params.why
    assert fit.loss_of_params.exponent == fit.parameters["alpha_N"]
    assert fit.loss_of_params.law(1e9) == pytest.approx(fit.law.loss(1e9, np.inf))
    # L(C) along the optimum of the joint law: alpha_N alpha_D / (alpha_N + alpha_D).
    assert fit.loss_of_flops is not None
    assert fit.loss_of_flops.shown
    assert fit.loss_of_flops.exponent.value == pytest.approx(0.076 * 0.103 / 0.179, rel=0.03)
    low, high = interval(fit.params_exponent)
    assert low < KAPLAN.params_exponent < high


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    n_unit=st.floats(1e-9, 1e9), d_unit=st.floats(1e-12, 1e6), loss_unit=st.floats(0.01, 100), order=st.integers(0, 99)
)
def test_units_row_order_and_loss_factor_do_not_move_the_exponents(n_unit, d_unit, loss_unit, order):
    frame = grid(noise=0.01).frame
    base = fit_kaplan_law(frame["n_params"], frame["tokens"], frame["loss"])
    other = frame.sample(frac=1, random_state=order)
    fit = fit_kaplan_law(other["n_params"] * n_unit, other["tokens"] * d_unit, other["loss"] * loss_unit)
    assert fit.value == pytest.approx(base.value, rel=1e-9)
    assert fit.law.alpha_N == pytest.approx(base.law.alpha_N, abs=1e-7)
    assert fit.law.alpha_D == pytest.approx(base.law.alpha_D, abs=1e-7)


def test_a_variable_that_does_nothing_is_a_bound_not_a_number():
    frame = grid().frame
    loss = (1.8e13 / frame["tokens"]) ** 0.1
    fit = fit_kaplan(RunTable(frame.assign(loss=loss)), resamples=20)
    assert fit.status is FitStatus.BOUND_HIT
    assert fit.parameters["alpha_N"].low is None
    assert fit.law.loss(1e8, frame["tokens"]) == pytest.approx(loss.to_numpy(), rel=1e-6)


def test_few_budgets_have_no_interval():
    three = isoflop_grid(noise=0.01).frame.query("budget < 1e20")
    few = fit_kaplan(RunTable(three), resamples=50)
    assert few.status is FitStatus.TOO_FEW
    assert few.params_exponent.low is None


def test_refusals():
    frame = grid().frame
    with pytest.raises(FitError, match="4 usable runs: Kaplan's 4 parameters need at least 5"):
        fit_kaplan(RunTable(frame.iloc[:4]))
    with pytest.raises(InputError, match="loss must be 72 positive, finite values"):
        fit_kaplan_law(frame["n_params"], frame["tokens"], -frame["loss"])
    with pytest.raises(FitError, match="all runs have tokens = 1e"):
        fit_kaplan(RunTable(frame.assign(tokens=1e9)))
