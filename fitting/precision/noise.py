"""How much one run's loss scatters: given, assumed, or measured from the replicates of a sweep."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from ..runs import RunTable

Array = NDArray[np.float64]

_MOST_SHARE = 0.2  # of the loss: beyond it a run could lose less than nothing
# Porian 2024 (arXiv:2406.19146): seed noise grows from .002 nats at a loss of 3 to .05 at 7.
_PORIAN_LOSSES = (3.0, 7.0)
_PORIAN_SIGMAS = (0.002, 0.05)


class NoiseKind(StrEnum):
    """How the standard deviation follows the loss."""

    CONSTANT = "constant"  # nats, the same everywhere
    RELATIVE = "relative"  # a share of the loss
    PORIAN = "porian"  # nats, rising with the loss


@dataclass(frozen=True)
class NoiseModel:
    """Standard deviations of losses about a law, in nats ("constant", "porian") or as shares of the loss ("relative").

    `size` is that of one run about its cell's mean: what another seed changes (1 for "porian"). `between_cells` is that
    of a cell's mean about the smooth curve of its budget: what more seeds of it do not average away, as a learning
    rate that suits some sizes better. `law_misfit` is that of the budgets' curves about the parametric law, to be added
    for methods that fit one law to all runs. `freedom` are the degrees of freedom that measured `size`; None: it is
    given, not measured. `shape` holds the replicates' own residuals at variance 1, for draws with their tails; None:
    normal. `source` says in words where all this is from.
    """

    kind: NoiseKind
    size: float
    source: str
    between_cells: float = 0.0
    law_misfit: float = 0.0
    freedom: int | None = None
    shape: Array | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not (np.isfinite(self.size) and self.size > 0):
            raise InputError(f"--noise {self.size:g} must be positive and finite, as 0.01 (nats) or 1%")
        if self.kind is NoiseKind.RELATIVE and self.size > _MOST_SHARE:
            raise InputError(f"--noise {self.size:.3g} of the loss is over {_MOST_SHARE:.0%}: no law shows through it")
        for name in ("between_cells", "law_misfit"):
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise InputError(f"the noise's {name} {getattr(self, name):g} must be 0 or more and finite")

    @classmethod
    def constant(cls, nats: float, source: str = "given") -> NoiseModel:
        """The same at every loss."""
        return cls(NoiseKind.CONSTANT, nats, source)

    @classmethod
    def relative(cls, share: float, source: str = "given") -> NoiseModel:
        """A share of the loss, such as .01."""
        return cls(NoiseKind.RELATIVE, share, source)

    @classmethod
    def porian(cls) -> NoiseModel:
        """The default where nothing is measured: .002 nats up to a loss of 3, .05 from 7 on, log-linear between.

        Porian 2024 (arXiv:2406.19146), the seed noise that they draw on the RefinedWeb losses of their sweeps.
        """
        return cls(NoiseKind.PORIAN, 1.0, "assumed, after Porian 2024 (arXiv:2406.19146)")

    @classmethod
    def measured(cls, table: RunTable, source: str = "") -> NoiseModel:
        """From the replicates of `table` and the residuals of its fits; see `measure.measured_noise`."""
        from .measure import measured_noise

        return measured_noise(table, source)

    def sigma(self, loss: ArrayLike) -> Array:
        """Standard deviation in nats of one run's loss about its cell's mean, at each `loss`."""
        values = np.asarray(loss, dtype=float)
        if self.kind is NoiseKind.PORIAN:
            return self.size * np.exp(np.interp(values, _PORIAN_LOSSES, np.log(_PORIAN_SIGMAS)))
        return self.size * self._unit(values)

    def between(self, loss: ArrayLike) -> Array:
        """Standard deviation in nats of a cell's mean about the smooth curve of its budget, at each `loss`."""
        return self.between_cells * self._unit(loss)

    def misfit(self, loss: ArrayLike) -> Array:
        """Standard deviation in nats of the budgets' curves about one parametric law, at each `loss`."""
        return self.law_misfit * self._unit(loss)

    def cell_variance(self, loss: ArrayLike, seeds: ArrayLike = 1) -> Array:
        """Variance in nats squared of the mean loss of a cell of so many seeds about its budget's smooth curve."""
        return self.sigma(loss) ** 2 / np.asarray(seeds) + self.between(loss) ** 2

    def draws(self, count: int, rng: np.random.Generator) -> Array:
        """Seed noise of `count` runs in units of `sigma`, shape (count,)."""
        return rng.standard_normal(count) if self.shape is None else rng.choice(self.shape, count)

    def check(self, loss: Array) -> None:
        """Raises InputError where the noise would drown `loss`, the prior's losses of a grid."""
        share = np.sqrt(self.cell_variance(loss) + self.misfit(loss) ** 2) / loss
        worst = int(np.argmax(share))
        if share[worst] > _MOST_SHARE:
            raise InputError(
                f"--noise: {share[worst] * loss[worst]:.3g} nats where the prior's loss is {loss[worst]:.3g}, over "
                f"{_MOST_SHARE:.0%} of it; give a smaller one, or a prior that suits the grid"
            )

    def describe(self) -> str:
        """One line: its size, what is beside it, and where it is from."""
        if self.kind is NoiseKind.PORIAN:
            text = "seed noise .002 nats at losses up to 3, .05 from 7 on"
        else:
            text = f"seed noise {self._amount(self.size)}"
        more = [
            f"{self._amount(value)} {what}"
            for value, what in (
                (self.between_cells, "between cells"),
                (self.law_misfit, "of the budgets' curves about the parametric law"),
            )
            if value > 0
        ]
        freedom = "" if self.freedom is None else f" on {self.freedom} degrees of freedom"
        return f"{', '.join([text, *more])}: {self.source}{freedom}"

    def _amount(self, value: float) -> str:
        return f"{100 * value:.2g} % of the loss" if self.kind is NoiseKind.RELATIVE else f"{value:.2g} nats"

    def _unit(self, loss: ArrayLike) -> Array:
        values = np.asarray(loss, dtype=float)
        return values if self.kind is NoiseKind.RELATIVE else np.ones_like(values)
