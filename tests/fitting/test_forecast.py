"""What one law answers: optima, the questions the other way round, runs beside the optimum, intervals, refusals."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from isoflop.fitting import ChinchillaLaw, InputError
from isoflop.fitting.forecasting.answers import Answer, answer
from isoflop.fitting.forecasting.costs import Rates, cost_of
from isoflop.fitting.forecasting.questions import Question
from isoflop.fitting.jsonio import json_text
from isoflop.fitting.laws import KaplanLaw, PowerLaw
from isoflop.fitting.prediction import Predictor, Scaling, published_predictor
from isoflop.fitting.results import Estimate

CHINCHILLA = ChinchillaLaw(E=1.8, A=480.0, B=2080.0, alpha=0.35, beta=0.37)
KAPLAN = KaplanLaw(N_c=6.4e13, D_c=1.8e13, alpha_N=0.076, alpha_D=0.103)
SURFACES = [CHINCHILLA, KAPLAN]


def law(surface, **more) -> Predictor:
    return Predictor("mine", "mine", Scaling.of_surface(surface), "total", "6nd", **more)


def line() -> Predictor:
    return Predictor("line", "line", Scaling(PowerLaw(0.1, 0.5), PowerLaw(1.6, 0.5)), "total", "6nd")


def asked(predictor: Predictor, **question: Any) -> Answer:
    return answer(predictor, Question(**question))


def value(estimate: Estimate | None) -> float:
    assert estimate is not None
    return estimate.value


@pytest.mark.parametrize(
    ("name", "n_params", "tokens_per_param", "loss"),
    [("besiroglu", 72.3e9, 18.4, 1.974), ("hoffmann_approach3", 40.3e9, 59.1, 1.918)],
)
def test_published_laws_at_gophers_budget(name, n_params, tokens_per_param, loss):
    # The closed form at C = 6 N D with the constants of arXiv:2404.10102 and of arXiv:2203.15556's source.
    found = json.loads(json_text(asked(published_predictor(name), flops=5.76e23).to_json()))
    assert found["n_params"]["value"] == pytest.approx(n_params, rel=2e-3)
    assert found["tokens_per_param"]["value"] == pytest.approx(tokens_per_param, rel=2e-3)
    assert found["loss"]["value"] == pytest.approx(loss, abs=6e-4)
    assert found["tokens"]["value"] == pytest.approx(5.76e23 / 6 / found["n_params"]["value"])
    assert found["n_params"]["level"] is found["n_params"]["low"] is None


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("loss", [2.0, 2.6, 3.5])
def test_no_run_reaches_a_loss_with_less_compute_than_was_forecast(surface, loss):
    found = asked(law(surface), loss=loss)
    assert surface.loss(value(found.size), value(found.tokens)) == pytest.approx(loss)

    def compute(log_n: float) -> float:
        run = asked(law(surface), n_params=float(np.exp(log_n)), loss=loss)
        return np.log(run.flops.value)

    centre = np.log(value(found.size))
    best = minimize_scalar(compute, bounds=(centre - 0.5, centre + 0.5), method="bounded", options={"xatol": 1e-9})
    assert best.fun == pytest.approx(np.log(found.flops.value), abs=1e-8)


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("given", ["n_params", "tokens"])
def test_a_size_asked_back_is_optimal_at_the_compute_answered(surface, given):
    found = asked(law(surface), **{given: 3e10})
    forth = asked(law(surface), flops=found.flops.value)
    assert value(forth.size if given == "n_params" else forth.tokens) == pytest.approx(3e10)
    assert value(forth.loss) == pytest.approx(value(found.loss))


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("given", [{"n_params": 2e9}, {"tokens": 4e11}])
def test_what_reaches_a_loss_has_that_loss(surface, given):
    found = asked(law(surface), loss=2.9, **given)
    assert surface.loss(value(found.size), value(found.tokens)) == pytest.approx(2.9)
    assert found.excess is not None
    assert found.excess.compute.value > 0


@pytest.mark.parametrize("surface", SURFACES)
def test_the_excess_of_a_run_is_that_over_the_best_of_a_search(surface):
    flops, n_params = 1e22, 2e9
    run = asked(law(surface), n_params=n_params, flops=flops)
    assert run.excess is not None
    sizes = np.geomspace(1e7, 1e13, 400_001)
    best = surface.loss(sizes, flops / 6 / sizes).min()
    assert run.excess.loss.value == pytest.approx(value(run.loss) - best, abs=1e-9)
    needed = flops / (1 + run.excess.compute.value)
    assert value(asked(law(surface), flops=needed).loss) == pytest.approx(value(run.loss))


def test_two_of_compute_size_and_tokens_are_one_run():
    runs = [{"flops": 6e22, "n_params": 1e10}, {"flops": 6e22, "tokens": 1e12}, {"n_params": 1e10, "tokens": 1e12}]
    losses = [value(asked(law(CHINCHILLA), **run).loss) for run in runs]
    assert losses == pytest.approx([CHINCHILLA.loss(1e10, 1e12)] * 3)
    best = asked(law(CHINCHILLA), flops=1e23)
    at_best = asked(law(CHINCHILLA), n_params=value(best.size), tokens=value(best.tokens))
    assert at_best.excess is not None
    assert [at_best.excess.loss.value, at_best.excess.compute.value] == pytest.approx([0, 0], abs=1e-9)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "nothing is asked"),
        ({"flops": 1e20, "loss": 2.0}, "--flops and --loss contradict"),
        ({"flops": 1e20, "n_params": 1e9, "tokens": 1e9}, "two of them say the third"),
        ({"loss": 2.0, "n_params": 1e9, "tokens": 1e9}, "two of them say the third"),
        ({"flops": -1.0}, "--flops -1: must be a positive number"),
        ({"n_params": float("inf")}, "--params inf"),
        ({"tokens": 1e61}, "--tokens 1e\\+61: .* below 1e\\+60"),
        ({"loss": float("nan")}, "--loss nan"),
    ],
)
def test_questions_that_contradict_are_refused(given, says):
    with pytest.raises(InputError, match=says):
        Question(**given)


@pytest.mark.parametrize(
    ("predictor", "given", "says"),
    [
        (law(CHINCHILLA), {"loss": 1.8}, "--loss 1.8: mine goes down to E = 1.8"),
        (law(CHINCHILLA), {"loss": 2.0, "n_params": 1e6}, "ends at 5.61.* with --params 1e\\+06"),
        (law(CHINCHILLA), {"flops": 1e-3}, "less than one parameter"),
        (line(), {"loss": 2.0}, r"line: does not say L\(C\).*it gives N\*\(C\), D\*\(C\)"),
        (line(), {"n_params": 1e9, "tokens": 1e10}, "line: does not say the loss of a given N and D"),
        (published_predictor("pearce_song_total"), {"flops": 1e20}, r"does not say N\*\(C\); it gives its exponents"),
        (published_predictor("deepseek"), {"n_params": 1e9}, "counts FLOPs per token"),
    ],
)
def test_what_a_law_cannot_say_is_refused_in_its_name(predictor, given, says):
    with pytest.raises(InputError, match=says):
        asked(predictor, **given)


def test_a_model_scale_is_never_called_parameters():
    found = asked(published_predictor("deepseek"), flops=1e20).to_json()
    assert found["n_params"] is found["tokens_per_param"] is None
    # arXiv:2401.02954, equation 4: C = M D
    assert found["model_scale"]["value"] * found["tokens"]["value"] == pytest.approx(1e20, rel=2e-3)


def test_how_far_beyond_the_runs_an_answer_lies():
    known = law(CHINCHILLA, flops_range=(1e18, 1e21), params_range=(1e7, 1e9), tokens_range=(1e9, 1e11))
    assert asked(known, flops=1e20).warnings == ()
    ((code, text),) = asked(known, flops=1e24).warnings
    assert (code, text) == ("extrapolation", "3.0 decades above the runs, which end at 1e+21 FLOPs")
    assert "2.0 decades below" in asked(known, flops=1e16).warnings[0][1]
    codes = [code for code, _ in asked(known, n_params=5e9, tokens=1e10).warnings]
    assert codes == ["beyond_sizes"]
    assert asked(law(CHINCHILLA), flops=1e24).beyond is None


def drawn(E: float, sigma: float, count: int = 400) -> Predictor:
    """The law with resamples whose E scatters by `sigma`."""
    rng = np.random.default_rng(1)
    draws = tuple(
        Scaling.of_surface(ChinchillaLaw(E + sigma * z, 480.0, 2080.0, 0.35, 0.37)) for z in rng.standard_normal(count)
    )
    return law(ChinchillaLaw(E, 480.0, 2080.0, 0.35, 0.37), draws=draws, n_resamples=count)


def test_intervals_come_from_the_resamples():
    found = asked(drawn(1.8, 0.01), flops=1e22)
    assert found.loss is not None
    # Of a normal E: 95 % lie within 1.96 sigma, here of 400 draws.
    bounds = (value(found.loss) - 1.96 * 0.01, value(found.loss) + 1.96 * 0.01)
    assert (found.loss.low, found.loss.high) == pytest.approx(bounds, abs=0.004)
    needed = asked(drawn(1.8, 0.01), loss=2.1)
    low, high = (
        value(asked(law(ChinchillaLaw(1.8 + e, 480.0, 2080.0, 0.35, 0.37)), loss=2.1).flops) for e in (-0.0196, 0.0196)
    )
    assert needed.flops.low == pytest.approx(low, rel=0.1)
    assert needed.flops.high == pytest.approx(high, rel=0.2)
    assert needed.to_json()["flops_needed"]["level"] == 0.95


def test_resamples_that_never_reach_a_loss_leave_its_compute_without_an_upper_bound():
    found = asked(drawn(1.8, 0.05), loss=1.85)
    written = json.loads(json_text(found.to_json()))
    assert written["flops_needed"]["low"] > 1e20
    assert written["flops_needed"]["high"] is written["n_params"]["high"] is None
    assert [code for code, _ in found.warnings] == ["no_upper_bound"]


def test_costs_by_hand():
    flops = Estimate(3.6e24, 1.8e24, 7.2e24)
    cost = cost_of(flops, Rates(device_hour=2.0, peak_flops=1e15, mfu=0.5, devices=1000))
    # 3.6e24 / (5e14 x 3600 s) = 2e6 device-hours
    assert cost.device_hours is not None
    hours = (cost.device_hours.value, cost.device_hours.low, cost.device_hours.high)
    assert hours == pytest.approx((2e6, 1e6, 4e6))
    assert value(cost.price) == pytest.approx(4e6)
    assert value(cost.days) == pytest.approx(2e6 / 1000 / 24)
    assert value(cost_of(flops, Rates(price_per_flop=1e-18)).price) == pytest.approx(3.6e6)


@pytest.mark.parametrize(
    ("rates", "says"),
    [
        ({"device_hour": -1.0, "peak_flops": 1e15}, "--gpu-hour -1: must be a positive"),
        ({"price_per_flop": 0.0}, "--price-per-flop 0: must be a positive"),
        ({"peak_flops": 1e15, "mfu": 1.5}, "--mfu 1.5: is a share"),
        ({"device_hour": 1.0}, "--gpu-hour: hours need a throughput"),
        ({"device_hour": 1.0, "price_per_flop": 1e-18}, "two prices"),
        ({"peak_flops": 1e15, "devices": 0}, "--devices 0"),
    ],
)
def test_prices_that_are_none_are_refused(rates, says):
    with pytest.raises(InputError, match=says):
        Rates(**rates)
