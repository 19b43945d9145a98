"""Kaplan's joint law (arXiv:2001.08361, equation 1.5): the exact optimum of the objective named.

In logs it is ln L = alpha_D ln(e^u + e^v), u = a - r ln N, v = b - ln D, with r = alpha_N/alpha_D: smooth, with
simple derivatives, and for given alpha_D and r linear in e^a and e^b once the loss is raised to 1/alpha_D.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from ..errors import FitError, InputError
from ..laws import KaplanLaw
from ..results import FitStatus
from .forms.absolute import corner
from .forms.custom import checked_weights
from .forms.descent import Array, Bend, condition_number, minimise
from .forms.descent import objective as total
from .forms.objectives import check_objective, compares_logs, delta_of, follow, named_value

MIN_RUNS = 5  # one more than the parameters
_EXPONENTS = np.geomspace(0.02, 1.5, 24)  # of alpha_D; published: .08 to .11
_RATIOS = np.geomspace(0.1, 10.0, 24)  # of alpha_N / alpha_D; published: .7 to .9
_STARTS = 4
_SCORED_ROWS = 500  # runs enough to rank the grid; the optimiser itself sees them all
_GONE = np.log(1e-9)  # a term nowhere above this part of the bracket is absent
_BOUNDS = np.array([[-np.inf, -np.inf, np.log(1e-4), np.log(1e-4)], [np.inf, np.inf, np.log(1e3), np.log(10.0)]])


@dataclass(frozen=True)
class JointFit:
    """The joint law's optimum on arrays. `value` is the objective as named; `theta` is (a, b, ln r, ln alpha_D)."""

    law: KaplanLaw
    status: FitStatus
    value: float
    condition_number: float
    theta: Array
    form: Joint
    target: Array


def fit_kaplan_law(
    n_params: ArrayLike,
    tokens: ArrayLike,
    loss: ArrayLike,
    *,
    objective: str = "log_huber",
    weights: ArrayLike | None = None,
) -> JointFit:
    """The optimum of the joint law over N_c, D_c, alpha_N and alpha_D > 0 (equation 1.5).

    Positive arrays of shape (n,), `weights` non-negative; objectives as for `fit_custom`. Status BOUND_HIT where a term
    vanishes: then N (or D) does not limit these runs and its N_c, alpha_N (or D_c) mean nothing. Raises FitError for
    fewer than 5 runs, or than 2 sizes or token counts, and where N_c or D_c is no number; InputError for an unknown
    objective.
    """
    n, d, observed = (np.array(values, dtype=float).reshape(-1) for values in (n_params, tokens, loss))
    w = checked_weights(weights, len(n))
    _check(n, d, observed, w, objective)
    in_logs = compares_logs(objective)
    x_mean, y_mean = float(np.log(n).mean()), float(np.log(d).mean())
    form = Joint(np.log(n) - x_mean, np.log(d) - y_mean, x_mean, y_mean, in_logs)
    target = np.log(observed) if in_logs else observed
    solution = follow(form, target, _starts(form, np.log(observed), w, objective), w, objective, *_BOUNDS)
    best = int(np.argmin(solution.value))
    theta, value, converged = solution.theta[best], float(solution.value[best]), bool(solution.converged[best])
    if objective == "log_lad":
        theta, value, converged = corner(form, target, theta, w, *_BOUNDS)
    law, status = _law(theta, form), _status(form, theta, converged)
    absent = (law.N_c == 0) + (law.D_c == 0)  # a term that left in earnest, or a constant too small for a number
    if not np.isfinite([law.N_c, law.D_c]).all() or absent > (status is FitStatus.BOUND_HIT):
        raise FitError(
            f"Kaplan's law has no finite constants for these losses (N_c {law.N_c:.3g}, D_c {law.D_c:.3g}): they do "
            "not fall with sizes and tokens as a power law does, or are in no usual unit"
        )
    return JointFit(
        law=law,
        status=status,
        value=named_value(value, w, objective),
        condition_number=condition_number(form, theta, w, np.isfinite(theta)),
        theta=theta,
        form=form,
        target=target,
    )


@dataclass(frozen=True)
class Joint:
    """The law as the optimiser sees it, at theta = (a, b, ln r, ln alpha_D), of centred ln N (x) and ln D (y)."""

    x: Array
    y: Array
    x_mean: float
    y_mean: float
    in_logs: bool

    def value(self, theta: Array) -> Array:
        log_sum, _, alpha, _ = self._parts(theta)
        return alpha * log_sum if self.in_logs else np.exp(alpha * log_sum)

    def jet(self, theta: Array) -> tuple[Array, Array, Bend]:
        log_sum, part, alpha, ratio = self._parts(theta)
        rx = ratio * self.x
        value = alpha * log_sum
        slopes = np.stack([alpha * part, alpha * (1 - part), -alpha * part * rx, value], axis=1)

        def bend(coefficients: Array) -> Array:
            both = alpha * part * (1 - part) * coefficients
            first = slopes[:, :3] * coefficients[:, None]
            out = np.empty((len(theta), 4, 4))
            out[:, 0, 0] = out[:, 1, 1] = both.sum(axis=1)
            out[:, 0, 1] = out[:, 1, 0] = -out[:, 0, 0]
            out[:, 1, 2] = out[:, 2, 1] = (both * rx).sum(axis=1)
            out[:, 0, 2] = out[:, 2, 0] = -out[:, 1, 2]
            out[:, 2, 2] = (both * rx * rx + first[:, 2]).sum(axis=1)
            out[:, :3, 3] = out[:, 3, :3] = first.sum(axis=2)
            out[:, 3, 3] = (value * coefficients).sum(axis=1)
            return out

        if self.in_logs:
            return value, slopes, bend
        loss = np.exp(value)

        def bend_of_loss(coefficients: Array) -> Array:
            scaled = coefficients * loss
            return bend(scaled) + (slopes * scaled[:, None]) @ slopes.transpose(0, 2, 1)

        return loss, slopes * loss[:, None], bend_of_loss

    def _parts(self, theta: Array) -> tuple[Array, Array, Array, Array]:
        """ln of the bracket, the share of N's term in it, alpha_D and r."""
        ratio, alpha = np.exp(theta[:, 2, None]), np.exp(theta[:, 3, None])
        u, v = theta[:, 0, None] - ratio * self.x, theta[:, 1, None] - self.y
        return np.logaddexp(u, v), expit(u - v), alpha, ratio


