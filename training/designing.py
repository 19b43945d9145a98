"""Designs of a grid as plans of this ladder, and the one that measures best by simulation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..fitting.errors import InputError
from ..fitting.laws import ChinchillaLaw, PowerLaw
from ..fitting.precision.designs import Design, designs_within, expected_error, shifted
from ..fitting.precision.noise import NoiseModel
from ..fitting.precision.results import Spread
from ..fitting.precision.simulate import simulate
from .config import SweepConfig
from .config.grid import Grid
from .corpus import CorpusInfo
from .plan import Plan
from .planned_grid import planned_grid
from .planning import make_plan

METHODS = ("isoflop", "parametric")
_CANDIDATES = 6  # simulated
_OF_A_KIND = 2  # candidates with the same budgets
_TRIED = 400  # designs that are planned before none is said to fit
_FEWER = 0.4  # of the simulations for each candidate; the best is simulated anew with all
_LEAST_SIMS = 20
_LEAST_SHARE = 5 * (1 + 1.5 + 1.5**2 + 1.5**3)  # of the least budget: what the smallest design takes


@dataclass(frozen=True)
class Search:
    """What is sought: the least error of a, or of ln N* at `at_flops`, by `method`, for `total` training FLOPs.

    `prior` speaks of N as the table column `n_params` counts it; `centre` is its N*(C) with C as the grid's budgets
    count it. `least_budget` in FLOPs. Raises InputError for an
    unknown method and for numbers out of bounds.
    """

    prior: ChinchillaLaw
    centre: PowerLaw
    n_params: str
    noise: NoiseModel
    total: float
    least_budget: float
    most_runs: int
    off: float  # how far the prior's N* may be wrong, as a factor
    method: str
    at_flops: float
    of_size: bool = False  # ln N*, not a
    sims: int = 150  # of the best grid, for each of three truths

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise InputError(f"--methods {self.method!r}: a design is for {' or '.join(METHODS)}")
        if not 1 <= self.off <= 10:
            raise InputError(f"--prior-off {self.off:g}: must be a factor from 1 (the prior is right) to 10")
        if self.least_budget * _LEAST_SHARE > self.total:
            raise InputError(
                f"--least-budget {self.least_budget:g}: 4 budgets of 5 sizes from there take over "
                f"{self.least_budget * _LEAST_SHARE:.3g} FLOPs, more than --compute {self.total:g}; lower it"
            )
        if self.most_runs < 20:
            raise InputError(f"--most-runs {self.most_runs}: must be 20 or more: 4 budgets of 5 sizes")


@dataclass(frozen=True)
class Judged:
    """A grid with its simulated root mean square errors, bias included, over the prior and the prior wrong either way.

    `answered` is the share of simulations with an answer.
    """

    plan: Plan
    design: Design | None  # None: the config's own grid
    params_exponent: float
    log_n_params: float
    answered: float

    def error(self, search: Search) -> float:
        """What is minimised; a grid that often has no answer is none."""
        found = self.log_n_params if search.of_size else self.params_exponent
        return found if self.answered >= 0.9 else float("inf")


def best_design(plan: Plan, search: Search) -> tuple[Judged, Judged, list[Judged]]:
    """The best grid found, the config's own, and all that were simulated, best first.

    Raises InputError where the compute, the ladder or the corpus allow none.
    """
    candidates, reason = _candidates(plan, search)
    if not candidates:
        raise InputError(
            f"--compute {search.total:g}: no design of 4 budgets or more, from {search.least_budget:g} FLOPs, fits "
            f"({reason}); raise --compute or --most-runs, lower --least-budget, or make the ladder finer"
        )
    judged = [
        _judged(each, design, search, max(_LEAST_SIMS, round(_FEWER * search.sims)), 1) for design, each in candidates
    ]
    judged.sort(key=lambda found: found.error(search))
    final = _judged(judged[0].plan, judged[0].design, search, search.sims, 2)  # anew: it was selected
    return final, _judged(plan, None, search, search.sims, 2), judged


def _candidates(plan: Plan, search: Search) -> tuple[list[tuple[Design, Plan]], str]:
    """The designs of least propagated error that this ladder and corpus can have, few of each kind.

    And why the best was not among them, or why there is none.
    """
    ranked = []
    for design in designs_within(search.total, search.least_budget, search.most_runs):
        error = expected_error(design, search.prior, search.noise, search.at_flops, search.off, search.method)
        if error is not None:
            ranked.append((error.log_n_params if search.of_size else error.params_exponent, design))
    ranked.sort(key=lambda found: found[0])
    kinds: dict[tuple[int, float], int] = {}
    found, reason = [], "the compute is too small for the runs, or N* lies beyond the sizes where the prior is wrong"
    for place, (_, design) in enumerate(ranked[:_TRIED]):
        kind = (design.n_budgets, design.factor)
        if kinds.get(kind, 0) == _OF_A_KIND:
            continue
        try:
            found.append((design, plan_of_design(design, search, plan.config, plan.corpus)))
        except InputError as error:  # the ladder is too coarse there, or the corpus too small: the next one
            reason = str(error).split(";")[0] if place == 0 else reason
            continue
        kinds[kind] = kinds.get(kind, 0) + 1
        if len(found) == _CANDIDATES:
            break
    return found, reason


def _judged(plan: Plan, design: Design | None, search: Search, sims: int, seed: int) -> Judged:
    grid, squares, answered = planned_grid(plan, search.n_params), [], []
    for place, factor in enumerate((1.0, search.off, 1 / search.off)):
        found = simulate(
            grid,
            shifted(search.prior, factor),
            search.noise,
            methods=(search.method,),
            at_flops=search.at_flops,
            sims=sims,
            seed=10 * seed + place,
            intervals=False,
        ).methods[0]
        squares.append([_square(found.params_exponent), _square(found.log_n_params)])
        answered.append(found.answered)
    exponent, size = np.sqrt(np.mean(squares, axis=0))
    return Judged(plan, design, float(exponent), float(size), float(np.min(answered)))


def _square(spread: Spread | None) -> float:
    return float("inf") if spread is None else spread.se**2 + spread.bias**2


def counted_centre(plan: Plan, prior: ChinchillaLaw, n_params: str) -> PowerLaw:
    """N*(C) of `prior` where C is counted as the plan's budgets are, N as the column `n_params`."""
    grid = planned_grid(plan, n_params)
    return replace(grid, flops=grid.budget).optimum(prior)[0]


