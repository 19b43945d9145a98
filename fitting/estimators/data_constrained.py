"""The data-constrained form (Muennighoff 2023, arXiv:2305.16264): how fast repeated tokens lose their worth.

Two numbers, R_D* and R_N*, and an objective with several minima and long flat valleys: it is mapped on a grid of both,
every local minimum is followed down, and the profiles are part of the answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arguments import check_fit
from ..errors import FitError, InputError
from ..law_results import DataConstrainedFit, RepeatMinimum
from ..laws import ChinchillaLaw, DataConstrainedLaw
from ..results import Estimate, FitStatus, Resampling
from ..runs import RunTable
from ..uncertainty import percentile_estimate
from .forms.descent import Array, Differenced, minimise, row_losses
from .forms.objectives import check_objective, compares_logs, delta_of, named_value
from .forms.resampling import Draws, run_draws, too_few
from .parametric.fit import fit_law

_MIN_FRESH = 6  # one more than the parameters of the law for fresh data
_LOW, _HIGH = 1e-2, 1e4  # of both: beyond these repeats are worthless at once, or as good as fresh data
_GRID = np.geomspace(_LOW, _HIGH, 61)
_WITHIN = 0.01  # a profile's range is where the objective exceeds the least by less than this part
_RESAMPLE_ITERATIONS = 20  # from a cell of the grid; in a flat valley the rest changes nothing
_FLAT = 4.0  # a range this many times wide determines nothing
_SAME = 0.01  # minima this close in ln R_D* and ln R_N* are one


def fit_data_constrained(
    table: RunTable,
    law: ChinchillaLaw | None = None,
    *,
    objective: str = "log_huber",
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> DataConstrainedFit:
    """Fit R_D* and R_N* of `DataConstrainedLaw` to runs with columns n_params, tokens, unique_tokens and loss.

    The law for fresh data is `law`, or that of `fit_law` on the runs whose tokens are all unique (6 or more are needed;
    with few of them its error is the larger one, and it takes all their parameters for useful: where many have more
    than their data are worth, give `law`). It is held fixed, in the resamples too: intervals are of R_D* and R_N* given
    that law. Both are searched from .01 to 10000. Objectives as for `fit_custom`; the authors' is log_huber.

    Raises InputError without a usable `unique_tokens` column or with a `law` that has no optimum, FitError without runs
    that repeat data or, where `law` is None, with fewer than 6 that do not.
    """
    check_fit(table, level, resamples)
    data = _Runs.of(table)
    base = _fresh_law(data, objective) if law is None else law
    if not np.isfinite(base.params_exponent):
        raise InputError("the law for fresh data lacks a power term (A, B, alpha, beta must be positive)")
    check_objective(objective, data.loss)
    problem = _Problem(data, base, objective)
    cells = problem.row_losses(_pairs())
    grid = cells.sum(axis=1).reshape(len(_GRID), len(_GRID))
    minima = problem.minima(grid)
    best = minima[0]
    profile_d, profile_n = (problem.profile(axis, grid, minima) for axis in (0, 1))
    draws = run_draws(table, resamples, seed, remark=", the law for fresh data held fixed")
    fitted = DataConstrainedLaw(base, best.R_D, best.R_N)
    range_d, range_n = _range(profile_d, best), _range(profile_n, best)
    parameters, resampling = problem.intervals(best, cells, draws, level)
    at_end = any(not _LOW * 1.01 < value < _HIGH / 1.01 for value in (best.R_D, best.R_N))
    status = FitStatus.BOUND_HIT if at_end else FitStatus.TOO_FEW if too_few(table) else FitStatus.CONVERGED
    return DataConstrainedFit(
        status=status,
        objective=objective,
        objective_value=best.objective_value,
        law=fitted,
        base_fitted=law is None,
        parameters=parameters,
        minima=minima,
        profile_R_D=profile_d,
        profile_R_N=profile_n,
        range_R_D=range_d,
        range_R_N=range_n,
        n_runs=len(data.loss),
        n_repeated=int(data.repeated.sum()),
        most_epochs=float((data.d / data.unique).max()),
        flat=range_d[0] is None or range_d[1] is None or range_d[1] > _FLAT * range_d[0],
        resampling=resampling,
    )


@dataclass(frozen=True)
class _Runs:
    n: Array
    d: Array
    unique: Array
    loss: Array

    @classmethod
    def of(cls, table: RunTable) -> _Runs:
        frame = table.fitted
        if "unique_tokens" not in frame:
            raise InputError("no column 'unique_tokens' in the table: name it with --columns unique_tokens=COL")
        n, d, unique, loss = (
            np.asarray(frame[name], dtype=float) for name in ("n_params", "tokens", "unique_tokens", "loss")
        )
        bad = np.flatnonzero(~(np.isfinite(unique) & (unique > 0)))
        if len(bad):
            run = frame["run"].iloc[int(bad[0])]
            raise InputError(f"unique_tokens is {unique[bad[0]]:g} for run {run!r}: it must be a positive count")
        runs = cls(n, d, np.minimum(unique, d), loss)
        if not runs.repeated.any():
            raise FitError("no run repeats its data (tokens above unique_tokens): R_D* cannot be seen here")
        return runs

    @property
    def repeated(self) -> np.ndarray:
        return self.d > self.unique * 1.001


def _fresh_law(data: _Runs, objective: str) -> ChinchillaLaw:
    fresh = ~data.repeated
    if fresh.sum() < _MIN_FRESH:
        raise FitError(
            f"{int(fresh.sum())} runs do not repeat their data: the law for fresh data needs {_MIN_FRESH}; give its law"
        )
    return fit_law(data.n[fresh], data.d[fresh], data.loss[fresh], objective=objective).law


@dataclass(frozen=True)
class _Problem:
    """The objective over theta = (ln R_D*, ln R_N*)."""

    data: _Runs
    base: ChinchillaLaw
    objective: str

    @property
    def in_logs(self) -> bool:
        return compares_logs(self.objective)

    @property
    def target(self) -> Array:
        return np.log(self.data.loss) if self.in_logs else self.data.loss

    @property
    def delta(self) -> float | None:
        return delta_of(self.objective)

    @property
    def form(self) -> Differenced:
        data = self.data
        matching = np.minimum(DataConstrainedLaw(self.base, 1.0, 1.0).matching_params(data.unique), data.n)
        surplus, repeats = data.n / matching - 1, data.d / data.unique - 1

        def value(theta: Array) -> Array:
            scale_d, scale_n = np.exp(theta[:, 0, None]), np.exp(theta[:, 1, None])
            n = matching * (1 - scale_n * np.expm1(-surplus / scale_n))
            d = data.unique * (1 - scale_d * np.expm1(-repeats / scale_d))
            loss = self.base.loss(n, d)
            return np.log(loss) if self.in_logs else loss

        return Differenced(value)

    def values(self, theta: Array) -> Array:
        """The objective as named at each theta, shape (m,)."""
        ones = np.ones(len(self.data.loss))
        return np.array([named_value(total, ones, self.objective) for total in self.row_losses(theta).sum(axis=1)])

    def row_losses(self, theta: Array) -> Array:
        """Each run's part of the objective at each theta, shape (m, n)."""
        residual = self.target - self.form.value(theta)
        return np.abs(residual) if self.objective == "log_lad" else row_losses(residual, self.delta)

    def descend(
        self, start: Array, weights: Array, fixed: tuple[int, Array] | None = None, max_iterations: int = 200
    ) -> Array:
        """Where each start (m, 2) ends; `fixed` holds one column at these values (m,)."""
        lower, upper = np.full(start.shape, np.log(_LOW)), np.full(start.shape, np.log(_HIGH))
        if fixed is not None:
            lower[:, fixed[0]] = upper[:, fixed[0]] = fixed[1]
        return minimise(
            self.form,
            self.target,
            start,
            weights,
            self.delta,
            lower=lower,
            upper=upper,
            max_iterations=max_iterations,
        ).theta

    def minima(self, grid: Array) -> tuple[RepeatMinimum, ...]:
        """Every local minimum that `grid`, the objective at (R_D, R_N), shows, followed down; lowest first."""
        size = len(_GRID)
        padded = np.pad(grid, 1, constant_values=np.inf)
        around = [padded[1 + i : 1 + i + size, 1 + j : 1 + j + size] for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]
        rows, columns = np.nonzero(grid <= np.min(around, axis=0))
        start = np.log(np.column_stack([_GRID[rows], _GRID[columns]]))
        theta = self.descend(start, np.ones(len(self.data.loss)))
        sums = self.values(theta)
        found: list[RepeatMinimum] = []
        for i in np.argsort(sums, kind="stable"):
            point = RepeatMinimum(float(np.exp(theta[i, 0])), float(np.exp(theta[i, 1])), float(sums[i]))
            if all(_distance(point, other) > _SAME for other in found):
                found.append(point)
        return tuple(found)

    def profile(self, axis: int, grid: Array, minima: tuple[RepeatMinimum, ...]) -> tuple[tuple[float, float], ...]:
        """The least objective over the other parameter at each grid value of this one, and at each minimum."""
        own = np.unique(np.concatenate([_GRID, [(m.R_D, m.R_N)[axis] for m in minima]]))
        best_other = np.log(_GRID)[np.argmin(grid, axis=1 - axis)]
        others = [np.interp(np.log(own), np.log(_GRID), best_other)]
        others += [np.full(len(own), np.log((m.R_N, m.R_D)[axis])) for m in minima]
        best = np.full(len(own), np.inf)
        for other in others:
            start = np.empty((len(own), 2))
            start[:, axis], start[:, 1 - axis] = np.log(own), other
            theta = self.descend(start, np.ones(len(self.data.loss)), fixed=(axis, np.log(own)))
            best = np.minimum(best, self.values(theta))
        return tuple(zip(own.tolist(), best.tolist(), strict=True))

    def intervals(
        self, best: RepeatMinimum, cells: Array, draws: Draws | None, level: float
    ) -> tuple[dict[str, Estimate], Resampling | None]:
        """Percentile intervals. `cells` are the row losses on the grid, (R_D R_N, n): each resample's lowest cell is
        followed down, so that it finds its own basin; none can fail."""
        values = {"R_D": best.R_D, "R_N": best.R_N}
        if draws is None:
            return {name: Estimate(value, level=level) for name, value in values.items()}, None
        lowest = np.argmin(cells @ draws.weights.T, axis=0)
        theta = self.descend(_pairs()[lowest], draws.weights, max_iterations=_RESAMPLE_ITERATIONS)
        sample, count = np.exp(theta), len(draws.weights)
        found = {
            name: percentile_estimate(value, sample[:, i], count, level)
            for i, (name, value) in enumerate(values.items())
        }
        return found, draws.record(count)


