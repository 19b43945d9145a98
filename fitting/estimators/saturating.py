"""L(C) = E + (C0/C)^gamma through the least losses of the budgets, with the asymptote's own uncertainty.

For given gamma the law is linear in E and K = C0^gamma, so the sum of squared relative errors is searched over gamma
alone, and its profiles over E and gamma are exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import fdtri

from ..arguments import check_fit
from ..errors import FitError, InputError
from ..law_results import SaturatingFit
from ..laws import SaturatingLaw
from ..results import Estimate, FitStatus
from ..runs import RunTable
from ..uncertainty import MIN_BUDGETS
from .forms.descent import Array
from .frontier import frontier

_GAMMAS = np.geomspace(1e-3, 3.0, 300)  # published: .05 to .3
_GOLDEN = (np.sqrt(5) - 1) / 2
_GOLDEN_STEPS = 45
_NEAR = np.linspace(-15, 15, 601)  # standard errors about the optimum at which profiles are looked at
_REPORTED_POINTS = 41


def fit_saturating(table: RunTable, *, asymptote: float | None = None, level: float = 0.95) -> SaturatingFit:
    """Fit the form (Porian 2024, arXiv:2406.19146) to the `frontier` of `table`, by squared relative error.

    `asymptote` fixes E, in the unit of the losses. A free asymptote is over-optimistic: few budgets cannot tell a
    higher E with a steeper fall from a lower with a shallower one. Intervals at `level` are therefore profiles: every
    value for which the best other parameters keep the sum of squares within Fisher's 1 + F(1, n - p)/(n - p) times the
    least. No interval with fewer than 5 points.
    A low end of E at 0 means that the points are in accord with no asymptote at all.

    Raises FitError for fewer points than one more than the parameters, or losses that do not fall with compute;
    InputError for an `asymptote` that is negative or not below every loss.
    """
    check_fit(table, level)
    points = frontier(table)
    free = 3 if asymptote is None else 2
    if len(points.flops) <= free:
        raise FitError(f"{len(points.flops)} points on the frontier: {free} parameters need at least {free + 1}")
    if asymptote is not None and not 0 <= asymptote < points.loss.min():
        raise InputError(f"asymptote {asymptote:g} must be from 0 to below the least loss, {points.loss.min():g}")
    problem = _Profiled(np.log(points.flops) - np.log(points.flops).mean(), points.loss)
    gamma, squares = problem.best_gamma(asymptote)
    E, K = (float(part[0]) for part in problem.linear(np.array([gamma]), asymptote))
    if K <= 0:
        raise FitError("the least losses of the budgets do not fall with compute: no law of this form")
    freedom = len(points.flops) - free
    few = len(points.flops) < MIN_BUDGETS + 1
    limit = squares * (1 + float(fdtri(1, freedom, level)) / freedom)
    law = SaturatingLaw(E, float(np.exp(np.log(K) / gamma + np.log(points.flops).mean())), gamma)
    edge = gamma <= _GAMMAS[0] * 1.001 or gamma >= _GAMMAS[-1] * 0.999
    status = FitStatus.BOUND_HIT if edge or (asymptote is None and E == 0) else FitStatus.CONVERGED
    errors, correlation = problem.standard_errors(E, K, gamma, asymptote, squares / freedom)
    profile = None if asymptote is not None else problem.profile_of_asymptote(E + errors[0] * _NEAR)
    return SaturatingFit(
        status=FitStatus.TOO_FEW if few and status is FitStatus.CONVERGED else status,
        law=law,
        parameters=_intervals(problem, law, limit, level, asymptote, profile, few, errors[1]),
        asymptote_fixed=asymptote is not None,
        points=tuple(zip(points.flops.tolist(), points.loss.tolist(), strict=True)),
        source=points.source,
        relative_rms=float(np.sqrt(squares / len(points.flops))),
        correlation=correlation,
        asymptote_profile=() if asymptote is not None else problem.reported_profile(squares),
        asymptote_share=E / float(points.loss.min()),
    )


def _intervals(
    problem: _Profiled,
    law: SaturatingLaw,
    limit: float,
    level: float,
    asymptote: float | None,
    profile: tuple[Array, Array] | None,
    few: bool,
    gamma_error: float,
) -> dict[str, Estimate]:
    """E's and gamma's from their profiles. C0 has none: it lies far outside the points, tied to the other two."""
    values = {"E": law.E, "C0": law.C0, "gamma": law.gamma}
    out = {name: Estimate(value, level=level) for name, value in values.items()}
    if few:
        return out
    if profile is not None:
        out["E"] = Estimate(law.E, *_ends(profile[0][profile[1] <= limit], law.E), level)
    near = law.gamma * np.exp(gamma_error / law.gamma * _NEAR)
    gammas = np.concatenate([_GAMMAS, near[(near > _GAMMAS[0]) & (near < _GAMMAS[-1])]])
    low, high = _ends(gammas[problem.squares(gammas, asymptote) <= limit], law.gamma)
    if low > _GAMMAS[0] and high < _GAMMAS[-1]:
        out["gamma"] = Estimate(law.gamma, low, high, level)
    return out


def _ends(inside: Array, value: float) -> tuple[float, float]:
    both = np.append(inside, value)
    return float(both.min()), float(both.max())


@dataclass(frozen=True)
class _Profiled:
    """Points at centred ln C (n,) with losses (n,): squared relative error, least over the linear parameters."""

    log_c: Array
    loss: Array

    def linear(self, gammas: Array, asymptote: float | Array | None) -> tuple[Array, Array]:
        """The best E and K >= 0 for each gamma, shape (m,); E is `asymptote` where that is given."""
        power = np.exp(-gammas[:, None] * self.log_c) / self.loss
        one = 1 / self.loss
        pp = np.sum(power * power, axis=1)
        if asymptote is not None:
            held = np.broadcast_to(np.asarray(asymptote, dtype=float), gammas.shape)
            return held, np.maximum((power.sum(axis=1) - held * (power @ one)) / pp, 0.0)
        po, oo = power @ one, one @ one
        tp, to = power.sum(axis=1), one.sum()
        determinant = pp * oo - po**2
        E = np.maximum((to * pp - tp * po) / determinant, 0.0)
        return E, np.maximum((tp - E * po) / pp, 0.0)

    def squares(self, gammas: Array, asymptote: float | Array | None) -> Array:
        """The sum of squared relative errors at each gamma, shape (m,)."""
        E, K = self.linear(gammas, asymptote)
        model = E[:, None] + K[:, None] * np.exp(-gammas[:, None] * self.log_c)
        return np.sum((model / self.loss - 1) ** 2, axis=1)

    def best_gamma(self, asymptote: float | None) -> tuple[float, float]:
        """The gamma of least squares and those squares."""
        i = int(np.argmin(self.squares(_GAMMAS, asymptote)))
        low, high = (np.log(_GAMMAS[np.clip([j], 0, len(_GAMMAS) - 1)]) for j in (i - 1, i + 1))
        log_gamma, squares = self._golden(low, high, asymptote)
        return float(np.exp(log_gamma[0])), float(squares[0])

    def profile_of_asymptote(self, near: Array) -> tuple[Array, Array]:
        """E from 0 to the least loss, `near` the optimum closely, and the least squares over K and gamma at each."""
        top = float(self.loss.min()) * 0.9999
        values = np.unique(np.concatenate([np.linspace(0, top, 200), near[(near > 0) & (near < top)]]))
        grid = np.stack([self.squares(np.full(len(values), gamma), values) for gamma in _GAMMAS[::2]])
        best = np.argmin(grid, axis=0)
        logs = np.log(_GAMMAS[::2])
        low, high = logs[np.maximum(best - 1, 0)], logs[np.minimum(best + 1, len(logs) - 1)]
        return values, self._golden(low, high, values)[1]

    def reported_profile(self, squares: float) -> tuple[tuple[float, float], ...]:
        """A few points of the profile, as multiples of the least squares."""
        values, profile = self.profile_of_asymptote(np.empty(0))
        keep = np.linspace(0, len(values) - 1, _REPORTED_POINTS).round().astype(int)
        return tuple((float(values[i]), float(profile[i] / max(squares, 1e-300))) for i in keep)

    def _golden(self, low: Array, high: Array, asymptote: float | Array | None) -> tuple[Array, Array]:
        """Golden section search of ln gamma from `low` to `high`, shape (m,), all at once: where, and the squares."""
        for _ in range(_GOLDEN_STEPS):
            left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
            lower = self.squares(np.exp(left), asymptote) < self.squares(np.exp(right), asymptote)
            low, high = np.where(lower, low, left), np.where(lower, right, high)
        middle = (low + high) / 2
        return middle, self.squares(np.exp(middle), asymptote)

    def standard_errors(
        self, E: float, K: float, gamma: float, asymptote: float | None, variance: float
    ) -> tuple[tuple[float, float], float | None]:
        """Of E and gamma, by the curvature at the optimum, and their correlation (None where E is given or at 0)."""
        power = np.exp(-gamma * self.log_c) / self.loss
        slopes = np.stack([-K * self.log_c * power, K * power, 1 / self.loss])[: 3 if asymptote is None else 2]
        covariance = np.linalg.pinv(slopes @ slopes.T) * variance
        gamma_error = float(np.sqrt(covariance[0, 0]))
        if asymptote is not None:
            return (0.0, gamma_error), None
        error = float(np.sqrt(covariance[2, 2]))
        known = E > 0 and error > 0 and gamma_error > 0
        return (error, gamma_error), float(covariance[0, 2] / (error * gamma_error)) if known else None
