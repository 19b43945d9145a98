"""Resampling shared by the estimators: seeded, by units that are independent, with intervals only where enough fit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.special import ndtr, ndtri, stdtrit

from .errors import InputError
from .results import Estimate

MIN_BUDGETS = 4  # fewer budgets than this and the spread between them is unknown: no interval
MIN_SUCCESS = 0.9  # the share of resamples that must have a fit before their percentiles mean anything
SAME_CELL = 1e-9  # relative: rows whose sizes and tokens agree to this are one cell
_LARGEST_SHIFT = 1.0
_BLOCK_CELLS = 4_000_000  # resamples times rows held at once


def generator(seed: int) -> np.random.Generator:
    """The generator of every resampling here: the same seed gives the same intervals on every platform.

    Raises InputError for a negative seed.
    """
    if seed < 0:
        raise InputError(f"--seed {seed} must be 0 or more")
    return np.random.Generator(np.random.PCG64(seed))


def resampling_units(frame: pd.DataFrame) -> NDArray[np.intp]:
    """Which rows of a table are drawn together, shape (n,): unit numbers 0, 1, ...

    One unit are the rows of one `run` (its checkpoints are not independent) and the rows of one cell, `n_params` and
    `tokens` equal to 1e-9 (seeds of one cell share what the law does not explain about it), and what these join.
    Units are numbered by their least size, tokens and loss, so that neither the order of the rows nor the names
    of the runs decide what is drawn.
    """
    n, d, loss = (frame[name].to_numpy(dtype=float) for name in ("n_params", "tokens", "loss"))
    cells = _groups(np.log(n)) * (len(n) + 1) + _groups(np.log(d))
    unit = cell = np.unique(cells, return_inverse=True)[1].reshape(-1)
    if "run" in frame:
        names = frame["run"].fillna("").astype(str).to_numpy()
        named = np.flatnonzero(names != "")  # a row without a name is nobody's checkpoint
        # A graph of cells and runs, one edge a named row: what hangs together is one unit.
        runs = cell.max() + 1 + np.unique(names[named], return_inverse=True)[1].reshape(-1)
        size = int(runs.max(initial=cell.max())) + 1
        graph = coo_array((np.ones(len(named)), (cell[named], runs)), shape=(size, size))
        unit = connected_components(graph, directed=False)[1][cell]
    order = np.lexsort((loss, d, n))
    _, first, inverse = np.unique(unit[order], return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    numbered = np.empty(len(n), dtype=np.intp)
    numbered[order] = rank[inverse.reshape(-1)]
    return numbered


def _groups(logs: NDArray[np.float64]) -> NDArray[np.intp]:
    """Numbers chained by gaps of less than `SAME_CELL` in the logarithm share a label."""
    order = np.argsort(logs, kind="stable")
    label = np.empty(len(logs), dtype=np.intp)
    label[order] = np.concatenate([[0], np.cumsum(np.diff(logs[order]) > SAME_CELL)])
    return label


def run_weights(
    units: ArrayLike, strata: ArrayLike | None, n_resamples: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """How often each row occurs in each resample of whole units, shape (n_resamples, n_rows).

    `units` names the unit of each row (`resampling_units`, or the run): rows of one are drawn together, for they are
    not independent. `strata` (the budgets) are resampled each to its own number of units; a unit belongs to the
    stratum of its first row. None: one stratum.
    """
    _, first, unit_of_row = np.unique(np.asarray(units), return_index=True, return_inverse=True)
    labels = np.zeros(len(unit_of_row)) if strata is None else np.asarray(strata)
    _, stratum_of_unit = np.unique(labels[first], return_inverse=True)
    counts = np.zeros((n_resamples, len(first)))
    for stratum in range(int(stratum_of_unit.max()) + 1):
        members = np.flatnonzero(stratum_of_unit == stratum)
        counts[:, members] = rng.multinomial(len(members), np.full(len(members), 1 / len(members)), size=n_resamples)
    return counts[:, unit_of_row.reshape(-1)]


def weight_blocks(
    units: ArrayLike, strata: ArrayLike | None, n_resamples: int, rng: np.random.Generator
) -> Iterator[NDArray[np.float64]]:
    """`run_weights` in blocks of resamples, so that a large table needs no more memory than a small one."""
    size = max(1, _BLOCK_CELLS // max(1, np.size(units)))
    for first in range(0, n_resamples, size):
        yield run_weights(units, strata, min(size, n_resamples - first), rng)


def percentile_estimate(value: float, draws: ArrayLike, n_resamples: int, level: float) -> Estimate:
    """`value` with the central `level` percentile interval of `draws`, shape (n_successful,).

    No interval where fewer than 90 % of the `n_resamples` asked for are there and finite: the resamples that
    fail are not a random part of them.
    """
    sample = _enough(draws, n_resamples)
    if sample is None:
        return Estimate(value, level=level)
    tail = (1 - level) / 2
    low, high = np.quantile(sample, [tail, 1 - tail])
    return Estimate(value, float(low), float(high), level)


def bias_corrected_estimate(value: float, draws: ArrayLike, n_resamples: int, level: float, freedom: int) -> Estimate:
    """`value` with the bias-corrected percentile interval of `draws` (Efron 1981, Canadian J. Statistics 9, 139).

    Percentiles are shifted by twice z0, the normal quantile of the share of draws below `value`, for where the draws
    lie off to one side of it the truth lies to the other. z0 stays within 1: beyond, the draws do not describe `value`.
    Their spread is Student's of `freedom` (units less parameters), for resamples of few runs scatter too little
    (Hesterberg 2015, American Statistician 69, 371). No interval where `percentile_estimate` gives none.
    """
    sample = _enough(draws, n_resamples)
    if sample is None:
        return Estimate(value, level=level)
    below = np.count_nonzero(sample < value) / len(sample) + 0.5 * np.count_nonzero(sample == value) / len(sample)
    z0 = float(np.clip(float(ndtri(below)), -_LARGEST_SHIFT, _LARGEST_SHIFT))
    tail = float(stdtrit(freedom, (1 + level) / 2))
    low, high = np.quantile(sample, ndtr([2 * z0 - tail, 2 * z0 + tail]))
    return Estimate(value, float(low), float(high), level)


def standard_error(draws: ArrayLike, n_resamples: int) -> float | None:
    """The standard deviation of `draws`; None where `percentile_estimate` gives no interval."""
    sample = _enough(draws, n_resamples)
    return None if sample is None else float(np.std(sample, ddof=1))


def _enough(draws: ArrayLike, n_resamples: int) -> NDArray[np.float64] | None:
    """The finite draws, None where too few of the resamples asked for are among them."""
    sample = np.asarray(draws, dtype=float)
    sample = sample[np.isfinite(sample)]
    return None if n_resamples < 1 or len(sample) < max(MIN_SUCCESS * n_resamples, 2) else sample
