"""The least loss that compute buys, L(C): the budgets' minima, a law's own curve, and a decade beyond the runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...analysis import Analysis
from ...errors import InputError
from ...laws import ChinchillaLaw, KaplanLaw
from ...results import MinimumStatus, ParametricFit
from ...runs import RunTable
from ...uncertainty import bias_corrected_estimate
from ..marks import flops_label
from ..style import BLACK, BLUE, GREY, count_text, flops_text
from .captions import loss_label, runs_words, size_words
from .hover import run_hover
from .picture import Array, Axis, Band, Line, Mark, Panel, Picture, Points, Rule

_BEYOND = 10.0  # times the largest compute: how far the law is drawn
_GRID = 60
_LIGHT = "#b0b0b0"
_LEAST = "the law's least loss L(C)"


@dataclass(frozen=True)
class ComputeLaw:
    """A law's L(C): in words, at FLOPs (n,), its asymptote, and whether its C is 6 N D (else the table's count)."""

    words: str
    least: Callable[[Array], Array]
    asymptote: float
    of_product: bool
    fit: ParametricFit | None = None  # that knows a band


def compute_picture(analysis: Analysis) -> Picture:
    """Loss against compute: runs, minima of the budgets, and a law's least loss of each C, a decade beyond the runs.

    A law in N and D has its optimum at C = 6 N D, so runs and minima lie at their 6 N D too and not at the table's C.

    Raises:
        InputError: neither a law with an optimum nor a budget with an interior minimum.
    """
    law = compute_law(analysis)
    of_product = law is None or law.of_product
    minima = _minima(analysis, of_product)
    if law is None and minima is None:
        raise InputError("L(C) needs a law with an optimum, or a budget with an interior minimum; there is neither")
    frame = analysis.table.fitted
    runs, loss = counted_flops(analysis.table, of_product), frame["loss"].to_numpy(dtype=float)
    hover, links = run_hover(frame)
    marks: list[Mark] = [Points(runs, loss, _LIGHT, size=2.5, label="runs", hover=hover, links=links)]
    if law is not None:
        marks += _lines(law, runs)
    marks += [] if minima is None else [minima]
    limits = _limits(marks, loss)
    if law is not None and limits[0] < law.asymptote < limits[1]:
        marks.append(Rule("y", law.asymptote, GREY, label=f"asymptote E = {law.asymptote:.3g}"))
    above = int((loss > limits[1]).sum())
    notes = (f"{above} of {len(loss)} runs lie above the range and are not drawn",) if above else ()
    span = (float(runs.min()) / 1.3, float(runs.max()) * (1.3 if law is None else 1.1 * _BEYOND))
    x = Axis(flops_label("6nd" if of_product else analysis.options.flops), True, "flops", span)
    panel = Panel(x, Axis(loss_label(analysis.table), limits=limits), tuple(marks))
    return Picture("compute", "Loss against compute", _caption(analysis, law, marks), (panel,), notes=notes)


def counted_flops(table: RunTable, of_product: bool) -> Array:
    """The compute of each fitted run: 6 N D, or the table's count."""
    n, d, flops = (table.fitted[name].to_numpy(dtype=float) for name in ("n_params", "tokens", "flops"))
    return 6 * n * d if of_product else flops


def compute_law(analysis: Analysis) -> ComputeLaw | None:
    """Approach 3's, else L(C) itself, else Kaplan's joint law; None without one, or where its optimum is no number."""
    fits = analysis.fits
    if fits.parametric is not None:
        law = fits.parametric.law
        known = not {"A", "B", "alpha", "beta"} & set(fits.parametric.at_bound)
        words = "the law of approach 3 at its own optimum of each C"
        return ComputeLaw(words, lambda flops: _least(law, flops), law.E, True, fits.parametric) if known else None
    if fits.saturating is not None:
        return ComputeLaw("L(C) = E + (C0/C)^gamma", fits.saturating.law.loss, fits.saturating.law.E, False)
    if fits.kaplan is not None and np.isfinite(fits.kaplan.law.optimum(1e20)).all():
        joint = fits.kaplan.law
        return ComputeLaw(
            "Kaplan's joint law at its own optimum of each C", lambda flops: _least(joint, flops), 0.0, True
        )
    return None


