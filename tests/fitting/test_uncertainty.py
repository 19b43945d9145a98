"""Resampling of whole runs, and when there is an interval at all."""

import numpy as np
import pandas as pd
import pytest

from isoflop.fitting import Estimate
from isoflop.fitting.uncertainty import (
    bias_corrected_estimate,
    generator,
    percentile_estimate,
    resampling_units,
    run_weights,
    standard_error,
    weight_blocks,
)


def test_each_resample_draws_as_many_runs_as_there_are():
    weights = run_weights(np.arange(7), None, 500, generator(0))
    assert weights.shape == (500, 7)
    assert (weights.sum(axis=1) == 7).all()
    assert weights.mean(axis=0) == pytest.approx(np.ones(7), abs=0.2)


def test_rows_of_a_run_come_together_and_strata_keep_their_number():
    runs = ["a", "a", "b", "c", "d", "d"]
    strata = [1, 1, 1, 2, 2, 2]
    weights = run_weights(runs, strata, 200, generator(0))
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 4] == weights[:, 5]).all()
    assert (weights[:, 0] + weights[:, 2] == 2).all()
    assert (weights[:, 3] + weights[:, 4] == 2).all()


def units_of(**columns):
    return resampling_units(pd.DataFrame(columns)).tolist()


def test_units_join_runs_and_cells():
    n, d, loss = [1e6, 1e6, 2e6, 3e6], [1e8, 2e8, 2e8, 3e8], [4.0, 3.0, 2.0, 1.0]
    assert units_of(n_params=n, tokens=d, loss=loss) == [0, 1, 2, 3]
    assert units_of(n_params=n, tokens=d, loss=loss, run=["a", "a", "b", "c"]) == [0, 0, 1, 2]  # checkpoints of a
    assert units_of(n_params=n, tokens=d, loss=loss, run=["", "", "b", None]) == [0, 1, 2, 3]  # no name joins nothing
    # Seeds of one cell, equal to rounding; a run of two cells joins both.
    cells = {"n_params": [2e6, 1e6, 1e6 * (1 + 1e-12), 1e6 * (1 + 1e-6)], "tokens": [1e8] * 4, "loss": loss}
    assert units_of(**cells) == [2, 0, 0, 1]
    assert units_of(**cells, run=["a", "a", "b", "c"]) == [0, 0, 0, 1]


def test_units_do_not_depend_on_order_or_names():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "n_params": rng.choice([1e6, 2e6, 3e6], 30),
            "tokens": rng.choice(np.geomspace(1e8, 1e9, 9), 30),
            "loss": rng.uniform(2, 3, 30),
            "run": rng.choice(list("abcdefghijklmnopqrst"), 30),
        }
    )
    units = pd.Series(resampling_units(frame), index=frame.index)
    assert 1 < units.nunique() < 20
    shuffled = frame.sample(frac=1, random_state=1).assign(run=lambda data: data["run"].map(lambda name: f"z{name}"))
    assert (pd.Series(resampling_units(shuffled), index=shuffled.index).sort_index() == units).all()


def test_blocks_are_whole_resamples():
    blocks = list(weight_blocks(np.arange(900_000), None, 9, generator(0)))
    assert [len(block) for block in blocks] == [4, 4, 1]
    assert all((block.sum(axis=1) == 900_000).all() for block in blocks)


def test_the_seed_decides():
    one, same, other = (run_weights(np.arange(9), None, 20, generator(seed)) for seed in (5, 5, 6))
    assert (one == same).all()
    assert (one != other).any()


def test_percentiles():
    draws = np.linspace(0, 1, 1001)
    estimate = percentile_estimate(0.4, draws, 1001, 0.9)
    assert (estimate.value, estimate.level) == (0.4, 0.9)
    assert (estimate.low, estimate.high) == (pytest.approx(0.05), pytest.approx(0.95))


def test_bias_correction_moves_the_interval_away_from_lopsided_draws():
    draws = np.random.default_rng(0).normal(1.0, 1.0, 100_000)
    assert bias_corrected_estimate(1.0, draws, 100_000, 0.95, 10**6).low == pytest.approx(-0.96, abs=0.03)
    shifted = bias_corrected_estimate(0.5, draws, 100_000, 0.95, 10**6)
    # Normal draws about 1 for a value of 1/2: the interval is about 0.
    assert (shifted.low, shifted.high) == (pytest.approx(-1.96, abs=0.05), pytest.approx(1.96, abs=0.05))
    few = bias_corrected_estimate(1.0, draws, 100_000, 0.95, 5)  # Student's 2.57 of 5 degrees of freedom
    assert (few.low, few.high) == (pytest.approx(-1.57, abs=0.06), pytest.approx(3.57, abs=0.06))
    assert bias_corrected_estimate(0.5, draws[:89], 100, 0.95, 10**6).low is None
    assert bias_corrected_estimate(-9.0, draws, 100_000, 0.95, 10**6).high is not None


@pytest.mark.parametrize(("good", "interval"), [(100, True), (90, True), (89, False), (0, False)])
def test_no_interval_under_nine_successes_in_ten(good, interval):
    draws = np.concatenate([np.linspace(0, 1, good), np.full(100 - good, np.nan)])
    for sample in (draws, draws[:good]):  # failed ones may be NaN or absent
        assert (percentile_estimate(0.5, sample, 100, 0.95).low is not None) == interval


def test_no_resamples_no_interval():
    assert percentile_estimate(0.5, [], 0, 0.95) == Estimate(0.5)


def test_the_standard_error_is_there_with_the_interval():
    assert standard_error([1.0, 2.0, 3.0], 3) == 1.0
    assert standard_error([1.0, 2.0, np.nan], 3) is None
