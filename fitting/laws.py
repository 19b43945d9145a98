"""Scaling laws as frozen objects that predict. Letters are the papers' own, beside their equation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .shown import Shown

Band = tuple[NDArray[np.float64], NDArray[np.float64]]  # low and high ends


@dataclass(frozen=True, repr=False)
class PowerLaw(Shown, says="laws.power"):
    """y(C) = coefficient * C^exponent, C in FLOPs."""

    coefficient: float
    exponent: float

    @classmethod
    def from_log(cls, log_coefficient: float, exponent: float) -> PowerLaw:
        """From ln coefficient, as lines are fitted.

        A coefficient beyond the numbers is infinite, one below them NaN: such a line predicts nothing finite.
        """
        with np.errstate(over="ignore"):
            coefficient = float(np.exp(log_coefficient))
        return cls(coefficient or float("nan"), exponent)

    def __call__(self, flops: ArrayLike) -> NDArray[np.float64]:
        """y at each of `flops`, in the unit of the coefficient; infinite beyond the numbers."""
        with np.errstate(over="ignore"):
            return np.exp(np.log(self.coefficient) + self.exponent * np.log(np.asarray(flops, dtype=float)))


@dataclass(frozen=True, repr=False)
class ChinchillaLaw(Shown, says="laws.chinchilla"):
    """L(N, D) = E + A/N^alpha + B/D^beta in nats per token (Hoffmann 2022, arXiv:2203.15556, equation 2)."""

    E: float
    A: float
    B: float
    alpha: float
    beta: float

    def loss(self, n_params: ArrayLike, tokens: ArrayLike) -> NDArray[np.float64]:
        """Loss in nats per token; `n_params` and `tokens` are counts and broadcast."""
        n = np.asarray(n_params, dtype=float)
        d = np.asarray(tokens, dtype=float)
        return self.E + self.A * n**-self.alpha + self.B * d**-self.beta

    @property
    def params_exponent(self) -> float:
        """a in N* ~ C^a: beta / (alpha + beta), under C = 6 N D (equation 4); NaN where a power term is absent."""
        return self.beta / (self.alpha + self.beta) if self._has_optimum else float("nan")

    @property
    def tokens_exponent(self) -> float:
        """b in D* ~ C^b: alpha / (alpha + beta), under C = 6 N D (equation 4); NaN where a power term is absent."""
        return self.alpha / (self.alpha + self.beta) if self._has_optimum else float("nan")

    @property
    def _has_optimum(self) -> bool:
        return min(self.A, self.B, self.alpha, self.beta) > 0

    def optimum(self, flops: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(n_params, tokens) of least loss at C = 6 N D (equation 4); NaN where a power term is absent."""
        sixth = np.asarray(flops, dtype=float) / 6
        if not self._has_optimum:
            return np.full_like(sixth, np.nan), np.full_like(sixth, np.nan)
        with np.errstate(over="ignore", divide="ignore"):  # exponents near 0: beyond all numbers
            g = np.float64(self.alpha * self.A / (self.beta * self.B)) ** (1 / (self.alpha + self.beta))
            return g * sixth**self.params_exponent, sixth**self.tokens_exponent / g

    def params_law(self) -> PowerLaw:
        """N*(C) under C = 6 N D."""
        return PowerLaw(float(self.optimum(1.0)[0]), self.params_exponent)

    def tokens_law(self) -> PowerLaw:
        """D*(C) under C = 6 N D."""
        return PowerLaw(float(self.optimum(1.0)[1]), self.tokens_exponent)


