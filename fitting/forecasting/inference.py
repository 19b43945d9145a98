"""The model that is cheapest to train and to serve (Sardana 2024, arXiv:2401.00448)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .surfaces import Surface, Terms, equal_optimum, optimum_for_loss, positive, rising_root, terms_of, training_optimum

_NOTHING = 1e-14  # served over trained tokens below which the optimum of training is the optimum to all digits


@dataclass(frozen=True)
class Deployment:
    """A model over its life: 6 N D FLOPs to train, 2 N for each token served.

    `total_flops` counts a FLOP of serving `inference_cost_ratio` times, so it is in FLOPs of training: what the
    training compute of the same cost would be.
    """

    n_params: float
    tokens: float
    training_flops: float
    inference_flops: float
    total_flops: float

    @classmethod
    def of(cls, n_params: float, tokens: float, inference_tokens: float, cost_ratio: float) -> Deployment:
        """The life of N parameters trained on D tokens."""
        training, inference = 6 * n_params * tokens, 2 * n_params * inference_tokens
        return cls(n_params, tokens, training, inference, training + cost_ratio * inference)


@dataclass(frozen=True)
class InferenceOptimum:
    """`best` has the least total cost at its loss; `trained_optimally` reaches that loss with the least training."""

    inference_tokens: float
    inference_cost_ratio: float
    loss: float
    best: Deployment
    trained_optimally: Deployment

    @property
    def saving(self) -> float:
        """The share of the total that `best` saves, 0 to 1."""
        return 1 - self.best.total_flops / self.trained_optimally.total_flops


def inference_optimum(
    surface: Surface,
    inference_tokens: float,
    *,
    flops: float | None = None,
    loss: float | None = None,
    total_flops: float | None = None,
    inference_cost_ratio: float = 1.0,
) -> InferenceOptimum:
    """Minimise 6 N D + 2 N T, T tokens served (input and output alike), at one loss (equation 3 of the paper).

    The loss is given by one of: `loss`; `flops`, the loss of the training optimum at that compute; or `total_flops`,
    the least loss that this much compute for training and serving together reaches. `inference_cost_ratio` is the
    price of a FLOP served in FLOPs trained: (price per hour / utilisation) of serving over that of training.

    Raises InputError where not exactly one of the three is given, a number is out of range (T may be 0), the law has
    no optimum, or the loss is not above its asymptote.
    """
    given = [value for value in (flops, loss, total_flops) if value is not None]
    if len(given) != 1:
        raise InputError("give one of the compute of training, the loss or the total compute to find what serves best")
    if not (math.isfinite(inference_tokens) and inference_tokens >= 0):
        raise InputError(f"the tokens served are {inference_tokens:g}, must be a finite number of at least 0")
    positive(inference_cost_ratio, "the cost of a FLOP of inference")
    served = inference_tokens * inference_cost_ratio / 3  # tokens of training that cost as much: 6 N q = 2 N T
    if total_flops is not None:
        n_params, tokens = _best_of_total(surface, positive(total_flops, "the total compute"), served)
        base = equal_optimum(surface, n_params, tokens)
    else:
        base = training_optimum(surface, flops) if flops is not None else optimum_for_loss(surface, loss or 0.0)
        n_params, tokens = _best_at_loss(terms_of(surface), base, served)
    return InferenceOptimum(
        inference_tokens=inference_tokens,
        inference_cost_ratio=inference_cost_ratio,
        loss=float(surface.loss(*base)),
        best=Deployment.of(n_params, tokens, inference_tokens, inference_cost_ratio),
        trained_optimally=Deployment.of(*base, inference_tokens, inference_cost_ratio),
    )


def _best_at_loss(terms: Terms, base: tuple[float, float], served: float) -> tuple[float, float]:
    """Least N (D + q) along the curve of equal loss through its training optimum N0, D0.

    With s = A/N^alpha as a share of the excess, N and D go as s^(-1/alpha) and (1 - s)^(-1/beta), and the derivative
    vanishes where D (alpha s / (beta (1 - s)) - 1) = q. In v, the log odds of s above their value at the training
    optimum, that is D(v) (e^v - 1) = q, whose left side rises; D0 <= D(v) <= D0 e^(v/beta) brackets its root.
    """
    n_params, tokens = base
    if served <= _NOTHING * tokens:
        return base
    odds = math.log(terms.beta / terms.alpha)
    log_t = math.log(served) - math.log(tokens)

    def fresh(v: float) -> float:
        """ln D(v)/D0."""
        return float(np.logaddexp(0, odds + v) - np.logaddexp(0, odds)) / terms.beta

    def condition(v: float) -> float:
        return fresh(v) + v + math.log(-math.expm1(-v)) - log_t

    high = float(np.logaddexp(0, log_t))  # ln(1 + q/D0)
    v = rising_root(condition, high / (1 + 1 / terms.beta), high)
    shrunk = float(np.logaddexp(0, -odds - v) - np.logaddexp(0, -odds)) / terms.alpha
    return n_params * math.exp(shrunk), tokens * math.exp(fresh(v))


def _best_of_total(surface: Surface, total: float, served: float) -> tuple[float, float]:
    """Least loss with 6 N (D + q) = `total`.

    With N0, D0 the training optimum of the whole total and d = ln D/D0 the derivative vanishes where
    (alpha + beta) d = (1 - alpha) ln(1 + q/D), whose sides cross once, between the bounds below.
    """
    terms = terms_of(surface)
    n_params, tokens = training_optimum(surface, total)
    if served <= _NOTHING * tokens:
        return n_params, tokens
    log_t = math.log(served) - math.log(tokens)

    def condition(d: float) -> float:
        return (terms.alpha + terms.beta) * d + (terms.alpha - 1) * float(np.logaddexp(0, log_t - d))

    surplus = (1 - terms.alpha) * float(np.logaddexp(0, log_t))
    bound = surplus / (terms.alpha + terms.beta if surplus > 0 else 1 + terms.beta)
    d = 0.0 if bound == 0 else rising_root(condition, min(0.0, bound), max(0.0, bound))
    # 6 N (D + q) = 6 N0 D0
    return n_params * math.exp(-float(np.logaddexp(d, log_t))), tokens * math.exp(d)
