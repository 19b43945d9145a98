"""Forecasts as text: the first line, which is the answer, and a table of laws side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rich.table import Table
from rich.text import Text

from ..forecasting.answers import Answer
from ..prediction.predictor import NO_LEAST
from ..published import PublishedEstimate
from ..results import Estimate
from .estimates import estimate_text
from .style import count_text, flops_text, interval_text, unit_text
from .tables import convention_words, plain_table

_NONE = "-"


def headline(answers: Sequence[Answer]) -> str:
    """The first law's answer in a line, after how far beyond the runs the farthest of all lies."""
    first = answers[0]
    far = max((one for one in answers if extrapolation(one)), key=lambda one: abs(one.beyond or 0), default=None)
    doubts = ["RANGE UNKNOWN"] if first.beyond is None else []
    if far is not None:
        up, whose = ("", "") if far is first else ("up to ", f" (of {far.predictor.label})")
        doubts.append(f"EXTRAPOLATION: {up}{_decades(far)} the runs{whose}")
    said = _sentence(first)
    return f"{', '.join(doubts)}: {said}" if doubts else said[0].upper() + said[1:]


def _decades(answer: Answer) -> str:
    beyond = answer.beyond or 0.0
    return f"{abs(beyond):.1f} decades {'above' if beyond > 0 else 'below'}"


def extrapolation(answer: Answer) -> str:
    """How far the compute lies beyond the law's runs, in words; empty where it does not, or nobody knows."""
    return next((text for code, text in answer.warnings if code == "extrapolation"), "")


def _sentence(answer: Answer) -> str:
    asked, flops = answer.question.given, flops_text(answer.flops.value)
    law = answer.predictor
    whose = f" ({law.label}; {100 * law.level:g} % intervals)" if law.draws else f" ({law.label})"
    if answer.excess is not None:
        return _run_sentence(answer) + whose
    if "flops" in asked:
        start = f"at {flops} FLOPs"
    elif "loss" in asked:
        start = f"loss {asked['loss']:g} takes {flops} FLOPs at least"
    elif "n_params" in asked:
        start = f"N = {count_text(asked['n_params'])} is optimal at {flops} FLOPs"
    else:
        start = f"D = {count_text(asked['tokens'])} is optimal at {flops} FLOPs"
    size = "N*" if answer.counts_parameters else "model scale M* (FLOPs per token, no parameters)"
    parts = [
        _part(f"{size} = ", answer.size, count_text),
        _part("D* = ", answer.tokens, count_text),
        _part("tokens per parameter ", answer.tokens_per_param, _ratio),
        _part("loss ", None if "loss" in asked else answer.loss, _loss),
    ]
    return f"{start}: {', '.join(part for part in parts if part)}{whose}"


def _run_sentence(answer: Answer) -> str:
    assert answer.size is not None
    assert answer.tokens is not None
    assert answer.excess is not None
    run = f"N = {count_text(answer.size.value)} on D = {count_text(answer.tokens.value)}"
    above, more = answer.excess.loss.value, answer.excess.compute.value
    return (
        f"{run} ({flops_text(answer.flops.value)} FLOPs): {_part('loss ', answer.loss, _loss)}, {above:.2g} above the "
        f"optimum of this compute; {100 * more:.3g} % more compute than the optimum needs for it"
    )


def _part(name: str, estimate: Estimate | None, number: Callable[[float], str]) -> str:
    return "" if estimate is None else name + estimate_text(estimate, number)


def _ratio(value: float) -> str:
    return f"{value:.3g}"


def _loss(value: float) -> str:
    return f"{value:.3f}"


def forecast_table(answers: Sequence[Answer]) -> Table:
    """A row a law and compute; brackets are intervals, whose level `remarks` says."""
    runs = any(answer.excess is not None for answer in answers)
    star = "" if runs else "*"
    table = plain_table("Runs beside the optimum of their compute" if runs else "Optima")
    table.add_column("law", min_width=18)
    for header in ("compute, FLOPs", f"N{star}", f"D{star}", f"D{star}/N{star}", "loss"):
        table.add_column(header, no_wrap=True)
    if runs:
        table.add_column("above optimum", no_wrap=True)
    for answer in answers:
        law = answer.predictor
        cells = [
            f"{law.label}\n{law_words(answer)}",
            f"{estimate_text(answer.flops, flops_text, chr(10))}\n{_place(answer)}",
            estimate_text(answer.size, count_text, "\n") + ("" if answer.counts_parameters else "\n(M, not N)"),
            estimate_text(answer.tokens, count_text, "\n"),
            estimate_text(answer.tokens_per_param, _ratio, "\n"),
            estimate_text(answer.loss, _loss, "\n"),
        ]
        table.add_row(*map(Text, [*cells, *([_excess(answer)] if runs else [])]))
    return table


def law_words(answer: Answer) -> str:
    """How a law counts N and C, in a cell."""
    size, flops = convention_words(answer.predictor.n_params, answer.predictor.flops)
    return f"N {size}, C {flops}"


def _place(answer: Answer) -> str:
    if answer.beyond is None:
        return "range unknown"
    if not extrapolation(answer):
        known = answer.predictor.flops_range
        return "within the runs" if known is None or known[0] > NO_LEAST else f"runs end at {flops_text(known[1])}"
    return _decades(answer)


def _excess(answer: Answer) -> str:
    if answer.excess is None:
        return _NONE
    loss = estimate_text(answer.excess.loss, lambda value: f"{value:.2g}", "\n")
    return f"loss {loss}\ncompute {estimate_text(answer.excess.compute, lambda value: f'{100 * value:.3g} %', chr(10))}"


def remarks(answers: Sequence[Answer]) -> list[str]:
    """What the table's numbers are: units, which intervals, what the last column is."""
    laws = list({answer.predictor.name: answer.predictor for answer in answers}.values())
    units = sorted({unit_text(law.loss_unit) for law in laws})
    levels = sorted({f"{100 * law.level:g} %" for law in laws if law.draws})
    known = f"Brackets: {' and '.join(levels)} intervals from resampled runs. " if levels else ""
    without = [law.label for law in laws if not law.draws]
    unknown = f"No interval is known of: {'; '.join(without)}. " if without else ""
    lines = [f"Loss in {', '.join(units)}. {known}{unknown}".rstrip()]
    if any(answer.excess is not None for answer in answers):
        lines.append(
            "Above optimum: loss beyond the least of the same compute, and compute beyond the least of the same loss."
        )
    return lines


def published_table(estimates: Sequence[PublishedEstimate], says: Mapping[str, str]) -> Table:
    """Every published estimate and what it answers (`says`), its exponents with intervals, its conventions."""
    table = plain_table("Published estimates: published:NAME")
    for header in ("NAME: what it says", "a, b", "N, C, training", "numbers"):
        table.add_column(header, no_wrap=True)
    for row in estimates:
        exponents = (
            (row.params_exponent, row.params_low, row.params_high),
            (row.tokens_exponent, row.tokens_low, row.tokens_high),
        )
        size, flops = convention_words(row.n_params, row.flops)
        cells = (
            f"{row.name}\n  {says[row.name]}",
            "\n".join(_exponent_text(*one, row.interval) for one in exponents),
            f"{size}, {flops}\n{row.training.replace('_', ' ')}",
            row.verified.replace("_", "\n"),
        )
        table.add_row(*map(Text, cells))
    return table


def _exponent_text(value: float | None, low: float | None, high: float | None, interval: str) -> str:
    return _NONE if value is None else interval_text(value, low, high, interval)
