"""Approach 3 on arrays: reference optima, planted laws, invariances, options, bounds and refusals."""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isoflop.fitting import FitError, InputError
from isoflop.fitting.estimators.parametric.chinchilla import fit_law
from isoflop.fitting.estimators.parametric.objectives import OBJECTIVES, Problem, Rows, evaluate, value
from isoflop.fitting.results import FitStatus

from .sweeps import ASYMMETRIC, HOFFMANN, SYMMETRIC, changed, reference_data, selected, sweep


def epoch(dropped=False):
    data = reference_data("epoch_chinchilla.csv")
    return data if dropped else selected(data, ~data["dropped_by_epoch"])


def isoflop_set(source, kind=""):
    data = reference_data("isoflop_experiments.csv")
    return selected(data, (data["source"] == source) & pd.Series(data["experiment"]).str.contains(kind))


def porian(kind):
    data = reference_data("porian_refinedweb.csv")
    return selected(data, pd.Series(data["experiment"]).str.contains(kind))


# The lowest value known of each objective by any solver, and a = beta / (alpha + beta) there.
KNOWN = {
    "epoch 240 log_huber": (lambda: epoch(), "log_huber", 0.0010182740178006, 0.5139),
    "epoch 240 log_lad": (lambda: epoch(), "log_lad", 1.1294946536, 0.5126),
    "epoch 245 log_huber": (lambda: epoch(True), "log_huber", 0.001826010523, 0.5646),
    "epoch 240 huber": (lambda: epoch(), "huber", 1.206767998e-05, 0.5200),
    "epoch 240 mse": (lambda: epoch(), "mse", 3.466825321e-04, 0.5446),
    "llama 3 log_huber": (lambda: isoflop_set("llama_3", "exp_loss"), "log_huber", 2.545450420e-04, 0.5280),
    "llama 3 mse": (lambda: isoflop_set("llama_3", "exp_loss"), "mse", 5.568897370e-05, 0.5078),
    "llama 3 raw huber": (lambda: isoflop_set("llama_3", "raw_loss"), "huber", 2.275908342e-06, 0.5247),
    "ml_scalefit log_huber": (lambda: isoflop_set("ml_scalefit"), "log_huber", 5.792621908e-04, 0.5098),
    "ml_scalefit huber": (lambda: isoflop_set("ml_scalefit"), "huber", 1.308870564e-05, 0.5215),
    "ml_scalefit mse": (lambda: isoflop_set("ml_scalefit"), "mse", 3.914540837e-04, 0.5274),
    "nemotron log_huber": (lambda: isoflop_set("marin_202603"), "log_huber", 5.537317763e-04, 0.3851),
    "nemotron huber": (lambda: isoflop_set("marin_202603"), "huber", 2.260848724e-05, 0.3855),
    "nemotron mse": (lambda: isoflop_set("marin_202603"), "mse", 9.166425339e-04, 0.4056),
    "porian tuned log_huber": (lambda: porian("tuned"), "log_huber", 6.693239338e-03, 0.5294),
    "porian kaplan mse": (lambda: porian("kaplan"), "mse", 7.806938564e-02, 0.6295),
}


@pytest.mark.parametrize("name", KNOWN)
def test_the_best_known_optimum_is_reached_in_any_order_and_unit(name):
    load, objective, best, a = KNOWN[name]
    data = load()
    for n_unit, d_unit, order in ((1, 1, None), (1e-6, 1e6, 0), (1e6, 1e-6, 1), (1e6, 1e6, 2)):
        rows = data if order is None else data.sample(frac=1, random_state=order)
        fit = fit_law(rows["n_params"] * n_unit, rows["tokens"] * d_unit, rows["loss"], objective=objective)
        assert fit.value == pytest.approx(best, rel=1e-9)
        assert fit.law.params_exponent == pytest.approx(a, abs=6e-5)
        assert fit.at_bound == (("E",) if "kaplan" in name else ())
        assert fit.status is (FitStatus.BOUND_HIT if "kaplan" in name else FitStatus.CONVERGED)


def test_the_laws_known_for_epochs_rows():
    data = epoch()
    # arXiv:2404.10102 publishes what is the optimum of the sum of absolute errors.
    published = {"A": 482.00605, "B": 2085.43625, "E": 1.816864, "alpha": 0.347813, "beta": 0.365854}
    best = {"A": 477.82587, "B": 2143.41736, "E": 1.817218, "alpha": 0.347310, "beta": 0.367172}
    for objective, known in (("log_lad", published), ("log_huber", best)):
        law = fit_law(data["n_params"], data["tokens"], data["loss"], objective=objective).law
        for name, number in known.items():
            assert getattr(law, name) == pytest.approx(number, rel=2e-6)


