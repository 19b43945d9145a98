"""Exponents a as points with their intervals, ours and published, grouped by what N counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...comparison.published_rows import Comparison, ComparisonRow
from ..style import BLACK, BLUE
from ..tables import convention_words, exponent_text
from .picture import Axis, Mark, Panel, Picture, Points, Rule, Symbol

_LIGHT = "#b0b0b0"
_LOOKS: dict[str, tuple[str, Symbol, str]] = {  # of a row: colour, symbol, legend
    "ours": (BLACK, "circle", "this work"),
    "comparable": (BLUE, "diamond", "published, comparable"),
    "other": (_LIGHT, "square", "not comparable"),
}


def forest_picture(comparison: Comparison) -> Picture:
    """One row an estimate: ours black, comparable published blue, others grey; labels name C and the level."""
    names: list[str] = []
    headings: set[int] = set()
    placed: list[tuple[int, ComparisonRow]] = []
    for section in comparison.sections:
        rows = [row for row in section.rows if row.params_exponent]
        if rows:
            headings.add(len(names))
            placed += enumerate(rows, start=len(names) + 1)
            names += [f"N: {convention_words(section.n_params, '')[0]}", *map(_label, rows)]
    faint = frozenset(place for place, row in placed if _kind(row) == "other")
    panel = Panel(
        Axis("exponent a of N* ∝ Cᵃ"),
        Axis("", names=tuple(names), strong=frozenset(headings), faint=faint),
        (
            Rule("x", 0.5, BLACK),
            *(_points(kind, placed) for kind in _LOOKS if any(_kind(r) == kind for _, r in placed)),
        ),
    )
    return Picture("forest", "The exponent beside the literature", _caption(placed), (panel,))


def _points(kind: str, placed: Sequence[tuple[int, ComparisonRow]]) -> Mark:
    color, symbol, label = _LOOKS[kind]
    mine = [(place, row, row.params_exponent) for place, row in placed if _kind(row) == kind and row.params_exponent]
    low = np.array([exponent.low for _, _, exponent in mine], dtype=float)
    high = np.array([exponent.high for _, _, exponent in mine], dtype=float)
    return Points(
        np.array([exponent.value for _, _, exponent in mine], dtype=float),
        np.array([place for place, _, _ in mine], dtype=float),
        color,
        symbol,
        label=label,
        error="x",
        low=low,
        high=high,
        hover=tuple(f"{_label(row)}\na = {exponent_text(exponent)}" for _, row, exponent in mine),
    )


def _kind(row: ComparisonRow) -> str:
    if not row.comparable:
        return "other"
    return "ours" if row.ours else "comparable"


def _label(row: ComparisonRow) -> str:
    exponent = row.params_exponent
    level = f", {exponent.interval}" if exponent and exponent.interval else ""
    level += ", imposed" if row.ours and not row.comparable else ""
    return f"{row.label}{' †' * row.doubtful} (C {convention_words(row.n_params, row.flops)[1]}{level})"


def _caption(placed: Sequence[tuple[int, ComparisonRow]]) -> str:
    doubtful = any(row.doubtful for _, row in placed)
    unsure = " † second-hand numbers, or a convention that is not known in full." if doubtful else ""
    return (
        "The exponent a of N* ∝ Cᵃ, ours and published, grouped by what N counts; in brackets how C is counted and "
        "what the bar is, where an interval is known. Comparable are estimates that count N alike, C alike or nearly "
        "so, and held the same fixed in training. The dotted line is a = .5, where N* and D* grow alike." + unsure
    )
