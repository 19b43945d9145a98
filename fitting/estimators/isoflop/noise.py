"""The noise of the losses about the budgets' curves: how large it is, what it does to a minimum, and draws of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import polygamma, psi

from ...isoflop_evidence import LossNoise
from ...uncertainty import generator
from .minima import BudgetMinimum, shifted
from .parabola import Curve

Array = NDArray[np.float64]

_MIN_FREEDOM = 3  # degrees of freedom, over all budgets, that show a noise worth resampling
_SPLINE_DRAWS = 200
_ROUNDING = 1e-10  # a noise below this part of the loss is rounding
_MOST_PRIOR = 1e6


@dataclass(frozen=True)
class Noise:
    """Standard deviation of one run's own noise in each budget, and the shape of the scatter to draw from.

    What the runs of a size share beside it has `between` times its variance (`Polynomial`). Each budget has its own
    variance s_b^2 with few degrees of freedom f_b. They are shrunk to the pool as a sample of variances about it
    (empirical Bayes, Smyth 2004, doi:10.2202/1544-6115.1027, section 6): with p prior degrees of freedom, sigma_b^2 =
    (p s^2 + f_b s_b^2) / (p + f_b) has p + f_b of them. Budgets that scatter no more than chance has it give p = inf,
    one noise for all.
    """

    pooled: LossNoise
    sigma: Array  # (n_budgets,)
    pool: Array  # standardised residuals, of mean 0 and mean square 1
    prior: float  # the variance that the budgets' own are shrunk to
    rounding: bool  # too small to be anything but rounding

    @property
    def shared(self) -> bool:
        """Whether all budgets share one noise."""
        return bool(np.isinf(self.pooled.prior_freedom))

    def shrunk(self, squares: Array, freedom: float | Array) -> Array:
        """The variances of budgets with these sums of squares, with the pool's counted in."""
        p = self.pooled.prior_freedom
        return (p * self.prior + squares) / (p + freedom)

    def draws(self, place: int, shape: tuple[int, int], rng: np.random.Generator) -> Array:
        """Noise for runs of budget number `place`, of its estimated size."""
        return self.sigma[place] * rng.choice(self.pool, size=shape)


def between_cells(used: list[BudgetMinimum]) -> float:
    """The variance of the deviation that the runs of one size share, over that of a run's own noise.

    More seeds of a size average their own noise away and leave what all of them share: a learning rate that suits
    some sizes better, a width too small. Moment estimate (that of `fitting.precision.measure`) from the budgets whose
    sizes were trained more than once, pooled: what sizes scatter about the curve beyond their runs, 0 where these
    explain it all or too few are there to tell.
    """
    parts = [_scatters(budget) for budget in used if _replicated(budget)]
    if not parts:
        return 0.0
    of_runs, freedom, of_sizes, run_share, size_share, spare = (float(total) for total in np.sum(parts, axis=0))
    if min(freedom, spare) < _MIN_FREEDOM:
        return 0.0
    run = of_runs / freedom
    if np.sqrt(run) <= _rounding(used):  # the same runs twice
        return 0.0
    return max(0.0, (of_sizes - run * run_share) / (run * size_share))


def noise_of(used: list[BudgetMinimum]) -> Noise | None:
    """The noise of the runs near the minima; None where too few of them are there to show one.

    A residual shrinks by the leverage of its run; that is undone. Runs of one size count in full: where a size's
    mean stands for them, their scatter about it is added to the residuals'.
    """
    sums: list[float] = []
    freedoms: list[int] = []
    pool: list[Array] = []
    for budget in used:
        smooth, scatter = budget.smooth, budget.group.scatter
        losses = budget.group.loss[smooth.used]
        residuals = losses - smooth.fitted(losses)
        spare = smooth.residual_variance
        sums.append(float(smooth.squares(residuals)) + scatter.squares)
        freedoms.append(smooth.freedom + scatter.freedom)
        shown = spare > 1e-6  # a run that the curve passes through whatever its loss shows no noise
        pool.append(np.concatenate([residuals[shown] / np.sqrt(spare[shown]), scatter.residuals]))
    squares, freedom = np.array(sums), np.array(freedoms, dtype=float)
    if freedom.sum() < _MIN_FREEDOM:
        return None
    pooled = float(np.sqrt(squares.sum() / freedom.sum()))
    rounding = pooled <= _rounding(used)
    prior, centre = (np.inf, 0.0) if rounding else _prior(squares, freedom)
    sigma = np.full(len(used), pooled)
    if np.isfinite(prior):
        sigma = np.sqrt((prior * centre + squares) / (prior + freedom))
    # Noise of rounding may be exactly none: then there is nothing to draw.
    drawn = np.concatenate([values / (own or 1.0) for values, own in zip(pool, sigma.tolist(), strict=True)])
    drawn = cast("Array", drawn - drawn.mean())
    source = "residuals and replicates" if any(_replicated(budget) for budget in used) else "residuals"
    between = float(np.sqrt(used[0].shape.between)) * pooled
    said = LossNoise(pooled, int(freedom.sum()), source, prior, between)
    return Noise(said, sigma, drawn / (float(np.sqrt(np.mean(drawn**2))) or 1.0), centre, rounding)


