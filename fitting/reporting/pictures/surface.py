"""The fitted law L(N, D) of approach 3 as a map, with the runs on it and the sizes that are best along it."""

from __future__ import annotations

import numpy as np

from ...analysis import Analysis
from ...errors import InputError
from ...laws import ChinchillaLaw
from ..marks import flops_label, n_params_label
from ..style import BLACK, ORANGE, unit_text
from .captions import runs_words, size_words
from .hover import run_hover
from .levels import round_levels
from .picture import Array, Axis, Field, Line, Mark, Panel, Picture, Points

_MARGIN = 1.35  # beyond the runs, as a factor
_GRID = 60  # points of either axis
_HIGHEST = 0.9  # the share of the runs' losses up to which colours differ: large models begun reach far above


def surface_picture(analysis: Analysis) -> Picture:
    """L(N, D) over N and C = 6 N D, within the runs' range.

    N lies across as in the isoFLOP curves, so that a budget is a row and a line of one loss is a valley: its lowest
    point is the least compute that reaches the loss, and these points make N*(C).

    Raises:
        InputError: approach 3 has no fit.
    """
    fit = analysis.parametric
    if fit is None:
        raise InputError("the surface needs a fit of approach 3; the analysis has none")
    frame = analysis.table.fitted
    n, d, loss = (frame[name].to_numpy(dtype=float) for name in ("n_params", "tokens", "loss"))
    compute = 6 * n * d
    across, up = (
        np.geomspace(float(values.min()) / _MARGIN, float(values.max()) * _MARGIN, _GRID) for values in (n, compute)
    )
    surface = fit.law.loss(across[None, :], up[:, None] / 6 / across[None, :])
    unit = unit_text(analysis.table.loss_unit)
    hover, links = run_hover(frame)
    marks: list[Mark] = [
        Field(
            across,
            up,
            surface,
            f"loss, {unit}",
            round_levels(float(surface.min()), float(np.quantile(loss, _HIGHEST)), 15),
        ),
        *_frontier(fit.law, across, up),
        Points(n, compute, BLACK, size=3.0, hollow=True, label="runs", hover=hover, links=links),
    ]
    law = fit.law
    equation = f"L = {law.E:.3g} + {law.A:.3g}/N^{law.alpha:.3g} + {law.B:.3g}/D^{law.beta:.3g}"
    caption = (
        f"The law of approach 3, {equation} ({unit}), fitted to {runs_words(analysis.table)}, over size and compute. "
        f"N counts parameters ({size_words(analysis.options.n_params)}); C is 6 N D, the count in which the law's "
        "optimum holds. Each colour is a range of losses; where its border is lowest a loss costs the least compute, "
        "and the orange line N*(C) joins these places. Circles are the runs; far from them the colours "
        "extrapolate, and losses beyond the scale have its last colour."
    )
    x = Axis(n_params_label(analysis.options.n_params), True, "count", _ends(across))
    panel = Panel(x, Axis(flops_label("6nd"), True, "flops", _ends(up)), tuple(marks))
    return Picture("surface", "The fitted surface L(N, D)", caption, (panel,))


def _frontier(law: ChinchillaLaw, across: Array, up: Array) -> list[Mark]:
    """N*(C) where it lies inside; none where the law has no optimum."""
    best = law.optimum(up)[0]  # NaN without one
    inside = (best >= across[0]) & (best <= across[-1])
    if not inside.any():
        return []
    return [Line(np.where(inside, best, np.nan), up, ORANGE, width=2.0, label="N*(C), the least loss of a budget")]


def _ends(values: Array) -> tuple[float, float]:
    return float(values[0]), float(values[-1])
