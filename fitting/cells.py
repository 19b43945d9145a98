"""What stands in the cells of a table: numbers, texts, reasons, and where each row is from."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .errors import InputError
from .units import count_of

_MOST = 1e100  # and its inverse the least: the powers and products of what lies beyond overflow


def numbers_of(frame: pd.DataFrame, name: str, *, suffixes: bool = False) -> pd.Series:
    """Column `name` as floats, NaN where missing; InputError naming place, column and value where it is no number.

    With `suffixes` a text may be a count as people write it, as 60M.
    """
    column = pd.Series(frame[name])
    try:
        if pd.api.types.is_bool_dtype(column):
            raise TypeError("its values are true and false")
        return pd.Series(pd.to_numeric(column)).astype(float)
    except (ValueError, TypeError, OverflowError) as error:
        read = [_number(value, suffixes) for value in column]
        if None in read:
            row = read.index(None)
            place = places(frame.iloc[[row]])[0] or f"row {row + 1}"
            value = repr(_plain(column.iloc[row]))[:80]
            raise InputError(f"{place}: column {name!r} holds {value}, which is no number") from error
        return pd.Series(read, index=column.index, dtype=float)


def _plain(cell: Any) -> Any:
    """NumPy's numbers as Python's own."""
    return cast("Any", cell).item() if isinstance(cell, np.generic) else cell


def places(frame: pd.DataFrame) -> list[str]:
    """Where each row of `frame` stands: its file, and the line there where it is known."""
    # `source_path` is where the readers put a row's file when the table has a `source` column of its own.
    files = frame.get("source_path", frame.get("source"))
    if files is None:
        return [""] * len(frame)
    lines = frame["source_line"] if "source_line" in frame else [None] * len(frame)
    return [
        f"{file}" if pd.isna(line) else f"{file}:{line:.0f}" if isinstance(line, (int, float)) else f"{file}:{line}"
        for file, line in zip(files, lines, strict=True)
    ]


def _number(value: Any, suffixes: bool) -> float | None:
    """NaN for what is missing, None for what is no number."""
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, str) and not value.strip()):
        return math.nan
    if isinstance(value, str) and suffixes:
        return count_of(value)
    try:
        return None if isinstance(value, (bool, np.bool_)) else float(value)
    except (ValueError, TypeError, OverflowError):
        return None


def reasons_of(column: pd.Series) -> pd.Series:
    """Reasons in one line each; of a column of truths, true is one."""
    if pd.api.types.is_bool_dtype(column):
        return pd.Series(np.where(column, "flagged in its source", ""), index=column.index, dtype=object)
    texts = texts_of(column)
    odd = {text: " ".join(text.split()) for text in texts.drop_duplicates() if text != " ".join(text.split())}
    return texts.replace(odd) if odd else texts


def texts_of(column: pd.Series) -> pd.Series:
    """As texts, "" where missing; equal ones are one object, so that ten million rows of few runs stay small."""
    codes, known = pd.factorize(column)
    if column.dtype == object and (codes >= 0).all() and all(isinstance(each, str) for each in known):
        return column
    texts = np.array([*map(str, known), ""], dtype=object)
    return pd.Series(texts[codes], index=column.index, dtype=object)


def bad_numbers(values: NDArray[np.float64]) -> dict[int, str]:
    """What is wrong with each value that is no positive number an estimator can use."""
    (rows,) = np.nonzero(~((values >= 1 / _MOST) & (values <= _MOST)))
    return {int(row): _why_bad(float(values[row])) for row in rows}


def _why_bad(value: float) -> str:
    if np.isnan(value):
        return "is nan"
    if np.isinf(value):
        return "is inf"
    return f"is not positive: {value:g}" if value <= 0 else "is beyond 1e-100 to 1e100"
