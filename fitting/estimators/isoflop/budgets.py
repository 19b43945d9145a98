"""Which runs belong to one budget, and what their losses would be at exactly the same compute."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...errors import FitError, InputError
from ...laws import ChinchillaLaw
from ...runs import RunTable
from ..parametric.fit import fit_law
from .replicates import SIZE_TOLERANCE, Scatter, best_rows, scatter_of, searched, settings_of, sizes_of

Array = NDArray[np.float64]

# Runs whose FLOPs are chained by gaps of less than 10 % are one budget, where the table names no budgets.
BUDGET_TOLERANCE = 0.1
# A chain over more than this factor is no budget: digitised or scattered runs that happen to lie close.
WIDEST_BUDGET = 2.0
# Runs further than this from their group's common C (in ln C) have their losses carried to it.
CARRY_TOLERANCE = 0.01
COMMON_FLOPS = ("auto", "runs", "budget")
_SAME_COUNT = 0.1  # of the counts' own spread: how far one size's ratio of counts may vary between budgets


@dataclass(frozen=True)
class Group:
    """The runs of one budget that are fitted, in order of size; with `replicates` "mean" a row is a size.

    Arrays have shape (n,): logs of parameters and of tokens at the common C, losses there, the number of each row's
    size, and how many runs it stands for. `n_replicates` counts the runs beyond the first of each size; `scatter`
    is that of runs about the means that stand for them. `wide`: a guessed budget over too wide a range of FLOPs to
    be one.
    """

    budget: float
    log_flops: float  # ln of the common C
    log_n: Array
    log_d: Array
    loss: Array
    sizes: NDArray[np.int_]
    counts: Array
    n_runs: int
    n_replicates: int
    scatter: Scatter
    wide: bool = False

    @property
    def n_sizes(self) -> int:
        """Distinct sizes."""
        return int(self.sizes[-1]) + 1


@dataclass(frozen=True)
class Grouping:
    """The groups in rising order of compute, and what was done to make them."""

    groups: list[Group]
    carried: bool  # losses were carried to the common C
    common_flops: str  # "runs" or "budget"
    replicates: str  # "all", "mean" or "best"


def budget_labels(table: RunTable, tolerance: float = BUDGET_TOLERANCE) -> tuple[Array, bool]:
    """The budget of each fitted run in FLOPs, shape (n,), and whether it had to be guessed.

    Guessed budgets are single-linkage clusters of ln C: sorted, a gap of more than `tolerance` starts the next. Each
    is named by the geometric mean of its runs' FLOPs. Raises InputError for a tolerance not in (0, 1).
    """
    if not 0 < tolerance < 1:
        raise InputError(f"--budget-tolerance {tolerance} must be a fraction between 0 and 1, as 0.1")
    stated = table.budgets
    if stated is not None:
        return stated, False
    log_flops = np.log(table.fitted["flops"].to_numpy(dtype=float))
    order = np.argsort(log_flops, kind="stable")
    cluster = np.empty(len(order), dtype=int)
    cluster[order] = np.concatenate([[0], np.cumsum(np.diff(log_flops[order]) > tolerance)])
    centres = np.bincount(cluster, log_flops) / np.bincount(cluster)
    return np.exp(centres[cluster]), True


def counted_otherwise(table: RunTable, labels: Array) -> bool:
    """Whether the runs' `flops` are another count of compute than the one their budgets were planned by.

    Then FLOPs over budget differ between sizes, but each size has the same ratio in every budget: a matter of what
    a token costs. FLOPs that miss the budget by chance or by design differ from budget to budget.
    """
    frame = table.fitted
    ratio = np.log(frame["flops"].to_numpy(dtype=float) / labels)
    log_n = np.log(frame["n_params"].to_numpy(dtype=float))
    order = np.argsort(log_n, kind="stable")
    size = np.empty(len(order), dtype=int)
    size[order] = sizes_of(log_n[order], 1e-4)  # one shape has one count, digits apart
    pairs = np.unique(np.stack([size, np.unique(labels, return_inverse=True)[1].reshape(-1)], axis=1), axis=0)
    shared = (np.bincount(pairs[:, 0]) > 1)[size]
    if np.ptp(ratio) <= CARRY_TOLERANCE or 2 * shared.sum() < len(ratio):
        return False
    within = ratio - (np.bincount(size, ratio) / np.bincount(size))[size]
    return float(np.std(within[shared])) < _SAME_COUNT * float(np.std(ratio))


def grouped(
    table: RunTable,
    labels: Array,
    law: ChinchillaLaw | None = None,
    *,
    guessed: bool = False,
    common_flops: str = "runs",
    replicates: str = "auto",
    size_tolerance: float = SIZE_TOLERANCE,
) -> Grouping:
    """The groups of `labels`, each at one common C.

    "runs": C is the runs' own FLOPs, the common one their geometric mean. The tokens of a run become those that its
    size would have had at it. Where some run of the table differs from it by more than 1 %, the losses follow along
    the slope of the table's own Chinchilla form at fixed N, dL/d ln C = dL/d ln D = -beta B / D^beta, which is small
    beside what the sizes do; `law` spares fitting that form again. By the envelope theorem this slope at N* is also
    dL*/d ln C, so the runs near the minima determine it well: on a public sweep with counts .93 to 1.35 apart, fitting
    the form to the runs within 5 % or 10 % of the least loss instead of all moves the exponent by .002 to .005.
    "budget": C is the planned budget; tokens and losses stay. "auto": "budget" where the runs' FLOPs are another
    count than the budgets' (`counted_otherwise`), "runs" elsewhere. Under the planned count the curves are isoFLOP
    as they were measured; under another they are not, and their minima are no longer measured but inferred.

    `replicates`: what stands for the runs of one size, "all" of them, their "mean", or the "best" setting's; "auto"
    is "best" where runs of one size differ in learning rate or the like, "all" elsewhere.
    Raises FitError when the form is needed and cannot be fitted.
    """
    if common_flops == "auto":
        common_flops = "budget" if not guessed and counted_otherwise(table, labels) else "runs"
    frame = table.fitted
    budgets, index = np.unique(labels, return_inverse=True)
    index = index.reshape(-1)
    flops = np.log(frame["flops"].to_numpy(dtype=float))
    highest, lowest = np.full(index.max() + 1, -np.inf), np.full(index.max() + 1, np.inf)
    np.maximum.at(highest, index, flops)
    np.minimum.at(lowest, index, flops)
    wide = guessed & (highest - lowest > np.log(WIDEST_BUDGET))
    log_flops = np.log(labels) if common_flops == "budget" else flops
    common = np.bincount(index, log_flops) / np.bincount(index)
    runs, carried = _at_common_flops(frame, common[index] - log_flops, ~wide[index], law)
    settings = settings_of(frame)
    if settings is not None:
        runs["setting"] = settings
    # Ties are broken so that the order of the table's rows decides nothing.
    order = np.lexsort((runs["log_d"], runs["loss"], runs["log_n"], index))
    ends = np.cumsum(np.bincount(index))
    runs, log_n = runs.iloc[order], runs["log_n"].to_numpy()[order]
    spans = [slice(end - count, end) for end, count in zip(ends, np.bincount(index), strict=True)]
    runs = runs.assign(size=np.concatenate([sizes_of(log_n[span], size_tolerance) for span in spans]))
    parts = [runs.iloc[span] for span in spans]
    if replicates == "auto":
        replicates = "best" if any(searched(part) for part in parts) else "all"
    groups = [
        _group(float(budget), float(common[i]), parts[i], replicates, bool(wide[i])) for i, budget in enumerate(budgets)
    ]
    return Grouping(sorted(groups, key=lambda group: group.log_flops), carried, common_flops, replicates)


def _at_common_flops(
    frame: pd.DataFrame, shift: Array, binding: NDArray[np.bool_], law: ChinchillaLaw | None
) -> tuple[pd.DataFrame, bool]:
    """ln N, ln D and loss of each run at its group's C, `shift` away in ln C, and whether losses were carried there.

    Only runs that are `binding` make it needful: those of a chain that is no budget are not fitted.
    """
    n, d, loss = (frame[name].to_numpy(dtype=float) for name in ("n_params", "tokens", "loss"))
    carried = bool(binding.any() and np.abs(shift[binding]).max() > CARRY_TOLERANCE)
    if carried:
        law = _slope_law(n, d, loss) if law is None else law
        loss = loss - law.beta * law.B * d**-law.beta * shift
    return pd.DataFrame({"log_n": np.log(n), "log_d": np.log(d) + shift, "loss": loss}), carried


def _group(budget: float, log_flops: float, part: pd.DataFrame, replicates: str, wide: bool) -> Group:
    n_runs, n_replicates = len(part), len(part) - int(part["size"].iloc[-1]) - 1
    scatter = Scatter()
    if replicates == "best":
        part = pd.DataFrame(part.loc[best_rows(part)])
    counts = np.ones(len(part))
    if replicates == "mean":
        scatter = scatter_of(part)
        sizes = part["size"].to_numpy()
        counts = np.bincount(sizes).astype(float)
        part = pd.DataFrame({name: np.bincount(sizes, part[name]) / counts for name in ("log_n", "log_d", "loss")})
        part["size"] = np.arange(len(counts))
    log_n, log_d, loss = (part[name].to_numpy(dtype=float) for name in ("log_n", "log_d", "loss"))
    sizes = part["size"].to_numpy(dtype=int)
    return Group(budget, log_flops, log_n, log_d, loss, sizes, counts, n_runs, n_replicates, scatter, wide)


def _slope_law(n: Array, d: Array, loss: Array) -> ChinchillaLaw:
    try:
        return fit_law(n, d, loss).law
    except FitError as error:
        raise FitError(
            f"runs of one budget differ by over {CARRY_TOLERANCE:.0%} in FLOPs and their losses cannot be carried to a "
            f"common C: {error}"
        ) from error