def _pairs() -> Array:
    """(ln R_D, ln R_N) of every cell of the grid, shape (cells, 2)."""
    return np.stack(np.meshgrid(np.log(_GRID), np.log(_GRID), indexing="ij"), axis=-1).reshape(-1, 2)


def _distance(one: RepeatMinimum, other: RepeatMinimum) -> float:
    return max(abs(np.log(one.R_D / other.R_D)), abs(np.log(one.R_N / other.R_N)))


def _range(profile: tuple[tuple[float, float], ...], best: RepeatMinimum) -> tuple[float | None, float | None]:
    """Between which values the profile is within 1 % of the least; None where the search's own end is."""
    logs, least = np.log(np.array([value for value, _ in profile])), np.array([value for _, value in profile])
    limit = best.objective_value * (1 + _WITHIN)
    inside = np.flatnonzero(least <= limit)
    ends: list[float | None] = []
    for last, beyond in ((int(inside[0]), int(inside[0]) - 1), (int(inside[-1]), int(inside[-1]) + 1)):
        if not 0 <= beyond < len(logs):
            ends.append(None)
            continue
        share = (limit - least[last]) / (least[beyond] - least[last])
        ends.append(float(np.exp(logs[last] + share * (logs[beyond] - logs[last]))))
    return ends[0], ends[1]
