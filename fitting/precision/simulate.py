"""How precise a planned sweep will be: losses drawn on a prior law, fitted by the estimators that will fit the sweep.

Nothing here is a formula for a standard error. What a grid's width, its windows, lost minima, the noise of small
budgets and the shape of the law do to an exponent is what they do to the estimators' answers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import FitError, InputError
from ..laws import PowerLaw
from ..prediction import Predictor
from ..results import Minimum, MinimumStatus
from ..uncertainty import generator
from .grid import PlannedGrid, Surface
from .methods import LEVEL, METHODS, OF_ONE_LAW, Answer, SimulatedSweep
from .noise import NoiseModel
from .results import BudgetPrecision, ExpectedInterval, MethodPrecision, Precision, Spread
from .warnings import warnings_of

Array = NDArray[np.float64]

SIMS = 200
_FEWER = 60  # simulations of the slower methods that are asked less often
_SLOWER = ("envelope", "kaplan")
_RESAMPLES = 200  # for an interval
_INTERVALS = {"isoflop": SIMS, "parametric": 20}  # simulated sweeps fitted with one, as many as are cheap
_LEAST_LOSS = 0.01  # of the law's loss: a draw below it is there


@dataclass
class _Gathered:
    """What one method made of every sweep; a row of `draws` is a, b, ln N*, ln D* or NaN."""

    draws: list[tuple[float, ...]] = field(default_factory=list[tuple[float, ...]])
    intervals: list[tuple[float, float] | None] = field(default_factory=list[tuple[float, float] | None])
    minima: list[tuple[Minimum, ...]] = field(default_factory=list[tuple[Minimum, ...]])
    failures: Counter[str] = field(default_factory=Counter[str])


def simulate(
    grid: PlannedGrid,
    prior: Surface | Predictor,
    noise: NoiseModel,
    *,
    methods: Sequence[str] = ("isoflop", "parametric", "envelope", "kaplan"),
    at_flops: float,
    sims: int = SIMS,
    seed: int = 0,
    intervals: bool = True,
) -> Precision:
    """Expected standard error and bias of each method on `grid`, over `sims` sweeps drawn on `prior` with `noise`.

    `prior` is a law or a predictor with one; a predictor's ranges are held against the grid's. `at_flops` is the
    compute of N* and D*, counted as each method counts it. Envelope and Kaplan's law are simulated 60 times at most.
    With `intervals` the interval that `fit` would report is made too, with 200 resamples, on every simulation of
    approach 2 and 20 of approach 3. One draw of a run's seed noise a run, one of `between_cells` a cell, and for
    methods of one law one of `law_misfit` a cell. The same seed gives the same numbers.

    Raises InputError for an unknown method, `sims` below 20, an `at_flops` that is no compute, a prior without L(N, D)
    or without an optimum, and a noise that would drown the losses.
    """
    _check(methods, at_flops, sims)
    law = prior.scaling.surface if isinstance(prior, Predictor) else prior
    if law is None:
        raise InputError(f"{getattr(prior, 'name', 'the prior')}: gives no L(N, D) to simulate on; give another prior")
    sweep, asked = SimulatedSweep(grid), [name for name in METHODS if name in methods]
    truths = _truths(grid, sweep, law)
    gathered = {name: _Gathered() for name in asked}
    for place, (loss, off_law) in enumerate(_losses(grid, law, noise, sims, seed)):
        surface = None
        for name in asked:
            if place >= _sims_of(name, sims):
                continue
            resamples = _RESAMPLES if intervals and place < _INTERVALS.get(name, 0) else 0
            try:
                answer = METHODS[name](sweep, off_law if name in OF_ONE_LAW else loss, resamples, place, surface)
            except (FitError, InputError) as error:  # its options are ours: either way the grid has no answer
                _failed(gathered[name], error)
                continue
            surface = answer.surface or surface
            _take(gathered[name], answer, at_flops, resamples > 0)
    found = tuple(_method(name, gathered[name], truths[name], at_flops) for name in methods)
    budgets = _budgets(grid, truths["isoflop"][0], gathered["isoflop"]) if "isoflop" in gathered else ()
    precision = Precision(at_flops, noise, found, budgets, (), seed)
    ranges = prior if isinstance(prior, Predictor) else None
    return replace(precision, warnings=warnings_of(precision, grid, law, ranges))


def _check(methods: Sequence[str], at_flops: float, sims: int) -> None:
    unknown = [name for name in methods if name not in METHODS]
    if unknown or not methods:
        raise InputError(f"--methods {','.join(unknown)!r} is unknown: choose from {', '.join(METHODS)}")
    if sims < 20:
        raise InputError(f"--sims {sims} must be 20 or more: fewer show no spread")
    if not (np.isfinite(at_flops) and at_flops > 0):
        raise InputError(f"--at-flops {at_flops:g} must be positive and finite training FLOPs, as 1e21")


def _truths(grid: PlannedGrid, sweep: SimulatedSweep, law: Surface) -> dict[str, tuple[PowerLaw, PowerLaw]]:
    """N*(C) and D*(C) of the law under the compute that each method speaks."""
    of_law, counted = (law.params_law(), law.tokens_law()), grid.optimum(law)
    planned = replace(grid, flops=grid.budget).optimum(law) if sweep.counted_otherwise else counted
    return {"parametric": of_law, "kaplan": of_law, "isoflop": planned, "envelope": counted}


def _sims_of(method: str, sims: int) -> int:
    return min(sims, _FEWER) if method in _SLOWER else sims


def _losses(grid: PlannedGrid, law: Surface, noise: NoiseModel, sims: int, seed: int) -> Iterator[tuple[Array, Array]]:
    """The losses of each sweep, shape (n_runs,), and the same with the misfit of one law added."""
    true = law.loss(grid.n_params, grid.tokens)
    if not np.isfinite(true).all():
        raise InputError("the prior's loss is not finite on this grid; give a prior that suits it")
    noise.check(true)
    rng, (_, cell) = generator(seed), np.unique(grid.cells, return_inverse=True)
    sigma, between, misfit = noise.sigma(true), noise.between(true), noise.misfit(true)
    for _ in range(sims):
        run = noise.draws(grid.n_runs, rng)
        shared, off = rng.standard_normal((2, cell.max() + 1))[:, cell]
        loss = true + sigma * run + between * shared
        yield np.maximum(loss, _LEAST_LOSS * true), np.maximum(loss + misfit * off, _LEAST_LOSS * true)


def _failed(into: _Gathered, error: Exception) -> None:
    into.draws.append((np.nan,) * 4)
    into.minima.append(getattr(error, "minima", ()))
    into.failures[re.split("[(:;]", str(error), maxsplit=1)[0].strip()] += 1


def _take(into: _Gathered, answer: Answer, at_flops: float, asked: bool) -> None:
    params, tokens = answer.params_law, answer.tokens_law
    log_c = np.log(at_flops)
    laws = [np.log(each.coefficient) + each.exponent * log_c for each in (params, tokens)]
    into.draws.append((params.exponent, tokens.exponent, *map(float, laws)))
    into.minima.append(answer.minima)
    if asked:
        low, high = answer.params_exponent.low, answer.params_exponent.high
        into.intervals.append(None if low is None or high is None else (low, high))


def _method(name: str, found: _Gathered, truth: tuple[PowerLaw, PowerLaw], at_flops: float) -> MethodPrecision:
    draws = np.array(found.draws)
    truths = [law.exponent for law in truth] + [float(np.log(law(at_flops))) for law in truth]
    spreads = [Spread.of(column, value) for column, value in zip(draws.T, truths, strict=True)]
    return MethodPrecision(
        name,
        len(draws),
        int(np.isfinite(draws).all(axis=1).sum()),
        *spreads,
        interval=_interval(found.intervals, truths[0]),
        failures=tuple(found.failures.most_common()),
    )


def _interval(found: list[tuple[float, float] | None], truth: float) -> ExpectedInterval | None:
    known = np.array([each for each in found if each is not None])
    if not len(known):
        return None
    width, inside = known[:, 1] - known[:, 0], (known[:, 0] <= truth) & (truth <= known[:, 1])
    share = len(known) / len(found)
    return ExpectedInterval(float(np.median(width)) / 2, LEVEL, share, float(inside.mean()), len(found))


def _budgets(grid: PlannedGrid, optimum: PowerLaw, found: _Gathered) -> tuple[BudgetPrecision, ...]:
    log_n = np.log(optimum(np.exp(grid.log_flops)))
    by_budget: dict[float, list[Minimum]] = {budget: [] for budget in grid.budgets}
    for minima in found.minima:
        for minimum in minima:
            by_budget[minimum.budget].append(minimum)
    return tuple(_budget(grid, place, minima, float(log_n[place])) for place, minima in enumerate(by_budget.values()))


def _budget(grid: PlannedGrid, place: int, minima: list[Minimum], truth: float) -> BudgetPrecision:
    centre = float(grid.centres[place])
    log_n = np.log([minimum.n_params for minimum in minima if minimum.n_params is not None])
    edges = [minimum for minimum in minima if minimum.status is not MinimumStatus.INTERIOR]
    beyond = np.log([minimum.extrapolated_n_params or np.nan for minimum in edges])
    bends = [minimum.curvature_snr for minimum in minima if minimum.curvature_snr is not None]
    n = max(len(minima), 1)
    return BudgetPrecision(
        budget=float(grid.budgets[place]),
        n_runs=int(np.count_nonzero(grid.budget == grid.budgets[place])),
        n_sizes=len(grid.sizes[place]),
        interior=len(log_n) / n,
        below=float(np.count_nonzero(beyond < centre)) / n,
        above=float(np.count_nonzero(beyond > centre)) / n,
        log_n_params=Spread.of(log_n, truth),
        curvature_snr=float(np.median(bends)) if bends else None,
        centre_offset=centre - truth,
    )
