"""Approach 2: the size of least loss at each budget, and the power laws N*(C), D*(C) through those minima.

Hoffmann 2022 (arXiv:2203.15556), section 3.2. Differences from it, each for a reason: the parabola is fitted near
the minimum only, for the true curve is no parabola (arXiv:2603.22339); minima at an edge of the grid are refused;
every minimum weighs by its precision, scatter between budgets included; runs count with their own FLOPs; a + b is
reported, not forced to 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arguments import check_fit
from ...errors import FitError, InputError
from ...laws import ChinchillaLaw, PowerLaw
from ...results import Estimate, FitStatus, IsoflopFit, Resampling
from ...runs import RunTable
from ...uncertainty import MIN_BUDGETS, generator, percentile_estimate
from .budgets import BUDGET_TOLERANCE, COMMON_FLOPS, WIDEST_BUDGET, budget_labels, grouped
from .choice import chosen_minimum
from .edges import edge_lines, no_interior_minimum
from .lines import centre_drift, excess_variance, lines_through, power_laws
from .minima import BudgetMinimum, minimum_of, shifted
from .noise import Noise, between_cells, noise_of, noisy, variances_of
from .parabola import Curve
from .replicates import REPLICATES, SIZE_TOLERANCE
from .report import notes_of, planned_count_note, reports_of

Array = NDArray[np.float64]

MINIMUM_METHODS = ("auto", "parabola", "akima")
WINDOW = 0.10
_MIN_RESAMPLED = 3  # minima a resample must keep: one fewer than the table itself needs


def fit_isoflop(
    table: RunTable,
    *,
    minimum: str = "auto",
    window: float | None = WINDOW,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    budget_tolerance: float = BUDGET_TOLERANCE,
    size_tolerance: float = SIZE_TOLERANCE,
    replicates: str = "auto",
    common_flops: str = "auto",
    sum_to_one: bool = False,
) -> IsoflopFit:
    """N*(C) and D*(C) from the runs of `table`, grouped by `budget` or, without it, by clusters of FLOPs.

    `minimum` is "parabola" (loss in ln N over the runs whose loss is within `window` of the budget's least; None
    takes all runs and weighs every budget alike, the textbook form), "akima" (a spline of ln loss through all
    sizes) or "auto": whichever better predicts sizes left out near the minima (`choice`).
    `budget_tolerance` is the gap in ln C that parts guessed budgets, `size_tolerance` the width in ln N of one size,
    `replicates` ("auto", "all", "mean", "best") what stands for the runs of one size, `common_flops` ("auto",
    "runs", "budget") whose count C is: see `budgets.grouped`. `sum_to_one` forces a + b = 1 by a joint fit.

    Intervals at `level` are residual bootstraps: the parabolas' residuals, scaled by leverage and by each budget's
    own noise (shrunk to the pool's), are drawn anew onto the fitted curves and everything after the choice of the
    method and the window is repeated; what the minima scatter about their line beyond that is drawn onto them too.
    Where sizes scatter by more than their seeds explain, each size's runs share one draw of that beside their own.

    Raises InputError for an unknown choice, a `window` or tolerance out of bounds, or fewer than two budgets; FitError
    for fewer than two interior minima (`NoInteriorMinimum`), where losses cannot be carried to a common C, and where
    FLOPs chain without a gap, so that no budgets can be guessed. Fewer than 4 interior minima give numbers of status
    TOO_FEW without intervals.
    """
    check_fit(table, level, resamples)
    labels, guessed = budget_labels(table, budget_tolerance)
    return fit_groups(
        table,
        labels,
        minimum=minimum,
        window=window,
        resamples=resamples,
        seed=seed,
        level=level,
        guessed=guessed,
        budget_tolerance=budget_tolerance,
        size_tolerance=size_tolerance,
        replicates=replicates,
        common_flops=common_flops,
        sum_to_one=sum_to_one,
    )


def fit_groups(
    table: RunTable,
    labels: Array,
    *,
    minimum: str,
    window: float | None,
    resamples: int,
    seed: int,
    level: float,
    guessed: bool = False,
    law: ChinchillaLaw | None = None,
    budget_tolerance: float = BUDGET_TOLERANCE,
    size_tolerance: float = SIZE_TOLERANCE,
    replicates: str = "auto",
    common_flops: str = "runs",
    sum_to_one: bool = False,
) -> IsoflopFit:
    """`fit_isoflop` for budgets already known: `labels`, one a fitted run, and the table's parametric `law`."""
    _check(minimum, window, replicates, size_tolerance, common_flops)
    _check_budgets(table, labels, guessed)
    if common_flops == "auto" and table.counted_flops != "flops":
        common_flops = "runs"  # a count asked for by name is the one to speak, whatever the budgets were planned in
    grouping = grouped(
        table,
        labels,
        law,
        guessed=guessed,
        common_flops=common_flops,
        replicates=replicates,
        size_tolerance=size_tolerance,
    )
    method, choice = chosen_minimum(grouping.groups, window) if minimum == "auto" else (minimum, None)
    budgets = [minimum_of(group, method, window) for group in grouping.groups]
    used = [budget for budget in budgets if budget.interior]
    if len(used) < 2:
        raise no_interior_minimum(budgets, window)
    between = between_cells(used)
    budgets = [budget.sharing(between) for budget in budgets]
    used = [budget for budget in budgets if budget.interior]
    noise = noise_of(used)
    variance = variances_of(used, noise)
    line = _Line(used, variance, weighted=window is not None, sum_to_one=sum_to_one)
    few = len(used) < MIN_BUDGETS
    draws = None
    if resamples > 0 and not few and noise is not None:
        draws = line.resampled(noise, resamples, seed)
    notes = notes_of(grouping, table.unbudgeted if guessed else "", budget_tolerance)
    if common_flops == "auto" and grouping.common_flops == "budget":
        same = {"minimum": method, "window": window, "replicates": replicates, "size_tolerance": size_tolerance}
        notes = (*notes, planned_count_note(_own_flops_exponent(table, labels, law, same)))
    if resamples > 0 and not few and noise is None:
        notes = (*notes, "too few runs beyond each parabola's three to show their noise: no interval")
    params, tokens = line.laws
    minima = reports_of(budgets, noise, variance)
    return IsoflopFit(
        status=FitStatus.TOO_FEW if few else FitStatus.CONVERGED,
        minimum=method,
        window=window,
        minima=minima,
        params_law=params,
        tokens_law=tokens,
        params_exponent=_estimate(params, draws, 1, resamples, level),
        tokens_exponent=_estimate(tokens, draws, 3, resamples, level),
        resampling=None if draws is None or noise is None else _resampling(noise, draws, resamples, seed),
        resamples=draws,
        notes=notes,
        choice=choice,
        replicates=grouping.replicates,
        common_flops=grouping.common_flops,
        noise=None if noise is None else noise.pooled,
        scatter=float(np.sqrt(line.excess)),
        with_edges=edge_lines(budgets, window),
        centre_drift=centre_drift(minima),
        counted_n_params=table.counted_n_params,
        counted_flops=table.counted_flops,
    )


def _check(minimum: str, window: float | None, replicates: str, size_tolerance: float, common_flops: str) -> None:
    for name, value, known in (
        ("minimum", minimum, MINIMUM_METHODS),
        ("replicates", replicates, REPLICATES),
        ("common-flops", common_flops, COMMON_FLOPS),
    ):
        if value not in known:
            raise InputError(f"--{name} {value!r} is unknown: choose {', '.join(known[:-1])} or {known[-1]}")
    if window is not None and not 0 < window < np.inf:
        raise InputError(f"--window {window} must be a positive fraction of the loss, or none")
    if not 0 <= size_tolerance < 1:
        raise InputError(f"--size-tolerance {size_tolerance} must be at least 0 and less than 1, as 0.01")


def _check_budgets(table: RunTable, labels: Array, guessed: bool) -> None:
    if len(np.unique(labels)) > 1:
        return
    flops = table.fitted["flops"].to_numpy(dtype=float)
    if guessed and flops.max() > WIDEST_BUDGET * flops.min():
        raise FitError(
            f"the runs lie in no budgets: their FLOPs chain from {flops.min():.3g} to {flops.max():.3g} without a gap; "
            "name the budgets with --columns budget=COL, or use the other methods"
        )
    raise InputError(
        f"one budget only ({labels[0]:.3g} FLOPs): a line through minima needs at least 2 budgets, an interval "
        f"{MIN_BUDGETS}; add runs at other budgets or use --method parametric"
    )


class _Line:
    """The lines through interior minima whose ln N* have `variance` (n_used,), and their resamples.

    The textbook form, over all runs, is not `weighted`: far from the minimum the residuals are the parabola's misfit.
    """

    def __init__(self, used: list[BudgetMinimum], variance: Array | None, *, weighted: bool, sum_to_one: bool) -> None:
        self.used = used
        self.log_flops = np.array([budget.group.log_flops for budget in used])
        x = np.array([budget.found.x[0] for budget in used])
        self.excess = 0.0 if variance is None else excess_variance(self.log_flops, x, variance)
        self.variance = variance if weighted else None
        self.sum_to_one = sum_to_one

    @property
    def laws(self) -> tuple[PowerLaw, PowerLaw]:
        """N*(C) and D*(C)."""
        variance = None if self.variance is None else self.variance[None] + self.excess
        curves = [budget.found for budget in self.used]
        lines, _ = lines_through(self.log_flops, curves, variance, sum_to_one=self.sum_to_one)
        return power_laws(lines)

    def resampled(self, noise: Noise, count: int, seed: int) -> Array:
        """Lines of the resamples that kept enough minima inside their sizes, shape (n_successful, 4)."""
        rng = generator(seed)
        freedom = len(self.used) - 2
        # One factor a resample makes the exponent's error Student's: the excess too is estimated, from few budgets.
        wide = np.sqrt(self.excess * freedom / rng.chisquare(freedom, size=count))
        curves: list[Curve] = []
        variances: list[Array] = []
        for i, budget in enumerate(self.used):
            curve, shown = noisy(budget, noise, i, count, rng)
            if self.variance is not None:
                unit = curve.variance if budget.method == "parabola" else self.variance[i] / noise.sigma[i] ** 2
                variances.append(shown * unit + self.excess)
            curves.append(shifted(curve, budget.shape, wide * rng.standard_normal(count)))
        variance = np.stack(variances, axis=1) if variances else None
        lines, minima = lines_through(self.log_flops, curves, variance, sum_to_one=self.sum_to_one)
        return lines[(minima >= _MIN_RESAMPLED) & np.isfinite(lines).all(axis=1)]


def _resampling(noise: Noise, draws: Array, resamples: int, seed: int) -> Resampling:
    shared = "pooled over budgets" if noise.shared else "each budget's shrunk to the pool"
    drawn = "residuals of sizes and of their runs" if noise.pooled.between_cells else "residuals"
    return Resampling(f"{drawn}, {shared}, scaled by leverage", resamples, resamples - len(draws), seed)


def _estimate(law: PowerLaw, draws: Array | None, column: int, resamples: int, level: float) -> Estimate:
    if draws is None:
        return Estimate(law.exponent, level=level)
    return percentile_estimate(law.exponent, draws[:, column], resamples, level)


def _own_flops_exponent(
    table: RunTable, labels: Array, law: ChinchillaLaw | None, same: dict[str, Any]
) -> float | None:
    """a in the runs' own FLOPs where C is the planned budget; None where losses cannot be carried to it."""
    try:
        return fit_groups(table, labels, law=law, resamples=0, seed=0, level=0.95, **same).params_exponent.value
    except FitError:
        return None
