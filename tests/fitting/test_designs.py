"""Designs of grids: their compute, and errors propagated without drawing noise beside simulated ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoflop.fitting.laws import ChinchillaLaw
from isoflop.fitting.precision import NoiseModel, PlannedGrid, simulate
from isoflop.fitting.precision.designs import Design, designs_within, expected_error, shifted

LAW = ChinchillaLaw(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28)


@given(st.floats(0.2, 5), st.floats(16, 24))
def test_a_shifted_law_has_its_optimum_moved_and_its_losses_kept(factor, decade):
    moved, flops = shifted(LAW, factor), 10.0**decade
    n, d = LAW.optimum(flops)
    assert moved.optimum(flops)[0] == pytest.approx(factor * n)
    assert moved.loss(*moved.optimum(flops)) == pytest.approx(LAW.loss(n, d))


def test_every_design_takes_the_compute_asked_for():
    found = list(designs_within(1e20, 1e17, 60))
    assert len(found) > 50
    for design in found:
        assert design.count * design.seeds * design.budgets.sum() == pytest.approx(1e20)
        assert design.budgets[0] >= 0.999e17
        assert design.n_runs <= 60
        np.testing.assert_allclose(np.diff(np.log(design.budgets)), np.log(design.factor))


@pytest.mark.parametrize("method", ["isoflop", "parametric"])
def test_propagated_errors_are_those_of_simulated_sweeps(method):
    noise, design = NoiseModel.constant(0.003), Design(6, 4.0, 9, 4.0, 1, 1e21)
    grid = PlannedGrid.centred(LAW, design.budgets, design.count, design.within, design.seeds)
    drawn = simulate(grid, LAW, noise, methods=(method,), at_flops=1e23, sims=120, intervals=False).methods[0]
    said = expected_error(design, LAW, noise, 1e23, 1.0, method)
    assert said is not None
    assert drawn.params_exponent is not None
    # log_huber's answer on normal noise spreads up to sqrt(pi / 2) times as far as least squares'.
    assert 0.75 < said.params_exponent / np.hypot(drawn.params_exponent.se, drawn.params_exponent.bias) < 1.3


def test_more_noise_and_a_doubtful_prior_are_told():
    design = Design(5, 3.0, 7, 3.0, 1, 1e21)
    errors = [
        expected_error(design, LAW, NoiseModel.constant(nats), 1e23, off)
        for nats, off in ((0.002, 1.0), (0.004, 1.0), (0.002, 2.0), (0.002, 3.5))
    ]
    sure, noisy, doubtful, lost = errors
    assert sure is not None
    assert noisy is not None
    assert doubtful is not None
    assert noisy.params_exponent == pytest.approx(2 * sure.params_exponent, rel=0.02)  # alone, bias does not double
    assert doubtful.log_n_params > sure.log_n_params
    assert lost is None  # N* lies beyond the sizes
