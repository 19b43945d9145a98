"""Exponents a as points with their intervals, ours and published, grouped by what N counts."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..comparison.published_rows import Comparison, ComparisonRow
from .style import BLACK, BLUE, GREY, figure_style
from .tables import convention_words

_ROW_INCHES = 0.19
_LIGHT = "#b0b0b0"


def forest_figure(comparison: Comparison) -> Figure:
    """One row an estimate: ours black, comparable published blue, others grey; labels name C and the level."""
    sections = [[row for row in section.rows if row.params_exponent] for section in comparison.sections]
    kept = [(section, rows) for section, rows in zip(comparison.sections, sections, strict=True) if rows]
    n_rows = sum(len(rows) + 1 for _, rows in kept)
    with figure_style():
        figure = Figure(figsize=(5.6, 1.1 + _ROW_INCHES * n_rows))
        axes = figure.subplots()
        ticks: list[tuple[float, str, str, bool]] = []
        y = 0
        for section, rows in kept:
            ticks.append((y, f"N: {convention_words(section.n_params, '')[0]}", BLACK, True))
            for place, row in enumerate(rows, start=y + 1):
                _draw(axes, place, row)
                ticks.append((place, _label(row), _color(row), False))
            y += len(rows) + 1
        _set_labels(axes, ticks)
        axes.set_ylim(y - 0.3, -0.7)
        axes.set_xlabel(r"exponent $a$ of $N^* \propto C^a$")
        axes.axvline(0.5, color=BLACK, linewidth=0.8, linestyle=":")
        axes.grid(axis="y", visible=False)
        looks = [("this work", BLACK, "o"), ("published, comparable", BLUE, "D"), ("not comparable", _LIGHT, "D")]
        marks = [Line2D([], [], color=c, marker=m, linestyle="", markersize=4, label=label) for label, c, m in looks]
        figure.legend(handles=marks, loc="outside lower center", ncols=3)
    return figure


def _set_labels(axes: Axes, ticks: list[tuple[float, str, str, bool]]) -> None:
    axes.set_yticks([place for place, *_ in ticks], [label for _, label, _, _ in ticks], fontsize=7)
    axes.tick_params(axis="y", length=0)
    for text, (_, _, color, heading) in zip(axes.get_yticklabels(), ticks, strict=True):
        text.set_color(GREY if color == _LIGHT else color)
        text.set_fontweight("bold" if heading else "normal")


def _label(row: ComparisonRow) -> str:
    exponent = row.params_exponent
    level = f", {exponent.interval}" if exponent and exponent.interval else ""
    return f"{row.label}{' †' * row.doubtful} (C {convention_words(row.n_params, row.flops)[1]}{level})"


def _color(row: ComparisonRow) -> str:
    return BLACK if row.ours else BLUE if row.comparable else _LIGHT


def _draw(axes: Axes, place: float, row: ComparisonRow) -> None:
    exponent = row.params_exponent
    if exponent is None:
        return
    color = _color(row)
    if exponent.low is not None and exponent.high is not None:
        axes.plot([exponent.low, exponent.high], [place, place], color=color, linewidth=1.8 if row.ours else 0.9)
    axes.plot(exponent.value, place, marker="o" if row.ours else "D", color=color, markersize=4, zorder=3)
