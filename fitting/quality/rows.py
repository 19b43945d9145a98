"""Which rows are of one run, and in what order they were logged."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
# Positions of the rows found, and the reason of each.
Found = tuple[NDArray[np.intp], list[str]]
NOTHING: Found = (np.zeros(0, dtype=np.intp), [])


@dataclass(frozen=True)
class Rows:
    """The rows of `frame` by the runs they are of; a row without a run is a run of its own."""

    frame: pd.DataFrame

    def numbers(self, name: str) -> NDArray[np.float64] | None:
        """Column `name` as floats; None where there is no such column, or it is none of numbers."""
        if name not in self.frame or not pd.api.types.is_numeric_dtype(self.frame[name]):
            return None
        return self.frame[name].to_numpy(dtype=float)

    @cached_property
    def run(self) -> NDArray[np.intp]:
        """A number for each row's run (n,)."""
        codes = codes_of(pd.Series(self.frame["run"]))
        lost = codes < 0
        if lost.any():
            codes = codes.copy()
            codes[lost] = codes.max() + 1 + np.arange(lost.sum())
        return codes

    @cached_property
    def n_runs(self) -> int:
        return int(self.run.max()) + 1 if len(self.run) else 0

    @property
    def several(self) -> bool:
        """Whether some run has more than one row."""
        return self.n_runs < len(self.run)

    @cached_property
    def file(self) -> NDArray[np.intp]:
        """A number for each row's file or address; a table's own `source` column is none."""
        name = "source_path" if "source_path" in self.frame else "source"
        if name not in self.frame:
            return np.zeros(len(self.frame), dtype=np.intp)
        codes = codes_of(pd.Series(self.frame[name]))
        return np.where(codes < 0, codes.max() + 1, codes)

    @property
    def n_files(self) -> int:
        return int(self.file.max()) + 1 if len(self.file) else 0

    @cached_property
    def order(self) -> NDArray[np.intp]:
        """The rows run by run, each in the order of its tokens."""
        tokens = self.numbers("tokens")
        if tokens is None:
            return np.argsort(self.run, kind="stable")
        tokens = np.nan_to_num(tokens, nan=-np.inf)
        run, within = self.run, self.run[1:] == self.run[:-1]
        if not ((run[1:] < run[:-1]) | (within & (tokens[1:] < tokens[:-1]))).any():
            return np.arange(len(tokens))
        return np.lexsort((tokens, self.run))

    @cached_property
    def last(self) -> Mask:
        """Each run's end: its row of most tokens."""
        if not self.several:
            return np.ones(len(self.run), dtype=bool)
        run = self.run[self.order]
        ends = np.append(run[1:] != run[:-1], True)
        last = np.zeros(len(run), dtype=bool)
        last[self.order[ends]] = True
        return last


def codes_of(column: pd.Series) -> NDArray[np.intp]:
    """A number for each distinct value, -1 where it is missing."""
    try:
        return pd.factorize(column)[0]
    except TypeError:  # a list in a cell
        return pd.factorize(column.map(repr))[0]


def words_of(column: pd.Series) -> tuple[NDArray[np.intp], list[str]]:
    """A number for each row's text, -1 where there is none, and the texts."""
    codes = codes_of(column)
    distinct, firsts = np.unique(codes, return_index=True)
    texts = pd.Series([str(column.iloc[first]).strip() for first in firsts[distinct >= 0]], dtype=object)
    plain, words = pd.factorize(texts.where(texts != "", None))
    return np.append(plain, -1)[codes], list(words)


def usual(values: NDArray[np.float64], gap: float, preferred: float | None = None) -> Mask:
    """Which of positive `values` belong to the largest part of them, parts being a factor `gap` apart.

    Of parts equally large it is the one nearest to `preferred`, else the one of the largest values.
    """
    logs = np.log(values)
    order = np.argsort(logs)
    part = np.empty(len(logs), dtype=np.intp)
    part[order] = np.append(0, np.cumsum(np.diff(logs[order]) > np.log(gap)))
    sizes = np.bincount(part)
    largest = np.flatnonzero(sizes == sizes.max())
    if preferred is None or len(largest) == 1:
        return part == largest[-1]
    away = [abs(float(np.median(logs[part == which])) - np.log(preferred)) for which in largest]
    return part == largest[int(np.argmin(away))]
