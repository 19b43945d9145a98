"""Kaplan's laws (arXiv:2001.08361): the joint L(N, D), and L(N), L(D), L(C) each on the runs that show it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..arguments import check_fit
from ..law_results import KaplanFit, KaplanTrend
from ..laws import KaplanLaw, PowerLaw
from ..results import Estimate, FitStatus
from ..runs import RunTable
from ..uncertainty import percentile_estimate
from .forms.descent import Array
from .forms.resampling import run_draws, too_few
from .frontier import MIN_POINTS, MINIMA, frontier
from .kaplan_law import fit_kaplan_law, resample_law
from .trends import MIN_SIZES, distinct_values, trend

NEGLIGIBLE = 0.02  # the share of the loss below which the other variable does not limit a run (Kaplan, section 4.2)


def fit_kaplan(
    table: RunTable,
    *,
    objective: str = "log_huber",
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> KaplanFit:
    """Kaplan's laws on the usable runs of `table`, with intervals at `level`.

    - L(N, D), equation 1.5: all runs, by `objective`; percentile intervals from resampled whole runs.
    - L(N) = (N_c/N)^alpha_N, equation 1.1: the runs that data do not limit, by the paper's own measure: the joint law's
      L(N, D) / L(N, infinity) - 1 is below .02 (equations 4.2 to 4.4).
    - L(D) = (D_c/D)^alpha_D, equation 1.2: the runs that size does not limit, likewise.
    - L(C) = (C_c/C)^alpha_C, equation 1.3: the least loss of each budget, see `frontier`.

    L(N) and L(D) need such runs at 4 sizes (or token counts) or more. A narrow isoFLOP grid has none; then the limit of
    the joint law is given, `shown` is False and `why` says what is missing. The single laws are least squares in logs
    with Student's intervals. Raises what `fit_kaplan_law` raises.
    """
    check_fit(table, level, resamples)
    frame = table.fitted
    n, d, loss = (frame[name].to_numpy(dtype=float) for name in ("n_params", "tokens", "loss"))
    fit = fit_kaplan_law(n, d, loss, objective=objective)
    draws = run_draws(table, resamples, seed)
    sample, resampling = np.empty((0, 4)), None
    if draws is not None:
        sample = resample_law(fit, draws.weights, objective)
        resampling = draws.record(len(sample))
    asked = 0 if draws is None or fit.status is FitStatus.BOUND_HIT else len(draws.weights)
    law = fit.law
    values = (law.N_c, law.D_c, law.alpha_N, law.alpha_D)
    parameters = {
        name: percentile_estimate(value, sample[:, i], asked, level)
        for i, (name, value) in enumerate(zip(("N_c", "D_c", "alpha_N", "alpha_D"), values, strict=True))
    }
    share = sample[:, 3] / (sample[:, 2] + sample[:, 3])
    few = too_few(table) and fit.status is FitStatus.CONVERGED
    return KaplanFit(
        status=FitStatus.TOO_FEW if few else fit.status,
        objective=objective,
        objective_value=fit.value,
        law=law,
        params_exponent=percentile_estimate(law.params_exponent, share, asked, level),
        tokens_exponent=percentile_estimate(law.tokens_exponent, 1 - share, asked, level),
        parameters=parameters,
        condition_number=fit.condition_number,
        n_runs=len(n),
        loss_of_params=_alone("size", n, loss, _unlimited(law, law.loss(n, np.inf), n, d), parameters, level),
        loss_of_tokens=_alone("tokens", d, loss, _unlimited(law, law.loss(np.inf, d), n, d), parameters, level),
        loss_of_flops=_frontier_law(table, level),
        resampling=resampling,
    )


def _unlimited(law: KaplanLaw, limit: Array, n: Array, d: Array) -> NDArray[np.intp]:
    """The runs whose loss by the joint law is within 2 % of its `limit` as the other variable grows."""
    return np.flatnonzero(law.loss(n, d) <= limit * (1 + NEGLIGIBLE))


def _alone(
    what: str, x: Array, loss: Array, rows: NDArray[np.intp], joint: dict[str, Estimate], level: float
) -> KaplanTrend:
    """L(N) or L(D) on the runs that the other variable does not limit, else the joint law's limit."""
    names, other = (("N_c", "alpha_N"), "tokens") if what == "size" else (("D_c", "alpha_D"), "size")
    distinct = distinct_values(x[rows])
    about = f"{len(rows)} of {len(x)} runs lose under {NEGLIGIBLE:.0%} to limited {other} by the joint law"
    if distinct >= MIN_SIZES:
        found = trend(x[rows], loss[rows], level)
        return KaplanTrend(found.law, found.exponent, found.scale, True, distinct, tuple(rows.tolist()), about)
    exponent, scale = joint[names[1]], joint[names[0]]
    law = PowerLaw(float(scale.value**exponent.value), -exponent.value)
    why = f"{about}, at {distinct} values of {what} where {MIN_SIZES} are needed: this is the joint law's limit"
    return KaplanTrend(law, exponent, scale, False, distinct, tuple(rows.tolist()), why)


def _frontier_law(table: RunTable, level: float) -> KaplanTrend | None:
    points = frontier(table)
    if len(points.flops) < MIN_POINTS or np.ptp(points.loss) == 0:
        return None
    found = trend(points.flops, points.loss, level)
    shown = points.source == MINIMA
    return KaplanTrend(found.law, found.exponent, found.scale, shown, len(points.flops), points.rows, points.source)
