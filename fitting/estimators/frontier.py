"""The least loss that each amount of compute reached, as points (C, L)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import FitError, InputError
from ..results import MinimumStatus
from ..runs import RunTable
from .forms.descent import Array
from .isoflop.fit import fit_isoflop

MIN_POINTS = 3
MINIMA = "minima of the budgets (approach 2)"
PARETO = "runs that no cheaper run matches"


@dataclass(frozen=True)
class Frontier:
    """Points in rising order of compute: FLOPs and loss, shape (n,); the fitted runs they are, if they are runs."""

    flops: Array
    loss: Array
    rows: tuple[int, ...]
    source: str


def frontier(table: RunTable) -> Frontier:
    """The interior minima of approach 2 where at least 3 budgets have one, else the runs no cheaper run matches.

    A budget whose minimum lies at the edge of its sizes has no least loss to show and is left out.
    """
    try:
        minima = fit_isoflop(table, resamples=0).minima
    except (FitError, InputError):  # one budget, or no interior minimum: the runs themselves are left
        minima = ()
    shown = [(m.flops, m.loss) for m in minima if m.status is MinimumStatus.INTERIOR and m.loss is not None]
    if len(shown) >= MIN_POINTS:
        points = np.array(sorted(shown))
        return Frontier(points[:, 0], points[:, 1], (), MINIMA)
    flops, loss = (table.fitted[name].to_numpy(dtype=float) for name in ("flops", "loss"))
    order = np.lexsort((loss, flops))
    before = np.concatenate([[np.inf], np.minimum.accumulate(loss[order])[:-1]])
    rows = order[loss[order] < before]
    return Frontier(flops[rows], loss[rows], tuple(int(row) for row in rows), PARETO)
