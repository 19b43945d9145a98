"""Doubts about Approach 2: where its minima lie, how well they are curved, and what decides its exponent."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..results import IsoflopFit, Minimum, MinimumStatus
from ..uncertainty import MIN_BUDGETS
from .warn import Warn, listed, shown, standard_error

SUM_TOLERANCE = 0.02  # of a + b about 1
DRIFT_TOLERANCE = 0.02  # in ln N per ln C: as much bias of the exponent at the very most
DRIFT_P = 0.05
OFF_CENTRE = np.log(2.0)  # in ln N: a grid centred this far from N* biases N* and D* themselves
CLEAR_CURVATURE = 2.0  # of a parabola, over its standard error
_INFLUENCE = 1.5  # standard errors of a that one budget may move it
_LEAST_SHIFT = 0.02  # of a: less than this is not worth a word
_MOST_LEFT_OUT = 12  # budgets left out in turn: those that pull the line hardest


def inside(fit: IsoflopFit) -> list[Minimum]:
    """The minima in the line."""
    return [minimum for minimum in fit.minima if minimum.status is MinimumStatus.INTERIOR]


def clustered(fit: IsoflopFit, unbudgeted: str) -> Warn | None:
    """Budgets that had to be guessed; `unbudgeted` says why, "" if they were not."""
    if not unbudgeted:
        return None
    return Warn(
        "clustered_budgets",
        f"{unbudgeted}: the runs were grouped into {len(fit.minima)} budgets by their FLOPs; name the budgets with "
        "--columns budget=COL",
    )


def edges(fit: IsoflopFit) -> Warn | None:
    """Budgets without a minimum among their sizes, and what a would be with their vertices."""
    bad = [minimum for minimum in fit.minima if minimum.status is not MinimumStatus.INTERIOR]
    if not bad:
        return None
    names = listed([f"{minimum.budget:.3g} {minimum.status.value}" for minimum in bad])
    would = ""
    if fit.with_edges is not None:
        would = f" (with the extrapolated ones a would be {fit.with_edges.params_law.exponent:.3f})"
    return Warn(
        "edge_minima",
        f"{len(bad)} of {len(fit.minima)} budgets show no minimum inside their sizes and are left out{would}: {names}; "
        "train sizes beyond the edge",
    )


def few(fit: IsoflopFit) -> Warn | None:
    """Too few budgets for an interval."""
    count = len(inside(fit))
    if count >= MIN_BUDGETS:
        return None
    return Warn(
        "few_budgets",
        f"{count} budgets with a minimum: fewer than {MIN_BUDGETS}, so the exponents have no interval; add budgets",
    )


def weak(fit: IsoflopFit) -> Warn | None:
    """Minima whose curves hardly bend."""
    found = inside(fit)
    flat = [each for each in found if each.curvature_snr is not None and each.curvature_snr < CLEAR_CURVATURE]
    if not flat:
        return None
    names = listed([f"{each.budget:.3g} ({each.curvature_snr:.1f})" for each in flat])
    return Warn(
        "weak_curvature",
        f"{len(flat)} of {len(found)} minima are curved by less than {CLEAR_CURVATURE:.0f} times the curvature's "
        f"standard error: {names}; train sizes further from N*, or more seeds",
    )


def off_centre(fit: IsoflopFit) -> Warn | None:
    """Grids that lie to one side of their minima, all alike."""
    offsets = [each.centre_offset for each in inside(fit) if each.centre_offset is not None]
    if not offsets:
        return None
    middle = float(np.median(offsets))
    if abs(middle) <= OFF_CENTRE:
        return None
    return Warn(
        "off_centre",
        f"the grids' centres are {np.exp(middle):.2f} times N* (median): the parabola's minimum is biased on a "
        "lopsided grid; centre the sizes on this fit's N*",
    )


def drift(fit: IsoflopFit) -> Warn | None:
    """The grid's centre should stay where the minimum is; a trend with C biases the exponent."""
    found = fit.centre_drift
    if found is None or abs(found.slope) <= DRIFT_TOLERANCE or found.p_value > DRIFT_P:
        return None
    return Warn(
        "drifting_centre",
        f"the grid's centre drifts from {found.first:.2f} to {found.last:.2f} times N* over the budgets "
        f"({found.slope:+.3f} in ln N per ln C), which biases the exponent: centre the sizes on this fit's N*",
    )