@dataclass(frozen=True, repr=False)
class KaplanLaw(Shown, says="laws.kaplan"):
    """L(N, D) = [(N_c/N)^(alpha_N/alpha_D) + D_c/D]^alpha_D (Kaplan 2020, arXiv:2001.08361, equation 1.5)."""

    N_c: float
    D_c: float
    alpha_N: float
    alpha_D: float

    def loss(self, n_params: ArrayLike, tokens: ArrayLike) -> NDArray[np.float64]:
        """Loss in the unit of the table fitted; `n_params` and `tokens` are counts and broadcast; inf is allowed."""
        n, d = np.log(np.asarray(n_params, dtype=float)), np.log(np.asarray(tokens, dtype=float))
        with np.errstate(divide="ignore"):  # an N_c or D_c of 0 is a term that is absent
            by_size, by_tokens = np.log(self.N_c) - n, np.log(self.D_c) - d
        return np.exp(self.alpha_D * np.logaddexp(self.alpha_N / self.alpha_D * by_size, by_tokens))

    @property
    def params_exponent(self) -> float:
        """a in N* ~ C^a under C = 6 N D: alpha_D / (alpha_N + alpha_D).

        The bracket with D = C/6N is least where (alpha_N/alpha_D) (N_c/N)^(alpha_N/alpha_D) = 6 N D_c / C. This is
        the optimum of equation 1.5 itself, .58 at Kaplan's constants; their .73 is of L(N, S_min), section 6.
        """
        return self.alpha_D / (self.alpha_N + self.alpha_D)

    @property
    def tokens_exponent(self) -> float:
        """b in D* ~ C^b under C = 6 N D: alpha_N / (alpha_N + alpha_D)."""
        return self.alpha_N / (self.alpha_N + self.alpha_D)

    def optimum(self, flops: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(n_params, tokens) of least loss at C = 6 N D; NaN where a term is absent."""
        log_sixth = np.log(np.asarray(flops, dtype=float) / 6)
        if not (self.N_c > 0 and self.D_c > 0):
            return np.full_like(log_sixth, np.nan), np.full_like(log_sixth, np.nan)
        ratio = self.alpha_N / self.alpha_D
        log_n = (np.log(ratio) + ratio * np.log(self.N_c) - np.log(self.D_c) + log_sixth) / (1 + ratio)
        return np.exp(log_n), np.exp(log_sixth - log_n)

    def params_law(self) -> PowerLaw:
        """N*(C) under C = 6 N D."""
        return PowerLaw(float(self.optimum(1.0)[0]), self.params_exponent)

    def tokens_law(self) -> PowerLaw:
        """D*(C) under C = 6 N D."""
        return PowerLaw(float(self.optimum(1.0)[1]), self.tokens_exponent)


@dataclass(frozen=True, repr=False)
class SaturatingLaw(Shown, says="laws.saturating"):
    """L(C) = E + (C0/C)^gamma: the least loss of a compute budget (Porian 2024, arXiv:2406.19146, section 4)."""

    E: float
    C0: float
    gamma: float

    def loss(self, flops: ArrayLike) -> NDArray[np.float64]:
        """Loss in the unit of the points fitted, at training FLOPs `flops`."""
        return self.E + np.exp(self.gamma * (np.log(self.C0) - np.log(np.asarray(flops, dtype=float))))


@dataclass(frozen=True, repr=False)
class DataConstrainedLaw(Shown, says="laws.data_constrained"):
    """L = E + A/N'^alpha + B/D'^beta, where repeats and surplus parameters wear out (arXiv:2305.16264, section 3).

    D' = U_D + U_D R_D* (1 - exp(-R_D/R_D*)) for U_D unique tokens seen 1 + R_D times (equation 5), and N' likewise
    for U_N, the parameters that U_D is optimal for under `base` (at most N), and R_N = N/U_N - 1 (equation 6).
    """

    base: ChinchillaLaw
    R_D: float  # R_D*, repeats after which a repeated token has lost 1 - 1/e of its worth
    R_N: float  # R_N*, the same of surplus parameters

    def loss(self, n_params: ArrayLike, tokens: ArrayLike, unique_tokens: ArrayLike) -> NDArray[np.float64]:
        """Loss in nats per token; counts that broadcast. Unique tokens beyond `tokens` were not seen."""
        n, d = np.asarray(n_params, dtype=float), np.asarray(tokens, dtype=float)
        unique = np.minimum(np.asarray(unique_tokens, dtype=float), d)
        base_n = np.minimum(self.matching_params(unique), n)
        return self.base.loss(_worn(n, base_n, self.R_N), _worn(d, unique, self.R_D))

    def matching_params(self, unique_tokens: ArrayLike) -> NDArray[np.float64]:
        """U_N: the size whose optimal token count under `base` is `unique_tokens` (C = 6 N D)."""
        law = self.base
        log_g = np.log(law.alpha * law.A / (law.beta * law.B)) / (law.alpha + law.beta)
        log_u = np.log(np.asarray(unique_tokens, dtype=float))
        return np.exp((log_u + log_g) * law.beta / law.alpha + log_g)


@dataclass(frozen=True, repr=False)
class OvertrainingLaw(Shown, says="laws.overtraining"):
    """L(C, M) = E + (a M^eta + b M^-eta) C^-eta, M tokens per parameter (Gadre 2024, arXiv:2403.08540, equation 4).

    It is the Chinchilla form with alpha = beta = 2 eta at C = 6 N D.
    """

    E: float
    a: float
    b: float
    eta: float

    def loss(self, flops: ArrayLike, tokens_per_param: ArrayLike) -> NDArray[np.float64]:
        """Loss in nats per token at training FLOPs and tokens per parameter that broadcast."""
        c = np.log(np.asarray(flops, dtype=float))
        m = np.log(np.asarray(tokens_per_param, dtype=float))
        return self.E + self.a * np.exp(self.eta * (m - c)) + self.b * np.exp(-self.eta * (m + c))


@dataclass(frozen=True, repr=False)
class ErrorLaw(Shown, says="laws.error"):
    """Err(L) = epsilon - k exp(-gamma L): downstream error from loss (Gadre 2024, arXiv:2403.08540, equation 5)."""

    epsilon: float
    k: float
    gamma: float

    def error(self, loss: ArrayLike) -> NDArray[np.float64]:
        """Error (a share from 0 to 1) at `loss`."""
        return self.epsilon - self.k * np.exp(-self.gamma * np.asarray(loss, dtype=float))


def _worn(total: NDArray[np.float64], fresh: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    """fresh (1 + scale (1 - exp(-R/scale))) with R = total/fresh - 1."""
    return fresh * (1 - scale * np.expm1(-(total / fresh - 1) / scale))


def power_band(resamples: NDArray[np.float64] | None, flops: ArrayLike, level: float, column: int) -> Band | None:
    """Percentiles of the power law whose ln coefficient and exponent are `resamples`' columns from `column` on."""
    if resamples is None:
        return None
    log_flops = np.log(np.asarray(flops, dtype=float))
    draws = resamples[:, column, None] + resamples[:, column + 1, None] * log_flops
    tail = (1 - level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
    return np.exp(low), np.exp(high)
