"""Noise models: stated, and measured from planted scatter."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from isoflop.fitting import InputError, RunTable
from isoflop.fitting.precision import NoiseModel, PlannedGrid
from isoflop.fitting.precision.noise import NoiseKind

from .sweeps import HOFFMANN, changed

BUDGETS = np.geomspace(1e15, 1e19, 5)


def replicated(seeds: int, seed: float = 0.0, cells: float = 0.0, relative: bool = True, sizes: int = 12) -> RunTable:
    """A sweep on Hoffmann's law with planted noise of runs and of cells, as shares of the loss or in nats."""
    grid, rng = PlannedGrid.centred(HOFFMANN, BUDGETS, sizes, 4.0, seeds), np.random.default_rng(1)
    true = HOFFMANN.loss(grid.n_params, grid.tokens)
    unit = true if relative else 1.0
    off = seed * rng.standard_normal(grid.n_runs) + cells * rng.standard_normal(grid.cells.max() + 1)[grid.cells]
    names = ("n_params", "tokens", "flops", "budget")
    return RunTable(pd.DataFrame({name: getattr(grid, name) for name in names} | {"loss": true + unit * off}))


def test_porians_default_rises_with_the_loss():
    """.002 nats up to a loss of 3, .05 from 7 on (arXiv:2406.19146); half-way in between, their geometric mean."""
    found = NoiseModel.porian().sigma([2.0, 3.0, 5.0, 7.0, 9.0])
    assert found == pytest.approx([0.002, 0.002, 0.01, 0.05, 0.05])


@pytest.mark.parametrize("relative", [True, False])
def test_seed_noise_is_measured_in_the_unit_it_has(relative):
    found = NoiseModel.measured(replicated(3, 0.004, relative=relative), "pilot")
    assert found.kind is (NoiseKind.RELATIVE if relative else NoiseKind.CONSTANT)
    assert found.freedom == 120
    assert found.size == pytest.approx(0.004, rel=0.2)  # three standard errors
    assert found.between_cells < 0.002
    assert "pilot: measured from 120 replicates" in found.describe()


def test_draws_have_the_tails_of_the_replicates():
    table = replicated(3, 0.004)
    spikes = np.where(np.arange(len(table)) % 30 == 0, 1.03, 1.0)
    found = NoiseModel.measured(changed(table, loss=table.frame["loss"] * spikes))
    drawn = found.draws(20_000, np.random.default_rng(0))
    assert np.std(drawn) == pytest.approx(1, rel=0.05)
    assert np.mean(np.abs(drawn) > 3) > 0.015  # of normal draws .003
    few = NoiseModel.measured(replicated(2, 0.004, sizes=3))
    assert few.freedom == 15
    assert few.shape is None


def test_what_cells_differ_by_is_told_from_seeds():
    found = NoiseModel.measured(replicated(3, 0.002, cells=0.006))
    assert found.size == pytest.approx(0.002, rel=0.2)
    assert found.between_cells == pytest.approx(0.006, rel=0.3)
    assert found.cell_variance(2.0, 3) == pytest.approx(4 * (found.size**2 / 3 + found.between_cells**2))


def test_a_learning_rate_search_is_no_seed_noise():
    table = replicated(2, 0.002)
    rates = np.tile([1e-3, 3e-3], len(table) // 2)
    loss = table.frame["loss"] * np.where(rates > 2e-3, 1.05, 1.0)
    with_rates = changed(table, learning_rate=rates, loss=loss)
    assert NoiseModel.measured(with_rates).size < 0.004
    assert NoiseModel.measured(changed(table, loss=loss)).size > 0.02


def test_without_replicates_the_residuals_stand_for_them():
    found = NoiseModel.measured(replicated(1, 0.003))
    assert found.size == pytest.approx(0.003, rel=0.35)
    assert found.between_cells == 0
    assert "residuals about each budget's curve" in found.describe()


def test_a_sweep_that_shows_no_noise_is_refused():
    with pytest.raises(InputError, match="pilot: no noise to measure: 0 replicates"):
        NoiseModel.measured(replicated(1, 0.003, sizes=3), "pilot")


def test_a_law_that_misfits_is_measured_beside_cells():
    """Budgets moved up and down: nothing to their own curves, all to one law."""
    table = replicated(3, 0.001)
    _, index = np.unique(table.frame["budget"], return_inverse=True)
    moved = changed(table, loss=table.frame["loss"] * np.where(index % 2 == 0, 1.01, 0.99))
    found = NoiseModel.measured(moved)
    assert found.between_cells < 0.002
    assert found.law_misfit == pytest.approx(0.01, rel=0.4)


@pytest.mark.parametrize("size", [0.0, -0.01, float("nan"), float("inf")])
def test_a_noise_must_be_positive_and_finite(size):
    for make in (NoiseModel.constant, NoiseModel.relative):
        with pytest.raises(InputError, match="must be positive and finite"):
            make(size)


def test_a_share_over_a_fifth_is_no_noise():
    with pytest.raises(InputError, match="over 20%"):
        NoiseModel.relative(0.3)
