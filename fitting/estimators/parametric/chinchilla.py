"""L(N, D) = E + A/N^alpha + B/D^beta on arrays: the exact optimum of the objective named, without intervals.

Hoffmann 2022 (arXiv:2203.15556), section 3.3 and equation 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import FitError, InputError
from ...laws import ChinchillaLaw
from ...results import FitStatus
from .basins import FLATTEST, STEEPEST, search
from .form import Form
from .lad import search_lad
from .newton import Solution
from .objectives import ABSENT, HUBER_DELTA, OBJECTIVES, Array, Problem, Rows, evaluate

_GONE = 1e-9  # a term nowhere above this part of the loss is at its bound
_TIE = 1e-12  # a bound wins when it is as good as the interior to this part of the objective

_NEAR, _MOST_OTHERS = 1.5, 3  # other optima up to this many times the lowest may be a resample's best


@dataclass(frozen=True)
class LawFit:
    """The optimum on arrays. `value` is the objective as named: a sum for the log objectives, a mean for huber and mse.

    `at_bound` names the fields of `law` that lie on a bound: "E", "A" or "B" at 0, "alpha" or "beta" at 1e-4 or 10.
    The rest is for refits: the rows of positive weight, sorted, which of the `n_given` they were (`order`), their
    weights, theta = (a, b, e, alpha, beta) on their centred logs, absent terms at minus infinity, and the next best
    local optima, (k, 5).
    """

    law: ChinchillaLaw
    status: FitStatus
    value: float
    condition_number: float
    at_bound: tuple[str, ...]
    objective: str
    form: Form
    problem: Problem
    theta: Array
    other_optima: Array
    weights: Array
    order: NDArray[np.intp]
    n_given: int

    @property
    def rows(self) -> Rows:
        return self.problem.rows


def fit_law(
    n_params: ArrayLike,
    tokens: ArrayLike,
    loss: ArrayLike,
    *,
    objective: str = "log_huber",
    weights: ArrayLike | None = None,
    tied: bool = False,
    fixed_E: float | None = None,
    delta: float | None = None,
) -> LawFit:
    """The global optimum of `objective` over E, A, B >= 0 and alpha, beta from 1e-4 to 10.

    `n_params` and `tokens` are counts, `loss` is positive in any unit, `weights` are non-negative (default 1), all
    of shape (n,). Objectives: "log_huber" sum of Huber of ln L - ln L_hat, "huber" mean Huber of L - L_hat, "mse"
    mean squared L - L_hat, "log_lad" sum of |ln L - ln L_hat|; `delta` is Huber's width (default 1e-3; in the loss's
    unit for "huber"). `tied` sets alpha = beta, `fixed_E` holds E at a value below every loss.

    The status is BOUND_HIT where the optimum lies on a bound, MAX_ITER where the optimiser stopped before its
    tolerance. The condition number is that of the scaled Hessian over what is free and present (for "log_lad", which
    has none, of log_huber's there). Raises InputError for an unknown objective, arrays that are not positive and
    finite, or a `delta` or `fixed_E` out of range; FitError for no more runs than free parameters, fewer distinct
    (N, D) than those, or fewer than 2 distinct sizes or token counts.
    """
    form = Form(tied, fixed_E)
    n, d, observed = (np.array(values, dtype=float).reshape(-1) for values in (n_params, tokens, loss))
    w = np.ones(len(n)) if weights is None else np.array(weights, dtype=float).reshape(-1)
    _check_options(objective, delta)
    _check_arrays(n, d, observed, w)
    # Sorted, so that the order of the caller's rows decides nothing, not even by rounding.
    order = np.lexsort((w, observed, d, n))
    order = order[w[order] > 0]
    _check_enough(n[order], d[order], observed[order], form)
    rows, w = Rows.of(n[order], d[order], observed[order]), w[order]
    smooth = "log_huber" if objective == "log_lad" else objective
    problem = Problem(rows, smooth, HUBER_DELTA if delta is None else float(delta), form.basis())
    found = (search_lad if objective == "log_lad" else search)(problem, form, w)
    best = _chosen(problem, found)
    theta = _without_gone(rows, found.theta[best])
    law = ChinchillaLaw(*(float(number) for number in parameters(rows, theta[None])[0]))
    at_bound = _at_bound(law, form)
    converged = FitStatus.CONVERGED if found.converged[best] else FitStatus.MAX_ITER
    return LawFit(
        law=law,
        status=FitStatus.BOUND_HIT if at_bound else converged,
        value=float(found.value[best]) / (float(w.sum()) if objective in ("huber", "mse") else 1.0),
        condition_number=_condition_number(problem, theta, w),
        at_bound=at_bound,
        objective=objective,
        form=form,
        problem=problem,
        theta=theta,
        other_optima=_others(found, best),
        weights=w,
        order=order,
        n_given=len(n),
    )


def parameters(rows: Rows, theta: Array) -> Array:
    """E, A, B, alpha, beta of each `theta` (m, 5), the centring undone.

    The exponent of a term that is absent is 0: it means nothing.
    """
    a, b, e, alpha, beta = theta.T
    has_n, has_d = a > ABSENT, b > ABSENT
    alpha, beta = np.where(has_n, alpha, 0.0), np.where(has_d, beta, 0.0)
    with np.errstate(over="ignore"):
        A, B = np.exp(a + alpha * rows.x_mean), np.exp(b + beta * rows.y_mean)
    return np.stack([np.exp(e), A, B, alpha, beta], axis=1)


def _check_options(objective: str, delta: float | None) -> None:
    if objective not in OBJECTIVES:
        raise InputError(f"objective {objective!r} is unknown: choose one of {', '.join(OBJECTIVES)}")
    if delta is None:
        return
    if objective not in ("log_huber", "huber"):
        raise InputError(f"delta {delta:g} means nothing for {objective}: leave it out or choose log_huber or huber")
    if not 0 < delta < np.inf:
        raise InputError(f"delta {delta:g} must be positive and finite")


def _check_arrays(n: Array, d: Array, loss: Array, weights: Array) -> None:
    for name, values in (("n_params", n), ("tokens", d), ("loss", loss)):
        if len(values) != len(n):
            raise InputError(f"{name} has {len(values)} values where n_params has {len(n)}: give one for each run")
        bad = ~(np.isfinite(values) & (values > 0))
        if bad.any():
            first = int(np.flatnonzero(bad)[0])
            raise InputError(f"{name}[{first}] is {values[first]:g}: the fit needs positive, finite values")
    if len(weights) != len(n) or not np.isfinite(weights).all() or (weights < 0).any():
        raise InputError(f"weights must be {len(n)} finite, non-negative numbers, one for each run")


def _check_enough(n: Array, d: Array, loss: Array, form: Form) -> None:
    """`n`, `d` and `loss` are those of positive weight, in order of size, then tokens."""
    free = form.n_free
    if len(n) <= free:
        raise FitError(f"{len(n)} usable runs: the form's {free} parameters need at least {free + 1}")
    for name, values in (("n_params", n), ("tokens", d)):
        if (values == values[0]).all():
            raise FitError(f"all runs have {name} = {values[0]:g}: the form needs at least 2 different values")
    cells = 1 + np.count_nonzero((np.diff(n) != 0) | (np.diff(d) != 0))
    if cells < free:
        raise FitError(f"{cells} different pairs of n_params and tokens: the form's {free} parameters need {free}")
    fixed = form.fixed_E
    if fixed is not None and not 0 <= fixed < loss.min():
        raise InputError(f"fixed_E {fixed:g} must lie between 0 and the lowest loss, {loss.min():g}")


def _chosen(problem: Problem, found: Solution) -> int:
    """The lowest optimum, of equals (to rounding) the one with fewer terms."""
    if not len(found.value):
        raise FitError("no power law falls with size and tokens here: check the loss column and its unit")
    tie = found.value.min() * (1 + _TIE) + len(problem.rows.x) * 1e-30
    order = np.lexsort((found.value, ~found.converged, np.isfinite(found.theta[:, :3]).sum(axis=1)))
    return next(int(index) for index in order if found.value[index] <= tie)


def _others(found: Solution, best: int) -> Array:
    near = np.flatnonzero(found.value <= found.value[best] * _NEAR)
    return found.theta[near[near != best][:_MOST_OTHERS]]


def _without_gone(rows: Rows, theta: Array) -> Array:
    logs = (theta[0] - theta[3] * rows.x, theta[1] - theta[4] * rows.y, theta[2] + 0 * rows.x)
    gone = [np.max(part - rows.log_loss) < np.log(_GONE) for part in logs]
    return np.where([*gone, False, False], ABSENT, theta)


def _at_bound(law: ChinchillaLaw, form: Form) -> tuple[str, ...]:
    names = [name for name in ("E", "A", "B") if getattr(law, name) == 0 and (name != "E" or form.fixed_E is None)]
    for name, term in (("alpha", law.A), ("beta", law.B)):
        exponent = getattr(law, name)
        if term > 0 and not FLATTEST * (1 + 1e-9) < exponent < STEEPEST * (1 - 1e-9):
            names.append(name)
    return tuple(names)


def _condition_number(problem: Problem, theta: Array, weights: Array) -> float:
    """Of the Hessian scaled to a unit diagonal, over the parameters that are free and present."""
    _, _, hessian, gram = evaluate(problem, theta[None], weights)
    scale = np.diagonal(gram, axis1=1, axis2=2)
    present = scale[0] > 0
    block = hessian[0][np.ix_(present, present)]
    diagonal = np.sqrt(np.abs(np.diag(block)))
    if not np.isfinite(block).all() or not (diagonal > 0).all():
        return float("inf")
    sizes = np.abs(np.linalg.eigvalsh(block / np.outer(diagonal, diagonal)))
    return float(sizes.max() / sizes.min()) if sizes.min() > 0 else float("inf")