def variances_of(used: list[BudgetMinimum], noise: Noise | None) -> Array | None:
    """The variance of each minimum's ln N, shape (n_used,), from the noise of the losses; None where unknown.

    A parabola's by the delta method, a spline's by drawing noise onto its losses.
    """
    if noise is None or noise.rounding:
        return None
    if used[0].method == "parabola":
        return noise.sigma**2 * np.array([float(budget.found.variance[0]) for budget in used])
    rng = generator(0)  # part of the point estimate: no seed of the caller's changes it
    variances: list[float] = []
    for place, budget in enumerate(used):
        draws, _ = noisy(budget, noise, place, _SPLINE_DRAWS, rng)
        kept = draws.x[draws.interior]
        variances.append(float(np.var(kept)) if len(kept) > _SPLINE_DRAWS // 2 else np.nan)
    known = np.array(variances)
    if not (known > 0).any():
        return None
    # A spline that keeps no minimum under its own noise tells least: it weighs like the least certain other.
    return np.where(known > 0, known, np.nanmax(known))


def noisy(budget: BudgetMinimum, noise: Noise, place: int, count: int, rng: np.random.Generator) -> tuple[Curve, Array]:
    """`count` minima of budget number `place` with noise drawn onto its smooth curve, about the minimum found; and
    the variance of the noise that each of these samples would show, shape (count,).

    A spline too is drawn about that curve: its own losses hold the noise once already. What the draws scatter about
    is the spline's minimum on the curve without noise; they are moved from there to the minimum found.
    """
    group, smooth = budget.group, budget.smooth
    base = group.loss.copy()
    base[smooth.used] = smooth.fitted(group.loss[smooth.used])
    drawn = noise.draws(place, (count, len(base)), rng) / np.sqrt(group.counts)
    if smooth.between:
        shared = noise.draws(place, (count, group.n_sizes), rng) * np.sqrt(smooth.between)
        drawn += shared[:, group.sizes]
    curve = budget.minima(base + drawn)
    if budget.method == "akima":
        curve = shifted(curve, budget.shape, budget.found.x - budget.minima(base[None]).x)
    if noise.shared:
        return curve, np.full(count, noise.sigma[place] ** 2)
    near = drawn[:, smooth.used]
    squares = smooth.squares(near - smooth.fitted(near))
    if group.scatter.freedom > 0:
        squares = squares + noise.sigma[place] ** 2 * rng.chisquare(group.scatter.freedom, count)
    return curve, noise.shrunk(squares, smooth.freedom + group.scatter.freedom)


def _scatters(budget: BudgetMinimum) -> tuple[float, ...]:
    """A budget's sum of squares of runs about the means of their sizes and its degrees of freedom; that of the sizes
    about the curve, what variances of 1 of runs and of sizes would make of it, and its degrees of freedom."""
    smooth, scatter = budget.smooth, budget.group.scatter
    losses = budget.group.loss[smooth.used]
    residuals = losses - smooth.fitted(losses)
    within = float(smooth.within(residuals))
    return (
        within + scatter.squares,
        smooth.replicates + scatter.freedom,
        float(residuals @ residuals) - within,
        float(smooth.run_variance.sum()) - smooth.replicates,
        float(smooth.size_variance.sum()),
        smooth.freedom - smooth.replicates,
    )


def _rounding(used: list[BudgetMinimum]) -> float:
    """The standard deviation, in the unit of the loss, up to which noise is rounding."""
    return _ROUNDING * float(np.median(np.concatenate([budget.group.loss for budget in used])))


def _replicated(budget: BudgetMinimum) -> bool:
    """Whether runs of one size are there to measure the noise."""
    return budget.group.scatter.freedom > 0 or budget.smooth.replicates > 0


def _prior(squares: Array, freedom: Array) -> tuple[float, float]:
    """Degrees of freedom and value of the variance that the budgets' own scatter about (Smyth 2004, section 6.2)."""
    shown = freedom > 0
    f = freedom[shown]
    pool = float(squares[shown].sum() / f.sum())
    if len(f) < 2:
        return np.inf, pool
    # A budget without any residual would have the logarithm of nothing: it counts as nearly none.
    own = np.maximum(squares[shown] / f, 1e-5 * pool)
    logs = np.log(own) - psi(f / 2) + np.log(f / 2)
    spread = float(np.var(logs, ddof=1) - np.mean(polygamma(1, f / 2)))
    if spread <= float(polygamma(1, _MOST_PRIOR / 2)):
        return np.inf, pool
    prior = 2 * _inverse_trigamma(spread)
    return prior, float(np.exp(np.mean(logs) + psi(prior / 2) - np.log(prior / 2)))


def _inverse_trigamma(value: float) -> float:
    """Newton's iteration on 1 / trigamma, which is nearly linear and convex (Smyth 2004, appendix)."""
    y = 0.5 + 1 / value
    for _ in range(50):
        slope = float(polygamma(1, y))
        step = slope * (1 - slope / value) / float(polygamma(2, y))
        y += step
        if abs(step) < 1e-10 * y:
            break
    return y
