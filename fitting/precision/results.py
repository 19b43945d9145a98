"""What a simulation of a planned sweep says: frozen, method by method and budget by budget."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..diagnostics.warn import Warn
from ..jsonio import to_strict
from ..shown import Shown
from .noise import NoiseModel

_WILD = 5.0  # robust standard deviations from the median
_MAD = 1.4826  # times the median absolute deviation: the standard deviation of a normal


@dataclass(frozen=True, repr=False)
class Spread(Shown, says="analyses.spread"):
    """One number over the simulated sweeps, beside what it is on the prior.

    `se` is its standard deviation: the standard error to expect of a sweep. Draws over 5 robust standard deviations
    from the median (`n_wild` of them) count there and in `bias` as if they were so far off; `low` and `high` bound
    the central 95 % of all draws as they are. `se_error` and `bias_error` are the Monte Carlo standard errors.
    """

    truth: float
    mean: float
    se: float
    bias: float
    low: float
    high: float
    n: int
    n_wild: int
    se_error: float
    bias_error: float

    @classmethod
    def of(cls, draws: NDArray[np.float64], truth: float) -> Spread | None:
        """Of the finite `draws`; None with fewer than two."""
        sample = draws[np.isfinite(draws)]
        if len(sample) < 2:
            return None
        middle = float(np.median(sample))
        scale = _MAD * float(np.median(np.abs(sample - middle)))
        reach = _WILD * (scale or float(np.std(sample)))
        kept = np.clip(sample, middle - reach, middle + reach)
        mean, se = float(kept.mean()), float(kept.std(ddof=1))
        low, high = (float(end) for end in np.quantile(sample, [0.025, 0.975]))
        n = len(sample)
        wild = int(np.count_nonzero(np.abs(sample - middle) > reach))
        return cls(truth, mean, se, mean - truth, low, high, n, wild, se / np.sqrt(2 * (n - 1)), se / np.sqrt(n))


@dataclass(frozen=True)
class ExpectedInterval:
    """The interval of a that `fit` would report: its median half width over `n` simulated sweeps fitted with intervals.

    `share` of these had one; `covered` is the share of intervals that held a as it is on the prior.
    """

    half_width: float
    level: float
    share: float
    covered: float
    n: int


@dataclass(frozen=True)
class MethodPrecision:
    """What one estimator would make of the sweep. A `Spread` is None where too few simulations had an answer.

    `truth` of each spread is the prior's under the compute that the method speaks: C = 6 N D for "parametric" and
    "kaplan", the grid's own FLOPs for "isoflop" and "envelope". `log_n_params` and `log_tokens` are ln N* and ln D* at
    the target compute. `failures` counts the reasons why simulations had no answer.
    """

    method: str
    n_sims: int
    n_answered: int
    params_exponent: Spread | None
    tokens_exponent: Spread | None
    log_n_params: Spread | None
    log_tokens: Spread | None
    interval: ExpectedInterval | None
    failures: tuple[tuple[str, int], ...] = ()

    @property
    def answered(self) -> float:
        """The share of simulations with an answer."""
        return self.n_answered / self.n_sims


@dataclass(frozen=True)
class BudgetPrecision:
    """One budget under approach 2. Shares are of the simulations.

    `interior` had a minimum inside the sizes, `below` and `above` lacked one with the minimum beyond the smallest or
    largest size. `log_n_params` is ln N* where interior. `curvature_snr` is the median of the parabola's curvature
    over its standard error. `centre_offset` is the mean ln N of the runs less ln N* of the prior.
    """

    budget: float
    n_runs: int
    n_sizes: int
    interior: float
    below: float
    above: float
    log_n_params: Spread | None
    curvature_snr: float | None
    centre_offset: float


@dataclass(frozen=True, repr=False)
class Precision(Shown, says="analyses.precision"):
    """How precise a planned sweep will be, if the prior and the noise are right. `at_flops` is the target compute."""

    at_flops: float
    noise: NoiseModel
    methods: tuple[MethodPrecision, ...]
    budgets: tuple[BudgetPrecision, ...]  # empty without "isoflop"
    warnings: tuple[Warn, ...]
    seed: int

    def of(self, method: str) -> MethodPrecision | None:
        """That of `method`, None where it was not simulated."""
        return next((each for each in self.methods if each.method == method), None)

    def to_json(self) -> dict[str, Any]:
        """Strict JSON, NaN and infinities as None."""
        noise = to_strict(replace(self.noise, shape=None)) | {"text": self.noise.describe()}
        del noise["shape"]
        return to_strict(self) | {"noise": noise}
