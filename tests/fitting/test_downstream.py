"""Benchmark scores: planted links come back, intervals hold them, OLMo's ladder gives its published predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from isoflop.fitting.downstream.analysis import analyse_task, drawn_routes
from isoflop.fitting.downstream.links import LINKS, fit_link
from isoflop.fitting.downstream.routes import Known, Routes, link_of
from isoflop.fitting.downstream.runs import TaskRuns, named_runs, tasks_of
from isoflop.fitting.downstream.smoothness import smoothness_of
from isoflop.fitting.downstream.steps import Target, fit_loss_of_size
from isoflop.fitting.errors import FitError, InputError
from isoflop.fitting.laws import ChinchillaLaw
from isoflop.fitting.runs import RunTable

from .sweeps import interval, reference_data, selected

LAW = ChinchillaLaw(E=0.5, A=30.0, B=90.0, alpha=0.22, beta=0.235)
SIZES = (1e8, 2e8, 4e8, 8e8, 1.6e9)
TARGET = Target(1e10, 1e12, 6e22)


def sigmoid(loss: np.ndarray, floor: float = 0.25, ceiling: float = 0.95) -> np.ndarray:
    return floor + (ceiling - floor) / (1 + np.exp(6 * (loss - 1.0)))


def ladder(noise: float = 0.0, seed: int = 0, checkpoints: int = 4) -> pd.DataFrame:
    """Five sizes at four lengths each; a run's losses share most of their noise, and all of its scores' part of it."""
    rng = np.random.default_rng(seed)
    rows = []
    for n in SIZES:
        for times in (1, 2, 5, 10):
            shared, off = rng.normal(0, noise, 2)
            for step in range(checkpoints):
                d = 20 * n * times * (step + 1) / checkpoints
                loss = float(LAW.loss(n, d)) * np.exp(shared)
                score = float(sigmoid(np.array(loss))) + off + rng.normal(0, noise / 4)
                rows.append({"run": f"{n:g}-{times}", "n_params": n, "tokens": d, "loss": loss, "score": score})
    return pd.DataFrame(rows)


def task(frame: pd.DataFrame, **more: Any) -> TaskRuns:
    return tasks_of(RunTable(frame), ["score"], None, **more)[0]


def test_each_planted_link_comes_back() -> None:
    loss = np.linspace(0.7, 2.0, 40)
    found = fit_link("sigmoid", loss, sigmoid(loss)).link.values
    assert found == pytest.approx({"floor": 0.25, "ceiling": 0.95, "steepness": 6.0, "midpoint": 1.0}, rel=1e-6)
    found = fit_link("linear", loss, 0.9 - 0.2 * loss).link.values
    assert found == pytest.approx({"intercept": 0.9, "slope": -0.2}, rel=1e-6)
    fit = fit_link("exponential", loss, 0.25 + 2.0 * np.exp(-1.5 * loss))
    assert fit.link.values == pytest.approx({"floor": 0.25, "height": 2.0, "gamma": 1.5}, rel=1e-5)
    law = fit.link.error_law  # Err(L) = epsilon - k exp(-gamma L)
    assert law is not None
    assert 1 - law.error(loss) == pytest.approx(fit.link.score(loss), rel=1e-9)


def test_the_unit_of_the_loss_changes_no_score() -> None:
    frame = ladder(0.01)
    nats, bits = frame["loss"].to_numpy(), frame["loss"].to_numpy() / np.log(2)
    for name in LINKS:
        one, other = (fit_link(name, x, frame["score"].to_numpy()) for x in (nats, bits))
        assert other.link.score(bits) == pytest.approx(one.link.score(nats), rel=1e-6)


def test_chance_and_ceiling_are_held_where_given() -> None:
    frame = ladder(0.005)
    fit = fit_link("sigmoid", frame["loss"], frame["score"], chance=0.2, ceiling=0.9)
    assert (fit.link.values["floor"], fit.link.values["ceiling"], fit.n_free) == (0.2, 0.9, 2)
    with pytest.raises(InputError, match=r"--chance 0.99: task score scores at most"):
        analyse_task(task(frame), known=Known(chance=0.99))
    with pytest.raises(InputError, match=r"--ceiling 0.3: task score scores up to"):
        analyse_task(task(frame), known=Known(ceiling=0.3))


def test_a_resample_under_whole_weights_is_the_fit_itself() -> None:
    frame = ladder(0.01)
    for known in ({}, {"chance": 0.25}, {"anchor": 1.0}):
        fit = fit_link("sigmoid", frame["loss"], frame["score"], **known)
        again = fit.refit(np.ones((1, len(frame))))
        assert again.score(0.8) == pytest.approx(fit.link.score(0.8), rel=1e-5)


def test_two_steps_predict_the_planted_score_and_beat_compute_alone() -> None:
    result = analyse_task(task(ladder()), [TARGET], resamples=0)
    truth = float(sigmoid(LAW.loss(1e10, 1e12)))
    (found,) = result.predictions
    assert found.score is not None
    assert found.loss is not None
    assert found.loss.value == pytest.approx(float(LAW.loss(1e10, 1e12)), rel=1e-3)
    assert found.score.value == pytest.approx(truth, abs=1e-3)
    assert found.beyond_flops > 1
    assert found.beyond_loss > 0
    assert result.largest is not None
    assert result.largest.link == "sigmoid"
    assert result.largest.better_route == "two steps"
    assert result.smoothness.verdict == "smooth"


def test_the_interval_through_both_steps_is_wider_than_that_of_the_link() -> None:
    left = task(ladder(0.004, 1).tail(16))
    result = analyse_task(task(ladder(0.004)), held_out=left, link="sigmoid", known=Known(0.25, 0.95), resamples=100)
    widths = []
    for found in (result.predictions[0].score, result.predictions[0].from_loss):
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        assert found.low <= found.value <= found.high
        widths.append(found.high - found.low)
    assert widths[0] > widths[1] > 0


def test_intervals_hold_the_truth_through_both_steps() -> None:
    truth, held, count = float(sigmoid(LAW.loss(3e9, 1e11))), 0, 6
    for seed in range(count):
        runs = task(ladder(0.004, seed, checkpoints=1))
        result = analyse_task(runs, [Target(3e9, 1e11)], link="sigmoid", known=Known(0.25, 0.95), resamples=60)
        score = result.predictions[0].score
        assert score is not None
        assert score.low is not None
        assert score.high is not None
        held += score.low <= truth <= score.high
    assert held >= 5  # of a true 95 %, fewer have a probability of 3 %


def test_intervals_of_the_link_cover_inside_the_runs() -> None:
    """Of 200 such ladders percentiles shifted for bias held the truth in 83 %, these in 90 %; here 23 and 26 of 30."""
    loss = float(LAW.loss(1.6e9, 3.2e11))
    truth, held = float(sigmoid(np.array(loss))), 0
    for seed in range(30):
        runs = task(ladder(0.004, 1000 + seed, checkpoints=1))
        routes = Routes(runs, link_of(runs, "sigmoid", Known(0.25)), None, None, None, {})
        drawn = drawn_routes(routes, 80, seed, 0.95)
        assert drawn.links is not None
        low, high = interval(drawn.of_link(float(routes.link.link.score(loss)), drawn.links.score(loss)))
        held += low <= truth <= high
    assert held >= 24, held


def test_verdicts() -> None:
    rng = np.random.default_rng(0)
    frame = ladder()
    loss = frame["loss"].to_numpy()
    cases = {
        "at chance": 0.25 + rng.normal(0, 0.01, len(loss)),
        "noisy": sigmoid(loss) + rng.normal(0, 0.15, len(loss)),
        "rises with loss": 0.3 + 0.2 * loss / loss.max(),
        "saturated": 0.25 + 0.75 / (1 + np.exp(8 * (loss - 1.6))),
    }
    for verdict, scores in cases.items():
        runs = task(frame.assign(score=np.clip(scores, 0, 1)))
        result = analyse_task(
            runs, link="sigmoid" if verdict != "rises with loss" else "linear", known=Known(0.25), resamples=0
        )
        assert result.smoothness.verdict == verdict


def test_percentages_are_recognised_and_what_is_neither_is_refused() -> None:
    frame = ladder()
    runs = task(frame.assign(score=100 * frame["score"]))
    assert runs.percent
    assert runs.score == pytest.approx(frame["score"].to_numpy())
    assert "percentages" in runs.notes[0]
    for bad, says in ((-0.1, "is -0.1, outside 0 to 1"), (1.5, "is 1.5, outside 0 to 1 (most are shares)")):
        wrong = frame.assign(score=frame["score"].where(frame.index != 3, bad))
        with pytest.raises(InputError) as refused:
            task(wrong)
        assert says in str(refused.value)
        assert "row 4" in str(refused.value)


def test_missing_scores_are_counted_and_seeds_of_a_cell_are_one_unit() -> None:
    frame = ladder(checkpoints=1)
    runs = task(frame.assign(score=frame["score"].where(frame.index > 1)))
    assert len(runs) == len(frame) - 2
    assert runs.notes[0].startswith("2 of 20 rows have no score")
    twice = pd.concat([frame, frame.assign(run=frame["run"] + " again", loss=frame["loss"] * 1.001)])
    assert task(twice).n_units == len(frame)


def test_too_little_is_refused_or_has_no_interval() -> None:
    frame = ladder()
    with pytest.raises(InputError, match="all runs have one size"):
        analyse_task(task(selected(frame, frame["n_params"] == SIZES[0])))
    with pytest.raises(FitError, match="task score: 3 usable runs"):
        analyse_task(task(frame.iloc[[0, 16, 32]]), link="sigmoid")
    few = analyse_task(task(selected(frame, frame["run"].str.endswith("-1"))), [TARGET])
    assert few.predictions[0].from_loss is None
    assert any("no interval" in warning for warning in few.warnings)
    assert all(each.low is None for each in few.parameters.values())


def test_a_ceiling_on_its_bound_is_said_once() -> None:
    frame = ladder()
    runs = task(frame.assign(score=0.2 + 1.5 / (1 + np.exp(4 * (frame["loss"] - 0.2)))))
    result = analyse_task(runs, link="sigmoid", resamples=0)
    assert "ceiling" in result.link.at_bound
    (about,) = [warning for warning in result.warnings if "ceiling" in warning]
    assert "of the way to the ceiling" in about


def test_olmo_s_ladder_gives_its_published_predictions() -> None:
    """From all checkpoints, and a point of score 1 at loss 0, as the authors fit it.

    Step 2 from the measured loss is known to give .5138 and .8416; both steps give .51268 and .85304 in
    chained_main.csv of their repository, allenai/OLMo-ladder.
    """
    names = {"task_loss_bpb": "loss", "accuracy": "score"}
    table = named_runs(
        RunTable(reference_data("olmo_ladder_loss_accuracy.csv").rename(columns=names)), ["model", "length"]
    )
    fitted, held = (
        tasks_of(table.where(query), ["score"], "task") for query in ("split == 'train'", "model == '13B-5T'")
    )
    published = {"mmlu_avg_test_5shot": (0.5138, 0.51268, 0.5161), "hellaswag_val_5shot": (0.8416, 0.85304, 0.8319)}
    for runs, left in zip(fitted, held, strict=True):
        assert runs.n_units == 16
        link = link_of(runs, "sigmoid", Known(anchor=1.0)).link
        (end,) = left.ends
        target = Target(float(left.n_params[end]), float(left.tokens[end]))
        by_link, by_both, measured = published[runs.task]
        assert link.score(left.loss[end]) == pytest.approx(by_link, abs=6e-5)
        assert link.score(fit_loss_of_size(runs).loss(target)) == pytest.approx(by_both, abs=2e-5)
        assert left.score[end] == pytest.approx(measured, abs=6e-5)
        assert smoothness_of(runs, link, 0.25).verdict == "smooth"
