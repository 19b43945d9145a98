"""Held-out budgets: what was planted is predicted, the wrong law is told apart, equal laws are not."""

import json

import numpy as np
import pandas as pd
import pytest

from isoflop.fitting import FitError, InputError, RunTable
from isoflop.fitting.estimators.parametric import fit_law
from isoflop.fitting.holdout import LAWS, hold_out
from isoflop.fitting.jsonio import to_strict
from isoflop.fitting.laws import KaplanLaw

from .sweeps import HOFFMANN, changed, reference_data, selected, sweep

BUDGETS = np.geomspace(1e17, 1e21, 7)
KAPLAN = KaplanLaw(N_c=6.4e13, D_c=1.8e13, alpha_N=0.076, alpha_D=0.103)


def planted(noise=0.003, seed=0):
    return sweep(HOFFMANN, budgets=BUDGETS, sizes=7, noise=noise, seed=seed)


def test_the_law_of_the_table_predicts_its_largest_budget_to_the_noise():
    result = hold_out(planted())
    chinchilla = result.largest["chinchilla"]
    assert result.budget == pytest.approx(1e21)
    assert result.n_budgets == 7
    assert chinchilla.n_runs == 7
    assert chinchilla.rms_error < 4 * chinchilla.rms_fitted < 0.02
    assert chinchilla.skill > 0.9
    assert chinchilla.rms_baseline > 0.05
    assert len(result.runs) == 7
    for run in result.runs:
        assert run.predicted["chinchilla"] == pytest.approx(run.loss, rel=0.02)
    assert result.failed == ()


def test_without_noise_the_errors_vanish_and_size_is_met():
    result = hold_out(sweep(HOFFMANN, budgets=BUDGETS, sizes=9, half_width=2))
    assert result.largest["chinchilla"].rms_error < 1e-7
    assert result.size.predicted is not None
    assert result.size.ratio == pytest.approx(1.0, abs=1e-3)
    assert result.size.measured == pytest.approx(float(HOFFMANN.optimum(1e21)[0]), rel=0.01)


@pytest.mark.parametrize("truth", ["chinchilla", "kaplan"])
def test_the_planted_law_is_told_from_the_other(truth):
    table = planted(noise=0.0)
    n, d = (table.frame[name].to_numpy() for name in ("n_params", "tokens"))
    loss = (HOFFMANN if truth == "chinchilla" else KAPLAN).loss(n, d)
    noisy = loss * np.exp(0.002 * np.random.default_rng(0).standard_normal(len(n)))
    comparison = hold_out(changed(table, loss=noisy)).comparisons[0]
    assert (comparison.first, comparison.second) == ("chinchilla", "kaplan")
    if truth == "chinchilla":  # Kaplan's form has no asymptote and cannot follow
        assert comparison.better == "chinchilla"
        assert comparison.n_first_better == 7
        assert comparison.log_ratio.high is not None
        assert comparison.log_ratio.high < 0
        assert "chinchilla predicts left-out budgets better than kaplan" in comparison.verdict
    else:  # with E near 0 the five parameters can nearly follow: never better
        assert comparison.better != "chinchilla"


def test_laws_that_agree_are_not_told_apart():
    def jittered(n, d, loss):
        return fit_law(n, d, loss * np.exp(0.001 * np.random.default_rng(len(n)).standard_normal(len(n)))).law

    comparison = hold_out(planted(noise=0.01), laws={"one": LAWS["chinchilla"], "other": jittered}).comparisons[0]
    assert comparison.better is None
    assert comparison.verdict.startswith("no meaningful difference between one and other over 7 budgets")
    assert comparison.sign_p_value > 0.05


def test_the_chinchilla_runs_prefer_the_chinchilla_form_by_a_factor():
    # The joint forms' own fits differ by 2.6 in the objective; held out it is about 2 in the error of a budget.
    data = reference_data("epoch_chinchilla.csv")
    result = hold_out(RunTable(selected(data, ~data["dropped_by_epoch"])))
    comparison = result.comparisons[0]
    assert comparison.better == "chinchilla"
    assert 1.4 < np.exp(-comparison.log_ratio.value) < 2.5
    assert result.largest["kaplan"].mean_error < -0.02  # no asymptote: too low a loss is promised
    assert result.size.ratio == pytest.approx(1.35, abs=0.15)


def test_a_law_that_cannot_be_fitted_is_named_and_the_others_remain():
    def fails(n, d, loss):
        if d.max() < 1e12 and len(n) < 43:
            raise FitError("no luck")
        return fit_law(n, d, loss).law

    result = hold_out(planted(), laws={"good": LAWS["chinchilla"], "bad": fails})
    assert list(result.largest) == ["good"]
    assert result.comparisons == ()
    assert result.failed[0].startswith("bad without 1e+17: no luck")
    with pytest.raises(FitError, match="no law can be fitted without the largest budget"):
        hold_out(planted(), laws={"bad": fails})


def test_row_order_units_and_loss_factor_change_no_error():
    frame = planted().frame
    base = hold_out(RunTable(frame))
    other = frame.sample(frac=1, random_state=5)
    scaled = RunTable(
        other.assign(n_params=other["n_params"] * 1e-3, tokens=other["tokens"] * 1e6, loss=other["loss"] * 9)
    )
    again = hold_out(scaled)
    for name, result in base.largest.items():
        assert again.largest[name].rms_error == pytest.approx(result.rms_error, rel=1e-5)
    assert again.comparisons[0].log_ratio.value == pytest.approx(base.comparisons[0].log_ratio.value, rel=1e-5)
    assert again.size.ratio == pytest.approx(base.size.ratio, rel=1e-5)


def test_few_budgets_are_refused_and_small_ones_are_not_held_out():
    with pytest.raises(FitError, match="4 budgets of 3 runs or more: holding one out needs at least 5"):
        hold_out(sweep(HOFFMANN, budgets=BUDGETS[:4], sizes=7))
    few = hold_out(sweep(HOFFMANN, budgets=BUDGETS[:4], sizes=7, noise=0.003), min_budgets=4)
    assert few.n_budgets == 4
    frame = planted().frame
    lone = frame.iloc[-1:].assign(budget=1e22, flops=1e22, loss=0.1)  # a lone run above, far off every law
    result = hold_out(RunTable(pd.concat([frame, lone])))
    assert result.budget == pytest.approx(1e21)
    assert result.largest["chinchilla"].rms_error < 0.02
    with pytest.raises(InputError, match="labels has 3 values for 49 usable runs"):
        hold_out(planted(), labels=[1, 2, 3])


def test_the_result_is_small_strict_json():
    text = json.dumps(to_strict(hold_out(planted())), allow_nan=False)
    assert len(text) < 10_000
    assert json.loads(text)["largest"]["chinchilla"]["skill"] > 0.9
