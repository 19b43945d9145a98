"""Which of the Chinchilla form's five parameters are free."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .objectives import ABSENT, Array


@dataclass(frozen=True)
class Form:
    """The plain form, alpha and beta `tied` to one value, or E held at `fixed_E` (0 or more, in the loss's unit)."""

    tied: bool = False
    fixed_E: float | None = None

    @property
    def n_free(self) -> int:
        return 5 - self.tied - (self.fixed_E is not None)

    @property
    def fixed_e(self) -> float | None:
        """ln of the E that is held, minus infinity for 0; None where E is free."""
        if self.fixed_E is None:
            return None
        return float(np.log(self.fixed_E)) if self.fixed_E > 0 else ABSENT

    def basis(self, held: tuple[int, ...] = ()) -> Array:
        """The directions in which (a, b, e, alpha, beta) may move, shape (5, k); parameters `held` may not."""
        columns = np.eye(5)
        dropped = set(held)
        if self.fixed_E is not None:
            dropped.add(2)
        if self.tied:
            columns[4, 3] = 1.0
            dropped |= {3, 4} if dropped & {3, 4} else {4}
        return columns[:, [i for i in range(5) if i not in dropped]]
