"""Minima beyond the sizes trained: what they would say, kept apart from the fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...errors import FitError
from ...isoflop_evidence import EdgeLines
from ...results import Minimum, MinimumStatus
from .lines import excess_variance, lines_through, power_laws
from .minima import BudgetMinimum
from .noise import noise_of
from .report import reports_of

_LARGEST_LOG = 700.0  # of a coefficient: beyond, a nearly flat curve's vertex lies nowhere


class NoInteriorMinimum(FitError):
    """Fewer than two budgets have a minimum inside their sizes; `with_edges` is what the vertices beyond would give.

    `minima` is what each budget's curve showed.
    """

    def __init__(self, message: str, with_edges: EdgeLines | None, minima: tuple[Minimum, ...]) -> None:
        super().__init__(message)
        self.with_edges = with_edges
        self.minima = minima


def no_interior_minimum(budgets: list[BudgetMinimum], window: float | None) -> NoInteriorMinimum:
    found = ", ".join(f"{budget.group.budget:.3g}: {budget.status}" for budget in budgets[:12])
    edges = edge_lines(budgets, window)
    would = "train smaller and larger sizes"
    if edges is not None:
        would += (
            f"; extrapolated beyond them, the vertices would give a = {edges.params_law.exponent:.3f}, "
            f"b = {edges.tokens_law.exponent:.3f}"
        )
    inside = sum(budget.interior for budget in budgets)
    return NoInteriorMinimum(
        f"{inside} of {len(budgets)} budgets have a minimum inside their sizes ({found}); two are needed: {would}",
        edges,
        reports_of(budgets, None, None),
    )


def edge_lines(budgets: list[BudgetMinimum], window: float | None) -> EdgeLines | None:
    """The lines through interior minima and the parabolas' vertices beyond the sizes, weighed as the others are."""
    found = [(budget, budget.found if budget.interior else budget.vertex()) for budget in budgets]
    open_up = [
        (budget, curve)
        for budget, curve in found
        if curve is not None and budget.status in (MinimumStatus.INTERIOR, MinimumStatus.EDGE)
    ]
    edges = sum(not budget.interior for budget, _ in open_up)
    if edges == 0 or len(open_up) < 2:
        return None
    log_flops = np.array([budget.group.log_flops for budget, _ in open_up])
    curves = [replace(curve, interior=np.ones(1, dtype=bool)) for _, curve in open_up]
    noise = None if window is None else noise_of([budget for budget, _ in open_up])
    variance = None
    if noise is not None and not noise.rounding:
        # Beside a spline's minimum the parabola's variance: the two weigh alike.
        shown = [budget.vertex() or curve for budget, curve in open_up]
        own = noise.sigma**2 * np.array([float(curve.variance[0]) for curve in shown])
        variance = own[None] + excess_variance(log_flops, np.array([curve.x[0] for curve in curves]), own)
    lines, _ = lines_through(log_flops, curves, variance)
    if not (np.abs(lines) < _LARGEST_LOG).all():
        return None
    return EdgeLines(*power_laws(lines), edges)
