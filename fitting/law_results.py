"""Frozen results of the rarer laws. Statuses, estimates and resampling are those of `results`."""

from __future__ import annotations

from dataclasses import dataclass

from .laws import DataConstrainedLaw, ErrorLaw, KaplanLaw, OvertrainingLaw, PowerLaw, SaturatingLaw
from .results import Estimate, FitStatus, Resampling
from .shown import Shown


@dataclass(frozen=True, repr=False)
class CustomFit(Shown, says="law_fits.custom"):
    """A user's own law: the optimum over the bounds given, and how surely it is the global one."""

    status: FitStatus
    objective: str
    objective_value: float
    target: str  # the column that the law predicts
    parameters: dict[str, Estimate]
    at_bound: tuple[str, ...]  # parameters on a bound: no interval there
    n_starts: int  # descents made
    n_agreeing: int  # of them, those that ended within 1e-6 of the lowest objective; few: the optimum may be missed
    condition_number: float  # of the scaled Gauss-Newton matrix over the parameters off their bounds
    n_runs: int
    resampling: Resampling | None = None

    @property
    def values(self) -> dict[str, float]:
        """The parameters alone: `form(*columns, **fit.values)` predicts."""
        return {name: estimate.value for name, estimate in self.parameters.items()}


@dataclass(frozen=True, repr=False)
class KaplanTrend(Shown, says="law_fits.kaplan_trend"):
    """One of Kaplan's power laws L = (x_c/x)^exponent in a single variable x.

    `shown` says whether the table has runs that show it by themselves. If not, L(N) and L(D) are the limits of the
    joint law, an extrapolation with the joint law's intervals, and `why` names what is missing.
    """

    law: PowerLaw  # L(x) = coefficient * x^exponent, exponent negative
    exponent: Estimate  # alpha_N, alpha_D or alpha_C, positive
    scale: Estimate  # N_c, D_c or C_c
    shown: bool
    n_points: int
    rows: tuple[int, ...]  # of the fitted runs, those that speak for it
    why: str


@dataclass(frozen=True, repr=False)
class KaplanFit(Shown, says="law_fits.kaplan"):
    """Kaplan's laws (arXiv:2001.08361): the joint L(N, D), and L(N), L(D), L(C) where the table shows them."""

    status: FitStatus
    objective: str
    objective_value: float  # of the joint law
    law: KaplanLaw
    params_exponent: Estimate  # of N*(C) at C = 6 N D under the joint law
    tokens_exponent: Estimate
    parameters: dict[str, Estimate]  # "N_c", "D_c", "alpha_N", "alpha_D"
    condition_number: float
    n_runs: int
    loss_of_params: KaplanTrend
    loss_of_tokens: KaplanTrend
    loss_of_flops: KaplanTrend | None  # None where fewer than three points lie on the frontier
    resampling: Resampling | None = None


@dataclass(frozen=True, repr=False)
class SaturatingFit(Shown, says="law_fits.saturating"):
    """L(C) = E + (C0/C)^gamma through the least losses of the budgets, by squared relative error.

    A free asymptote is over-optimistic: read `E` with its interval. `asymptote_profile` is (E, the sum of squares
    least over C0 and gamma, as a multiple of the least of all), for a figure.
    """

    status: FitStatus
    law: SaturatingLaw
    parameters: dict[str, Estimate]  # "E", "C0", "gamma"; no interval for an E that was given
    asymptote_fixed: bool
    points: tuple[tuple[float, float], ...]  # (FLOPs, loss) fitted
    source: str  # where the points come from
    relative_rms: float  # of the points about the law
    correlation: float | None  # of E and gamma, near 1 where the points cannot tell them apart
    asymptote_profile: tuple[tuple[float, float], ...]
    asymptote_share: float  # E over the least loss seen: how much of it the law says can never be removed


@dataclass(frozen=True)
class RepeatMinimum:
    """A local minimum of the data-constrained objective."""

    R_D: float
    R_N: float
    objective_value: float


@dataclass(frozen=True, repr=False)
class DataConstrainedFit(Shown, says="law_fits.data_constrained"):
    """R_D* and R_N* of the data-constrained form (arXiv:2305.16264), the law for fresh data held fixed.

    One number says little here: read `profile_R_D`, the least objective for each R_D*, and `range_R_D`, the values
    whose objective is within 1 % of the least (an end of None: no end was met).
    """

    status: FitStatus
    objective: str
    objective_value: float
    law: DataConstrainedLaw
    base_fitted: bool  # whether the law for fresh data was fitted here, to the runs without repeats
    parameters: dict[str, Estimate]  # "R_D", "R_N"
    minima: tuple[RepeatMinimum, ...]  # lowest first
    profile_R_D: tuple[tuple[float, float], ...]  # (R_D*, objective least over R_N*)
    profile_R_N: tuple[tuple[float, float], ...]
    range_R_D: tuple[float | None, float | None]
    range_R_N: tuple[float | None, float | None]
    n_runs: int
    n_repeated: int  # runs that saw data more than once
    most_epochs: float
    flat: bool  # R_D* is hardly determined: values over a factor 4 apart are within 1 %, or an end was not met
    resampling: Resampling | None = None


@dataclass(frozen=True, repr=False)
class OvertrainingFit(Shown, says="law_fits.overtraining"):
    """L(C, M) = E + (a M^eta + b M^-eta) C^-eta (arXiv:2403.08540)."""

    status: FitStatus
    objective: str
    objective_value: float
    law: OvertrainingLaw
    parameters: dict[str, Estimate]  # "E", "a", "b", "eta"
    n_runs: int
    tokens_per_param_range: tuple[float, float]
    n_agreeing: int
    n_starts: int
    resampling: Resampling | None = None


@dataclass(frozen=True, repr=False)
class ErrorFit(Shown, says="law_fits.error"):
    """Err(L) = epsilon - k exp(-gamma L) (arXiv:2403.08540)."""

    status: FitStatus
    objective: str
    objective_value: float
    law: ErrorLaw
    parameters: dict[str, Estimate]  # "epsilon", "k", "gamma"
    n_runs: int
    loss_range: tuple[float, float]
    resampling: Resampling | None = None
