"""What published estimates, comparisons and forecasts say of themselves."""

from __future__ import annotations

from ...comparison.published_rows import Comparison, ComparisonRow
from ...comparison.rows import published_exponents
from ...forecasting.answers import Answer
from ...prediction import Predictor
from ...published import PublishedEstimate
from ..estimates import estimate_text, level_text, number_text
from ..style import amount_text, flops_text
from ..tables import convention_words, exponent_text
from .summary import Summary


def published(found: PublishedEstimate) -> Summary:
    """Its exponents, how it counts, where they are from."""
    a, b = published_exponents(found)
    doubt = "; not verified" if found.doubtful else ""
    return Summary(
        f"PublishedEstimate {found.name}: {found.label}",
        rows=(("a", exponent_text(a)), ("b", exponent_text(b))),
        lines=(
            f"N: {found.n_params}, C: {found.flops}, training: {found.training}{doubt}",
            f"{found.study}; {found.source}",
        ),
    )


def comparison(found: Comparison) -> Summary:
    """Every row with its verdict; the remarks in HTML."""
    return Summary(
        f"Comparison with published estimates (training of ours: {found.training}"
        f"{', assumed' if found.training_assumed else ''})",
        headers=("estimate", "N", "C", "a", "verdict"),
        rows=tuple(_row(row) for row in found.rows),
        details=found.remarks,
    )


def row(found: ComparisonRow) -> Summary:
    """One line."""
    label, n_params, flops, a, words = _row(found)
    return Summary(f"ComparisonRow {label} (N: {n_params}, C: {flops}): a = {a}{f'; {words}' if words else ''}")


def _row(found: ComparisonRow) -> tuple[str, str, str, str, str]:
    n_params, flops = convention_words(found.n_params, found.flops)
    return found.label, n_params, flops, exponent_text(found.params_exponent), found.words


def predictor(found: Predictor) -> Summary:
    """What it gives, how it counts, how far it was measured."""
    span = found.flops_range
    measured = "range not known" if span is None else f"measured {flops_text(span[0])} to {flops_text(span[1])} FLOPs"
    draws = f", {len(found.draws)} resamples at {level_text(found.level)}" if found.draws else ", no intervals"
    return Summary(
        f"Predictor {found.name}: gives {found.says} (N: {found.n_params}, C: {found.flops}; {measured}{draws})"
    )


def answer(found: Answer) -> Summary:
    """What was asked, what the law says, how far beyond its runs."""
    asked = ", ".join(f"{name} {amount_text(value)}" for name, value in found.question.given.items())
    size = "N" if found.counts_parameters else "model scale, FLOPs per token"
    quantities = (
        ("C, FLOPs", estimate_text(found.flops, flops_text)),
        (size, estimate_text(found.size, amount_text)),
        ("D, tokens", estimate_text(found.tokens, amount_text)),
        ("tokens per parameter", estimate_text(found.tokens_per_param, number_text)),
        ("loss", estimate_text(found.loss, number_text)),
    )
    beyond = () if not found.beyond else (f"{found.beyond:+.1f} decades beyond the compute measured",)
    level = (f"brackets: {level_text(found.predictor.level)} intervals",) if found.predictor.draws else ()
    return Summary(
        f"Answer of {found.predictor.name}, asked for {asked}",
        rows=quantities,
        lines=(*level, *beyond, *(f"warning {code}" for code, _ in found.warnings)),
        details=tuple(f"{code}: {text}" for code, text in found.warnings),
    )
