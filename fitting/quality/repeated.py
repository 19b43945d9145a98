"""The same run twice: two exports of it, a folder named twice, a resumed run under two ids."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .rows import NOTHING, Found, Mask, Rows, codes_of

_SAME = ("n_params", "tokens", "loss")
# What may differ between two copies of a run, though it has few values.
_OF_THE_COPY = ("run", "source", "source_path", "source_line", "flag", "state", *_SAME)
# More decimals than this do not agree by chance: the losses of two seeds are some 0.01 apart, and 0.00001 is a
# thousandth of that. Fewer may, so they count only where half of a file (and three rows) agree with another's.
_DECIMALS, _BITS = 4, 13
_HALF, _FEW = 0.5, 3
_ODD = np.uint64(0x9E3779B97F4A7C15)  # spreads the bits of numbers, so that equal sums are equal numbers, as a rule


def repeated(rows: Rows, free: Mask) -> Found:
    """Rows with N, D, loss and class of a row before them, which is the same run: of one id, or beyond chance."""
    columns = {name: values for name in _SAME if (values := rows.numbers(name)) is not None}
    if len(columns) < len(_SAME):
        return NOTHING
    numbers, loss = pd.DataFrame(columns, copy=False), columns["loss"]
    usable = free.copy()
    for values in columns.values():
        usable &= np.isfinite(values)
    twins = _twins(numbers, usable)
    if rows.n_files == 1:  # of one file only runs logged twice, and losses whose digits say so
        logged_twice = numbers.iloc[twins].assign(run=rows.run[twins]).duplicated(keep=False).to_numpy()
        twins = twins[logged_twice | _precise(loss[twins])]
    if not len(twins):
        return NOTHING
    copies, firsts = _copies(rows, numbers.iloc[twins], twins)
    certain = (rows.run[copies] == rows.run[firsts]) | _precise(loss[copies])
    certain |= _half_of_a_file(rows, usable, copies, firsts)
    names = rows.frame["run"].to_numpy()[firsts[certain]]
    return copies[certain], [f"the same run as {name}: N, D and loss agree to the last digit" for name in names]


def _precise(loss: NDArray[np.float64]) -> Mask:
    """Which losses have digits enough; those of half precision (bf16, fp16) have not."""
    with np.errstate(all="ignore"):
        scaled, halves = loss * 10.0**_DECIMALS, loss * 2.0**_BITS
        rounding = np.where(loss.astype(np.float32) == loss, 1e-7, 1e-12) * np.abs(scaled)
        return (np.abs(scaled - np.round(scaled)) > rounding) & (halves != np.round(halves))


def _twins(numbers: pd.DataFrame, among: Mask) -> NDArray[np.intp]:
    """Positions of the rows `among` which some other row equals."""
    mixed = np.zeros(len(numbers), dtype=np.uint64)
    for name in _SAME:
        mixed = (mixed ^ numbers[name].to_numpy().view(np.uint64)) * _ODD
        mixed ^= mixed >> np.uint64(29)
    kept = np.sort(mixed[among])
    twice = kept[1:][kept[1:] == kept[:-1]]
    if not len(twice):
        return NOTHING[0]
    (where,) = np.nonzero(among & np.isin(mixed, twice))
    return where[numbers.iloc[where].duplicated(keep=False).to_numpy()]


def _copies(
    rows: Rows, numbers: pd.DataFrame, candidates: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The rows that equal an earlier one in numbers, seed and class, and that earlier one."""
    group = numbers.groupby(list(_SAME), sort=False).ngroup()
    keys = [group]
    for name in rows.frame.columns:
        if name not in _OF_THE_COPY and (name == "seed" or _classes(pd.Series(rows.frame[name]))):
            codes = pd.Series(codes_of(rows.frame[name].iloc[candidates]), index=group.index)
            # One export may lack what the other has: what is missing is taken from the row it may be a copy of.
            known = codes.where(codes >= 0)
            keys.append(known.fillna(known.groupby(group).transform("first")).fillna(-1))
    firsts = pd.Series(candidates, index=group.index).groupby(keys, sort=False).transform("first").to_numpy()
    later = firsts != candidates
    return candidates[later], firsts[later]


def _classes(column: pd.Series) -> bool:
    """Whether a column of texts or truths sorts the rows into classes (a corpus, a task) rather than names each."""
    if pd.api.types.is_datetime64_any_dtype(column):
        return False
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return False
    return codes_of(column).max() + 1 <= len(column) / 2


def _half_of_a_file(rows: Rows, usable: Mask, copies: NDArray[np.intp], firsts: NDArray[np.intp]) -> Mask:
    """Which copies are of another file, half of whose rows are copies."""
    file = rows.file
    other = file[copies] != file[firsts]
    twice, all_rows = (np.bincount(file[which], minlength=rows.n_files) for which in (copies[other], usable))
    return other & ((twice >= _FEW) & (twice >= _HALF * all_rows))[file[copies]]
