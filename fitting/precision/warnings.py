"""What a simulation says is wrong with a planned grid, each with its number and a remedy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..diagnostics.minima import CLEAR_CURVATURE, DRIFT_P, DRIFT_TOLERANCE, OFF_CENTRE
from ..diagnostics.warn import Warn, listed
from ..estimators.isoflop.lines import centre_drift
from ..laws import KaplanLaw
from ..prediction import Predictor
from ..prediction.predictor import NO_LEAST
from ..results import Minimum, MinimumStatus
from ..uncertainty import MIN_BUDGETS
from .grid import PlannedGrid, Surface
from .noise import NoiseModel
from .results import BudgetPrecision, MethodPrecision, Precision

BRACKETED = 0.9  # the share of simulations in which a budget must show its minimum
MIN_SIZES = 5  # sizes of a budget below which a parabola's three leave next to nothing to show the noise
BIASED = 0.5  # of the standard error
_SURE = 2.0  # Monte Carlo standard errors
_IDLE = 1.02  # leaving budgets out that raises the standard error of a by less says that they add nothing
MISFIT = 2.0  # times the scatter of cells
_BEYOND = 0.5  # decades from the prior's range


def warnings_of(
    precision: Precision, grid: PlannedGrid, law: Surface, prior: Predictor | None = None
) -> tuple[Warn, ...]:
    """Every doubt about the plan; `prior` is the predictor that `law` is of, for the range it was measured over."""
    budgets = precision.budgets
    found = [
        _few_budgets(grid),
        _few_sizes(grid),
        _not_bracketed(budgets),
        _drifting(budgets, grid, precision.of("isoflop")),
        _off_centre(budgets),
        _noisy(budgets),
        _idle(budgets, grid),
        *(_no_answer(each) for each in precision.methods),
        *(_biased(each, law) for each in precision.methods),
        _misfit(precision.noise),
        _extrapolated(grid, prior),
    ]
    return tuple(warn for warn in found if warn is not None)


def _few_budgets(grid: PlannedGrid) -> Warn | None:
    count = len(grid.budgets)
    if count >= MIN_BUDGETS:
        return None
    return Warn(
        "few_budgets",
        f"{count} budgets: with fewer than {MIN_BUDGETS} no exponent has an interval; add budgets to grid.budgets",
    )


def _few_sizes(grid: PlannedGrid) -> Warn | None:
    few = [
        f"{budget:.3g} ({len(sizes)})"
        for budget, sizes in zip(grid.budgets, grid.sizes, strict=True)
        if len(sizes) < MIN_SIZES
    ]
    if not few:
        return None
    return Warn(
        "few_sizes",
        f"{len(few)} of {len(grid.budgets)} budgets have fewer than {MIN_SIZES} sizes: {listed(few)}; a parabola "
        "takes three, so that little is left to show the noise: add sizes",
    )


def _not_bracketed(budgets: tuple[BudgetPrecision, ...]) -> Warn | None:
    lost = [each for each in budgets if each.interior < BRACKETED]
    if not lost:
        return None
    shares = listed([f"{each.budget:.3g} in {each.interior:.0%}" for each in lost])
    below, above = (sum(getattr(each, side) for each in lost) for side in ("below", "above"))
    if below + above == 0:
        remedy = "train sizes further apart"
    elif min(below, above) > 0.25 * max(below, above):
        remedy = "train sizes further from N* on both sides, or more seeds"
    else:
        remedy = f"train {'smaller' if below > above else 'larger'} sizes there"
    return Warn(
        "not_bracketed",
        f"{len(lost)} of {len(budgets)} budgets show a minimum inside their sizes in under {BRACKETED:.0%} of the "
        f"simulations ({shares}): {remedy}",
    )


def _drifting(budgets: tuple[BudgetPrecision, ...], grid: PlannedGrid, isoflop: MethodPrecision | None) -> Warn | None:
    """As `fit` tests it: a trend beyond what sizes rounded to shapes make."""
    flops = np.exp(grid.log_flops)
    found = centre_drift(
        [
            Minimum(each.budget, float(c), each.n_runs, MinimumStatus.INTERIOR, centre_offset=each.centre_offset)
            for each, c in zip(budgets, flops, strict=False)
        ]
    )
    if found is None or abs(found.slope) <= DRIFT_TOLERANCE or found.p_value > DRIFT_P:
        return None
    spread = None if isoflop is None else isoflop.params_exponent
    cost = "" if spread is None else f"; isoFLOP a comes out {spread.bias:+.3f} off in the simulations"
    return Warn(
        "drifting_centre",
        f"the sizes' centre goes from {found.first:.2f} to {found.last:.2f} times the prior's N* over the budgets "
        f"({found.slope * np.log(10):+.2f} in ln N a decade){cost}: centre each budget's sizes on N*",
    )


def _off_centre(budgets: tuple[BudgetPrecision, ...]) -> Warn | None:
    if not budgets:
        return None
    middle = float(np.median([each.centre_offset for each in budgets]))
    if abs(middle) <= OFF_CENTRE:
        return None
    return Warn(
        "off_centre",
        f"the sizes' centres are {np.exp(middle):.2f} times the prior's N* (median), which biases N* and D*: centre "
        "each budget's sizes on N*",
    )


def _noisy(budgets: tuple[BudgetPrecision, ...]) -> Warn | None:
    flat = [each for each in budgets if each.curvature_snr is not None and each.curvature_snr < CLEAR_CURVATURE]
    if not flat:
        return None
    names = listed([f"{each.budget:.3g} ({each.curvature_snr:.1f})" for each in flat])
    return Warn(
        "noisy_budgets",
        f"{len(flat)} of {len(budgets)} budgets drown in noise, their curves bent by less than "
        f"{CLEAR_CURVATURE:.0f} times the curvature's standard error: {names}; train sizes further from N*, or more "
        "seeds",
    )


def _idle(budgets: tuple[BudgetPrecision, ...], grid: PlannedGrid) -> Warn | None:
    """The smallest budgets whose minima weigh so little in the line that it is as sharp without them."""
    errors = [np.nan if each.log_n_params is None else each.log_n_params.se for each in budgets]
    if len(budgets) <= MIN_BUDGETS or not np.isfinite(errors).all():
        return None
    precise = 1 / np.square(errors)
    whole = _slope_error(grid.log_flops, precise)
    idle = 0
    for count in range(1, len(budgets) - MIN_BUDGETS + 1):
        if _slope_error(grid.log_flops[count:], precise[count:]) < _IDLE * whole:
            idle = count
    if not idle:
        return None
    names = listed([f"{each.budget:.3g}" for each in budgets[:idle]])
    return Warn(
        "idle_budgets",
        f"without the {idle} smallest of {len(budgets)} budgets ({names}) the standard error of isoFLOP a would be "
        f"within {_IDLE - 1:.0%} of the same: their noise hides N*; leave them out, or give them more seeds",
    )


def _slope_error(x: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    centred = x - np.average(x, weights=weights)
    return float(1 / np.sqrt(np.sum(weights * centred**2)))


def _no_answer(method: MethodPrecision) -> Warn | None:
    if method.answered >= BRACKETED:
        return None
    reason = f" ({method.failures[0][0]})" if method.failures else ""
    return Warn(
        f"no_{method.method}",
        f"{method.method} has an answer in {method.n_answered} of {method.n_sims} simulations{reason}, and its "
        "expected error is of those alone: use another method, or widen the sizes and add budgets",
    )


def _biased(method: MethodPrecision, law: Surface) -> Warn | None:
    spread = method.params_exponent
    if spread is None or abs(spread.bias) <= BIASED * spread.se + _SURE * spread.bias_error:
        return None
    if isinstance(law, KaplanLaw) != (method.method == "kaplan") and method.method in ("kaplan", "parametric"):
        remedy = "the prior is of another form than the law it fits, so that this is the form's error, not the grid's"
    elif method.method == "isoflop":
        remedy = "centre the sizes on N* and keep them nearer to it"
    else:
        remedy = "read another method beside it"
    return Warn(
        f"biased_{method.method}",
        f"{method.method} a comes out {spread.bias:+.3f} off the prior's {spread.truth:.3f}, "
        f"{abs(spread.bias) / spread.se:.1f} times its standard error: {remedy}",
    )


def _misfit(noise: NoiseModel) -> Warn | None:
    """Measured curves that leave the parametric law by much more than cells scatter: then its bias is of the form."""
    cells = float(np.sqrt(noise.cell_variance(1.0)))
    off = float(noise.misfit(1.0))
    if off <= MISFIT * cells:
        return None
    return Warn(
        "law_misfit",
        f"{noise.source}: the budgets' curves lie {off / cells:.1f} times as far off the parametric law as cells "
        "scatter; that is the form, not noise, and its a may be off by many times its standard error: trust isoFLOP",
    )


def _extrapolated(grid: PlannedGrid, prior: Predictor | None) -> Warn | None:
    if prior is None:
        return None
    ranges = (("FLOPs", prior.flops_range, grid.flops), ("parameters", prior.params_range, grid.n_params))
    for unit, known, planned in ranges:
        if known is None:
            continue
        low, high = float(np.log10(known[0] / planned.min())), float(np.log10(planned.max() / known[1]))
        if max(low, high) > _BEYOND:
            side = f"{low:.1f} decades below" if low >= high else f"{high:.1f} decades above"
            span = f"{known[0]:.2g} to {known[1]:.2g}" if known[0] > NO_LEAST else f"up to {known[1]:.2g}"
            return Warn(
                "prior_extrapolated",
                f"the grid reaches {side} the {unit} that {prior.name} was measured over ({span}), where its "
                "curvature may be far off: train the smallest budgets and take their fit as --prior",
            )
    return None
