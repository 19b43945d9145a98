"""The runs one by one: what was fitted, and what was not and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import pandas as pd

from ...analysis import Analysis
from ...runs import RunTable
from ..page.content import Cell, Link, PageTable
from ..style import count_text, flops_text, number_text, unit_text
from .subject import Subject

MOST_LISTED = 2000  # rows in the page; of more the largest budgets' are in it
# Columns beside N, D, C and the loss that tell a run apart, where a table has them.
_MORE = ("learning_rate", "seed", "phase", "width", "depth", "epochs")


def with_addresses(analysis: Analysis, addresses: Mapping[str, str]) -> Analysis:
    """The same, its rows with their run's web address in the column `url`, where one is known; never guessed.

    `addresses` are those of a sweep's runs by id; else the column is the table's own.
    """
    if not addresses:
        return analysis

    def told(table: RunTable) -> RunTable:
        found = [addresses.get(str(run), "") for run in table.frame["run"]]
        return replace(table, frame=table.frame.assign(url=found))

    curves = analysis.curves
    return replace(
        analysis,
        table=told(analysis.table),
        curves=None if curves is None else replace(curves, table=told(curves.table)),
    )


def runs_table(subject: Subject) -> PageTable:
    """Every fitted run, by rising compute and size."""
    table = subject.analysis.table
    frame = table.fitted
    order = ["budget", "n_params"] if table.budgets is not None else ["flops", "n_params"]
    frame = frame.sort_values(order, kind="stable").reset_index(drop=True)
    left_out = max(0, len(frame) - MOST_LISTED)
    columns = _columns(frame, unit_text(table.loss_unit))
    records = cast("list[dict[str, Any]]", frame.iloc[left_out:].to_dict("records"))
    rows = tuple(tuple(write(row) for _, write in columns) for row in records)
    notes = [f"The {left_out} runs of least compute are left out of this page."] if left_out else []
    kept = table.kept
    if kept:
        notes.append(f"{len(kept)} of these are fitted although flagged, as {kept[0]['run']}: {kept[0]['reason']}")
    return PageTable(
        tuple(header for header, _ in columns),
        rows,
        notes=tuple(notes),
        right=frozenset(range(1, len(columns))),
        shown=20,
    )


def excluded_table(subject: Subject) -> PageTable | None:
    """Every run that was not fitted, with the reason and its place; None where all were."""
    out = subject.analysis.table.excluded
    if not out:
        return None
    rows = tuple((row["run"], row["reason"], row.get("source", "")) for row in out[:MOST_LISTED])
    more = len(out) - len(rows)
    notes = (f"{more} more are left out of this page; fit.json lists all.",) if more else ()
    return PageTable(("run", "why it is not fitted", "where it stands"), rows, notes=notes)


Write = Callable[[Mapping[str, Any]], Cell]


def _columns(frame: pd.DataFrame, unit: str) -> list[tuple[str, Write]]:
    columns: list[tuple[str, Write]] = [
        ("run", lambda row: Link(str(row["run"]), url) if (url := address_of(row)) else str(row["run"])),
        ("N", lambda row: count_text(row["n_params"])),
        ("D", lambda row: count_text(row["tokens"])),
        ("C, FLOPs", lambda row: flops_text(row["flops"])),
        ("D/N", lambda row: f"{row['tokens'] / row['n_params']:.3g}"),
        (f"loss, {unit}", _loss),
    ]
    for name in _MORE:
        if name in frame and _tells(name, pd.Series(frame[name]).dropna()):
            columns.append((name.replace("_", " "), lambda row, name=name: _cell(row[name])))
    return columns


def _tells(name: str, known: pd.Series) -> bool:
    """Whether a column says something of the runs: epochs do where data repeat, others where they differ."""
    if name == "epochs":
        return bool((known > 1).any())
    return len(set(known)) > 1 or (name == "learning_rate" and len(known) > 0)


def _loss(row: Mapping[str, Any]) -> str:
    error = row.get("loss_se")
    known = isinstance(error, float) and error == error and error > 0
    return f"{row['loss']:.4f} ± {error:.4f}" if known else f"{row['loss']:.4f}"


def _cell(value: Any) -> str:
    if value is None or value != value:
        return ""
    return number_text(value, 4) if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)


def address_of(row: Mapping[str, Any]) -> str:
    """The web address of a run, "" where none is known."""
    url = row.get("url")
    return url if isinstance(url, str) and url.startswith(("https://", "http://")) else ""