def _starts(form: Joint, log_loss: Array, weights: Array, name: str) -> Array:
    """The lowest points of a grid of alpha_D and r, each with its best e^a and e^b, and both without one term."""
    stride = -(-len(log_loss) // _SCORED_ROWS)
    keep = np.lexsort((log_loss, form.y, form.x))[::stride]  # in order of size, so that no row order decides
    small = replace(form, x=form.x[keep], y=form.y[keep])
    own, w = log_loss[keep], weights[keep]
    middle = float(own.mean())
    alpha, ratio = (grid.reshape(-1) for grid in np.meshgrid(_EXPONENTS, _RATIOS))
    power = (own - middle) / alpha[:, None]
    u, v = np.exp(-ratio[:, None] * small.x - power), np.exp(-small.y - power)
    uu, vv, uv = (np.sum(w * left * right, axis=1) for left, right in ((u, u), (v, v), (u, v)))
    tu, tv = u @ w, v @ w
    with np.errstate(all="ignore"):
        determinant = uu * vv - uv**2
        first, second = (tu * vv - tv * uv) / determinant, (tv * uu - tu * uv) / determinant
        logs = np.log(np.stack([first, second], axis=1)) + middle / alpha[:, None]
        one = [np.log(total / square) + middle / alpha for total, square in ((tu, uu), (tv, vv))]
        absent = np.full(len(alpha), -np.inf)
        both = np.concatenate([logs, np.stack([one[0], absent], axis=1), np.stack([absent, one[1]], axis=1)])
        theta = np.column_stack([both, np.tile(np.log(ratio), 3), np.tile(np.log(alpha), 3)])
        target = own if form.in_logs else np.exp(own)
        values = total(small, target, theta, w, delta_of(name))
    values = np.where(np.isfinite(values), values, np.inf).reshape(3, -1)
    chosen = [
        np.argsort(values[0], kind="stable")[:_STARTS],
        *(len(alpha) * i + np.argsort(values[i])[:1] for i in (1, 2)),
    ]
    picked = theta[np.concatenate(chosen)]
    return picked[~np.isnan(picked).any(axis=1)]


def _check(n: Array, d: Array, loss: Array, weights: Array, name: str) -> None:
    for what, values in (("n_params", n), ("tokens", d), ("loss", loss)):
        if len(values) != len(n) or not (np.isfinite(values) & (values > 0)).all():
            raise InputError(f"{what} must be {len(n)} positive, finite values: drop or flag the others")
    check_objective(name, loss)
    used = weights > 0
    if used.sum() < MIN_RUNS:
        raise FitError(f"{int(used.sum())} usable runs: Kaplan's 4 parameters need at least {MIN_RUNS}")
    for what, values in (("n_params", n), ("tokens", d)):
        if len(np.unique(values[used])) < 2:
            raise FitError(f"all runs have {what} = {values[0]:g}: Kaplan's law needs at least 2 different values")


def _law(theta: Array, form: Joint) -> KaplanLaw:
    a, b, log_ratio, log_alpha = (float(value) for value in theta)
    ratio, alpha_d = np.exp(log_ratio), np.exp(log_alpha)
    with np.errstate(over="ignore"):
        return KaplanLaw(
            N_c=float(np.exp(a / ratio + form.x_mean)),
            D_c=float(np.exp(b + form.y_mean)),
            alpha_N=float(ratio * alpha_d),
            alpha_D=float(alpha_d),
        )


def _status(form: Joint, theta: Array, converged: bool) -> FitStatus:
    ratio = np.exp(theta[2])
    gap = (theta[0] - ratio * form.x) - (theta[1] - form.y)
    if gap.max() < _GONE or gap.min() > -_GONE or (theta <= _BOUNDS[0]).any() or (theta >= _BOUNDS[1]).any():
        return FitStatus.BOUND_HIT
    return FitStatus.CONVERGED if converged else FitStatus.MAX_ITER


def resample_law(fit: JointFit, weights: Array, objective: str) -> Array:
    """N_c, D_c, alpha_N, alpha_D of each resample with an optimum, shape (n_successful, 4), from the table's own."""
    start = np.repeat(fit.theta[None], len(weights), axis=0)
    solution = minimise(
        fit.form,
        fit.target,
        start,
        weights,
        delta_of(objective),
        lower=_BOUNDS[0],
        upper=_BOUNDS[1],
        max_iterations=100,
    )
    inside = ((solution.theta > _BOUNDS[0]) & (solution.theta < _BOUNDS[1])).all(axis=1)
    laws = [_law(theta, fit.form) for theta in solution.theta[solution.converged & inside]]
    return np.array([(law.N_c, law.D_c, law.alpha_N, law.alpha_D) for law in laws]).reshape(-1, 4)
