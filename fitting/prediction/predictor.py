"""One law as it answers questions: a value from the law itself, an interval from its resamples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ..errors import InputError
from ..laws import ChinchillaLaw, KaplanLaw, PowerLaw, SaturatingLaw
from ..results import Estimate
from ..shown import Shown
from ..uncertainty import bias_corrected_estimate, percentile_estimate

NO_LEAST = 1.0  # FLOPs: where a range begins of which only the top is known


@dataclass(frozen=True)
class Scaling:
    """What a law knows, in one version: as it was fitted or published, or as one resample has it.

    `params_law` and `tokens_law` are N*(C) and D*(C), `surface` L(N, D), `frontier` L(C) at the optimum for laws
    without a surface. None is what the law does not say.
    """

    params_law: PowerLaw | None = None
    tokens_law: PowerLaw | None = None
    surface: ChinchillaLaw | KaplanLaw | None = None
    frontier: SaturatingLaw | None = None

    @classmethod
    def of_surface(cls, surface: ChinchillaLaw | KaplanLaw) -> Scaling:
        """With N*(C) and D*(C) as the surface has them at C = 6 N D."""
        return cls(surface.params_law(), surface.tokens_law(), surface)

    def n_params(self, flops: float) -> float:
        """N* at C; NaN where the law does not say."""
        return float("nan") if self.params_law is None else float(self.params_law(flops))

    def tokens(self, flops: float) -> float:
        """D* at C; NaN where the law does not say."""
        return float("nan") if self.tokens_law is None else float(self.tokens_law(flops))

    def tokens_per_param(self, flops: float) -> float:
        """D*/N* at C; NaN where the law does not say, or N* is below the numbers."""
        n_params = self.n_params(flops)
        return self.tokens(flops) / n_params if n_params else float("nan")

    def loss(self, flops: float) -> float:
        """The loss of N*, D* at C; NaN where the law does not say."""
        if self.surface is not None:
            return self.loss_of(self.n_params(flops), self.tokens(flops))
        return float("nan") if self.frontier is None else float(self.frontier.loss(flops))

    def loss_of(self, n_params: float, tokens: float) -> float:
        """The loss of a given size on given tokens; NaN without a surface."""
        return float("nan") if self.surface is None else float(self.surface.loss(n_params, tokens))


@dataclass(frozen=True, repr=False)
class Predictor(Shown, says="answers.predictor"):
    """A named law with the conventions it speaks, the compute it was measured over, and its resamples.

    `n_params` and `flops` are conventions by the names of published.csv ("total", "6nd", ...); where `n_params` is
    "flops_per_token" (DeepSeek's M), what stands for N counts FLOPs per token and not parameters. A surface's optimum
    holds at C = 6 N D. `flops_range`, `params_range` and `tokens_range` bound what was measured; None: not known.
    A `flops_range` of which only the top is known begins at `NO_LEAST`.
    `freedom` makes intervals bias-corrected and Student's, as approach 3's are; None: percentiles.
    """

    name: str
    label: str
    scaling: Scaling
    n_params: str
    flops: str
    flops_range: tuple[float, float] | None = None
    params_range: tuple[float, float] | None = None
    tokens_range: tuple[float, float] | None = None
    loss_unit: str | None = None  # None: nats per token
    draws: tuple[Scaling, ...] = field(default=(), repr=False)
    n_resamples: int = 0  # asked for; draws are those that had a fit
    freedom: int | None = None
    level: float = 0.95
    notes: tuple[str, ...] = ()  # what a reader must know of the numbers

    def estimate(self, quantity: Callable[[Scaling], float]) -> Estimate | None:
        """`quantity` of the law, with its interval over the resamples; None where the law does not say (NaN).

        An interval is given only where 9 of 10 resamples have the quantity (`uncertainty`).
        """
        value = quantity(self.scaling)
        if not np.isfinite(value):
            return None
        if not self.draws:
            return Estimate(value, level=self.level)
        found = [quantity(scaling) for scaling in self.draws]
        if self.freedom is None:
            return percentile_estimate(value, found, self.n_resamples, self.level)
        return bias_corrected_estimate(value, found, self.n_resamples, self.level, self.freedom)

    def require(self, quantity: Callable[[Scaling], float], asked: str) -> Estimate:
        """The same; raises InputError where the law does not say `asked`, naming what it does."""
        found = self.estimate(quantity)
        if found is None:
            raise InputError(f"{self.name}: does not say {asked}; it gives {self.says}")
        return found

    @property
    def says(self) -> str:
        """What the law gives, in words."""
        known = self.scaling
        parts = [
            ("N*(C)", known.params_law is not None),
            ("D*(C)", known.tokens_law is not None),
            ("L(N, D)", known.surface is not None),
            ("L(C)", known.surface is not None or known.frontier is not None),
        ]
        return ", ".join(name for name, has in parts if has) or "its exponents only"

    def beyond(self, flops: float) -> float | None:
        """Decades by which C is above (positive) or below (negative) the compute measured, 0 inside; None: unknown."""
        if self.flops_range is None:
            return None
        low, high = self.flops_range
        return float(np.log10(max(flops / high, 1.0)) + np.log10(min(flops / low, 1.0)))
