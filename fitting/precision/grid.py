"""A planned grid of runs as the estimators will see it, and where a law has its optimum under the grid's own FLOPs."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from ..laws import ChinchillaLaw, KaplanLaw, PowerLaw

Array = NDArray[np.float64]
Surface = ChinchillaLaw | KaplanLaw


@dataclass(frozen=True, eq=False)
class PlannedGrid:
    """One entry a run, all arrays of shape (n_runs,).

    `n_params` (in the convention that the prior law speaks) and `tokens` are counts, `flops` the training FLOPs that
    will be counted, `budget` the FLOPs planned. `cells` numbers each run's cell: replicates, which differ by seed
    alone, share a number. Raises InputError for numbers that are not positive and finite.
    """

    n_params: Array
    tokens: Array
    flops: Array
    budget: Array
    cells: NDArray[np.intp]

    def __post_init__(self) -> None:
        for field in fields(self):
            kind = int if field.name == "cells" else float
            values = np.array(getattr(self, field.name), dtype=kind).reshape(-1)
            object.__setattr__(self, field.name, values)
            if len(values) != len(self.n_params):
                raise InputError(f"the grid has {len(self.n_params)} n_params and {len(values)} {field.name}")
            if kind is float and not (len(values) and np.isfinite(values).all() and (values > 0).all()):
                raise InputError(f"the grid's {field.name} must be positive and finite, one for each run")

    @classmethod
    def centred(
        cls, law: Surface, budgets: ArrayLike, n_sizes: int, within: float, seeds: int | ArrayLike = 1
    ) -> PlannedGrid:
        """`n_sizes` sizes even in ln N within a factor `within` of the law's N* at each budget, at C = 6 N D.

        `seeds` is the number of replicates, one for all budgets or one each.
        """
        flops = np.asarray(budgets, dtype=float).reshape(-1)
        sizes = law.optimum(flops)[0][:, None] * np.geomspace(1 / within, within, n_sizes)
        repeats = np.repeat(np.broadcast_to(np.asarray(seeds, dtype=int), flops.shape), n_sizes)
        cells = np.repeat(np.arange(sizes.size), repeats)
        n, c = sizes.reshape(-1)[cells], np.repeat(flops, n_sizes)[cells]
        return cls(n, c / 6 / n, c, c, cells)

    @property
    def n_runs(self) -> int:
        """Runs, replicates counted."""
        return len(self.n_params)

    @property
    def budgets(self) -> Array:
        """The planned budgets in FLOPs, ascending; shape (n_budgets,)."""
        return np.unique(self.budget)

    @property
    def centres(self) -> Array:
        """Mean ln N of the runs of each budget, shape (n_budgets,)."""
        return self._means(self.n_params)

    @property
    def log_flops(self) -> Array:
        """Mean ln C, as counted, of the runs of each budget; shape (n_budgets,)."""
        return self._means(self.flops)

    @property
    def sizes(self) -> tuple[Array, ...]:
        """The distinct sizes of each budget, ascending."""
        return tuple(np.unique(self.n_params[self.budget == budget]) for budget in self.budgets)

    def optimum(self, law: Surface) -> tuple[PowerLaw, PowerLaw]:
        """N*(C) and D*(C) of `law` where C is counted as the grid's `flops` are.

        The count is taken as C = k N^p D^q, fitted to the grid in logs: it is exact for C = 6 N D, and near for counts
        with attention or without embeddings. A count in which sizes and tokens cannot be told apart is taken as 6 N D.
        """
        x = np.stack([np.ones(self.n_runs), np.log(self.n_params), np.log(self.tokens)], axis=1)
        solved, _, rank, _ = np.linalg.lstsq(x - [0, *x.mean(axis=0)[1:]], np.log(self.flops / 6), rcond=1e-9)
        told = rank == 3 and min(solved[1:]) > 0
        p, q = (float(solved[1]), float(solved[2])) if told else (1.0, 1.0)
        log_k = float(np.mean(np.log(self.flops) - p * x[:, 1] - q * x[:, 2]))
        return counted_optimum(law, log_k, p, q)

    def _means(self, values: Array) -> Array:
        _, index = np.unique(self.budget, return_inverse=True)
        return np.bincount(index, np.log(values)) / np.bincount(index)


def counted_optimum(law: Surface, log_k: float, p: float, q: float) -> tuple[PowerLaw, PowerLaw]:
    """N*(C) and D*(C) of least loss on `law` where C = k N^p D^q.

    Where A N^-alpha + B D^-beta is least under that constraint, alpha A N^-alpha / p = beta B D^-beta / q, so both are
    power laws: a = 1 / (p + q alpha / beta) and b = a alpha / beta. Kaplan's bracket is the same sum with alpha_N /
    alpha_D and 1 for alpha and beta. Raises InputError for a law without both terms.
    """
    if isinstance(law, KaplanLaw):
        alpha, beta, terms = law.alpha_N / law.alpha_D, 1.0, (law.N_c, law.D_c)
    else:
        alpha, beta, terms = law.alpha, law.beta, (law.A, law.B)
    if not min(alpha, beta, *terms) > 0:
        raise InputError("the prior law has no optimum: one of its two power terms is absent; give another prior")
    log_a, log_b = np.log(terms[0]) * (alpha if isinstance(law, KaplanLaw) else 1.0), np.log(terms[1])
    shift = np.log(beta / q) + log_b - np.log(alpha / p) - log_a
    params = 1 / (p + q * alpha / beta)
    log_n = -(log_k + q * shift / beta) * params
    return (
        PowerLaw.from_log(float(log_n), params),
        PowerLaw.from_log(float((alpha * log_n + shift) / beta), params * alpha / beta),
    )
