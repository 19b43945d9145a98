"""Time our parametric fit beside other solvers: same process, same rows, median of several."""

from __future__ import annotations

import importlib
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table
from scipy.optimize import minimize

from isoflop.fitting import ChinchillaLaw, RunTable, fit_parametric
from isoflop.fitting.estimators.parametric import fit_law
from isoflop.fitting.estimators.parametric.objectives import OBJECTIVES
from isoflop.scripts.output import show

HUBER_DELTA = 1e-3
RESAMPLES = 4000
SOME_RESAMPLES = 3  # of a peer's: the time of all is that of these, scaled
SOME_STARTS = 45  # of the published 4500: likewise
# Hoffmann 2022, section 3.3: alpha, beta, ln E, ln A, ln B.
PUBLISHED_STARTS: tuple[tuple[float, ...], ...] = tuple(
    tuple(map(float, start))
    for start in itertools.product(
        np.arange(0, 2.1, 0.5),
        np.arange(0, 2.1, 0.5),
        np.arange(-1, 1.1, 0.5),
        np.arange(0, 26, 5),
        np.arange(0, 26, 5),
    )
)
HOFFMANN = ChinchillaLaw(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28)

Law = tuple[float, float, float, float, float]  # E, A, B, alpha, beta
Solver = Callable[[np.ndarray, np.ndarray, np.ndarray], Law]


@dataclass(frozen=True)
class Peer:
    """Another solver: what it minimises, and the share of its work that `solve` does (its time is divided by that)."""

    name: str
    objective: str
    solve: Solver
    share: float = 1.0


@dataclass(frozen=True)
class Timing:
    """Seconds of one whole fit (median), and the value its law has of the objective."""

    name: str
    objective: str
    seconds: float
    value: float
    share: float = 1.0
    times_ours: tuple[float, ...] = ()  # of a peer: its seconds over ours just before, turn by turn


def simulated_rows(count: int, seed: int = 0) -> RunTable:
    """`count` runs on Chinchilla's published surface, sizes within a factor 4 of N* at 10 budgets, 1 % noise."""
    rng = np.random.default_rng(seed)
    flops = np.geomspace(1e18, 1e22, 10)[np.arange(count) % 10]
    n_params = HOFFMANN.optimum(flops)[0] * np.exp(rng.uniform(-np.log(4), np.log(4), count))
    tokens = flops / 6 / n_params
    loss = HOFFMANN.loss(n_params, tokens) * np.exp(0.01 * rng.standard_normal(count))
    frame = {"n_params": n_params, "tokens": tokens, "loss": loss, "flops": flops, "budget": flops}
    return RunTable(pd.DataFrame(frame))


def bench_fit(table: RunTable, repeats: int, all_starts: bool) -> dict[str, Any]:
    """Ours beside every peer that can be imported: one fit, 4000 resamples, and how the time grows."""
    rows = tuple(table.fitted[name].to_numpy(dtype=float).copy() for name in ("n_params", "tokens", "loss"))
    found, missing = peers(all_starts)
    races = [_race(name, [peer for peer in found if peer.objective == name], rows, repeats) for name in OBJECTIVES]
    _show_fits(len(rows[0]), races)
    boot = _resampling(table, rows, found, repeats)
    growth = _growth(repeats)
    show(*missing)
    return {
        "n_runs": len(rows[0]),
        "fits": [vars(timing) for race in races for timing in race],
        "resampling": boot,
        "growth": growth,
        "missing": missing,
    }


