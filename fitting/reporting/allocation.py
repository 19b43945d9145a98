"""N*(C) and D*(C): how a budget is best split between size and data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ..errors import InputError
from ..laws import PowerLaw
from ..published import published_estimate
from ..results import Estimate, IsoflopFit, Minimum, MinimumStatus
from .marks import BAR_LOOK, error_bar, flops_label, n_params_label, write_ticks
from .style import (
    BLACK,
    BLUE,
    ORANGE,
    RED,
    count_text,
    exponent_number,
    figure_style,
    flops_text,
    interval_text,
)

_SIDES = {"params": r"$N^* \propto C^a$,  $a$", "tokens": r"$D^* \propto C^b$,  $b$"}
_N_PARAMS_CONVENTIONS = {
    "n_params": "total",
    "n_params_non_embedding": "non_embedding",
    "n_params_blocks_and_head": "blocks_and_head",
}
_REFERENCES = (("hoffmann_approach2", ORANGE, "total N"), ("kaplan", RED, "N without embeddings"))


def allocation_figure(
    isoflop: IsoflopFit, n_params_convention: str = "n_params", flops_convention: str = "flops"
) -> Figure:
    """N*(C) and D*(C): the budgets' interior minima, the fitted lines and their 95 % bands.

    Chinchilla's and Kaplan's exponents are drawn as slopes through the middle of our minima, since published
    coefficients do not carry over to another corpus and tokenizer. A slope that counts N otherwise than
    `n_params_convention` is dotted, and the legend says what it counts.

    Raises:
        InputError: the fit has no interior minimum.
    """
    minima = [m for m in isoflop.minima if m.status is MinimumStatus.INTERIOR and m.n_params and m.tokens]
    if not minima:
        raise InputError("the allocation figure needs a budget with an interior minimum; the fit has none")
    compute = np.array([minimum.flops for minimum in minima])
    grid = np.geomspace(compute.min() / 1.5, compute.max() * 1.5, 60)
    middle = float(np.exp(np.log(compute).mean()))
    with figure_style():
        figure = Figure(figsize=(7.0, 3.9))
        panels = figure.subplots(1, 2)
        for axes, side in zip(panels, _SIDES, strict=True):
            _draw_references(axes, isoflop, grid, middle, side, n_params_convention)
            _draw_fit(axes, isoflop, grid, side)
            _draw_minima(axes, minima, side)
            axes.set(xscale="log", yscale="log", xlabel=flops_label(flops_convention))
            axes.set_ylabel(n_params_label(n_params_convention) if side == "params" else "tokens D")
            write_ticks(axes.xaxis, flops_text)
            write_ticks(axes.yaxis, count_text)
        handles = panels[0].get_legend_handles_labels()[0]
        published_handles, our_handles = handles[: len(_REFERENCES)], handles[len(_REFERENCES) :]
        explained = Line2D([], [], linestyle="", label="(published slopes, drawn through our middle)")
        figure.legend(
            handles=[*reversed(our_handles), *published_handles, explained],
            loc="outside lower center",
            ncols=2,
        )
    return figure


def _draw_references(
    axes: Axes,
    isoflop: IsoflopFit,
    grid: NDArray[np.float64],
    middle: float,
    side: str,
    n_params_convention: str,
) -> None:
    law, _ = _fitted(isoflop, side)
    ours = _N_PARAMS_CONVENTIONS.get(n_params_convention, n_params_convention)
    for name, color, counted in _REFERENCES:
        estimate = published_estimate(name)
        slopes = {"params": estimate.params_exponent or np.nan, "tokens": estimate.tokens_exponent or np.nan}
        both = ", ".join(map(exponent_number, slopes.values()))
        axes.plot(
            grid,
            law(middle) * (grid / middle) ** slopes[side],
            color=color,
            linestyle="--" if estimate.n_params == ours else ":",
            label=f"{estimate.label}: slopes {both} ({counted})",
        )


def _draw_fit(axes: Axes, isoflop: IsoflopFit, grid: NDArray[np.float64], side: str) -> None:
    law, exponent = _fitted(isoflop, side)
    band = isoflop.params_band(grid) if side == "params" else isoflop.tokens_band(grid)
    if band is not None:
        axes.fill_between(grid, *band, color=BLUE, alpha=0.2, linewidth=0, label="95 % band of the fit")
    axes.plot(grid, law(grid), color=BLUE, label="fit")
    interval = interval_text(exponent.value, exponent.low, exponent.high, f"({100 * exponent.level:g} %)")
    axes.set_title(f"{_SIDES[side]} = {interval}")


def _draw_minima(axes: Axes, minima: Sequence[Minimum], side: str) -> None:
    flops = [minimum.flops for minimum in minima]
    values = [(minimum.n_params if side == "params" else minimum.tokens) or np.nan for minimum in minima]
    for minimum, value in zip(minima, values, strict=True):
        # At one budget N D is fixed, so an error in ln N* is the same error in ln D*.
        bar = error_bar(value, minimum.log_n_params_se)
        if bar is not None:
            axes.errorbar(minimum.flops, value, yerr=bar, **BAR_LOOK)
    axes.plot(flops, values, "D", color=BLACK, markersize=4, zorder=5, label="minima of the budgets, ±1 SE")


def _fitted(isoflop: IsoflopFit, side: str) -> tuple[PowerLaw, Estimate]:
    if side == "params":
        return isoflop.params_law, isoflop.params_exponent
    return isoflop.tokens_law, isoflop.tokens_exponent
