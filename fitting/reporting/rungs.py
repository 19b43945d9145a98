"""Several sweeps' exponents as a table, and as points with their intervals, one above the other."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from rich.table import Table
from rich.text import Text

from ..comparison.published_rows import Exponent
from ..comparison.rungs import Rung
from .style import BLACK, ORANGE, Color, exponent_number, figure_style
from .tables import convention_words, exponent_text, plain_table

_OFFSET = 0.16  # of a row, by which ours and theirs stand apart


def rungs_table(rungs: Sequence[Rung]) -> Table:
    """A row a rung: its conventions, its exponents, and by how much a moved from the row above."""
    table = plain_table("Compute-optimal exponents of each sweep: N* ~ C^a, D* ~ C^b")
    beside = any(rung.beside for rung in rungs)
    for header in ("sweep", "N", "C", "a", "moved", *(["published", "a there", "moved"] if beside else ["b"])):
        table.add_column(header, no_wrap=header != "published", min_width=14 if header == "published" else None)
    before = None
    for rung in rungs:
        theirs = rung.published_exponent
        cells = [rung.name, *convention_words(rung.n_params, rung.flops), exponent_text(rung.params_exponent)]
        cells.append(_signed(rung.change))
        if beside:
            moved = theirs.value - before.value if theirs and before else None
            cells += [rung.beside.label if rung.beside else "", exponent_text(theirs, with_level=False), _signed(moved)]
        else:
            cells.append(exponent_text(rung.tokens_exponent))
        table.add_row(*map(Text, cells))
        before = theirs
    return table


def _signed(change: float | None) -> str:
    return "" if change is None else exponent_number(change, signed=True)


def rungs_figure(rungs: Sequence[Rung]) -> Figure:
    """Each sweep's a with its interval, the first on top, and the published one under it where there is one."""
    with figure_style():
        figure = Figure(figsize=(5.6, 0.8 + 0.5 * len(rungs)))
        axes = figure.subplots()
        beside = any(rung.beside for rung in rungs)
        for row, rung in enumerate(rungs):
            _draw(axes, row - _OFFSET * beside, rung.params_exponent, BLACK, "o")
            _draw(axes, row + _OFFSET, rung.published_exponent, ORANGE, "D")
        axes.set_yticks(range(len(rungs)), [rung.name for rung in rungs])
        axes.set_ylim(len(rungs) - 0.5, -0.5)
        axes.set_xlabel(r"exponent $a$ of $N^* \propto C^a$, each in its own convention")
        axes.axvline(0.5, color=BLACK, linewidth=0.8, linestyle=":")
        if beside:
            looks = [("this work", BLACK, "o"), ("published", ORANGE, "D")]
            marks = [Line2D([], [], color=c, marker=m, linestyle="", label=label) for label, c, m in looks]
            figure.legend(handles=marks, loc="outside lower center", ncols=2)
    return figure


def _draw(axes: Axes, row: float, exponent: Exponent | None, color: str | Color, marker: str) -> None:
    if exponent is None:
        return
    if exponent.low is not None and exponent.high is not None:
        axes.plot([exponent.low, exponent.high], [row, row], color=color, linewidth=1.4)
    axes.plot(exponent.value, row, marker=marker, color=color, markersize=5, zorder=3)
