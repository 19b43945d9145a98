"""A plan as the simulation of its precision takes it: what each run counts as N, D and C."""

from __future__ import annotations

import numpy as np

from ..fitting.errors import InputError
from ..fitting.precision.grid import PlannedGrid
from ..fitting.prediction.sources import N_PARAMS_OF_COLUMN
from .plan import Plan, RunPlan

N_PARAMS_COLUMNS = {convention: column for column, convention in N_PARAMS_OF_COLUMN.items()}


def params_column(plan: Plan, convention: str) -> str:
    """The count of N that a law of this `convention` speaks; the fit's own (`fit.n_params`) where the plan has none."""
    return N_PARAMS_COLUMNS.get(convention, plan.config.fit.n_params)


def n_params_of(cell: RunPlan, column: str) -> int:
    """N of `cell` by the name of a table's column."""
    return getattr(cell.counts.params, column)


def planned_grid(plan: Plan, column: str) -> PlannedGrid:
    """Every run of the plan, replicates too; N by `column`, C as `fit.flops` counts it, in FLOPs.

    Raises InputError for a count that the model does not have.
    """
    counted = plan.config.fit.flops
    cells: dict[tuple[float, object], int] = {}  # budget and shape: replicates share them
    return PlannedGrid(
        n_params=np.array([n_params_of(cell, column) for cell in plan.cells], dtype=float),
        tokens=np.array([cell.tokens for cell in plan.cells], dtype=float),
        flops=np.array([_flops(cell, counted) for cell in plan.cells]),
        budget=np.array([cell.budget for cell in plan.cells]),
        cells=np.array([cells.setdefault((cell.budget, cell.shape), len(cells)) for cell in plan.cells]),
    )


def _flops(cell: RunPlan, counted: str) -> float:
    known = cell.counts.flops_per_token
    if counted == "flops":
        return cell.flops
    if counted not in known:  # a factory's model
        raise InputError(f"fit.flops: the model has no count {counted!r}; there are {', '.join(known)}")
    return known[counted] * cell.tokens
