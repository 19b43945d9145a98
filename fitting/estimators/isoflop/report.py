"""What is said of each budget's minimum and of what was done to the runs before it was sought."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...results import Minimum, MinimumStatus
from .budgets import CARRY_TOLERANCE, WIDEST_BUDGET, Grouping
from .minima import BudgetMinimum
from .noise import Noise

Array = NDArray[np.float64]


def reports_of(budgets: list[BudgetMinimum], noise: Noise | None, variance: Array | None) -> tuple[Minimum, ...]:
    """One `Minimum` a budget; `noise` and `variance` are those of the interior ones in their order."""
    place = 0
    reports: list[Minimum] = []
    for budget in budgets:
        sigma, error = None if noise is None else noise.pooled.sigma, None
        if budget.interior:
            sigma = None if noise is None else float(noise.sigma[place])
            error = None if variance is None else float(np.sqrt(variance[place]))
            place += 1
        reports.append(_report(budget, sigma, error))
    return tuple(reports)


def _report(budget: BudgetMinimum, sigma: float | None, error: float | None) -> Minimum:
    group, parabola = budget.group, budget.parabola
    return Minimum(
        group.budget,
        float(np.exp(group.log_flops)),
        group.n_runs,
        budget.status,
        log_n_params_se=error,
        n_sizes=group.n_sizes,
        n_replicates=group.n_replicates,
        n_window=0 if parabola is None else int(parabola.used.sum()),
        noise=None if parabola is None or sigma is None else sigma * float(np.sqrt(1 + parabola.between)),
        **_place(budget),
        **_bend(budget, sigma),
    )


def _place(budget: BudgetMinimum) -> dict[str, float]:
    """Where the minimum lies, or where the vertex of an edge would."""
    if budget.interior:
        found, prefix = budget.found, ""
    else:
        found, prefix = budget.vertex() if budget.status is MinimumStatus.EDGE else None, "extrapolated_"
    if found is None:
        return {}
    place = {
        f"{prefix}n_params": float(np.exp(found.x[0])),
        f"{prefix}tokens": float(np.exp(found.log_d[0])),
        f"{prefix}loss": float(found.loss[0]),
    }
    if budget.interior:
        group = budget.group
        place["centre_offset"] = float(group.log_n @ group.counts / group.counts.sum() - found.x[0])
    return place


def _bend(budget: BudgetMinimum, sigma: float | None) -> dict[str, float]:
    """The parabola's curvature, and over its standard error where noise shows."""
    parabola = budget.parabola
    if parabola is None:
        return {}
    bend = float(parabola.solver[2] @ budget.group.loss[parabola.used])
    if not sigma:
        return {"curvature": 2 * bend}
    return {"curvature": 2 * bend, "curvature_snr": bend / (sigma * float(np.sqrt(parabola.covariance[2, 2])))}


def notes_of(grouping: Grouping, unbudgeted: str, budget_tolerance: float) -> tuple[str, ...]:
    """What was assumed or done, in sentences; `unbudgeted` says why budgets were guessed, "" if they were not."""
    notes: list[str] = []
    groups = grouping.groups
    if unbudgeted:
        notes.append(f"{unbudgeted}: runs chained by FLOP gaps under {budget_tolerance:.0%} are one budget")
    wide = [group for group in groups if group.wide]
    if wide:
        listed = ", ".join(f"{group.n_runs} runs about {group.budget:.3g}" for group in wide[:4])
        notes.append(
            f"{len(wide)} of {len(groups)} chains span more than a factor {WIDEST_BUDGET:g} in FLOPs and are no budget "
            f"({listed}): name the budgets with --columns budget=COL or lower --budget-tolerance"
        )
    if grouping.carried:
        notes.append(
            f"runs of one budget differ by over {CARRY_TOLERANCE:.0%} in FLOPs: losses carried to the common C along "
            "the fitted slope dL/dlnC at fixed N"
        )
    replicates = sum(group.n_replicates for group in groups)
    if replicates and grouping.replicates != "all":
        notes.append(
            f"{replicates} runs share their size with another of their budget: its {grouping.replicates} counts"
        )
    return tuple(notes)


def planned_count_note(own_flops: float | None) -> str:
    """Why C is the planned budget, and what a would be in the runs' own FLOPs (None where that is unknown)."""
    also = "" if own_flops is None else f"; in their own count, with losses carried to it, a would be {own_flops:.3f}"
    return (
        "the runs' FLOPs are another count than the budgets' (a size has the same ratio in every budget): C is the "
        f"planned budget, under which the runs are isoFLOP{also}"
    )
