"""Whether the standard errors that `plan` predicts come true, on sweeps from other surfaces and noises than its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product
from multiprocessing import get_context
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.table import Table

from isoflop.fitting import ChinchillaLaw, FitError, RunTable
from isoflop.fitting.estimators.parametric import fit_law
from isoflop.fitting.laws import KaplanLaw
from isoflop.fitting.precision import NoiseModel, PlannedGrid, Spread, prior_surface, simulate
from isoflop.fitting.precision.grid import Surface
from isoflop.fitting.precision.methods import METHODS, SimulatedSweep
from isoflop.scripts.output import show

Array = NDArray[np.float64]

TRUTHS: dict[str, Surface] = {
    "hoffmann": ChinchillaLaw(E=1.6934, A=406.4, B=410.7, alpha=0.3392, beta=0.2849),
    "flat": ChinchillaLaw(E=1.83, A=184, B=979, alpha=0.33, beta=0.37),
    "kaplan": KaplanLaw(N_c=6.4e13, D_c=1.8e13, alpha_N=0.076, alpha_D=0.103),
}


def _normal(rng: np.random.Generator, loss: Array) -> Array:
    return 0.004 * loss * rng.standard_normal(len(loss))


def _student(rng: np.random.Generator, loss: Array) -> Array:
    return 0.01 * rng.standard_t(4, len(loss)) / np.sqrt(2)  # of variance 2


def _rising(rng: np.random.Generator, loss: Array) -> Array:
    return 0.01 * (loss / 3) ** 3 * rng.standard_normal(len(loss))


def _skewed(rng: np.random.Generator, loss: Array) -> Array:
    spikes = rng.lognormal(0, 0.8, len(loss))
    return 0.004 * loss * (spikes - np.exp(0.32)) / np.sqrt((np.exp(0.64) - 1) * np.exp(0.64))


NOISES: dict[str, Callable[[np.random.Generator, Array], Array]] = {
    "normal": _normal,
    "Student t": _student,
    "rising": _rising,
    "skewed": _skewed,
}
# Budgets, the factor of N* either way, and sizes.
GRIDS = {
    "5x7, x2": (np.geomspace(1e17, 1e21, 5), 2.0, 7),
    "5x7, x4": (np.geomspace(1e17, 1e21, 5), 4.0, 7),
    "5x9, x8": (np.geomspace(1e17, 1e21, 5), 8.0, 9),
    "8x7, x3": (np.geomspace(1e18, 1e20, 8), 3.0, 7),
}
USUAL_GRID = "5x7, x4"
# What the planner knows: a published law and the noise of a pilot; the pilot's own fit too; a whole sweep of the kind.
PRIORS = ("published", "pilot", "sweep")
COMPARED = ("isoflop", "parametric")
_PILOT = (3, 3)  # budgets from the smallest on, and seeds a cell
_SWEEP = (None, 2)


def drawn(grid: PlannedGrid, truth: Surface, noise: str, rng: np.random.Generator) -> Array:
    """The losses of one sweep on the true surface, shape (n_runs,)."""
    loss = np.asarray(truth.loss(grid.n_params, grid.tokens))
    return np.maximum(loss + NOISES[noise](rng, loss), 0.01 * loss)


def pilot_of(grid: PlannedGrid, truth: Surface, noise: str, seed: int, prior: str) -> RunTable:
    """The runs that the planner has seen: the smallest budgets of the grid with three seeds a cell, or all with two."""
    budgets, seeds = _SWEEP if prior == "sweep" else _PILOT
    kept = np.repeat(np.flatnonzero(np.isin(grid.budget, grid.budgets[:budgets])), seeds)
    names = ("n_params", "tokens", "flops", "budget")
    pilot = PlannedGrid(*(getattr(grid, name)[kept] for name in names), cells=grid.cells[kept])
    loss = drawn(pilot, truth, noise, np.random.default_rng((2, seed)))
    return RunTable(pd.DataFrame({name: getattr(pilot, name) for name in names} | {"loss": loss}))


def spread_of(
    grid: PlannedGrid, truth: Surface, noise: str, sweeps: int, seed: int, methods: Sequence[str]
) -> dict[str, Spread | None]:
    """How a scatters over simulated sweeps, by method."""
    sweep, rng = SimulatedSweep(grid), np.random.default_rng((3, seed))
    values: dict[str, list[float]] = {method: [] for method in methods}
    for _ in range(sweeps):
        loss = drawn(grid, truth, noise, rng)
        for method in methods:
            try:
                values[method].append(METHODS[method](sweep, loss, 0, 0, None).params_law.exponent)
            except FitError:
                continue
    return {method: Spread.of(np.array(found), truth.params_exponent) for method, found in values.items()}


def one_case(
    case: tuple[str, str, str, str], seed: int, sweeps: int, methods: Sequence[str] = COMPARED
) -> list[dict[str, Any]]:
    """Predicted and true standard error of a for one prior, grid, truth and noise; a row a method."""
    prior, grid_name, truth_name, noise_name = case
    budgets, within, n_sizes = GRIDS[grid_name]
    law, truth = prior_surface().scaling.surface, TRUTHS[truth_name]
    assert law is not None
    grid = PlannedGrid.centred(law, budgets, n_sizes, within)
    pilot = pilot_of(grid, truth, noise_name, seed, prior)
    if prior != "published":
        frame = pilot.fitted
        law = fit_law(frame["n_params"], frame["tokens"], frame["loss"]).law
        grid = PlannedGrid.centred(law, budgets, n_sizes, within)
    noise = NoiseModel.measured(pilot)
    planned = simulate(grid, law, noise, methods=methods, at_flops=1e22, sims=sweeps, seed=seed, intervals=False)
    true = spread_of(grid, truth, noise_name, sweeps, seed, methods)
    said = dict(zip(("prior", "grid", "truth", "noise"), case, strict=True)) | {"measured_noise": noise.describe()}
    return [
        said | {"method": method.method} | _compared(method.params_exponent, true[method.method], sweeps)
        for method in planned.methods
    ]


def _compared(expected: Spread | None, found: Spread | None, sweeps: int) -> dict[str, Any]:
    if expected is None or found is None:
        return {"ratio": None, "answered": 0 if found is None else found.n / sweeps}
    return {
        "ratio": expected.se / found.se,
        "answered": found.n / sweeps,
        "predicted_se": expected.se,
        "true_se": found.se,
        "predicted_bias": expected.bias,
        "true_bias": found.bias,
    }


def bench_precision(sweeps: int, processes: int) -> list[dict[str, Any]]:
    """Predicted over true standard error of a for every case; prints the table."""
    settings = [(USUAL_GRID, *pair) for pair in product(TRUTHS, NOISES)]
    settings += [(grid, truth, next(iter(NOISES))) for grid, truth in product(GRIDS, TRUTHS) if grid != USUAL_GRID]
    cases = [(prior, *setting) for setting in settings for prior in PRIORS]
    table = Table(
        title=f"SE of a predicted before training, over the spread of {sweeps} sweeps", title_justify="left", box=None
    )
    for header in ("grid", "truth", "noise", *(f"{method}, {prior}" for prior, method in product(PRIORS, COMPARED))):
        table.add_column(header, justify="left" if header in ("grid", "truth", "noise") else "right")
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        rows = [row for found in pool.map(partial(one_case, sweeps=sweeps), cases, range(len(cases))) for row in found]
    for setting in settings:
        ratios = [row["ratio"] for row in rows if (row["grid"], row["truth"], row["noise"]) == setting]
        table.add_row(*setting, *("-" if ratio is None else f"{ratio:.2f}" for ratio in ratios))
    show(
        table,
        "published: published:besiroglu, with the noise of a pilot of the 3 smallest budgets, 3 seeds a cell; pilot: "
        "the pilot's own fit too; sweep: fit and noise of an earlier sweep on this grid, 2 seeds a cell. Each line has "
        "its own pilot. Grids are budgets x sizes, within that factor of N*. Truths: Hoffmann's approach 3, a law that "
        "bends half as much as the prior, Kaplan's joint law. Noises: .4 % of the loss; .01 nats with 4 degrees of "
        "freedom; .01 nats at a loss of 3, as its cube; lognormal, .4 %. A spread is itself uncertain by "
        f"{100 / np.sqrt(2 * sweeps):.0f} % (1 SE).",
    )
    return rows
