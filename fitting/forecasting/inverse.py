"""The laws read backwards: the compute, tokens or parameters of a loss; the compute that a size is optimal at.

Logarithms of counts are inf where nothing reaches the loss and NaN where the law does not say: resamples may be either.
"""

from __future__ import annotations

import numpy as np

from ..laws import ChinchillaLaw, KaplanLaw, PowerLaw
from ..prediction import Scaling
from .surfaces import Surface, has_optimum, terms_of


def asymptote(scaling: Scaling) -> float:
    """The loss that no compute goes below: E, or 0 of laws without one; NaN where the law says no loss."""
    for law in (scaling.surface, scaling.frontier):
        if law is not None:
            return 0.0 if isinstance(law, KaplanLaw) else float(law.E)
    return float("nan")


def log_flops_for_loss(scaling: Scaling, loss: float) -> float:
    """ln of the least C whose optimum has `loss`.

    Along the optimum of every law here L - E is a power of C, so two budgets say it exactly.
    """
    floor = asymptote(scaling)
    if not np.isfinite(floor):
        return float("nan")
    if loss <= floor:
        return float("inf")
    first, second = (np.log(scaling.loss(flops) - floor) for flops in (1e18, 1e21))
    slope = (second - first) / np.log(1e3)
    return float(np.log(1e18) + (np.log(loss - floor) - first) / slope)


def flops_of(law: PowerLaw | None, count: float) -> float:
    """The C at which `law`, N*(C) or D*(C), is `count`; NaN without a law, or one that does not grow."""
    if law is None or not law.exponent > 0:
        return float("nan")
    return float(np.exp((np.log(count) - np.log(law.coefficient)) / law.exponent))


def log_tokens_for_loss(surface: Surface | None, n_params: float, loss: float) -> float:
    """ln of the D on which `n_params` reach `loss`."""
    if surface is None or not has_optimum(surface):
        return float("nan")
    terms = terms_of(surface)
    left = _excess(surface, loss) - np.exp(terms.log_A - terms.alpha * np.log(n_params))
    return _log_count(terms.log_B, terms.beta, left)


def log_params_for_loss(surface: Surface | None, tokens: float, loss: float) -> float:
    """ln of the N that reaches `loss` on `tokens`."""
    if surface is None or not has_optimum(surface):
        return float("nan")
    terms = terms_of(surface)
    left = _excess(surface, loss) - np.exp(terms.log_B - terms.beta * np.log(tokens))
    return _log_count(terms.log_A, terms.alpha, left)


def least_loss(surface: Surface, *, n_params: float = np.inf, tokens: float = np.inf) -> float:
    """What a size, or a number of tokens, ends at with as much as one likes of the other."""
    return float(surface.loss(n_params, tokens))


def _excess(surface: Surface, loss: float) -> float:
    """A/N^alpha + B/D^beta at `loss`, in the form of `surfaces.Terms`."""
    if isinstance(surface, ChinchillaLaw):
        return loss - surface.E
    return float(np.exp(np.log(loss) / surface.alpha_D))


def _log_count(log_coefficient: float, exponent: float, left: float) -> float:
    """ln x of coefficient / x^exponent = left."""
    return float((log_coefficient - np.log(left)) / exponent) if left > 0 else float("inf")
