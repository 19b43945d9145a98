"""The benchmarks measure what they say: each objective by its formula, peers on the same rows, a known truth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from isoflop.fitting.estimators.parametric import fit_law
from isoflop.fitting.estimators.parametric.objectives import OBJECTIVES
from isoflop.scripts import bench_coverage
from isoflop.scripts.bench_fit import PUBLISHED_STARTS, peers, simulated_rows, value_of


def rows() -> tuple[np.ndarray, ...]:
    frame = simulated_rows(60).fitted
    return tuple(frame[name].to_numpy(dtype=float) for name in ("n_params", "tokens", "loss"))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_objective_printed_is_the_one_minimised(objective: str) -> None:
    fit = fit_law(*rows(), objective=objective)
    law = fit.law
    found = value_of((law.E, law.A, law.B, law.alpha, law.beta), objective, rows())
    assert found == pytest.approx(fit.value, rel=1e-9)


def test_the_published_starts_are_hoffmanns_4500() -> None:
    assert len(PUBLISHED_STARTS) == len(set(PUBLISHED_STARTS)) == 4500


def test_a_peer_reaches_our_optimum_on_the_same_rows_and_none_goes_below() -> None:
    found, missing = peers(all_starts=False)
    assert all("pip install" in line for line in missing)
    scipy = next(peer for peer in found if peer.name.startswith("SciPy"))
    ours = fit_law(*rows()).value
    assert value_of(scipy.solve(*rows()), scipy.objective, rows()) == pytest.approx(ours, rel=1e-3)
    assert value_of(scipy.solve(*rows()), scipy.objective, rows()) >= ours * (1 - 1e-9)


def test_coverage_counts_intervals_that_hold_the_truth() -> None:
    true = bench_coverage.TRUTH.params_exponent
    found = [(true, true - 0.1, true + 0.1), (true, true + 0.1, true + 0.2), (float("nan"), None, None)]
    assert bench_coverage._summary(found)["covered"] == 0.5
    assert bench_coverage._summary(found)["no_interval"] == 1
    value, low, high = bench_coverage.one_sweep("isoflop", (0.002, 0.002), 0)
    assert low is not None
    assert high is not None
    assert low < value < high
    assert abs(value - true) < 0.02


def test_noise_is_as_asked_at_either_end() -> None:
    table = bench_coverage.simulated((0.001, 0.1), 3)
    frame = table.fitted
    error = np.abs(frame["loss"] - bench_coverage.TRUTH.loss(frame["n_params"], frame["tokens"]))
    first, last = frame["flops"] == frame["flops"].min(), frame["flops"] == frame["flops"].max()
    assert error[first].max() < 0.005 < error[last].max()


def test_a_missing_table_is_bad_input(command: Callable[..., Any]) -> None:
    done = command("bench", "fit", "nowhere.csv")
    assert done.status == 2
    assert "nowhere.csv" in done.err
