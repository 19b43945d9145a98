"""How often the 95 % intervals contain the truth, over simulated sweeps whose law is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table

from isoflop.fitting import ChinchillaLaw, FitError, RunTable, fit_isoflop, fit_parametric
from isoflop.fitting.results import Estimate
from isoflop.scripts.output import show

TRUTH = ChinchillaLaw(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28)
BUDGETS = np.geomspace(1e18, 1e22, 5)
SIZES = 7
WITHIN = 4.0  # of N*, either way
# Standard deviation of the loss in nats: the same everywhere, or four times over the budgets, up and down.
NOISES = {
    ".002": (0.002, 0.002),
    ".01": (0.01, 0.01),
    ".02": (0.02, 0.02),
    ".005 to .02": (0.005, 0.02),
    ".02 to .005": (0.02, 0.005),
}
RESAMPLES = 1000


def _parametric(table: RunTable, seed: int, objective: str = "log_huber") -> Estimate:
    return fit_parametric(table, objective=objective, resamples=RESAMPLES, seed=seed).params_exponent


METHODS: dict[str, Callable[[RunTable, int], Estimate]] = {
    "parametric": _parametric,
    "parametric, huber": partial(_parametric, objective="huber"),
    "parametric, mse": partial(_parametric, objective="mse"),
    "isoflop": lambda table, seed: fit_isoflop(table, resamples=RESAMPLES, seed=seed).params_exponent,
    "isoflop, akima": lambda table, seed: (
        fit_isoflop(table, minimum="akima", resamples=RESAMPLES, seed=seed).params_exponent
    ),
}


def simulated(noise: tuple[float, float], seed: int) -> RunTable:
    """5 budgets of 7 sizes on the true surface, C = 6 N D; `noise` at the smallest and the largest budget."""
    rng = np.random.default_rng((1, seed))  # a stream apart from that of the resampling, which is seeded alike
    flops = np.repeat(BUDGETS, SIZES)
    spread = np.tile(np.geomspace(1 / WITHIN, WITHIN, SIZES), len(BUDGETS))
    n_params = np.asarray(TRUTH.optimum(flops)[0]) * spread
    tokens = flops / 6 / n_params
    scale = np.repeat(np.geomspace(*noise, len(BUDGETS)), SIZES)
    loss = TRUTH.loss(n_params, tokens) + scale * rng.standard_normal(len(flops))
    frame = {"n_params": n_params, "tokens": tokens, "loss": loss, "flops": flops, "budget": flops}
    return RunTable(pd.DataFrame(frame))


def one_sweep(method: str, noise: tuple[float, float], seed: int) -> tuple[float, float | None, float | None]:
    """The exponent a of one simulated sweep and its interval; NaN where the sweep has no fit."""
    try:
        estimate = METHODS[method](simulated(noise, seed), seed)
    except FitError:
        return float("nan"), None, None
    return estimate.value, estimate.low, estimate.high


def bench_coverage(sweeps: int, processes: int) -> list[dict[str, Any]]:
    """Coverage, width and spread for every method and noise; prints the table."""
    table = Table(
        title=f"95 % intervals of a (true {TRUTH.params_exponent:.4f}) over {sweeps} simulated sweeps",
        title_justify="left",
        box=None,
    )
    for header in ("method", "noise, nats", "covered", "median width", "spread of a", "bias", "no interval"):
        table.add_column(header, justify="left" if header in ("method", "noise, nats") else "right")
    rows = []
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for method in METHODS:
            for name, noise in NOISES.items():
                found = list(pool.map(partial(one_sweep, method, noise), range(sweeps), chunksize=10))
                rows.append({"method": method, "noise": name, **_summary(found)})
                table.add_row(method, name, *_cells(rows[-1]))
    show(table, f"the share itself is uncertain by {100 * np.sqrt(0.05 * 0.95 / sweeps):.1f} points (1 SE)")
    return rows


def _summary(found: Sequence[tuple[float, float | None, float | None]]) -> dict[str, float]:
    values = np.array([value for value, _, _ in found])
    ends = np.array([(low, high) for _, low, high in found if low is not None and high is not None])
    inside = (ends[:, 0] <= TRUTH.params_exponent) & (TRUTH.params_exponent <= ends[:, 1]) if len(ends) else []
    return {
        "covered": float(np.mean(inside)) if len(ends) else float("nan"),
        "median_width": float(np.median(ends[:, 1] - ends[:, 0])) if len(ends) else float("nan"),
        "spread": float(np.nanstd(values)),
        "bias": float(np.nanmean(values) - TRUTH.params_exponent),
        "no_interval": len(found) - len(ends),
    }


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"{100 * row['covered']:.1f} %",
        f"{row['median_width']:.4f}",
        f"{row['spread']:.4f}",
        f"{row['bias']:+.4f}",
        str(row["no_interval"]),
    )
