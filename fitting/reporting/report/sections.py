"""The sentence that each picture's section begins with: how to read it, and what this one shows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ...results import Estimate, MinimumStatus
from ..pictures.compute import compute_law, counted_flops
from ..style import amount_text, count_text, exponent_number, flops_text, unit_text
from .subject import Subject

Sentence = Callable[[Subject], str]


def isoflop_sentence(subject: Subject) -> str:
    """How many budgets have a minimum."""
    fit = subject.analysis.isoflop
    if fit is None:
        return ""
    inside = sum(minimum.status is MinimumStatus.INTERIOR for minimum in fit.minima)
    flat = [m.curvature_snr for m in fit.minima if m.status is MinimumStatus.INTERIOR and m.curvature_snr is not None]
    bends = f"; the flattest bends by {min(flat):.1f} times its standard error" if flat else ""
    return (
        "Each curve is one compute budget and its lowest point the best size for it: a smaller model has learnt all it "
        f"can, a larger one has seen too little. Here {inside} of {len(fit.minima)} budgets have their minimum inside "
        f"the sizes trained{bends}."
    )


def allocation_sentence(subject: Subject) -> str:
    """What ten times the compute multiplies N* and D* by."""
    fit = subject.analysis.isoflop
    if fit is None:
        return ""
    a, b = fit.params_exponent, fit.tokens_exponent
    return (
        "Each point is a budget's minimum and the line's slope is the exponent. Here ten times the compute multiplies "
        f"the best size by {_tenfold(a)} and its tokens by {_tenfold(b)}."
    )


def compute_sentence(subject: Subject) -> str:
    """What the next decade of compute buys, by the law that the picture shows and in its count of C."""
    law = compute_law(subject.analysis)
    if law is None:
        return "The least loss that each budget reached."
    top = float(counted_flops(subject.analysis.table, law.of_product).max())
    now, then = law.least(np.array([top, 10 * top]))
    unit = unit_text(subject.analysis.table.loss_unit)
    count = " (6 N D)" if law.of_product else ""
    return (
        f"The least loss that compute buys, the dashed part extrapolated. By {law.words} it falls from {now:.3f} to "
        f"{then:.3f} {unit} between {flops_text(top)} and ten times as many FLOPs{count}."
    )


def curves_sentence(subject: Subject) -> str:
    """Whether the envelope of the curves may be believed."""
    curves = subject.curves or subject.analysis.curves
    if curves is None:
        return ""
    biased = (
        "these schedules decay later, so a loss in the middle of a run lies above that of a run which ends there"
        if curves.decaying
        else "whether their rates decay later is not recorded"
        if curves.decaying is None
        else "these are losses of whole runs or of a constant rate, so no schedule biases the envelope"
    )
    count = curves.fitted["curve"].nunique()
    return f"Loss along training, {count} curves; the best loss at each compute is their lower envelope: {biased}."


def surface_sentence(subject: Subject) -> str:
    """The irreducible loss, and how much of the gap each term holds at the top."""
    fit = subject.analysis.parametric
    if fit is None:
        return ""
    low, high = fit.parameters["E"].low, fit.parameters["E"].high
    known = "" if low is None or high is None else f" [{low:.2f}, {high:.2f}]"
    unit = unit_text(subject.analysis.table.loss_unit)
    return (
        "The law L(N, D) fitted to all runs at once: along a contour the loss is the same, and the line crosses each "
        f"where it costs least. Here no compute goes below E = {fit.law.E:.2f}{known} {unit}."
    )


def residuals_sentence(subject: Subject) -> str:
    """How far the runs lie from the law."""
    fit = subject.analysis.parametric
    if fit is None:
        return ""
    frame = subject.analysis.table.fitted
    predicted = fit.law.loss(frame["n_params"].to_numpy(dtype=float), frame["tokens"].to_numpy(dtype=float))
    off = frame["loss"].to_numpy(dtype=float) / predicted - 1
    worst = int(np.argmax(np.abs(off)))
    spread = float(np.linalg.norm(off)) / len(off) ** 0.5
    return (
        "A law that fits leaves scatter without shape; a bend means that its form, or a recipe that suits some sizes "
        f"better, is off. Here the runs lie {100 * spread:.2f} % off (root mean square), the "
        f"furthest {100 * off[worst]:+.1f} % ({frame['run'].iloc[worst]})."
    )


def profile_sentence(subject: Subject) -> str:
    """How far alpha and beta are known together."""
    fit, profile = subject.analysis.parametric, subject.analysis.profile
    if fit is None or profile is None:
        return ""
    inside = profile.inside
    known = "there are no resamples to calibrate the region by"
    if inside is not None and inside.any():
        alphas, betas = _reach(profile.alphas, inside), _reach(profile.betas, inside.T)
        known = f"the {100 * profile.level:g} % region reaches from alpha {alphas} and from beta {betas}"
    return f"Which pairs (alpha, beta) fit nearly as well: {known}, while the lines of equal a tell what they agree on."


def _reach(axis: NDArray[np.float64], inside: NDArray[np.bool_]) -> str:
    """Such as "0.31 to beyond 0.38", where the region goes on over the end of what was computed."""
    places = np.flatnonzero([row.any() for row in inside])
    low, high = (f"{axis[places[end]]:.2f}" for end in (0, -1))
    return f"{'below ' * bool(places[0] == 0)}{low} to {'beyond ' * bool(places[-1] == len(axis) - 1)}{high}"


def literature_sentence(subject: Subject) -> str:
    """How many published estimates are comparable."""
    if subject.comparison is None:
        return ""
    theirs = [row for row in subject.comparison.rows if not row.ours]
    like = sum(row.comparable for row in theirs)
    return (
        "Like beside like: an exponent is comparable where N, C and training are counted and held alike. Here "
        f"{like} of {len(theirs)} published estimates are; the others are greyed, with the reason."
    )


def holdout_sentence(subject: Subject) -> str:
    """How well the law extrapolates by one budget."""
    held = subject.analysis.holdout
    if held is None:
        return ""
    found = held.largest.get("chinchilla") or next(iter(held.largest.values()))
    return (
        "The best test of a law is what it was not fitted to: the largest budget, predicted from the others. Here the "
        f"error at {flops_text(held.budget)} FLOPs is {found.rms_error:.2%}, where the runs fitted have "
        f"{found.rms_fitted:.2%}."
    )


def runs_sentence(subject: Subject) -> str:
    """What was fitted."""
    frame = subject.analysis.table.fitted
    sizes, tokens = (frame[name].to_numpy(dtype=float) for name in ("n_params", "tokens"))
    one = "1 run is" if len(frame) == 1 else f"{len(frame)} runs are"
    return (
        f"{one} fitted, from {count_text(sizes.min())} to {count_text(sizes.max())} parameters and from "
        f"{amount_text(tokens.min())} to {amount_text(tokens.max())} tokens."
    )


def _tenfold(exponent: Estimate) -> str:
    value = f"{10**exponent.value:.2f} (10^{exponent_number(exponent.value)})"
    if exponent.low is None or exponent.high is None:
        return value
    return f"{value} [{10**exponent.low:.2f}, {10**exponent.high:.2f}]"
