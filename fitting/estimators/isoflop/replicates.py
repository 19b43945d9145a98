"""Runs of one size within a budget: which they are, and what stands for them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]

REPLICATES = ("auto", "all", "mean", "best")
SIZE_TOLERANCE = 0.01  # in ln N: runs of one budget this near to each other are of one size
# What a run was trained with, by the names in use: runs of one size that differ in one are a search for the best.
SETTINGS = (
    "learning_rate",
    "peak_learning_rate",
    "max_lr",
    "lr",
    "batch_size",
    "batch_tokens",
    "weight_decay",
    "beta2",
)


@dataclass(frozen=True)
class Scatter:
    """Runs about the means that stand for them: sum of squares, its degrees of freedom, and the residuals, each
    scaled to the variance of one run."""

    squares: float = 0.0
    freedom: int = 0
    residuals: Array = field(default_factory=lambda: np.empty(0))


def sizes_of(log_n: Array, tolerance: float) -> NDArray[np.int_]:
    """The number of the distinct size of each run, for rising `log_n` (n,).

    A size reaches from its smallest run by `tolerance` in ln N, so that a dense ladder does not chain into one.
    """
    sizes = np.zeros(len(log_n), dtype=int)
    first = log_n[0]
    for i in range(1, len(log_n)):
        new = log_n[i] - first > max(tolerance, 1e-9)
        first = log_n[i] if new else first
        sizes[i] = sizes[i - 1] + new
    return sizes


def settings_of(frame: pd.DataFrame) -> NDArray[np.int_] | None:
    """The number of each row's setting of learning rate and the like, shape (n,); None where no column names one."""
    columns = [name for name in SETTINGS if name in frame]
    if not columns:
        return None
    return np.asarray(frame.groupby(columns, sort=True, dropna=False).ngroup(), dtype=int)


def searched(part: pd.DataFrame) -> bool:
    """Whether the runs of some `size` of one budget differ in their `setting`, where that column is."""
    if "setting" not in part:
        return False
    pairs = np.unique(part[["size", "setting"]].to_numpy(), axis=0)
    return len(pairs) > len(np.unique(pairs[:, 0]))


def best_rows(part: pd.DataFrame) -> NDArray[np.bool_]:
    """The rows of each size's best setting: that of the lowest mean loss. Without settings the lowest run alone.

    Seeds of the best setting all stay, so that their scatter is not lost.
    """
    sizes, losses = part["size"].to_numpy(), part["loss"].to_numpy()
    settings = part["setting"].to_numpy() if "setting" in part else np.arange(len(part))
    cells, cell = np.unique(np.stack([sizes, settings], axis=1), axis=0, return_inverse=True)
    cell = cell.reshape(-1)
    means = np.bincount(cell, losses) / np.bincount(cell)
    order = np.lexsort((means, cells[:, 0]))
    first = np.concatenate([[True], np.diff(cells[order, 0]) > 0])
    return np.isin(cell, order[first])


def scatter_of(part: pd.DataFrame) -> Scatter:
    """The scatter of the runs' losses about the means of their sizes."""
    by_size = part.groupby("size")["loss"]
    counts = by_size.transform("size").to_numpy()
    residuals = (part["loss"] - by_size.transform("mean")).to_numpy()
    several = counts > 1
    scaled = residuals[several] / np.sqrt(1 - 1 / counts[several])
    return Scatter(float(residuals @ residuals), len(part) - by_size.ngroups, scaled)
