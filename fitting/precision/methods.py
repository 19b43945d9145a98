"""The real estimators on one simulated sweep, without resampling of their own but where an interval is asked for."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..curves import curves_of
from ..errors import FitError
from ..estimators.envelope.fit import fit_envelope
from ..estimators.isoflop.budgets import counted_otherwise
from ..estimators.isoflop.fit import WINDOW, fit_groups
from ..estimators.kaplan_law import fit_kaplan_law
from ..estimators.parametric.chinchilla import fit_law
from ..estimators.parametric.fit import fit_parametric
from ..laws import ChinchillaLaw, PowerLaw
from ..results import Estimate, Minimum
from ..runs import RunTable
from .grid import PlannedGrid

Array = NDArray[np.float64]

LEVEL = 0.95


@dataclass(frozen=True)
class Answer:
    """What one method made of one sweep: N*(C) and D*(C), with the interval of a where it was asked for and exists."""

    params_law: PowerLaw
    tokens_law: PowerLaw
    params_exponent: Estimate
    minima: tuple[Minimum, ...] = ()
    surface: ChinchillaLaw | None = None


class SimulatedSweep:
    """One grid with losses drawn anew, as each estimator wants it."""

    def __init__(self, grid: PlannedGrid) -> None:
        self.grid = grid
        columns = {name: getattr(grid, name) for name in ("n_params", "tokens", "flops", "budget")}
        self._table = RunTable(pd.DataFrame({**columns, "loss": 1.0}))

    @property
    def counted_otherwise(self) -> bool:
        """Whether approach 2 takes the planned budgets for C, for the runs' FLOPs are another count."""
        return counted_otherwise(self._table, self.grid.budget)

    def table(self, loss: Array) -> RunTable:
        """The runs with these losses, positive and finite. The other columns were checked once and are the same."""
        table = copy.copy(self._table)
        object.__setattr__(table, "frame", self._table.frame.assign(loss=loss))
        return table


def isoflop(sweep: SimulatedSweep, loss: Array, resamples: int, seed: int, law: ChinchillaLaw | None) -> Answer:
    """Approach 2 as `fit` runs it; losses are carried along `law` where the runs' FLOPs need it."""
    fit = fit_groups(
        sweep.table(loss),
        sweep.grid.budget,
        minimum="auto",
        window=WINDOW,
        resamples=resamples,
        seed=seed,
        level=LEVEL,
        law=law,
        common_flops="auto",
    )
    return Answer(fit.params_law, fit.tokens_law, fit.params_exponent, fit.minima)


def parametric(sweep: SimulatedSweep, loss: Array, resamples: int, seed: int, law: ChinchillaLaw | None) -> Answer:
    """Approach 3; `law` is not used."""
    if resamples > 0:
        fit = fit_parametric(sweep.table(loss), resamples=resamples, seed=seed, level=LEVEL)
        return _of_law(fit.law, fit.params_exponent)
    found = fit_law(sweep.grid.n_params, sweep.grid.tokens, loss).law
    return _of_law(found, Estimate(found.params_exponent))


def envelope(sweep: SimulatedSweep, loss: Array, resamples: int, seed: int, law: ChinchillaLaw | None) -> Answer:
    """Approach 1 from the ends of runs; `law` is not used."""
    fit = fit_envelope(curves_of(sweep.table(loss)), resamples=resamples, seed=seed, level=LEVEL)
    return Answer(fit.params_law, fit.tokens_law, fit.params_exponent)


def kaplan(sweep: SimulatedSweep, loss: Array, resamples: int, seed: int, law: ChinchillaLaw | None) -> Answer:
    """Kaplan's joint law, without an interval; the other arguments are not used."""
    found = fit_kaplan_law(sweep.grid.n_params, sweep.grid.tokens, loss).law
    return Answer(found.params_law(), found.tokens_law(), Estimate(found.params_exponent))


def _of_law(law: ChinchillaLaw, params_exponent: Estimate) -> Answer:
    if not np.isfinite(law.params_exponent):
        raise FitError("a power term of the parametric law is at 0: it has no optimum")
    return Answer(law.params_law(), law.tokens_law(), params_exponent, surface=law)


# In this order, so that approach 2 carries losses along the law of approach 3, as `fit` does.
METHODS: dict[str, Callable[[SimulatedSweep, Array, int, int, ChinchillaLaw | None], Answer]] = {
    "parametric": parametric,
    "isoflop": isoflop,
    "envelope": envelope,
    "kaplan": kaplan,
}
OF_ONE_LAW = ("parametric", "kaplan")  # methods that fit one law to all runs, at C = 6 N D
