"""What to fit and how, checked once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .arguments import check_interval
from .errors import InputError
from .estimators.isoflop import MINIMUM_METHODS, WINDOW
from .estimators.isoflop.budgets import BUDGET_TOLERANCE, COMMON_FLOPS
from .estimators.isoflop.replicates import REPLICATES, SIZE_TOLERANCE
from .estimators.parametric.objectives import OBJECTIVES

USUAL_METHODS = ("isoflop", "parametric", "envelope", "kaplan")
METHODS = (*USUAL_METHODS, "saturating", "data_constrained", "overtraining")
# The methods that each option is for: named methods without any of them would ignore it.
_SERVES = {
    "objective": ("parametric", "kaplan", "data_constrained", "overtraining"),
    "delta": ("parametric",),
    "tied": ("parametric",),
    "fixed_E": ("parametric", "saturating"),
    "weights": ("parametric",),
    "minimum": ("isoflop",),
    "window": ("isoflop",),
    "replicates": ("isoflop",),
    "size_tolerance": ("isoflop",),
    "common_flops": ("isoflop",),
    "sum_to_one": ("isoflop",),
    "hull": ("envelope",),
}


@dataclass(frozen=True)
class Options:
    """What to fit and how; the defaults are those of `fit`. Raises InputError for an unknown or impossible choice.

    `methods` None takes the usual four, each where the table can answer; named ones must answer. The others are
    those of the estimators: see `fit_isoflop` (minimum to sum_to_one), `fit_parametric` (objective to weights),
    `fit_envelope` (hull); the objective is that of every law in N and D, `fixed_E` also the saturating law's asymptote.
    """

    methods: tuple[str, ...] | None = None
    n_params: str = "n_params"
    flops: str = "flops"
    objective: str = "log_huber"
    delta: float | None = None
    tied: bool = False
    fixed_E: float | None = None
    weights: str | None = None
    minimum: str = "auto"
    window: float | None = WINDOW
    replicates: str = "auto"
    size_tolerance: float = SIZE_TOLERANCE
    budget_tolerance: float = BUDGET_TOLERANCE
    common_flops: str = "auto"
    sum_to_one: bool = False
    hull: bool = False
    resamples: int = 1000
    seed: int = 0
    level: float = 0.95
    keep_flagged: bool = False
    by_convention: bool = True  # fit the exponents under the table's other conventions too
    holdout: bool = True  # predict the largest budget from the others, where there are 5 or more

    def __post_init__(self) -> None:
        if self.methods is not None and not self.methods:
            raise InputError(f"--method is empty: choose from {', '.join(METHODS)}")
        for name, value, known in (
            *(("method", method, METHODS) for method in self.methods or ()),
            ("objective", self.objective, OBJECTIVES),
            ("minimum", self.minimum, MINIMUM_METHODS),
            ("replicates", self.replicates, REPLICATES),
            ("common-flops", self.common_flops, COMMON_FLOPS),
        ):
            if value not in known:
                raise InputError(f"--{name} {value!r} is unknown: choose {', '.join(known)}")
        check_interval(self.level, self.resamples)
        if self.window is not None and not 0 < self.window < np.inf:
            raise InputError(f"--window {self.window} must be a positive fraction of the loss, or none")
        if not 0 <= self.size_tolerance < 1:
            raise InputError(f"--size-tolerance {self.size_tolerance} must be at least 0 and below 1, as 0.01")
        if not 0 < self.budget_tolerance < 1:
            raise InputError(f"--budget-tolerance {self.budget_tolerance} must be above 0 and below 1, as 0.1")
        for name, methods in _SERVES.items():
            changed = getattr(self, name) != getattr(Options, name)
            if changed and not any(self.asks(method) for method in methods):
                option = name.lower().replace("_", "-")
                raise InputError(f"--{option} is for --method {' or '.join(methods)}, not for what --method names")

    def asks(self, method: str) -> bool:
        """Whether `method` is to be fitted: named, or none is and it is a usual one."""
        return method in (USUAL_METHODS if self.methods is None else self.methods)

    def resampling(self, most: int | None = None) -> dict[str, Any]:
        """The arguments of an interval, with at most `most` resamples."""
        count = self.resamples if most is None else min(self.resamples, most)
        return {"resamples": count, "seed": self.seed, "level": self.level}

    @property
    def for_isoflop(self) -> dict[str, Any]:
        """The arguments of `fit_groups` beside the table, its labels and the resampling."""
        names = ("minimum", "window", "replicates", "size_tolerance", "budget_tolerance", "common_flops", "sum_to_one")
        return {name: getattr(self, name) for name in names}

    @property
    def for_parametric(self) -> dict[str, Any]:
        """The arguments of `fit_parametric` beside the table and the resampling."""
        return {name: getattr(self, name) for name in ("objective", "delta", "tied", "fixed_E", "weights")}
