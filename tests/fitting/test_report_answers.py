"""The slider of budgets: the numbers and intervals that `forecast` gives, over decades of compute."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from isoflop.fitting.prediction import Predictor, Scaling, published_predictor
from isoflop.fitting.reporting.page.content import Predicted, Slider, SliderLaw
from isoflop.fitting.reporting.report.answers import slider_law, slider_of
from isoflop.fitting.reporting.report.subject import Subject

from .report_subjects import planted, subject
from .sweeps import HOFFMANN, sweep


@pytest.fixture(scope="module")
def fitted() -> Subject:
    return subject()


@pytest.fixture(scope="module")
def slider(fitted: Subject) -> Slider:
    found = slider_of(fitted)
    assert found is not None
    return found


def law_of(slider: Slider, label: str) -> SliderLaw:
    return next(law for law in slider.laws if law.label == label)


@pytest.mark.parametrize("method", ["isoflop", "parametric"])
@pytest.mark.parametrize("place", [0, 40, -1])
def test_each_answer_is_the_forecasts(fitted: Subject, slider: Slider, method: str, place: int) -> None:
    law = law_of(slider, {"isoflop": "ours, isoFLOP", "parametric": "ours, parametric"}[method])
    flops = float(slider.flops[place])
    asked: dict[str, Callable[[Scaling], float]] = {
        "n_params": lambda known: known.n_params(flops),
        "tokens": lambda known: known.tokens(flops),
        "loss": lambda known: known.loss(flops),
    }
    for name, quantity in asked.items():
        expected = fitted.predictors[method].estimate(quantity)
        found: Predicted | None = getattr(law, name)
        if expected is None:
            assert found is None
            continue
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        got = [float(side[place]) for side in (found.value, found.low, found.high)]
        assert got == pytest.approx([expected.value, expected.low, expected.high], rel=1e-12)


def test_budgets_reach_from_a_decade_below_the_runs_to_four_above_and_hold_round_ones(slider: Slider) -> None:
    assert slider.measured == (1e17, 1e21)
    assert (slider.flops[0], slider.flops[-1]) == pytest.approx((1e16, 1e25))
    assert np.allclose(np.diff(np.log(slider.flops)), np.log(10) / 12)
    for decade in 10.0 ** np.arange(16, 26):
        assert np.isclose(slider.flops, decade, rtol=1e-9).any()
    assert slider.start == 1e21


def test_published_laws_of_the_same_count_say_what_they_measured_and_no_loss(slider: Slider) -> None:
    theirs = [law for law in slider.laws if not law.ours]
    assert [law.label for law in theirs] == ["Besiroglu, refit", "Chinchilla, approach 3", "Chinchilla, approach 2"]
    assert all(law.loss is None for law in theirs)
    assert all("N total" in law.counts and "measured" in law.counts for law in theirs)
    top = theirs[1].n_params
    assert top is not None
    expected = published_predictor("hoffmann_approach3").scaling.n_params(float(slider.flops[-1]))
    assert top.value[-1] == pytest.approx(expected)


def test_kaplans_law_stands_beside_counts_without_embeddings() -> None:
    table = sweep(HOFFMANN, sizes=7, noise=0.004)
    frame = table.frame.assign(n_params_non_embedding=table.frame["n_params"] * 0.9)
    analysis = planted(type(table)(frame), n_params="n_params_non_embedding", methods=("isoflop",))
    found = slider_of(subject(analysis))
    assert found is not None
    assert any("Kaplan" in law.label for law in found.laws)
    assert not any("Chinchilla" in law.label for law in found.laws)


def test_a_resample_that_overflows_leaves_no_infinite_bound() -> None:
    from isoflop.fitting.laws import PowerLaw

    line = PowerLaw(1.0, 0.5)
    draws = tuple(Scaling(PowerLaw(1.0, e), line) for e in [*np.linspace(0.45, 0.55, 95), *[40.0] * 5])
    law = Predictor("x, isoflop", "x", Scaling(line, line), "total", "6nd", draws=draws, n_resamples=100)
    found = slider_law(law, np.array([1e20, 1e25]), "x")
    assert found is not None
    assert found.n_params is not None
    assert found.n_params.high is not None
    assert np.isfinite(found.n_params.high).all()


def test_no_law_no_slider() -> None:
    assert slider_of(subject(planted(methods=("saturating",)))) is None