def _minima(analysis: Analysis, of_product: bool) -> Points | None:
    found = () if analysis.isoflop is None else analysis.isoflop.minima
    shown = [m for m in found if m.status is MinimumStatus.INTERIOR and m.n_params and m.tokens and m.loss]
    if not shown:
        return None
    n, d, flops, loss = (
        np.array([getattr(m, name) for m in shown]) for name in ("n_params", "tokens", "flops", "loss")
    )
    texts = tuple(
        f"minimum of {flops_text(m.budget)} FLOPs\nN* {count_text(float(m.n_params or 0))}, D* "
        f"{count_text(float(m.tokens or 0))}\nloss {m.loss:.4f}\n{m.n_runs} runs"
        for m in shown
    )
    compute = 6 * n * d if of_product else flops
    return Points(compute, loss, BLACK, "diamond", 4.5, label="minima of the budgets", hover=texts)


def _least(law: ChinchillaLaw | KaplanLaw, flops: Array) -> Array:
    """The law's loss at its own optimum of each C = 6 N D; infinite where that is no number."""
    with np.errstate(divide="ignore", over="ignore"):
        return law.loss(*law.optimum(flops))


def _lines(law: ComputeLaw, runs: Array) -> list[Mark]:
    low, high = float(runs.min()), float(runs.max())
    inside, beyond = np.geomspace(low, high, _GRID), np.geomspace(high, high * _BEYOND, _GRID // 2)
    band = None if law.fit is None else _band(law.fit, np.concatenate([inside, beyond[1:]]))
    return [
        *([] if band is None else [band]),
        Line(inside, law.least(inside), BLUE, label=_LEAST, hover=_LEAST),
        Line(beyond, law.least(beyond), BLUE, dash="dash", label="extrapolated", hover=f"{_LEAST}, extrapolated"),
    ]


def _band(fit: ParametricFit, flops: Array) -> Band | None:
    """The interval of L(C) at each C, made as those of the fit's parameters; None where one of them has none."""
    made, draws = fit.resampling, fit.resamples
    if made is None or made.freedom is None or draws is None:
        return None
    level, values = fit.params_exponent.level, _least(fit.law, flops)
    drawn = np.stack([_least(ChinchillaLaw(*row), flops) for row in draws], axis=1)
    ends = [
        bias_corrected_estimate(float(value), row, made.n_resamples, level, made.freedom)
        for value, row in zip(values, drawn, strict=True)
    ]
    if any(end.low is None for end in ends):
        return None
    low, high = (np.array([getattr(end, side) for end in ends]) for side in ("low", "high"))
    return Band(flops, low, high, BLUE, label=f"{100 * level:g} % band of L(C)")


def _limits(marks: list[Mark], loss: Array) -> tuple[float, float]:
    """About the law, its band, the minima and the least run; the worse runs may lie above."""
    heights = [loss.min()]
    for mark in marks:
        if isinstance(mark, Line) or (isinstance(mark, Points) and mark.symbol == "diamond"):
            heights += [*mark.y]
        elif isinstance(mark, Band):
            heights += [*mark.low, *mark.high]
    low, high = float(min(heights)), float(max(heights))
    room = 0.06 * (high - low or abs(high))
    return low - room, high + room


def _caption(analysis: Analysis, law: ComputeLaw | None, marks: list[Mark]) -> str:
    count = f"C is 6 N D, N counts parameters ({size_words(analysis.options.n_params)})"
    if law is not None and not law.of_product:
        count = "C is the runs' own count"
    parts = [f"Loss against compute, {runs_words(analysis.table)}; {count}."]
    if any(isinstance(mark, Points) and mark.symbol == "diamond" for mark in marks):
        parts.append("Diamonds are the interior minima of the budgets (approach 2).")
    if law is not None:
        parts.append(
            f"The line is {law.words}; dashed, it extrapolates, here up to {_BEYOND:g} times the largest compute."
        )
        banded = any(isinstance(mark, Band) for mark in marks)
        fixed = None if law.fit is None else law.fit.fixed_E
        held = "" if fixed is None else f", all at the E = {fixed:g} that was given"
        parts.append(
            f"The band is its pointwise interval from the resamples{held}; it knows nothing of a law of the wrong form."
            if banded
            else "It has no band: no interval is known."
        )
    return " ".join(parts)