def grid_keys(design: Design, search: Search) -> dict[str, Any]:
    """The keys of `grid` for `design`, its sizes centred on the prior's N*(C)."""
    centre = search.centre
    return {
        "budgets": [_rounded(budget) for budget in design.budgets],
        "sizes": {
            "count": design.count,
            "within": design.within,
            "prior": {
                "params_coefficient": _rounded(centre.coefficient, 6),  # its error grows with the exponent's
                "params_exponent": _rounded(centre.exponent, 6),
                "n_params": search.n_params,
            },
        },
        "seeds": design.seeds,
    }


def plan_of_design(design: Design, search: Search, config: SweepConfig, corpus: CorpusInfo) -> Plan:
    """The plan of `config` with the design's grid, its budgets scaled so that trunks and rounding take the total.

    Raises InputError where the ladder or the corpus cannot have it, as `make_plan` does.
    """
    plan = make_plan(_with_grid(config, grid_keys(design, search)), corpus)
    off = search.total / plan.own_flops
    if abs(off - 1) < 0.02:
        return plan
    scaled = replace(design, top=design.top * off)
    return make_plan(_with_grid(config, grid_keys(scaled, search)), corpus)


def _with_grid(config: SweepConfig, keys: dict[str, Any]) -> SweepConfig:
    return config.model_copy(update={"grid": Grid.model_validate({"flops": config.grid.flops, **keys})})


def _rounded(value: float, digits: int = 3) -> float:
    return float(f"{value:.{digits}g}")
