"""Optima of a surface L(N, D) at C = 6 N D, and the compute that a loss needs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from ..errors import InputError
from ..laws import ChinchillaLaw, KaplanLaw

Surface = ChinchillaLaw | KaplanLaw
LARGEST = 690.0  # ln of the largest count answered: a double ends at e^709


@dataclass(frozen=True)
class Terms:
    """A surface as A/N^alpha + B/D^beta = excess, where the excess rises with the loss.

    Chinchilla's excess is L - E. Kaplan's is L^(1/alpha_D), with A = N_c^(alpha_N/alpha_D), alpha = alpha_N/alpha_D,
    B = D_c and beta = 1, so the two have their optima in common formulas.
    """

    log_A: float
    alpha: float
    log_B: float
    beta: float

    @property
    def size_share(self) -> float:
        """A/N^alpha as a share of the excess at the optimum of 6 N D: beta / (alpha + beta)."""
        return self.beta / (self.alpha + self.beta)


def terms_of(surface: Surface) -> Terms:
    """The two power terms. Raises InputError where one is absent: there is then no optimum."""
    if not has_optimum(surface):
        raise InputError(f"{surface}: lacks a power term, so it has no optimum; use a law with all of them positive")
    if isinstance(surface, ChinchillaLaw):
        return Terms(math.log(surface.A), surface.alpha, math.log(surface.B), surface.beta)
    exponent = surface.alpha_N / surface.alpha_D
    return Terms(exponent * math.log(surface.N_c), exponent, math.log(surface.D_c), 1.0)


def has_optimum(surface: Surface) -> bool:
    """Whether both power terms are there."""
    return math.isfinite(float(surface.optimum(1.0)[0]))


def training_optimum(surface: Surface, flops: float) -> tuple[float, float]:
    """(n_params, tokens) of least loss at C = 6 N D = `flops`; InputError where the law has no optimum."""
    terms_of(surface)
    n_params, tokens = surface.optimum(positive(flops, "the compute"))
    return float(n_params), float(tokens)


def optimum_for_loss(surface: Surface, loss: float) -> tuple[float, float]:
    """(n_params, tokens) that reach `loss` with the least 6 N D.

    A/N^alpha is beta/(alpha + beta) of the excess there (arXiv:2203.15556, equation 4). Raises InputError where the
    loss is not above the law's asymptote, so near it that no finite compute is left, or the law has no optimum.
    """
    terms = terms_of(surface)
    asymptote = surface.E if isinstance(surface, ChinchillaLaw) else 0.0
    if not (math.isfinite(loss) and loss > asymptote):
        raise InputError(f"a loss of {loss:g} is not above this law's asymptote {asymptote:g}; ask for a higher one")
    log_excess = math.log(loss - asymptote)
    if isinstance(surface, KaplanLaw):
        log_excess /= surface.alpha_D
    log_n, log_d = _logs_at(terms, log_excess)
    if log_n + log_d + math.log(6) > LARGEST:
        raise InputError(f"a loss of {loss!r} is so near the asymptote {asymptote:g} that no finite compute reaches it")
    return math.exp(log_n), math.exp(log_d)


def equal_optimum(surface: Surface, n_params: float, tokens: float) -> tuple[float, float]:
    """(n_params, tokens) of the training optimum that has the loss of a given run.

    As `optimum_for_loss` of it, without the digits that L - E loses. Raises InputError where the law has no optimum.
    """
    log_n, log_d = _equal_logs(surface, n_params, tokens)
    return math.exp(log_n), math.exp(log_d)


def log_flops_of_equal(surface: Surface, n_params: float, tokens: float) -> float:
    """ln of 6 N D of that optimum, which is never above the run's own; NaN where the law has none."""
    if not has_optimum(surface):
        return math.nan
    own = math.log(n_params) + math.log(tokens)
    return math.log(6) + min(sum(_equal_logs(surface, n_params, tokens)), own)


def _equal_logs(surface: Surface, n_params: float, tokens: float) -> tuple[float, float]:
    terms = terms_of(surface)
    by_size = terms.log_A - terms.alpha * math.log(n_params)
    by_data = terms.log_B - terms.beta * math.log(tokens)
    return _logs_at(terms, float(np.logaddexp(by_size, by_data)))


def _logs_at(terms: Terms, log_excess: float) -> tuple[float, float]:
    """ln N and ln D of the training optimum at an excess, which its terms share as `size_share` says."""
    log_n = (terms.log_A - math.log(terms.size_share) - log_excess) / terms.alpha
    return log_n, (terms.log_B - math.log1p(-terms.size_share) - log_excess) / terms.beta


def positive(value: float, name: str) -> float:
    """`value`, or an InputError where it is no finite number above 0."""
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"{name} is {value:g}, must be a finite number above 0")
    return value


def rising_root(function: Callable[[float], float], low: float, high: float) -> float:
    """The root of a rising function between bounds, either of which rounding may have put a hair past it."""
    if function(low) >= 0:
        return low
    if function(high) <= 0:
        return high
    xtol = 1e-15 * max(abs(low), abs(high))
    return float(brentq(function, low, high, xtol=xtol, rtol=1e-14))  # pyright: ignore[reportArgumentType]
