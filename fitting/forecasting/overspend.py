"""What a wrong size costs: in loss at the same compute, and in compute at the same loss."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import InputError
from ..laws import PowerLaw
from .surfaces import LARGEST, Surface, equal_optimum, positive, training_optimum


@dataclass(frozen=True)
class Overspend:
    """N parameters trained with C FLOPs on D = C / 6 N tokens, beside the optimum of the same C.

    `flops_needed` is the compute at which the optimum has the loss that this choice has.
    """

    flops: float
    n_params: float
    tokens: float
    loss: float
    optimal_n_params: float
    optimal_tokens: float
    optimal_loss: float
    flops_needed: float

    @property
    def excess_loss(self) -> float:
        """Loss above the optimum's, in the law's unit."""
        return self.loss - self.optimal_loss

    @property
    def extra_compute(self) -> float:
        """C / C' - 1: the part of the compute needed that is spent on top; .1 is 10 % more than needed."""
        return self.flops / self.flops_needed - 1

    @property
    def wasted(self) -> float:
        """1 - C' / C: the part of what was spent that was not needed."""
        return 1 - self.flops_needed / self.flops

    @property
    def extra_params(self) -> float:
        """N / N* - 1: .5 is half as many again, -.5 half of them."""
        return self.n_params / self.optimal_n_params - 1

    @property
    def extra_tokens(self) -> float:
        """D / D* - 1."""
        return self.tokens / self.optimal_tokens - 1


def overspend(surface: Surface, flops: float, n_params: float) -> Overspend:
    """The cost of training `n_params` with `flops` instead of N*(C), under C = 6 N D.

    Raises InputError for numbers that are not positive, and for a law without an optimum.
    """
    best_n, best_d = training_optimum(surface, flops)
    tokens = flops / 6 / positive(n_params, "the number of parameters")
    loss, best_loss = float(surface.loss(n_params, tokens)), float(surface.loss(best_n, best_d))
    equal_n, equal_d = equal_optimum(surface, n_params, tokens)
    # Nothing is below the optimum, but by rounding.
    loss, needed = max(loss, best_loss), min(6 * equal_n * equal_d, flops)
    return Overspend(flops, n_params, tokens, loss, best_n, best_d, best_loss, needed)


def wrong_exponent(surface: Surface, believed: PowerLaw, flops: float) -> Overspend:
    """The cost at `flops` of the size that `believed` (N in parameters at C in FLOPs) gives, if `surface` is true.

    Raises InputError as `overspend`, and where less than one parameter or token would be left.
    """
    log_n = math.log(believed.coefficient) + believed.exponent * math.log(positive(flops, "the compute"))
    if not 0 <= log_n <= math.log(flops / 6):
        what = "parameter" if log_n < 0 else "token"
        raise InputError(f"N ~ C^{believed.exponent:g} leaves less than one {what} at {flops:g} FLOPs")
    return overspend(surface, flops, math.exp(log_n))


def allocation_from(anchor_flops: float, surface: Surface, exponent: float) -> PowerLaw:
    """N(C) of another exponent through the optimum at `anchor_flops`: who measured there and extrapolated wrongly."""
    n_params, _ = training_optimum(surface, anchor_flops)
    log_coefficient = math.log(n_params) - exponent * math.log(anchor_flops)
    if abs(log_coefficient) > LARGEST:
        raise InputError(
            f"N ~ C^{exponent:g} from {anchor_flops:g} FLOPs on is beyond all numbers; ask for a lower exponent"
        )
    return PowerLaw.from_log(log_coefficient, exponent)
