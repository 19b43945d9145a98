"""A user's own law: known optima, planted laws of any columns, invariances, bounds, refusals."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isoflop.fitting import FitError, InputError, RunTable
from isoflop.fitting.estimators.forms.custom import fit_custom
from isoflop.fitting.estimators.parametric import fit_law
from isoflop.fitting.jsonio import to_strict
from isoflop.fitting.results import FitStatus

from .sweeps import HOFFMANN, changed, interval, reference_data, selected, sweep

BOUNDS = {"E": (0, None), "A": (0, None), "alpha": (0, 2), "B": (0, None), "beta": (0, 2)}


def chinchilla(n_params, tokens, *, E, A, alpha, B, beta):
    return E + A / n_params**alpha + B / tokens**beta


def size_only(n_params, *, E, A, alpha):
    return E + A / n_params**alpha


SIZE_BOUNDS = {"E": (0, None), "A": (0, None), "alpha": (0, 2)}


def epoch():
    data = reference_data("epoch_chinchilla.csv")
    return RunTable(selected(data, ~data["dropped_by_epoch"]))


# The lowest values known, by any solver; log_lad's is Besiroglu's published fit (arXiv:2404.10102).
@pytest.mark.parametrize(
    ("objective", "best", "within"),
    [
        ("log_huber", 0.0010182740178006, 1e-9),
        ("huber", 1.206767998e-05, 1e-9),
        ("mse", 3.466825321e-04, 1e-9),
        ("log_lad", 1.1294946536, 1e-9),
    ],
)
def test_the_chinchilla_form_reaches_its_known_optimum(objective, best, within):
    fit = fit_custom(chinchilla, epoch(), bounds=BOUNDS, objective=objective, resamples=0)
    assert fit.objective_value == pytest.approx(best, rel=within)
    assert fit.status is FitStatus.CONVERGED
    assert fit.n_agreeing == fit.n_starts


def test_it_agrees_with_the_estimator_of_that_form_on_noisy_sweeps():
    for seed in range(3):
        table = sweep(HOFFMANN, sizes=7, noise=0.02, seed=seed)
        frame = table.fitted
        own = fit_law(frame["n_params"], frame["tokens"], frame["loss"])
        fit = fit_custom(chinchilla, table, bounds=BOUNDS, resamples=0)
        assert fit.objective_value == pytest.approx(own.value, rel=1e-8)
        assert fit.parameters["alpha"].value == pytest.approx(own.law.alpha, rel=1e-5)


def test_a_planted_law_of_other_columns_is_recovered():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"n_params": 1e8, "tokens": 1e9, "depth": rng.integers(2, 40, 60), "width": rng.uniform(64, 4096, 60)}
    )
    loss = 1.5 + 3.0 * frame["depth"] ** -0.4 + 20.0 / frame["width"] ** 0.6

    def form(depth, width, *, floor, per_depth, p, per_width, q):
        return floor + per_depth * depth**-p + per_width / width**q

    bounds = {"floor": (0, None), "per_depth": (0, None), "p": (0, 3), "per_width": (0, None), "q": (0, 3)}
    fit = fit_custom(form, RunTable(frame.assign(loss=loss)), bounds=bounds, resamples=0)
    planted = {"floor": 1.5, "per_depth": 3.0, "p": 0.4, "per_width": 20.0, "q": 0.6}
    assert fit.values == pytest.approx(planted, rel=1e-6)
    np.testing.assert_allclose(form(frame["depth"], frame["width"], **fit.values), loss, rtol=1e-9)
    assert json.loads(json.dumps(to_strict(fit)))["parameters"]["p"]["value"] == pytest.approx(0.4)


def test_another_target_with_parameters_of_either_sign():
    table = sweep(HOFFMANN, sizes=7, noise=0.01)
    score = 4.0 - 0.3 * np.log(table.frame["n_params"])

    def form(n_params, *, level, slope):
        return level + slope * np.log(n_params)

    free = {"level": (None, None), "slope": (None, None)}
    fit = fit_custom(
        form, RunTable(table.frame.assign(score=score)), bounds=free, target="score", objective="mse", resamples=0
    )
    assert fit.parameters["level"].value == pytest.approx(4.0, rel=1e-9)
    assert fit.parameters["slope"].value == pytest.approx(-0.3, rel=1e-9)
    with pytest.raises(InputError, match=r"objective 'log_huber' takes logs of the target, whose least is -"):
        fit_custom(form, RunTable(table.frame.assign(score=score)), bounds=free, target="score", resamples=0)


def test_a_form_that_branches_gives_the_same_as_one_that_broadcasts():
    def branching(n_params, *, E, A, alpha):
        if alpha <= 0:
            return E + A + 0 * n_params
        return E + A / n_params**alpha

    table = sweep(HOFFMANN, sizes=7, noise=0.02)
    one, other = (fit_custom(form, table, bounds=SIZE_BOUNDS, resamples=0) for form in (size_only, branching))
    assert one.objective_value == pytest.approx(other.objective_value, rel=1e-9)


@settings(max_examples=5, deadline=None, derandomize=True)
@given(unit=st.floats(1e-6, 1e6), loss_unit=st.floats(0.01, 100), order=st.integers(0, 99))
def test_units_and_row_order_do_not_move_the_exponents(unit, loss_unit, order):
    frame = sweep(HOFFMANN, sizes=7, noise=0.01).frame
    base = fit_custom(chinchilla, RunTable(frame), bounds=BOUNDS, resamples=0)
    other = frame.sample(frac=1, random_state=order)
    scaled = RunTable(other.assign(n_params=other["n_params"] * unit, loss=other["loss"] * loss_unit))
    fit = fit_custom(chinchilla, scaled, bounds=BOUNDS, resamples=0)
    assert fit.objective_value == pytest.approx(base.objective_value, rel=1e-8)
    assert fit.parameters["alpha"].value == pytest.approx(base.parameters["alpha"].value, rel=1e-5)
    assert fit.parameters["E"].value == pytest.approx(base.parameters["E"].value * loss_unit, rel=1e-5)


def test_integer_weights_are_repeated_rows():
    frame = sweep(HOFFMANN, sizes=7, noise=0.02).frame
    weights = np.random.default_rng(0).integers(0, 4, len(frame))
    repeated = RunTable(frame.loc[np.repeat(frame.index.to_numpy(), weights)])
    for objective in ("log_huber", "log_lad"):
        one = fit_custom(chinchilla, RunTable(frame), bounds=BOUNDS, objective=objective, weights=weights, resamples=0)
        two = fit_custom(chinchilla, repeated, bounds=BOUNDS, objective=objective, resamples=0)
        assert one.objective_value == pytest.approx(two.objective_value, rel=1e-8)


def test_a_parameter_on_its_bound_is_named_and_has_no_interval():
    table = sweep(HOFFMANN, sizes=7, noise=0.01)
    steeper = changed(table, loss=table.frame["loss"] - 1.69)
    fit = fit_custom(chinchilla, steeper, bounds=BOUNDS | {"E": (0.05, None)}, resamples=100)
    assert fit.status is FitStatus.BOUND_HIT
    assert fit.at_bound == ("E",)
    assert fit.parameters["E"].value == pytest.approx(0.05)
    assert fit.parameters["E"].low is None
    assert fit.parameters["alpha"].low is not None
    idle = fit_custom(
        chinchilla, changed(table, loss=2 + 400 * table.frame["tokens"] ** -0.3), bounds=BOUNDS, resamples=0
    )
    assert "A" in idle.at_bound
    assert idle.parameters["A"].value == 0


def test_intervals_hold_the_planted_value_mostly_and_repeat_with_the_seed():
    tables = [sweep(HOFFMANN, sizes=7, noise=0.01, seed=seed) for seed in range(6)]
    fits = [fit_custom(chinchilla, table, bounds=BOUNDS, resamples=60) for table in tables]
    held = sum(low < HOFFMANN.alpha < high for low, high in (interval(fit.parameters["alpha"]) for fit in fits))
    assert held >= 4
    same, other = (fit_custom(chinchilla, tables[0], bounds=BOUNDS, resamples=60, seed=seed) for seed in (0, 1))
    assert fits[0].parameters == same.parameters
    assert fits[0].parameters != other.parameters
    three = sweep(HOFFMANN, budgets=[1e18, 1e19, 1e20], noise=0.01)
    few = fit_custom(chinchilla, three, bounds=BOUNDS, resamples=50)
    assert few.status is FitStatus.TOO_FEW
    assert few.parameters["alpha"].low is None


def test_refusals_name_what_is_wrong_and_what_to_do():
    table = sweep(HOFFMANN, sizes=7, noise=0.01)
    without_alpha = {"E": (0, None), "A": (0, None)}
    cases: tuple[tuple[Callable, dict[str, Any], str], ...] = (
        (lambda size, *, E: E + 0 * size, {"bounds": {"E": (0, None)}}, "no column 'size' in the table"),
        (size_only, {"bounds": without_alpha}, "no bounds for parameter 'alpha': give"),
        (size_only, {"bounds": SIZE_BOUNDS | {"C": (0, 1)}}, "bounds names 'C', no parameter of the form"),
        (size_only, {"bounds": SIZE_BOUNDS | {"alpha": (2, 1)}}, r"bounds of 'alpha' are \(2, 1\)"),
        (size_only, {"bounds": SIZE_BOUNDS, "start": {"alpha": 3.0}}, r"start of 'alpha' is 3.0, outside its bounds"),
        (size_only, {"bounds": SIZE_BOUNDS, "start": {"alpha": (0.1, 9.0)}}, r"start of 'alpha' is \(0.1, 9.0\)"),
        (size_only, {"bounds": without_alpha | {"alpha": (0, None)}}, "'alpha' is not linear .* give start="),
        (size_only, {"bounds": SIZE_BOUNDS, "target": "accuracy"}, "no column 'accuracy'"),
        (size_only, {"bounds": SIZE_BOUNDS, "objective": "lad"}, "objective 'lad' is unknown"),
        (size_only, {"bounds": SIZE_BOUNDS, "weights": [1.0]}, "weights must be 35"),
        (lambda n_params, *, E: np.full(3, E), {"bounds": {"E": (0, None)}}, r"shape \(3,\): it must be \(35,\)"),
        (lambda n_params, *, E: E * n_params * np.nan, {"bounds": {"E": (0, 1)}}, "the form gives nan for run 1"),
        (lambda n_params, E: E + 0 * n_params, {"bounds": {"E": (0, 1)}}, "columns before a bare"),
    )
    for form, arguments, says in cases:
        with pytest.raises(InputError, match=says):
            fit_custom(form, table, resamples=0, **arguments)
    holes = RunTable(table.frame.assign(depth=[np.nan, *range(1, len(table))]))
    with pytest.raises(InputError, match="column 'depth' is nan for run 'row 1'"):
        fit_custom(lambda depth, *, E: E / depth, holes, bounds={"E": (0, None)}, resamples=0)
    with pytest.raises(FitError, match="5 usable runs: 5 parameters need at least 6"):
        fit_custom(chinchilla, RunTable(table.frame.iloc[:5]), bounds=BOUNDS, resamples=0)


@pytest.mark.parametrize("objective", ["log_huber", "log_lad"])
def test_odd_tables_end_in_a_status(objective):
    rng = np.random.default_rng(0)
    n = np.geomspace(1e6, 1e9, 12)
    cases = {
        "constant": np.full(12, 3.0),
        "noise": 3 + rng.standard_normal(12) ** 2,
        "rising": n**0.1,
    }
    for loss in cases.values():
        table = RunTable(pd.DataFrame({"n_params": n, "tokens": rng.permutation(n), "loss": loss}))
        fit = fit_custom(chinchilla, table, bounds=BOUNDS, objective=objective, resamples=5)
        assert np.isfinite(fit.objective_value)
        assert np.isfinite(chinchilla(n, n, **fit.values)).all()
