"""What the law of approach 3 leaves unexplained, against compute and against tokens per parameter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...analysis import Analysis
from ...errors import InputError
from ..marks import flops_label
from ..style import BLACK, GREY
from .captions import percent_text, runs_words, size_words
from .hover import run_hover
from .picture import Array, Axis, Band, Line, Mark, Panel, Picture, Points, Rule
from .sizes import SizeClasses, size_classes

_GROUPS = 8  # of runs whose medians are joined
_FEW = 3  # runs that a median needs
_FAR = 8  # times the median distance from zero: what lies further is drawn at the edge
_LEAST = 0.4  # of one side of zero, as a part of the other
_ROOM = 1.12
_MEDIANS = "medians of runs side by side"


@dataclass(frozen=True)
class _Run:
    """The runs with usable numbers: measured over predicted loss less 1, and what it is drawn against, each (n,)."""

    frame: pd.DataFrame
    fitted: NDArray[np.bool_]
    off: Array
    compute: Array
    ratio: Array  # tokens per parameter


def residuals_picture(analysis: Analysis) -> Picture:
    """Measured over predicted loss, less 1, of every run; a law that fits leaves no shape.

    Medians of neighbouring runs are joined, so that a misfit shows as a bent line. Runs far off, and runs left out of
    the fit, are drawn at the edge where they lie beyond it.

    Raises:
        InputError: approach 3 has no fit.
    """
    runs = _runs(analysis)
    classes = size_classes(runs.frame["n_params"])
    noise = _noise(analysis)
    limits = _limits(runs, noise)
    vertical = Axis("measured / predicted loss − 1", written="percent", limits=limits)
    panels: list[Panel] = []
    for title, x, axis in (
        (
            "against compute",
            runs.compute,
            Axis(flops_label(analysis.options.flops), True, "flops", _around(runs.compute)),
        ),
        (
            "against tokens per parameter",
            runs.ratio,
            Axis("tokens per parameter D/N", True, "count", _around(runs.ratio)),
        ),
    ):
        marks: list[Mark] = []
        if noise is not None and axis.limits is not None:
            edge = np.full(2, noise)
            marks.append(Band(np.array(axis.limits), -edge, edge, GREY, label="±1 SD of the noise of a run"))
        marks += [Rule("y", 0.0, BLACK, dash="solid"), *_points(runs, classes, x, limits), *_medians(runs, x)]
        panels.append(Panel(x=axis, y=vertical, marks=tuple(marks), title=title))
    outside = int((np.clip(runs.off, *limits) != runs.off)[runs.fitted].sum())
    notes = (f"fitted runs beyond the vertical range, drawn at its edge: {outside}",) if outside else ()
    return Picture(
        "residuals", "Residuals of the fitted law", _caption(analysis, runs, noise), tuple(panels), notes=notes
    )


def _runs(analysis: Analysis) -> _Run:
    if analysis.parametric is None:
        raise InputError("the residuals need a fit of approach 3; the analysis has none")
    table = analysis.table
    names = ["n_params", "tokens", "loss", "flops"]
    numbers = table.frame[names].to_numpy(dtype=float)
    there = (np.isfinite(numbers) & (numbers > 0)).all(axis=1)
    frame = table.frame.iloc[np.flatnonzero(there)].reset_index(drop=True)
    n, d, loss, flops = numbers[there].T
    off = loss / analysis.parametric.law.loss(n, d) - 1
    return _Run(frame, table.usable.to_numpy(dtype=bool)[there], off, flops, d / n)


def _noise(analysis: Analysis) -> float | None:
    """The standard deviation of a run as approach 2 measured it, over the median loss; None where it is unknown."""
    if analysis.isoflop is None or analysis.isoflop.noise is None:
        return None
    noise = analysis.isoflop.noise
    return float(np.hypot(noise.sigma, noise.between_cells) / analysis.table.fitted["loss"].median())


def _limits(runs: _Run, noise: float | None) -> tuple[float, float]:
    """What is shown below and above zero: all fitted runs but those far from it."""
    off = runs.off[runs.fitted]
    far = _FAR * float(np.median(np.abs(off))) or np.inf
    below, above = (min(float(side.max()), far) for side in (np.maximum(-off, 0), np.maximum(off, 0)))
    least = max(_LEAST * below, _LEAST * above, 1.5 * (noise or 0.0), 1e-6)
    return -_ROOM * max(below, least), _ROOM * max(above, least)


def _around(values: Array) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    room = max((high / low) ** 0.04, 1.05)
    return low / room, high * room


def _points(runs: _Run, classes: SizeClasses, x: Array, limits: tuple[float, float]) -> list[Mark]:
    """Of each size class those within and those beyond the limits; then those left out of the fit, as crosses."""
    hover, links = run_hover(runs.frame)
    texts = [
        f"{text}\nmeasured over predicted: {percent_text(off, True)}" for text, off in zip(hover, runs.off, strict=True)
    ]
    heights = np.clip(runs.off, *limits)
    beyond = heights != runs.off

    def marked(chosen: NDArray[np.bool_], color: str, **look: Any) -> list[Mark]:
        (rows,) = np.nonzero(chosen)
        shown: dict[str, Any] = {"hover": tuple(texts[i] for i in rows), "links": tuple(links[i] for i in rows)}
        return [Points(x[rows], heights[rows], color, **shown, **look)] if len(rows) else []

    marks: list[Mark] = []
    for place, (label, color) in enumerate(zip(classes.labels, classes.colors, strict=True)):
        mine = runs.fitted & (classes.of == place)
        marks += marked(mine & ~beyond, color, size=3.5, opacity=0.8, label=label)
        marks += marked(mine & beyond, color, size=4.5, symbol="triangle", axis_edge=True, label="beyond the range")
    out = int((~runs.fitted).sum())
    return marks + marked(~runs.fitted, GREY, size=4.5, symbol="cross", axis_edge=True, label=f"left out ({out})")


def _medians(runs: _Run, x: Array) -> list[Mark]:
    """The median residual of each of up to 8 groups of fitted runs side by side; equal x are one group."""
    x, off = np.log(x[runs.fitted]).round(1), runs.off[runs.fitted]  # nearly equal compute is one budget
    groups = min(_GROUPS, len(x) // _FEW)
    if groups < 3:
        return []
    edges = np.unique(np.quantile(x, np.linspace(0, 1, groups + 1))[1:-1])
    place = np.digitize(x, edges)
    kept = [place == i for i in range(len(edges) + 1) if (place == i).sum() >= _FEW]
    middle, height = (np.array([np.median(values[rows]) for rows in kept]) for values in (x, off))
    if len(kept) < 3:
        return []
    return [Line(np.exp(middle), height, BLACK, width=1.6, label=_MEDIANS, hover=_MEDIANS)]


def _caption(analysis: Analysis, runs: _Run, noise: float | None) -> str:
    rms = float(np.sqrt(np.mean(runs.off[runs.fitted] ** 2)))
    band = (
        ""
        if noise is None
        else (
            f" The grey band is one standard deviation of a run's noise, {percent_text(noise)} of the median loss, as "
            "the scatter about the budgets' curves of approach 2 shows it."
        )
    )
    return (
        f"Measured over predicted loss, less 1, of {runs_words(analysis.table)}, under the law of approach 3 (root "
        f"mean square {percent_text(rms)}), against compute and against tokens per parameter (N: "
        f"{size_words(analysis.options.n_params)}). Colours are sizes; the black line joins the medians "
        f"of runs side by side: where it bends, the law does not have the shape of the data.{band}"
    )
