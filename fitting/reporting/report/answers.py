"""The slider of budgets: N*, D* and loss of every law over decades of compute, with the intervals of `Predictor`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...comparison.ours import METHODS
from ...laws import ChinchillaLaw
from ...prediction.predictor import NO_LEAST, Predictor, Scaling
from ...prediction.sources import published_predictor
from ...results import Estimate
from ...uncertainty import bias_corrected_estimate, percentile_estimate
from ..page.content import Predicted, Slider, SliderLaw
from ..style import flops_text, unit_text
from ..tables import convention_words
from .subject import Subject

Array = NDArray[np.float64]
STEPS = 12  # of the grid in a decade, so that it holds the powers of ten
BELOW, ABOVE = 1, 4  # decades of compute beyond the runs
# First the headline, then the law that says most.
_ORDER = ("isoflop", "parametric", "envelope", "kaplan")
_PUBLISHED = ("besiroglu", "hoffmann_approach3", "hoffmann_approach2", "kaplan", "porian_tuned")


def slider_of(subject: Subject) -> Slider | None:
    """The slider of a fit; None where no law of it predicts."""
    if not subject.predictors:
        return None
    low, high = subject.flops
    first, last = math.floor(math.log10(low)) - BELOW, math.ceil(math.log10(high)) + ABOVE
    budgets = np.logspace(first, last, (last - first) * STEPS + 1)
    found = [
        slider_law(subject.predictors[name], budgets, f"ours, {METHODS[name]}")
        for name in _ORDER
        if name in subject.predictors
    ]
    found += _published(subject, budgets)
    laws = tuple(law for law in found if law is not None)
    if not any(law.ours for law in laws):
        return None
    return Slider(
        flops=budgets,
        laws=laws,
        measured=(low, high),
        start=high,
        level=subject.analysis.options.level,
        loss_unit=unit_text(subject.analysis.table.loss_unit),
        flops_per_second=subject.spending.flops_per_second,
        price_per_hour=subject.spending.price_per_hour,
        rate_words=subject.spending.rate_words,
        price_words=subject.spending.price_words,
    )


def slider_law(law: Predictor, flops: Array, label: str, ours: bool = True) -> SliderLaw | None:
    """What `law` says at each of `flops` (k,); None where it says nothing. Equal to `Predictor.estimate` at each."""
    with np.errstate(all="ignore"):  # a resample may have a law that overflows far out: it is then none
        drawn = _drawn(law, flops)
        n_params, tokens, loss = (
            _predicted(law, values, drawn.get(name)) for name, values in _values(law.scaling, flops).items()
        )
    if n_params is tokens is loss is None:
        return None
    n_words, c_words = convention_words(law.n_params, law.flops)
    return SliderLaw(label, f"N {n_words}, C {c_words}", n_params, tokens, loss, ours)


def _published(subject: Subject, budgets: Array) -> list[SliderLaw | None]:
    """The best known laws that count N as ours do: N* and D*, for their losses are of other corpora and tokenizers."""
    counted = next(iter(subject.predictors.values())).n_params
    laws = [law for name in _PUBLISHED if (law := published_predictor(name)).n_params == counted]
    return [_split_alone(law, budgets) for law in laws]


def _split_alone(law: Predictor, budgets: Array) -> SliderLaw | None:
    silent = replace(law, scaling=replace(law.scaling, surface=None, frontier=None))
    found = slider_law(silent, budgets, law.label, ours=False)
    if found is None or law.flops_range is None:
        return found
    low, high = law.flops_range
    known = f"up to {flops_text(high)}" if low == NO_LEAST else f"{flops_text(low)} to {flops_text(high)}"
    return replace(found, counts=f"{found.counts}, measured {known} FLOPs")


def _values(law: Scaling, flops: Array) -> dict[str, Array | None]:
    n_params = None if law.params_law is None else law.params_law(flops)
    tokens = None if law.tokens_law is None else law.tokens_law(flops)
    loss = None if law.frontier is None else law.frontier.loss(flops)
    if law.surface is not None and n_params is not None and tokens is not None:
        loss = law.surface.loss(n_params, tokens)
    return {"n_params": n_params, "tokens": tokens, "loss": loss}


def _drawn(law: Predictor, flops: Array) -> dict[str, Array]:
    """The same of every resample at once, (m, k) each; empty for a law without resamples."""
    lines: dict[str, tuple[Array, Array]] = {}
    for quantity, name in (("n_params", "params_law"), ("tokens", "tokens_law")):
        known = [line for one in law.draws if (line := getattr(one, name)) is not None]
        if known:
            lines[quantity] = (_column(line.coefficient for line in known), _column(line.exponent for line in known))
    found = {name: np.exp(np.log(first) + power * np.log(flops)) for name, (first, power) in lines.items()}
    surfaces = [one.surface for one in law.draws if isinstance(one.surface, ChinchillaLaw)]
    if surfaces:
        letters = (_column(getattr(one, name) for one in surfaces) for name in ("E", "A", "B", "alpha", "beta"))
        E, A, B, alpha, beta = letters
        found["loss"] = E + A * found["n_params"] ** -alpha + B * found["tokens"] ** -beta
    return found


def _column(values: Iterable[float]) -> Array:
    return np.array(list(values), dtype=float)[:, None]


def _predicted(law: Predictor, values: Array | None, draws: Array | None) -> Predicted | None:
    if values is None or not np.isfinite(values).any():
        return None
    if draws is None:
        return Predicted(values)
    found = [_estimate(law, float(value), column) for value, column in zip(values, draws.T, strict=True)]
    low, high = (
        np.array([np.nan if x is None else x for x in side]) for side in zip(*map(_bounds, found), strict=True)
    )
    return Predicted(values, low, high) if np.isfinite(low).any() else Predicted(values)


def _estimate(law: Predictor, value: float, draws: Array) -> Estimate:
    if law.freedom is None:
        return percentile_estimate(value, draws, law.n_resamples, law.level)
    return bias_corrected_estimate(value, draws, law.n_resamples, law.level, law.freedom)


def _bounds(found: Estimate) -> tuple[float | None, float | None]:
    return found.low, found.high