def peers(all_starts: bool) -> tuple[list[Peer], list[str]]:
    """The solvers that are installed, and a line for each that is not."""
    starts = PUBLISHED_STARTS if all_starts else PUBLISHED_STARTS[:: len(PUBLISHED_STARTS) // SOME_STARTS]
    found = [Peer("SciPy L-BFGS, published starts", "log_huber", _lbfgs(starts), len(starts) / len(PUBLISHED_STARTS))]
    missing = []
    for module, add in (("vpnls.api", _vpnls_peers), ("chinchilla", _chinchilla_peers)):
        try:
            found += add(importlib.import_module(module), all_starts)
        except ImportError as error:
            missing.append(
                f"left out: {module.partition('.')[0]} cannot be imported ({error}); pip install it to see it"
            )
    return found, missing


def _vpnls_peers(api: Any, all_starts: bool) -> list[Peer]:
    def solver(method: str, loss: Any) -> Solver:
        def solve(n: np.ndarray, d: np.ndarray, observed: np.ndarray) -> Law:
            # In millions and billions, as its README has it.
            fit = api.fit_vpnls(n / 1e6, d / 1e9, observed, method=method, loss=loss)
            return fit.E, fit.A * 1e6**fit.alpha, fit.B * 1e9**fit.beta, fit.alpha, fit.beta

        return solve

    huber = api.huber(HUBER_DELTA)
    return [
        Peer(f"vpnls {method}", objective, solver(method, loss))
        for objective, loss in (("huber", huber), ("mse", None))
        for method in ("grid", "scipy")
    ]


def _chinchilla_peers(module: Any, all_starts: bool) -> list[Peer]:
    """Its README's grid of 5^5 starts, or 2^5 of them."""
    chosen = slice(None) if all_starts else slice(1, 4, 2)
    grid = {
        "E": np.linspace(1, 2, 5)[chosen],
        "a": np.linspace(1, 10, 5)[chosen],
        "b": np.linspace(1, 10, 5)[chosen],
        "alpha": np.linspace(0.1, 0.7, 5)[chosen],
        "beta": np.linspace(0.1, 0.7, 5)[chosen],
    }

    def loss(observed: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            residual = np.abs(np.log(observed) - np.log(predicted))
        return np.where(residual < HUBER_DELTA, residual**2 / 2, HUBER_DELTA * (residual - HUBER_DELTA / 2))

    def solve(n: np.ndarray, d: np.ndarray, observed: np.ndarray) -> Law:
        with tempfile.TemporaryDirectory() as folder:
            frame = pd.DataFrame({"C": 6 * n * d, "N": n, "D": d, "loss": observed})
            frame.to_csv(Path(folder) / "df.csv", index=False)
            fit = module.Chinchilla(folder, param_grid=grid, loss_fn=loss, log_level=50)
            fit.fit()
            return tuple(fit.params[name] for name in ("E", "A", "B", "alpha", "beta"))

    return [Peer("chinchilla, README's starts", "log_huber", solve, len(grid["E"]) ** 5 / 5**5)]


def _lbfgs(starts: Sequence[tuple[float, ...]]) -> Solver:
    """Plain L-BFGS on the sum of Huber residuals of ln L, by its gradient, from every start (Hoffmann 2022)."""

    def solve(n: np.ndarray, d: np.ndarray, observed: np.ndarray) -> Law:
        x, y, log_loss = np.log(n), np.log(d), np.log(observed)

        def objective(theta: np.ndarray) -> tuple[float, np.ndarray]:
            alpha, beta, e, a, b = theta
            logs = np.stack([a - alpha * x, b - beta * y, np.full_like(x, e)])
            top = logs.max(axis=0)
            parts = np.exp(logs - top)
            total = parts.sum(axis=0)
            residual = log_loss - top - np.log(total)
            inside = np.clip(residual, -HUBER_DELTA, HUBER_DELTA)
            pull = -inside * parts / total
            gradient = np.array([-pull[0] @ x, -pull[1] @ y, pull[2].sum(), pull[0].sum(), pull[1].sum()])
            return float(np.sum(inside * (residual - inside / 2))), gradient

        best = min((minimize(objective, start, jac=True, method="L-BFGS-B") for start in starts), key=lambda r: r.fun)
        alpha, beta, e, a, b = best.x
        return float(np.exp(e)), float(np.exp(a)), float(np.exp(b)), float(alpha), float(beta)

    return solve


def value_of(law: Law, objective: str, rows: Sequence[np.ndarray]) -> float:
    """The objective named, of a law given as E, A, B, alpha, beta."""
    n, d, observed = rows
    E, A, B, alpha, beta = law
    predicted = E + A * n**-alpha + B * d**-beta
    in_logs = objective.startswith("log_")
    size = np.abs(np.log(observed) - np.log(predicted)) if in_logs else np.abs(observed - predicted)
    inside = np.minimum(size, HUBER_DELTA)
    each = {"mse": size**2, "log_lad": size}.get(objective, inside * (size - inside / 2))
    return float(each.sum() if in_logs else each.mean())


def _seconds(work: Callable[[], Any], repeats: int) -> tuple[list[float], Any]:
    """The times of `work`, and what it last returned."""
    spent, result = [], None
    for _ in range(repeats):
        started = time.perf_counter()
        result = work()
        spent.append(time.perf_counter() - started)
    return spent, result


def _race(objective: str, found: Sequence[Peer], rows: Sequence[np.ndarray], repeats: int) -> list[Timing]:
    """Ours, then each peer; ours is timed before every run of a peer, for the machine drifts."""
    fit = fit_law(*rows, objective=objective)  # the first call also imports
    law = (fit.law.E, fit.law.A, fit.law.B, fit.law.alpha, fit.law.beta)
    own: list[float] = []
    spent: dict[str, list[float]] = {peer.name: [] for peer in found}
    ratios: dict[str, list[float]] = {peer.name: [] for peer in found}
    values = {}
    for turn in range(repeats):
        for peer in found:
            before, _ = _seconds(lambda: fit_law(*rows, objective=objective), 3)
            own += before
            if peer.share == 1 or turn == 0:
                (seconds,), theirs = _seconds(lambda p=peer: p.solve(*rows), 1)
                spent[peer.name].append(seconds / peer.share)
                ratios[peer.name].append(spent[peer.name][-1] / statistics.median(before))
                values[peer.name] = value_of(theirs, objective, rows)
    if not found:
        own, _ = _seconds(lambda: fit_law(*rows, objective=objective), repeats)
    ours = Timing("isoflop", objective, statistics.median(own), value_of(law, objective, rows))
    return [
        ours,
        *(
            Timing(
                peer.name,
                objective,
                statistics.median(spent[peer.name]),
                values[peer.name],
                peer.share,
                tuple(ratios[peer.name]),
            )
            for peer in found
        ),
    ]


def _show_fits(count: int, races: Sequence[Sequence[Timing]]) -> None:
    table = Table(title=f"One fit of {count} runs, from nothing", title_justify="left", box=None)
    for header in ("objective", "solver", "seconds", "times ours", "objective's value", "above ours"):
        table.add_column(header, justify="left" if header in ("objective", "solver") else "right")
    for own, *theirs in races:
        for timing in (own, *theirs):
            scaled = "" if timing.share == 1 else f" ({timing.share:.1%} run, scaled)"
            table.add_row(
                timing.objective,
                timing.name + scaled,
                f"{timing.seconds:.4f}",
                f"{timing.seconds / own.seconds:.1f}",
                f"{timing.value:.12g}",
                "" if timing is own else f"{timing.value / own.value - 1:+.1e}",
            )
    show(table)


def _resampling(
    table: RunTable, rows: Sequence[np.ndarray], found: Sequence[Peer], repeats: int
) -> dict[str, dict[str, list[float]]]:
    """Seconds of 4000 resamples with intervals by us; of as many fits by the others, scaled from a few."""
    out: dict[str, dict[str, list[float]]] = {}
    for objective in ("log_huber", "huber", "mse"):
        ours, _ = _seconds(lambda kind=objective: fit_parametric(table, objective=kind, resamples=RESAMPLES), repeats)
        seconds = statistics.median(ours)
        out[objective] = {"isoflop": ours}
        show(f"{RESAMPLES} resamples with intervals, {objective}: isoflop {seconds:.2f} s")
        rng = np.random.default_rng(0)
        for peer in found:
            if peer.objective != objective or peer.share < 1:
                continue
            draws = [rng.integers(0, len(rows[0]), len(rows[0])) for _ in range(SOME_RESAMPLES)]
            (spent,), _ = _seconds(lambda p=peer, d=draws: [p.solve(*(row[i] for row in rows)) for i in d], 1)
            theirs = spent * RESAMPLES / SOME_RESAMPLES
            out[objective][peer.name] = [theirs]
            show(f"  {peer.name}: {theirs:.0f} s (scaled from {SOME_RESAMPLES}), {theirs / seconds:.0f} times ours")
    return out


def _growth(repeats: int) -> dict[str, Any]:
    """How the time grows with rows and with resamples: the slope of ln seconds on ln size, 1 where linear."""

    def median(work: Callable[[], Any]) -> float:
        return statistics.median(_seconds(work, min(repeats, 3))[0])

    runs = [1_000, 10_000, 100_000]
    tables = [simulated_rows(count) for count in runs]
    by_rows = [median(lambda t=t: fit_parametric(t, resamples=0)) for t in tables]
    counts = [1000, 2000, 4000, 8000]
    small = simulated_rows(240)
    by_count = [median(lambda c=c: fit_parametric(small, resamples=c)) for c in counts]
    slopes = {
        "rows": float(np.polyfit(np.log(runs), np.log(by_rows), 1)[0]),
        "resamples": float(np.polyfit(np.log(counts), np.log(by_count), 1)[0]),
    }
    for what, sizes, spent in (("rows", runs, by_rows), ("resamples", counts, by_count)):
        listed = ", ".join(f"{size:,}: {seconds:.2f} s" for size, seconds in zip(sizes, spent, strict=True))
        show(f"by {what}: {listed}; slope {slopes[what]:.2f} (1 is linear)")
    return {"rows": dict(zip(runs, by_rows, strict=True)), "resamples": dict(zip(counts, by_count, strict=True))} | {
        "slopes": slopes
    }
