"""Bounds that resamples leave open, answers beyond any compute, ranges that are not known, or known at one end."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from isoflop.fitting import ChinchillaLaw, InputError
from isoflop.fitting.forecasting.answers import answer
from isoflop.fitting.forecasting.overspend import allocation_from, wrong_exponent
from isoflop.fitting.forecasting.questions import Question
from isoflop.fitting.jsonio import json_text
from isoflop.fitting.prediction import Predictor, Scaling
from isoflop.fitting.prediction.predictor import NO_LEAST
from isoflop.fitting.prediction.sources import predictors_in
from isoflop.fitting.reporting.forecast import headline

BESIDES = ("tokens_per_param", "loss", "compute", "flops_needed")


def law(beta: float = 0.37, sigma: float = 0.0, **more) -> Predictor:
    """A surface with E = 1.8, whose 400 resamples scatter in E by `sigma`."""
    z = np.random.default_rng(1).standard_normal(400 if sigma else 0)
    mine = Scaling.of_surface(ChinchillaLaw(1.8, 480.0, 2080.0, 0.35, beta))
    draws = tuple(Scaling.of_surface(ChinchillaLaw(1.8 + sigma * e, 480.0, 2080.0, 0.35, beta)) for e in z)
    return Predictor("mine", "mine", mine, "total", "6nd", draws=draws, n_resamples=len(draws), **more)


def said(predictor: Predictor, **question: Any) -> Any:
    return json.loads(json_text(answer(predictor, Question(**question)).to_json()))


@pytest.mark.parametrize("beta", [0.37, 1.65])  # b = .49 and .175, with which D* of a compute of e^700 is a number
def test_a_loss_that_resamples_never_reach_has_no_upper_bound_of_anything(beta):
    found = said(law(beta, 0.05), loss=1.85)
    for name in ("flops_needed", "n_params", "tokens"):
        assert found[name]["high"] is None
        assert 1 < found[name]["low"] < found[name]["value"]
    ratio = found["tokens_per_param"]
    assert (ratio["low"], ratio["high"]) == (None, None)
    assert ratio["value"] > 0


def test_what_a_size_needs_for_such_a_loss_has_no_upper_bound_either():
    found = said(law(sigma=0.05), loss=1.86, n_params=1e12)
    assert found["tokens"]["low"] < found["tokens"]["value"]
    assert found["tokens"]["high"] is found["flops_needed"]["high"] is None
    for name in BESIDES[1:]:
        assert found["excess"][name]["value"] > 0
        assert found["excess"][name]["low"] is found["excess"][name]["high"] is None


def test_bounds_that_exist_are_all_told():
    found = said(law(sigma=0.01), loss=2.1, n_params=1e11)
    for name in ("flops_needed", "tokens", "tokens_per_param"):
        assert found[name]["low"] < found[name]["value"] < found[name]["high"]
    assert found["excess"]["compute"]["low"] >= 0


def test_the_compute_needed_stands_with_the_excess_and_not_for_the_runs_own():
    run = said(law(), n_params=1e9, flops=1e22)
    assert "flops_needed" not in run
    excess = run["excess"]
    assert excess["flops_needed"]["value"] * (1 + excess["compute"]["value"]) == pytest.approx(1e22)
    assert said(law(), flops=excess["flops_needed"]["value"])["loss"]["value"] == pytest.approx(run["loss"]["value"])
    assert "flops_needed" not in said(law(), flops=1e22)


def test_an_optimal_run_is_never_below_the_optimum():
    runs = []
    for flops in np.geomspace(1e18, 1e27, 100):
        best = answer(law(), Question(flops=flops))
        assert best.tokens is not None
        runs.append(said(law(), flops=flops, tokens=best.tokens.value)["excess"])
    assert all(0 <= run["loss"]["value"] < 1e-12 and 0 <= run["compute"]["value"] < 1e-9 for run in runs)


def test_what_no_compute_reaches_is_refused():
    with pytest.raises(
        InputError, match=r"mine: would take 4.*e\+7\d FLOPs, beyond any compute; ask for a higher loss"
    ):
        answer(law(), Question(loss=1.8 + 1e-10))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("anchor", "says"), [(1e3, "less than one token at 1e\\+22 FLOPs"), (1e20, "beyond all numbers")]
)
def test_an_exponent_that_leaves_nothing_is_refused(anchor, says):
    surface = ChinchillaLaw(1.8, 480.0, 2080.0, 0.35, 0.37)
    with pytest.raises(InputError, match=says):
        wrong_exponent(surface, allocation_from(anchor, surface, 50.0), 1e22)


def test_the_first_line_says_that_a_range_is_unknown_or_where_it_ends():
    unknown, known = law(), law(flops_range=(NO_LEAST, 1e20))
    asked = Question(flops=1e22)
    assert headline([answer(unknown, asked)]).startswith("RANGE UNKNOWN: at 1e22 FLOPs: N* = ")
    both = headline([answer(unknown, asked), answer(known, asked)])
    assert both.startswith("RANGE UNKNOWN, EXTRAPOLATION: up to 2.0 decades above the runs (of mine): at ")
    assert headline([answer(known, asked)]).startswith("EXTRAPOLATION: 2.0 decades above the runs: ")
    assert headline([answer(known, Question(flops=1e15))]).startswith("At 1e15 FLOPs")
    assert said(known, flops=1e22)["flops_range"] == [None, 1e20]


def test_the_range_of_a_fit_is_in_its_own_count_of_compute():
    line = {
        "params_coefficient": 0.1,
        "tokens_coefficient": 1.6,
        "params_exponent": {"value": 0.5},
        "tokens_exponent": {"value": 0.5},
    }
    surface = {"E": 1.8, "A": 480.0, "B": 2080.0, "alpha": 0.35, "beta": 0.37}
    report = {
        "conventions": {"n_params": "n_params_non_embedding", "flops": "flops", "flops_equals": "exact"},
        "ranges": {"flops": [1e10, 1e12], "flops_6nd": [3e9, 5e11], "budget": [2e10, 2e12]},
        "fits": {"parametric": surface, "isoflop": line | {"common_flops": "budget"}, "envelope": line},
    }
    known = {one.name.rpartition(" ")[2]: one.flops_range for one in predictors_in(report, "x")}
    assert known == {"parametric": (3e9, 5e11), "isoflop": (2e10, 2e12), "envelope": (1e10, 1e12)}
    report["ranges"] = {"flops": [1e10, 1e12]}  # as files of before have it
    assert {one.flops_range for one in predictors_in(report, "x")} == {(1e10, 1e12)}