def total(fit: IsoflopFit, over_6nd: tuple[float, float]) -> Warn | None:
    """a + b far from 1; `over_6nd` are the least and the largest C over 6 N D of the runs."""
    both = fit.params_exponent.value + fit.tokens_exponent.value
    if abs(both - 1) <= SUM_TOLERANCE:
        return None
    return Warn(
        "sum_of_exponents",
        f"a + b = {both:.3f}, not 1: C ({'planned' if fit.common_flops == 'budget' else 'counted'}) is not proportional"
        f" to N D over this range (it is {over_6nd[0]:.2f} to {over_6nd[1]:.2f} times 6 N D); compare with --flops 6nd",
    )


def failed(fit: IsoflopFit, least: float) -> Warn | None:
    """An interval withheld because too many resamples had no minimum."""
    resampling = fit.resampling
    if resampling is None or resampling.n_failed <= (1 - least) * resampling.n_resamples:
        return None
    return Warn(
        "failed_resamples",
        f"{resampling.n_failed} of {resampling.n_resamples} resamples of the isoFLOP fit lost their minima (over "
        f"{1 - least:.0%}), so a has no interval: train sizes beyond the grid's edges, or more seeds",
    )


def influential_budget(fit: IsoflopFit, without: Callable[[float], float]) -> Warn | None:
    """A single budget that decides a; `without` refits a less one budget (NaN where that has no fit)."""
    error = standard_error(fit.params_exponent)
    found = inside(fit)
    if error is None or len(found) <= MIN_BUDGETS:
        return None
    found = _pulling(found)
    exponents = np.array([without(minimum.budget) for minimum in found])
    shift = np.where(np.isfinite(exponents), np.abs(exponents - fit.params_exponent.value), 0)
    worst = int(np.argmax(shift))
    if shift[worst] <= max(_INFLUENCE * error, _LEAST_SHIFT):
        return None
    return Warn(
        "influential_budget",
        f"without the budget {found[worst].budget:.3g} isoFLOP a would be {exponents[worst]:.3f}, not "
        f"{shown(fit.params_exponent)}: look at that budget's runs, or report both",
    )


def _pulling(found: list[Minimum]) -> list[Minimum]:
    """At most 12 of the minima: those that pull hardest on the unweighted line, by lever arm times residual."""
    if len(found) <= _MOST_LEFT_OUT:
        return found
    log_n = np.log([each.n_params or np.nan for each in found])
    log_flops = np.log([each.flops for each in found])
    arm = log_flops - log_flops.mean()
    residual = log_n - log_n.mean() - arm * (arm @ log_n) / (arm @ arm)
    return [found[i] for i in np.argsort(-np.abs(arm * residual), kind="stable")[:_MOST_LEFT_OUT]]


def wide_parabola(fit: IsoflopFit, windowed: IsoflopFit | None) -> Warn | None:
    """A parabola over all sizes that says something else than one near the minima."""
    if windowed is None or fit.window is not None or fit.minimum != "parabola":
        return None
    a, near = fit.params_exponent.value, windowed.params_exponent.value
    if abs(a - near) <= _LEAST_SHIFT:
        return None
    return Warn(
        "wide_parabola",
        f"parabolas over all sizes give a = {a:.3f}, near the minima {near:.3f}: the true curve is no parabola far "
        "from its minimum; use the default window",
    )


def replicates(fit: IsoflopFit, best: IsoflopFit | None, everything: IsoflopFit | None) -> Warn | None:
    """Several runs of one size whose best and whose whole give different exponents."""
    if best is None or everything is None:
        return None
    a, b = best.params_exponent.value, everything.params_exponent.value
    count = sum(minimum.n_replicates for minimum in fit.minima)
    if count == 0 or abs(a - b) <= max(_LEAST_SHIFT, standard_error(fit.params_exponent) or 0):
        return None
    return Warn(
        "replicates",
        f"{count} runs repeat a size of their budget: the best of each gives a = {a:.3f}, all of them {b:.3f} "
        f"(fitted: {fit.replicates}); take the best where they differ by learning rate, all where by seed: "
        "--replicates",
    )
