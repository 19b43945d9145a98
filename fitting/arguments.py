"""What public functions say of arguments of another kind, or out of bounds, before any work: one line each."""

from __future__ import annotations

from .errors import InputError
from .runs import RunTable


def require_table(table: object) -> None:
    """Raises InputError for what is no RunTable. A DataFrame is not taken silently: making the table says what it
    assumes of the columns, and which rows it leaves out.
    """
    if not isinstance(table, RunTable):
        remedy = "RunTable(frame) of a DataFrame, or load_runs(path)"
        raise InputError(f"a RunTable is wanted, not {type(table).__name__}: {remedy}")


def check_interval(level: float, resamples: int = 0) -> None:
    """Raises InputError for a `level` that is no fraction between 0 and 1, and for fewer than 0 `resamples`."""
    if not 0 < level < 1:
        raise InputError(f"--level {level:g} must lie between 0 and 1")
    if resamples < 0:
        raise InputError(f"--resamples {resamples} must be 0 or more")


def check_fit(table: object, level: float, resamples: int = 0) -> None:
    """`require_table` and `check_interval`, with which every fit of a table begins."""
    require_table(table)
    check_interval(level, resamples)
