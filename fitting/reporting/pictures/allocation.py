"""N*(C) and D*(C): how a budget is best split between size and data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...errors import InputError
from ...laws import PowerLaw
from ...published import published_estimate
from ...results import Estimate, IsoflopFit, Minimum, MinimumStatus
from ..marks import exponent_title, flops_label, n_params_label, standard_error
from ..style import BLACK, BLUE, ORANGE, RED, exponent_number
from .captions import size_words
from .hover import minimum_hover
from .picture import Array, Axis, Band, Line, Mark, Panel, Picture, Points

_SIDES = ("params", "tokens")
_N_PARAMS_CONVENTIONS = {
    "n_params": "total",
    "n_params_non_embedding": "non_embedding",
    "n_params_blocks_and_head": "blocks_and_head",
}
_REFERENCES = (("hoffmann_approach2", ORANGE, "total N"), ("kaplan", RED, "N without embeddings"))


def allocation_picture(
    isoflop: IsoflopFit, n_params_convention: str = "n_params", flops_convention: str = "flops"
) -> Picture:
    """N*(C) and D*(C): the budgets' interior minima, the fitted lines and their bands.

    Chinchilla's and Kaplan's exponents are drawn as slopes through the middle of our minima, since published
    coefficients do not carry over to another corpus and tokenizer. A slope that counts N otherwise than
    `n_params_convention` is dotted, and the legend says what it counts.

    Raises:
        InputError: the fit has no interior minimum.
    """
    minima = [m for m in isoflop.minima if m.status is MinimumStatus.INTERIOR and m.n_params and m.tokens]
    if not minima:
        raise InputError("the allocation picture needs a budget with an interior minimum; the fit has none")
    compute = np.array([minimum.flops for minimum in minima])
    grid = np.geomspace(float(compute.min()) / 1.5, float(compute.max()) * 1.5, 60)
    middle = float(np.exp(np.log(compute).mean()))
    panels: list[Panel] = []
    for side, label in zip(_SIDES, (n_params_label(n_params_convention), "tokens D"), strict=True):
        fit = _fit(isoflop, grid, side)
        marks = (*fit[:-1], *_references(isoflop, grid, middle, side, n_params_convention), fit[-1])
        panels.append(
            Panel(
                Axis(flops_label(flops_convention), log=True, written="flops"),
                Axis(label, log=True, written="count"),
                (*marks, _minima(minima, compute, side)),
                exponent_title(side, _fitted(isoflop, side)[1]),
            )
        )
    caption = _caption(isoflop, len(minima), n_params_convention)
    return Picture("allocation", "How a budget is split between size and tokens", caption, tuple(panels))


def _references(isoflop: IsoflopFit, grid: Array, middle: float, side: str, n_params_convention: str) -> list[Mark]:
    law, _ = _fitted(isoflop, side)
    ours = _N_PARAMS_CONVENTIONS.get(n_params_convention, n_params_convention)
    marks: list[Mark] = []
    for name, color, counted in _REFERENCES:
        estimate = published_estimate(name)
        slopes = {"params": estimate.params_exponent or np.nan, "tokens": estimate.tokens_exponent or np.nan}
        label = f"{estimate.label}: slopes {', '.join(map(exponent_number, slopes.values()))} ({counted})"
        line = law(middle) * (grid / middle) ** slopes[side]
        dash = "dash" if estimate.n_params == ours else "dot"
        marks.append(
            Line(grid, line, color, dash=dash, label=label, hover=f"{label}, through the middle of the minima")
        )
    return marks


def _fit(isoflop: IsoflopFit, grid: Array, side: str) -> list[Mark]:
    """The band, where there is one, and the line."""
    law, exponent = _fitted(isoflop, side)
    of_side = isoflop.params_band if side == "params" else isoflop.tokens_band
    band = of_side(grid, exponent.level)
    label = "fit" if band is None else f"fit and its {100 * exponent.level:g} % band"
    bands: list[Mark] = [] if band is None else [Band(grid, *band, color=BLUE, label=label)]
    return [*bands, Line(grid, law(grid), BLUE, label=label, hover="fit")]


def _minima(minima: Sequence[Minimum], compute: Array, side: str) -> Points:
    # At one budget N D is fixed, so an error in ln N* is the same error in ln D*.
    values = np.array([m.n_params if side == "params" else m.tokens for m in minima], dtype=float)
    low, high = standard_error(values, [m.log_n_params_se for m in minima])
    hover = tuple(map(minimum_hover, minima))
    label = "minima of the budgets, ±1 SE"
    return Points(compute, values, BLACK, "diamond", label=label, error="y", low=low, high=high, hover=hover)


def _fitted(isoflop: IsoflopFit, side: str) -> tuple[PowerLaw, Estimate]:
    if side == "params":
        return isoflop.params_law, isoflop.params_exponent
    return isoflop.tokens_law, isoflop.tokens_exponent


def _caption(isoflop: IsoflopFit, n_minima: int, n_params_convention: str) -> str:
    band = f", with its {100 * isoflop.params_exponent.level:g} % band" if isoflop.resamples is not None else ""
    beside = len(isoflop.minima) - n_minima
    more = f" ({beside} more have none)" if beside else ""
    return (
        f"The size N* and the tokens D* of least loss at a compute budget C (N: {size_words(n_params_convention)}): "
        f"the interior minima of {n_minima} budgets{more} with one standard error, and the power law through "
        f"them{band}. The exponents published by Hoffmann et al. (2022) and Kaplan et al. (2020) are slopes through "
        "the middle of these minima, since their coefficients do not carry over to another corpus and tokenizer; "
        "where they count N otherwise they are dotted."
    )
