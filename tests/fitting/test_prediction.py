"""What laws say of N*, D* and the loss: from published constants, and from fit.json with its resamples."""

import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from isoflop.fitting import ChinchillaLaw, InputError, Options, RunTable, analyse
from isoflop.fitting.jsonio import json_text, to_strict
from isoflop.fitting.prediction import Predictor, Scaling, predictors_of, published_predictor

LAW = ChinchillaLaw(E=1.7, A=400.0, B=900.0, alpha=0.34, beta=0.31)


def interval(predictor: Predictor, quantity: Callable[[Scaling], float]) -> tuple[float, float]:
    found = predictor.require(quantity, "it")
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


def exponent(law: Scaling) -> float:
    assert law.params_law is not None
    return law.params_law.exponent


@pytest.fixture(scope="module")
def analysis():
    rng = np.random.default_rng(3)
    flops = np.repeat(np.geomspace(1e18, 1e21, 5), 7)
    n_params = LAW.optimum(flops)[0] * np.tile(np.geomspace(0.25, 4, 7), 5)
    tokens = flops / 6 / n_params
    loss = LAW.loss(n_params, tokens) + 0.003 * rng.standard_normal(len(flops))
    frame = {"n_params": n_params, "tokens": tokens, "loss": loss, "flops": flops, "budget": flops}
    return analyse(RunTable(pd.DataFrame(frame)), Options(resamples=300, holdout=False, by_convention=False))


@pytest.fixture(scope="module")
def fit_json(analysis, tmp_path_factory):
    path = tmp_path_factory.mktemp("fit") / "fit.json"
    path.write_text(json_text(analysis.to_json()))
    return path


@pytest.mark.parametrize(
    ("name", "n_params", "tokens_per_param", "loss"),
    [("besiroglu", 72.3e9, 18.4, 1.974), ("hoffmann_approach3", 40.3e9, 59.1, 1.918)],
)
def test_published_laws_at_gophers_budget(name, n_params, tokens_per_param, loss):
    # 5.76e23 FLOPs: arXiv:2203.15556, Table 3's 67B row; the closed form at 6 N D to the digits of the constants.
    law = published_predictor(name).scaling
    assert law.n_params(5.76e23) == pytest.approx(n_params, rel=2e-3)
    assert law.tokens_per_param(5.76e23) == pytest.approx(tokens_per_param, rel=2e-3)
    assert law.loss(5.76e23) == pytest.approx(loss, abs=6e-4)


def test_a_fit_json_predicts_what_the_fit_did(analysis, fit_json):
    found = {predictor.name.rpartition(", ")[2]: predictor for predictor in predictors_of(str(fit_json))}
    parametric, isoflop = found["parametric"], found["isoflop"]
    said = analysis.parametric.params_exponent
    assert interval(parametric, exponent) == pytest.approx((said.low, said.high), rel=1e-6)
    low, high = analysis.isoflop.params_band([1e24])
    band = interval(isoflop, lambda law: law.n_params(1e24))
    assert band == pytest.approx((low[0], high[0]), rel=1e-6)
    assert band[0] < LAW.optimum(1e24)[0] < band[1]


def test_the_interval_of_a_loss_holds_the_truth(fit_json):
    low, high = interval(predictors_of(str(fit_json))[0], lambda law: law.loss(1e23))
    assert low < LAW.loss(*LAW.optimum(1e23)) < high
    assert high - low < 0.2


def test_how_far_a_budget_lies_beyond_the_runs(fit_json):
    predictor = predictors_of(str(fit_json))[0]
    assert predictor.beyond(1e19) == 0
    assert predictor.beyond(1e23) == pytest.approx(2, abs=1e-9)
    assert predictor.beyond(1e17) == pytest.approx(-1, abs=1e-9)


def test_the_ranges_of_a_fit_are_told_in_each_count_of_compute(analysis):
    # C of these runs is 6 N D, and their budgets are their C.
    ranges = analysis.to_json()["ranges"]
    for name in ("flops", "flops_6nd", "budget"):
        assert ranges[name] == pytest.approx([1e18, 1e21])


def test_a_line_does_not_say_a_loss(fit_json):
    isoflop = predictors_of(str(fit_json))[1]
    with pytest.raises(InputError, match=r"isoflop: does not say a loss; it gives N\*\(C\), D\*\(C\)$"):
        isoflop.require(lambda law: law.loss(1e20), "a loss")


def test_what_is_no_law_is_told(tmp_path):
    with pytest.raises(InputError, match="no published estimate is called 'besiroglou'; nearest: "):
        predictors_of("published:besiroglou")
    with pytest.raises(InputError, match=r"is no fit\.json"):
        predictors_of(str(tmp_path / "runs.csv"))


def test_json_text_is_the_same_data_on_fewer_lines():
    data = {"a": list(range(50)), "b": [[1.5, None], [-2e-9, 3]], "c": "[\n 1,\n 2\n]", "d": [], "e": ["x", 1]}
    text = json_text(data)
    assert json.loads(text) == to_strict(data)
    assert len(text.splitlines()) < 20
