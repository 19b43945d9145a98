"""What approach 2 says beside its lines: how minima were found, the noise, budgets at an edge, the grid's drift."""

from __future__ import annotations

from dataclasses import dataclass

from .laws import PowerLaw


@dataclass(frozen=True)
class MinimumChoice:
    """What `minimum="auto"` chose by: root mean square relative errors of losses left out near the minima."""

    parabola_error: float
    akima_error: float
    n_left_out: int  # sizes left out, one at a time, over all budgets


@dataclass(frozen=True)
class LossNoise:
    """The noise of the losses that weighs the minima and makes the intervals.

    `sigma` is that of one run, pooled over the budgets, in the unit of the loss; `freedom` its degrees of freedom;
    `source` "residuals", or "residuals and replicates" where runs of one size measure it too. `prior_freedom` says
    how far the budgets agree on it: each budget's own variance counts with its own degrees of freedom beside so many
    of the pool's (inf: all budgets share one noise). `between_cells`, in the same unit, is the standard deviation of
    what the runs of one size share beyond that, which more seeds do not average away; 0 where seeds explain all
    scatter, or are not there to tell: then `sigma` holds both.
    """

    sigma: float
    freedom: int
    source: str
    prior_freedom: float
    between_cells: float = 0.0


@dataclass(frozen=True)
class EdgeLines:
    """N*(C) and D*(C) through the vertices of all budgets that open upwards, also those beyond the sizes trained."""

    params_law: PowerLaw
    tokens_law: PowerLaw
    n_edges: int


@dataclass(frozen=True)
class CentreDrift:
    """Whether the grid's centre follows N*: the slope of the minima's `centre_offset` on ln C, unweighted.

    `first` and `last` are the centre over N* on that line at the least and the largest budget. `p_value` is of the
    two-sided t test of slope 0 with n - 2 degrees of freedom.
    """

    slope: float
    slope_se: float
    p_value: float
    first: float
    last: float
