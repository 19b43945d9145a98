"""Several sweeps' exponents as a table, and as points with their intervals, one above the other."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves the **kwargs of its methods untyped.

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..comparison.ladder import CountedRow
from ..comparison.rows import Exponent, published_exponents
from ..comparison.rungs import Rung
from .grids import Grid
from .pairs import signed_text
from .style import BLACK, BLUE, GREY, ORANGE, exponent_number, figure_style
from .tables import convention_words, exponent_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_OFFSET = 0.16  # of a row, by which ours and theirs stand apart


def rungs_grid(rungs: Sequence[Rung]) -> Grid:
    """A row a rung: its conventions, its exponents, how far a moved from the rung above; then its published one."""
    rows: list[tuple[str, ...]] = []
    for rung in rungs:
        rows.append(
            (
                rung.name,
                *convention_words(rung.n_params, rung.flops),
                exponent_text(rung.params_exponent),
                signed_text(rung.change) if rung.change else "",
                exponent_text(rung.tokens_exponent, with_level=False),
            )
        )
        if rung.beside is not None:
            there = rung.published_change
            rows.append(
                (
                    f"  {rung.beside.label}",
                    *convention_words(rung.beside.n_params, rung.beside.flops),
                    exponent_text(rung.published_exponent),
                    "" if there is None else exponent_number(there, signed=True),
                    exponent_text(published_exponents(rung.beside)[1], with_level=False),
                )
            )
    title = "Compute-optimal exponents of each sweep, by its own count: N* ~ C^a, D* ~ C^b"
    return Grid(title, ("sweep", "N", "C", "a", "a moved", "b"), tuple(rows), ("sweep",))


def rungs_figure(rungs: Sequence[Rung], counted: Sequence[CountedRow] = ()) -> Figure:
    """Each sweep's a with its interval, the first on top, the published one under it, and the moves between.

    `counted` are the last sweep's a under all its counts of N and C: a row of ticks at the bottom.
    """
    from matplotlib.figure import Figure  # where something is drawn
    from matplotlib.lines import Line2D

    with figure_style():
        rows = len(rungs) + (len(counted) > 1)
        figure = Figure(figsize=(6.4, 1.1 + 0.62 * rows))
        axes = figure.subplots()
        beside = any(rung.beside for rung in rungs)
        for row, rung in enumerate(rungs):
            _draw(axes, row - _OFFSET * beside, rung.params_exponent, BLACK, "o")
            _draw(axes, row + _OFFSET, rung.published_exponent, ORANGE, "D")
            _write_move(axes, row - 0.5, rung)
        labels = [rung.name for rung in rungs]
        if len(counted) > 1:
            labels.append(f"{rungs[-1].name},\nevery count")
            values = [each.params_exponent.value for each in counted]
            axes.plot(values, [rows - 1] * len(values), "|", color=BLUE, markersize=11)
            text = f"{exponent_number(values[0])} to {exponent_number(values[-1])}"
            axes.text(1.02, rows - 1, text, color=BLUE, transform=axes.get_yaxis_transform(), va="center", fontsize=8)
        axes.text(1.02, 0, "a moves by", color=GREY, transform=axes.get_yaxis_transform(), va="center", fontsize=8)
        axes.set_yticks(range(rows), labels)
        axes.set_ylim(rows - 0.5, -0.5)
        axes.set_xlabel(r"exponent $a$ of $N^* \propto C^a$, each by its own count")
        axes.axvline(0.5, color=BLACK, linewidth=0.8, linestyle=":")
        looks = [("this work", BLACK, "o"), ("published", ORANGE, "D")][: 1 + beside]
        looks += [("the last sweep's runs, counted otherwise", BLUE, "|")] * (len(counted) > 1)
        marks = [Line2D([], [], color=c, marker=m, linestyle="", label=label) for label, c, m in looks]
        if len(marks) > 1:
            figure.legend(handles=marks, loc="outside lower center", ncols=3)
    return figure


def _write_move(axes: Axes, height: float, rung: Rung) -> None:
    """Beside the axes, between two rows: how far a moved, here and where it was published."""
    if rung.change is None:
        return
    transform = axes.get_yaxis_transform()
    axes.axhline(height, color=GREY, linewidth=0.4)
    told = rung.change.verdict in ("higher", "lower")
    axes.text(
        1.02,
        height - 0.13 * (rung.published_change is not None),
        signed_text(rung.change).rstrip("*"),
        transform=transform,
        va="center",
        fontsize=8,
        color=BLACK,
        weight="bold" if told else "normal",
    )
    if rung.published_change is not None:
        text = exponent_number(rung.published_change, signed=True)
        axes.text(1.02, height + 0.15, text, transform=transform, va="center", fontsize=8, color=ORANGE)


def _draw(axes: Axes, row: float, exponent: Exponent | None, color: str, marker: str) -> None:
    if exponent is None:
        return
    if exponent.low is not None and exponent.high is not None:
        axes.plot([exponent.low, exponent.high], [row, row], color=color, linewidth=1.4)
    axes.plot(exponent.value, row, marker=marker, color=color, markersize=5, zorder=3)
