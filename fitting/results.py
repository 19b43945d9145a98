"""Frozen results of fits. A doubtful number carries a status; where no number exists there is a `FitError`."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .isoflop_evidence import CentreDrift, EdgeLines, LossNoise, MinimumChoice
from .laws import Band, ChinchillaLaw, PowerLaw, power_band
from .shown import Shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .curves import CurveTable
    from .runs import RunTable


class FitStatus(StrEnum):
    """How far a fit may be trusted."""

    CONVERGED = "converged"
    MAX_ITER = "max_iter"  # the optimiser stopped before its tolerance
    BOUND_HIT = "bound_hit"  # the optimum lies on a bound (E, A or B at 0): no interval for what is on it
    TOO_FEW = "too_few"  # a number exists, but fewer than MIN_BUDGETS budgets: no interval


class MinimumStatus(StrEnum):
    """What a budget's curve showed. Only `INTERIOR` minima enter the line through the minima."""

    INTERIOR = "interior"
    EDGE = "edge"  # at or beyond the smallest or largest size trained
    CONCAVE = "concave"  # the curve opens downwards
    TOO_FEW = "too_few"  # fewer sizes than the method needs
    WIDE = "wide"  # a budget guessed from FLOPs that chain over more than a factor of 2: not one compute


@dataclass(frozen=True, repr=False)
class Estimate(Shown, says="laws.estimate"):
    """A number with its interval; `low` and `high` are None where no honest interval exists."""

    value: float
    low: float | None = None
    high: float | None = None
    level: float = 0.95


@dataclass(frozen=True)
class Resampling:
    """How the intervals of one fit were made: so many resamples asked for, so many failed, by this method.

    `freedom` is of bias-corrected intervals (`uncertainty.bias_corrected_estimate`); None where they are percentiles.
    """

    method: str
    n_resamples: int
    n_failed: int
    seed: int
    freedom: int | None = None


@dataclass(frozen=True, repr=False)
class Minimum(Shown, says="fits.minimum"):
    """The loss-minimising size of one budget.

    Parameters and tokens are counts, flops are training FLOPs (the group's common C), loss is nats per token.
    `n_params`, `tokens`, `loss`, `log_n_params_se` and `centre_offset` are None where there is no interior minimum,
    the standard error also where the runs show no noise. The fields `extrapolated_` hold the vertex of the parabola
    of an EDGE budget: beyond what was trained, and not in the line. `curvature` and its signal-to-noise ratio are
    the parabola's, whichever method found the minimum.
    """

    budget: float
    flops: float
    n_runs: int
    status: MinimumStatus
    n_params: float | None = None
    tokens: float | None = None
    loss: float | None = None
    log_n_params_se: float | None = None  # of ln(n_params)
    n_sizes: int = 0  # distinct sizes; runs within the size tolerance are one
    n_replicates: int = 0  # runs beyond the first of their size
    n_window: int = 0  # runs that shape the parabola
    noise: float | None = None  # standard deviation of one run's loss in this budget
    curvature: float | None = None  # d2 loss / d(ln N)2
    curvature_snr: float | None = None  # the curvature over its standard error
    centre_offset: float | None = None  # mean ln N of the runs less ln N*
    extrapolated_n_params: float | None = None
    extrapolated_tokens: float | None = None
    extrapolated_loss: float | None = None


class _Lines:
    """N*(C) and D*(C) with their resamples."""

    resamples: NDArray[np.float64] | None

    def params_band(self, flops: ArrayLike, level: float = 0.95) -> Band | None:
        """Pointwise percentile band of N*(C) at `flops`; None without resamples."""
        return power_band(self.resamples, flops, level, 0)

    def tokens_band(self, flops: ArrayLike, level: float = 0.95) -> Band | None:
        """Pointwise percentile band of D*(C) at `flops`; None without resamples."""
        return power_band(self.resamples, flops, level, 2)


@dataclass(frozen=True, repr=False)
class IsoflopFit(_Lines, Shown, says="fits.isoflop"):
    """Approach 2: N*(C) and D*(C) as power laws through the interior minima (Hoffmann 2022, section 3.2)."""

    status: FitStatus
    minimum: str  # "parabola" or "akima": what was used
    window: float | None  # runs within this fraction of the lowest loss shape the parabola; None: all of them
    minima: tuple[Minimum, ...]
    params_law: PowerLaw  # N*(C)
    tokens_law: PowerLaw  # D*(C)
    params_exponent: Estimate  # a
    tokens_exponent: Estimate  # b
    resampling: Resampling | None = None
    # One row a successful resample: ln coefficient and exponent of N*, then of D*. Shape (n, 4).
    resamples: NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()  # what was assumed or done to the runs before the minima were sought
    choice: MinimumChoice | None = None  # where the table chose the method
    replicates: str = "all"  # "all", "mean" or "best": what stands for the runs of one size
    common_flops: str = "runs"  # whose count C is: "runs" (their own) or "budget" (the planned one)
    noise: LossNoise | None = None  # None where the runs show none
    scatter: float = 0.0  # standard deviation of ln N* about the line beyond what the noise explains
    with_edges: EdgeLines | None = None  # None where every vertex is interior
    centre_drift: CentreDrift | None = None  # None with fewer than three interior minima
    counted_n_params: str = "n_params"  # what N and C are, as `RunTable.counted_n_params` names them
    counted_flops: str = "flops"

    def plot(self, table: RunTable | None = None, *, n_params: str | None = None, flops: str | None = None) -> Figure:
        """With the `table` that was fitted its isoFLOP curves and minima; else N*(C) and D*(C) with their bands.

        `n_params` and `flops` name what is counted, for the labels, where the fitted table did not know. A matplotlib
        figure. Raises InputError where no budget has a minimum to draw, and for a table that counts otherwise.
        """
        from .reporting.plots import plot_isoflop

        return plot_isoflop(self, table, n_params, flops)