def test_least_absolute_errors_pass_through_as_many_runs_as_there_are_parameters():
    frame = sweep(HOFFMANN, sizes=9, noise=0.02).frame
    for tied, fixed_E, free in ((False, None, 5), (True, None, 4), (False, 1.5, 4)):
        fit = fit_law(
            frame["n_params"], frame["tokens"], frame["loss"], objective="log_lad", tied=tied, fixed_E=fixed_E
        )
        residual = np.abs(np.log(frame["loss"] / fit.law.loss(frame["n_params"], frame["tokens"])))
        assert (residual < 1e-12).sum() == free
        assert fit.value == pytest.approx(residual.sum(), rel=1e-12)
        assert fit.status is FitStatus.CONVERGED


@pytest.mark.parametrize("law", [HOFFMANN, SYMMETRIC, ASYMMETRIC], ids=["chinchilla", "symmetric", "asymmetric"])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_planted_law_is_recovered(law, objective):
    frame = sweep(law).frame
    fit = fit_law(frame["n_params"], frame["tokens"], frame["loss"], objective=objective)
    assert fit.status is FitStatus.CONVERGED
    assert fit.law.params_exponent == pytest.approx(law.params_exponent, abs=1e-7)
    for name in ("E", "A", "B", "alpha", "beta"):
        assert getattr(fit.law, name) == pytest.approx(getattr(law, name), rel=1e-5)
    assert np.abs(frame["loss"] - fit.law.loss(frame["n_params"], frame["tokens"])).max() < 1e-9


@pytest.mark.parametrize("objective", OBJECTIVES)
@settings(max_examples=6, deadline=None, derandomize=True)
@given(
    n_unit=st.floats(1e-9, 1e9), d_unit=st.floats(1e-12, 1e6), loss_unit=st.floats(0.01, 100), order=st.integers(0, 99)
)
def test_units_and_row_order_do_not_move_the_exponents(objective, n_unit, d_unit, loss_unit, order):
    frame = sweep(HOFFMANN, sizes=7, noise=0.01).frame
    base = fit_law(frame["n_params"], frame["tokens"], frame["loss"], objective=objective)
    other = frame.sample(frac=1, random_state=order)
    # The width of a Huber on plain residuals is in the loss's unit.
    delta = {"delta": 1e-3 * loss_unit} if objective == "huber" else {}
    fit = fit_law(
        other["n_params"] * n_unit, other["tokens"] * d_unit, other["loss"] * loss_unit, objective=objective, **delta
    )
    assert fit.value == pytest.approx(base.value * (1 if "log" in objective else loss_unit**2), rel=1e-9)
    assert fit.law.params_exponent == pytest.approx(base.law.params_exponent, abs=1e-7)
    assert pytest.approx(base.law.E * loss_unit, rel=1e-6) == fit.law.E


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_integer_weights_are_repeated_rows(objective):
    frame = sweep(HOFFMANN, sizes=7, noise=0.02).frame
    weights = np.random.default_rng(0).integers(0, 4, len(frame))
    repeated = frame.loc[np.repeat(frame.index.to_numpy(), weights)]
    one = fit_law(frame["n_params"], frame["tokens"], frame["loss"], objective=objective, weights=weights)
    two = fit_law(repeated["n_params"], repeated["tokens"], repeated["loss"], objective=objective)
    assert one.value == pytest.approx(two.value, rel=1e-9)
    assert one.law.params_exponent == pytest.approx(two.law.params_exponent, abs=1e-7)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_tied_exponents_and_a_held_asymptote(objective):
    frame = sweep(SYMMETRIC, sizes=7, noise=0.01).frame
    n, d, loss = frame["n_params"], frame["tokens"], frame["loss"]
    free = fit_law(n, d, loss, objective=objective)
    tied = fit_law(n, d, loss, objective=objective, tied=True)
    held = fit_law(n, d, loss, objective=objective, fixed_E=1.69)
    both = fit_law(n, d, loss, objective=objective, tied=True, fixed_E=1.69)
    assert tied.law.alpha == tied.law.beta == pytest.approx(0.31, abs=0.03)
    assert tied.law.params_exponent == 0.5
    assert held.law.E == both.law.E == pytest.approx(1.69, rel=1e-15)
    assert free.value < min(tied.value, held.value) <= max(tied.value, held.value) < both.value
    zero = fit_law(n, d, loss, objective=objective, fixed_E=0)
    assert (zero.law.E, zero.at_bound) == (0, ())  # asked for, not found


def test_a_wide_huber_is_least_squares():
    frame = sweep(HOFFMANN, sizes=7, noise=0.02).frame
    n, d, loss = frame["n_params"], frame["tokens"], frame["loss"]
    wide = fit_law(n, d, loss, objective="huber", delta=10.0)
    squares = fit_law(n, d, loss, objective="mse")
    assert wide.value == pytest.approx(squares.value / 2, rel=1e-9)
    assert wide.law.params_exponent == pytest.approx(squares.law.params_exponent, abs=1e-7)


@pytest.mark.parametrize("objective", ["log_huber", "huber", "mse"])
def test_a_table_many_times_over_gives_the_same_law(objective):
    frame = sweep(HOFFMANN, sizes=7, noise=0.02).frame
    columns = [frame[name].to_numpy() for name in ("n_params", "tokens", "loss")]
    once = fit_law(*columns, objective=objective)
    often = fit_law(*(np.tile(column, 500) for column in columns), objective=objective)
    times = 500 if objective == "log_huber" else 1  # a sum, or a mean
    assert often.value == pytest.approx(times * once.value, rel=1e-9)
    assert often.law.params_exponent == pytest.approx(once.law.params_exponent, abs=1e-6)


