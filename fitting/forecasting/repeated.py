"""The optimum where only U unique tokens exist and more are had by repeating them (Muennighoff 2023)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import InputError
from ..laws import ChinchillaLaw, DataConstrainedLaw
from ..published import published_estimate
from .surfaces import equal_optimum, positive, rising_root, training_optimum

PUBLISHED_R_D, PUBLISHED_R_N = 15.388, 5.310  # R_D* and R_N* of arXiv:2305.16264, section 6
_NOTHING_LEFT = 1e-3  # part of the loss above E


@dataclass(frozen=True)
class ConstrainedOptimum:
    """N and D of least loss at C = 6 N D with U unique tokens, beside the optimum with fresh tokens throughout.

    `runs_out_flops` is the compute at which D*(C) = U: up to it nothing is repeated. `repeat_worth` is what one more
    token adds, as a part of what a fresh one would. `loss_floor` is what no compute gets under with these tokens, and
    `exhausted` says that the loss has come to it, within .1 % of what is above E. `flops_needed` is the compute at
    which fresh tokens would give `loss`.
    """

    flops: float
    unique_tokens: float
    n_params: float
    tokens: float
    loss: float
    fresh_n_params: float
    fresh_tokens: float
    fresh_loss: float
    flops_needed: float
    runs_out_flops: float
    repeat_worth: float
    loss_floor: float
    exhausted: bool

    @property
    def epochs(self) -> float:
        """Times the unique tokens are seen; below 1 not all of them are."""
        return self.tokens / self.unique_tokens

    @property
    def excess_loss(self) -> float:
        """Loss above that of fresh tokens at the same compute."""
        return self.loss - self.fresh_loss

    @property
    def remark(self) -> str:
        """What the repeats are worth, in words; empty where nothing is repeated."""
        if self.flops <= self.runs_out_flops:
            return ""
        if self.exhausted:
            return f"more compute is worth nothing: the loss with these tokens ends at {self.loss_floor:.4g}"
        return f"{self.epochs:.3g} epochs; one more token is worth {self.repeat_worth:.2g} of a fresh one"


def with_published_repeats(law: ChinchillaLaw) -> DataConstrainedLaw:
    """`law` for fresh tokens, with repeats and surplus parameters that wear out as Muennighoff 2023 found on C4.

    That R_D* = 15.388 and R_N* = 5.310 hold for another corpus and size is an assumption: a caller says so.
    """
    return DataConstrainedLaw(law, PUBLISHED_R_D, PUBLISHED_R_N)


def muennighoff() -> DataConstrainedLaw:
    """The paper's own law: E 1.87, A 521, B 1488, alpha = beta = .353 (published.csv), R_D* 15.388, R_N* 5.310."""
    law = published_estimate("muennighoff").law
    assert isinstance(law, ChinchillaLaw)
    return with_published_repeats(law)


def constrained_optimum(law: DataConstrainedLaw, flops: float, unique_tokens: float) -> ConstrainedOptimum:
    """Minimise L(N, C / 6N, U) over N (arXiv:2305.16264, section 3).

    Raises InputError for numbers that are not positive, for an R_D* or R_N* that is not, and for a law for fresh
    tokens without an optimum.
    """
    for value, name in ((law.R_D, "R_D*"), (law.R_N, "R_N*")):
        positive(value, name)
    fresh_n, fresh_d = training_optimum(law.base, flops)
    matching = float(law.matching_params(positive(unique_tokens, "the number of unique tokens")))
    runs_out = 6 * matching * unique_tokens
    n_params, tokens, needed = fresh_n, fresh_d, flops
    if flops > runs_out:
        n_params = _best_size(law, flops, unique_tokens, matching)
        tokens = flops / 6 / n_params
        worth_n = matching * math.exp(_worn(math.log(n_params / matching), law.R_N)[0])
        worth_d = unique_tokens * math.exp(_worn(math.log(tokens / unique_tokens), law.R_D)[0])
        equal_n, equal_d = equal_optimum(law.base, worth_n, worth_d)
        needed = min(6 * equal_n * equal_d, flops)
    fresh_loss = float(law.base.loss(fresh_n, fresh_d))
    loss = max(float(law.loss(n_params, tokens, unique_tokens)), fresh_loss)
    floor = float(law.base.loss(matching * (1 + law.R_N), unique_tokens * (1 + law.R_D)))
    return ConstrainedOptimum(
        flops=flops,
        unique_tokens=unique_tokens,
        n_params=n_params,
        tokens=tokens,
        loss=loss,
        fresh_n_params=fresh_n,
        fresh_tokens=fresh_d,
        fresh_loss=fresh_loss,
        flops_needed=needed,
        runs_out_flops=runs_out,
        repeat_worth=math.exp(-max(tokens / unique_tokens - 1, 0.0) / law.R_D),
        loss_floor=floor,
        exhausted=loss - floor < _NOTHING_LEFT * (floor - law.base.E),
    )


def _best_size(law: DataConstrainedLaw, flops: float, unique_tokens: float, matching: float) -> float:
    """N of least loss where D*(C) > U.

    With f(x) = d ln x'/d ln x, the worth that one more part of x adds, the loss is least where
    alpha A/N'^alpha f(N) = beta B/D'^beta f(D). f falls from 1 as x grows, so the loss is convex in ln N while all U
    tokens are seen, and its slope changes sign between the size that U is optimal for (`matching`) and C / 6U: below
    it parameters are worth more than repeats, above it unique tokens would be left unseen.
    """
    base = law.base

    def condition(log_n: float) -> float:
        log_d = math.log(flops / 6) - log_n
        size, size_worth = _worn(log_n - math.log(matching), law.R_N)
        data, data_worth = _worn(log_d - math.log(unique_tokens), law.R_D)
        by_size = math.log(base.alpha * base.A) - base.alpha * (math.log(matching) + size) + size_worth
        by_data = math.log(base.beta * base.B) - base.beta * (math.log(unique_tokens) + data) + data_worth
        return by_data - by_size

    low, high = math.log(matching), math.log(flops / 6 / unique_tokens)
    return math.exp(rising_root(condition, low, high))


def _worn(log_times: float, scale: float) -> tuple[float, float]:
    """ln of what `times` as much as is fresh is worth, in fresh ones, and ln of its derivative d ln x'/d ln x.

    x' = 1 + R* (1 - exp(-R/R*)) with R = times - 1 (equations 5 and 6).
    """
    repeats = math.expm1(log_times) if log_times < 700 else math.inf
    if not math.isfinite(repeats):
        raise InputError("the compute is beyond all bounds for so few unique tokens; ask for less")
    worth = 1 - scale * math.expm1(-repeats / scale)
    return math.log(worth), log_times - repeats / scale - math.log(worth)
