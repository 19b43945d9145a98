"""Approach 2 on public sweeps: published exponents, and answers that stand when the window is moved."""

import numpy as np
import pandas as pd
import pytest

from isoflop.fitting import RunTable, fit_isoflop

from .sweeps import interval, reference_data, selected


def porian(kind):
    data = reference_data("porian_refinedweb.csv")
    return RunTable(selected(data, pd.Series(data["experiment"]).str.contains(kind)))


def experiment(name, clean):
    table = RunTable(reference_data("isoflop_experiments.csv")).where(f"experiment == {name!r}")
    return table.where("outlier == False") if clean else table


# Published on the same losses (arXiv:2406.19146, table 1 and figure 1): Kaplan-like .835 (.824, .846), tuned .497.
@pytest.mark.parametrize(
    ("kind", "minimum", "published", "within"),
    [
        ("kaplan", "auto", 0.835, 0.02),
        ("kaplan", "akima", 0.835, 0.01),
        ("kaplan", "parabola", 0.835, 0.02),
        ("tuned", "auto", 0.497, 0.01),
        ("tuned", "akima", 0.497, 0.01),
        ("tuned", "parabola", 0.497, 0.01),
    ],
)
def test_porians_exponents(kind, minimum, published, within):
    fit = fit_isoflop(porian(kind), minimum=minimum)
    assert fit.params_exponent.value == pytest.approx(published, abs=within)
    low, high = interval(fit.params_exponent)
    assert low < published < high
    assert high - low < 0.1


# A parabola over all points, every budget alike, is the textbook's answer on these sets.
@pytest.mark.parametrize(
    ("name", "clean", "textbook", "low", "high"),
    [
        ("llama_3__exp_loss", True, 0.4953, 0.48, 0.51),
        ("llama_3__exp_loss", False, 0.4631, 0.44, 0.50),
        ("marin_202603__nemotron__llama_2", True, 0.4443, 0.41, 0.48),
        ("ml_scalefit__massivetext__chinchilla", False, None, 0.46, 0.55),
    ],
)
def test_public_sweeps(name, clean, textbook, low, high):
    table = experiment(name, clean)
    fit = fit_isoflop(table)
    assert low < fit.params_exponent.value < high
    assert fit.choice is not None
    ends = interval(fit.params_exponent)
    assert ends[0] < fit.params_exponent.value < ends[1]
    if textbook is not None:
        whole = fit_isoflop(table, minimum="parabola", window=None, resamples=0)
        assert whole.params_exponent.value == pytest.approx(textbook, abs=6e-5)


@pytest.mark.parametrize("window", [0.07, 0.15, 0.2])
def test_the_answers_stand_when_the_window_moves(window):
    tables = [porian("kaplan"), porian("tuned"), experiment("llama_3__exp_loss", True)]
    for table in tables:
        here, there = (
            fit_isoflop(table, minimum="parabola", window=each, resamples=0).params_exponent.value
            for each in (0.1, window)
        )
        assert there == pytest.approx(here, abs=0.01)


def test_budgets_planned_under_another_count():
    # The runs were isoFLOP under the trainer's own count; 6 N D differs from it by .93 to 1.35, size by size.
    table = experiment("marin_202603__nemotron__llama_2", True)
    planned, own = (fit_isoflop(table, common_flops=choice, resamples=0) for choice in ("auto", "runs"))
    assert (planned.common_flops, own.common_flops) == ("budget", "runs")
    assert own.params_exponent.value < planned.params_exponent.value
    assert np.isclose(own.params_exponent.value, 0.403, atol=0.01)
    # Digitised FLOPs scatter about their budgets by as much: that is no other count.
    scattered = experiment("ml_scalefit__massivetext__chinchilla", False)
    assert fit_isoflop(scattered, resamples=0).common_flops == "runs"