@dataclass(frozen=True, repr=False)
class ParametricFit(Shown, says="fits.parametric"):
    """Approach 3: L(N, D) = E + A/N^alpha + B/D^beta (Hoffmann 2022, section 3.3, equation 2)."""

    status: FitStatus
    objective: str
    objective_value: float
    law: ChinchillaLaw
    params_exponent: Estimate  # a = beta / (alpha + beta)
    tokens_exponent: Estimate  # b = alpha / (alpha + beta)
    # "E", "A", "B", "alpha", "beta" -> their intervals. Prefer the exponents: A and B alone are barely identified.
    parameters: dict[str, Estimate]
    condition_number: float  # of the scaled Hessian at the optimum
    n_runs: int
    resampling: Resampling | None = None
    # The fields of `law` on a bound: "E", "A", "B" at 0, "alpha", "beta" at 1e-4 or 10. They have no interval.
    at_bound: tuple[str, ...] = ()
    # Bootstrap standard errors of the five parameters, "params_exponent" and "tokens_exponent"; None without interval.
    standard_errors: dict[str, float | None] = field(default_factory=dict[str, float | None])
    # One row a successful resample: E, A, B, alpha, beta. Shape (n, 5).
    resamples: NDArray[np.float64] | None = None
    tied: bool = False  # alpha = beta was imposed: a is 1/2 by assumption
    fixed_E: float | None = None  # the value at which E was held
    counted_n_params: str = "n_params"  # what N and C are, as `RunTable.counted_n_params` names them
    counted_flops: str = "flops"

    def plot(self, table: RunTable | None = None, name: str = "surface", *, n_params: str | None = None) -> Figure:
        """The law with the runs of the `table` that was fitted: "surface", "residuals" or "compute".

        `n_params` names what is counted as N, for the labels, where the table does not know. A matplotlib figure.
        Raises InputError without the table, for one that counts otherwise, and for another picture's name.
        """
        from .reporting.plots import plot_parametric

        return plot_parametric(self, table, name, n_params)


@dataclass(frozen=True, repr=False)
class ExponentProfile(Shown, says="fits.profile"):
    """How well the runs tell alpha and beta: the objective minimised over E, A, B >= 0 at fixed exponents.

    `rise` (p, q) is the objective over its optimum, less 1, at `alphas` (p,) and `betas` (q,). The region
    `rise <= threshold` is the joint confidence region at `level`, calibrated by the resamples: that share of
    their (alpha, beta) has at most this rise on the table's own profile. None without resamples.
    """

    objective: str
    alphas: NDArray[np.float64]
    betas: NDArray[np.float64]
    rise: NDArray[np.float64]
    threshold: float | None
    level: float

    @property
    def inside(self) -> NDArray[np.bool_] | None:
        """Which grid points lie in the region, shape (p, q)."""
        return None if self.threshold is None else self.rise <= self.threshold


@dataclass(frozen=True, repr=False)
class EnvelopePoint(Shown, says="fits.envelope_point"):
    """The size of least loss at one FLOP value.

    `run` names the curve that holds the envelope there, `n_params` and `tokens` are counts, loss is nats per token.
    Only points whose `status` is `INTERIOR` shape the line: at an edge N*(C) lies at or beyond the smallest or
    largest size that covers the FLOP value, with too few there are not three sizes near it.
    """

    flops: float
    n_params: float
    tokens: float
    loss: float
    run: str
    status: MinimumStatus


@dataclass(frozen=True, repr=False)
class EnvelopeFit(_Lines, Shown, says="fits.envelope"):
    """Approach 1: N*(C) and D*(C) along the envelope of training curves (Hoffmann 2022, section 3.1)."""

    status: FitStatus
    points: tuple[EnvelopePoint, ...]
    params_law: PowerLaw  # N*(C)
    tokens_law: PowerLaw  # D*(C)
    params_exponent: Estimate  # a
    tokens_exponent: Estimate  # b
    n_curves: int
    n_sizes: int  # distinct sizes that hold the envelope with a smaller and a larger one beside them
    n_edge_points: int  # of `points`: kept out of the line
    # The points come from the middle of runs whose rate decays later, so the envelope is biased; None: unknown.
    decaying_schedule: bool | None
    run_fraction: float  # median share of its run's tokens at which the envelope's holder is read
    run_noise: float  # standard deviation between runs, nats per token; NaN where the curves do not show it
    smoothing: float  # half-width in ln tokens, 0 for none
    hull: bool  # only curves on the lower convex hull of (ln C, ln loss)
    resampling: Resampling | None = None
    # One row a successful resample: ln coefficient and exponent of N*, then of D*. Shape (n, 4).
    resamples: NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()  # what was assumed or done to the curves
    counted_n_params: str = "n_params"  # what N and C are, as `RunTable.counted_n_params` names them
    counted_flops: str = "flops"

    def plot(
        self, curves: CurveTable | None = None, *, n_params: str | None = None, flops: str | None = None
    ) -> Figure:
        """The `curves` that were fitted with their envelope, and N*(C) through its sizes.

        `n_params` and `flops` name what is counted, for the labels, where the curves do not know. A matplotlib figure.
        Raises InputError without the curves, and for some that count otherwise.
        """
        from .reporting.plots import plot_envelope

        return plot_envelope(self, curves, n_params, flops)