@pytest.mark.parametrize("objective", ["log_huber", "huber", "mse"])
def test_derivatives_agree_with_differences(objective):
    frame = sweep(HOFFMANN, sizes=5, noise=0.05).frame
    rows = Rows.of(*(frame[name].to_numpy() for name in ("n_params", "tokens", "loss")))
    problem = Problem(rows, objective, 0.3, np.eye(5))
    theta = np.array([[0.1, -0.2, 0.5, 0.3, 0.4]])
    weights = np.linspace(0.5, 2, len(frame))
    step = 1e-5
    total, gradient, hessian, gram = evaluate(problem, theta, weights)
    assert total == pytest.approx(value(problem, theta, weights), rel=1e-12)
    for i in range(5):
        up, down = theta.copy(), theta.copy()
        up[0, i] += step
        down[0, i] -= step
        slope = (value(problem, up, weights) - value(problem, down, weights)) / (2 * step)
        assert gradient[0, i] == pytest.approx(slope[0], rel=1e-6)
        bend = evaluate(problem, up, weights)[1] - evaluate(problem, down, weights)[1]
        np.testing.assert_allclose(hessian[0, i], bend[0] / (2 * step), rtol=1e-5, atol=1e-6)
    assert np.linalg.eigvalsh(gram[0]).min() > 0


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_law_without_asymptote_says_so(objective):
    table = sweep(dataclasses.replace(HOFFMANN, E=0.0), noise=0.02)
    rng = np.random.default_rng(0)
    # Losses that still fall faster than any positive E allows.
    loss = table.frame["loss"] * (table.frame["flops"] / 1e19) ** -0.05 * np.exp(0.005 * rng.standard_normal(75))
    frame = changed(table, loss=loss).frame
    fit = fit_law(frame["n_params"], frame["tokens"], frame["loss"], objective=objective)
    assert fit.status is FitStatus.BOUND_HIT
    assert fit.at_bound == ("E",)
    assert fit.law.E == 0


def test_a_term_that_does_nothing_is_a_bound_not_a_number():
    frame = sweep(HOFFMANN).frame
    n, d = frame["n_params"], frame["tokens"]
    for loss, name in ((2 + 400 * d**-0.3, "A"), (2 + 400 * n**-0.3, "B")):
        fit = fit_law(n, d, loss)
        assert fit.status is FitStatus.BOUND_HIT
        assert fit.at_bound == (name,)
        assert getattr(fit.law, name) == 0
        assert np.isnan(fit.law.params_exponent)
        assert np.isnan(fit.law.optimum(1e20)[0])


def test_an_exponent_beyond_its_bound_ends_on_it():
    frame = sweep(HOFFMANN).frame
    n, d = frame["n_params"], frame["tokens"]
    loss = 2 + 400 * d**-0.3 + 0.5 * (n / n.min()) ** -40.0
    fit = fit_law(n, d, loss, objective="mse")
    assert fit.at_bound == ("alpha",)
    assert fit.law.alpha == pytest.approx(10)


def test_refusals_of_arrays():
    n, d = np.geomspace(1e6, 1e9, 10), np.geomspace(1e8, 1e10, 10) * np.tile([1, 2], 5)
    loss = HOFFMANN.loss(n, d)
    for arguments, error, says in (
        ((np.full(10, 1e6), d, loss), FitError, "all runs have n_params = 1e"),
        ((n, np.full(10, 1e6), loss), FitError, "all runs have tokens"),
        ((np.tile(n[:4], 3)[:10], np.tile(d[:4], 3)[:10], loss), FitError, "4 different pairs"),
        ((n, d, np.where(n > 1e8, np.nan, loss)), InputError, r"loss\[7\] is nan"),
        ((n, -d, loss), InputError, r"tokens\[0\] is -1e"),
        ((n, d[:5], loss), InputError, "tokens has 5 values"),
    ):
        with pytest.raises(error, match=says):
            fit_law(*arguments)
    options: dict[str, Any]
    for options, says in (
        ({"objective": "lad"}, "objective 'lad' is unknown"),
        ({"delta": 0.0}, "delta 0 must be positive"),
        ({"delta": 0.1, "objective": "mse"}, "delta 0.1 means nothing for mse"),
        ({"fixed_E": -1.0}, "fixed_E -1 must lie between 0 and the lowest loss"),
        ({"fixed_E": 99.0}, "fixed_E 99 must lie"),
        ({"weights": -np.ones(10)}, "weights must be 10 finite, non-negative"),
    ):
        with pytest.raises(InputError, match=says):
            fit_law(n, d, loss, **options)
    with pytest.raises(FitError, match="4 usable runs: the form's 4 parameters need at least 5"):
        fit_law(n, d, loss, tied=True, weights=np.arange(10) < 4)
