"""Tables of what stands beside an optimum: serving, repeated tokens, another exponent, what the compute costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from ..forecasting.answers import Answer
from ..forecasting.costs import Cost
from ..forecasting.fleets import DataHorizon, tokens_of
from ..forecasting.stocks import Stocks
from ..results import Estimate
from .estimates import estimate_text
from .forecast import law_words
from .style import count_text, flops_text
from .tables import plain_table

Rows = Sequence[tuple[Answer, Mapping[str, Any]]]


def served_table(rows: Rows) -> Table:
    """The model of least cost to train and to serve, and what it saves beside the training optimum of its loss."""
    table = _table(
        "Cheapest to train and serve, at the same loss", ("served", "N", "D", "D/N", "to train", "in all", "saves")
    )
    for answer, found in rows:
        table.add_row(
            _law(answer),
            count_text(found["inference_tokens"]),
            *_cells(found, ("n_params", "tokens"), count_text),
            *_values(found, ("tokens_per_param",), lambda value: f"{value:.3g}"),
            *_values(found, ("training_flops", "total_flops"), flops_text),
            *_cells(found, ("saving",), lambda value: f"{100 * value:.3g} %"),
        )
    return table


def repeated_table(rows: Rows) -> Table:
    """The optimum with so many unique tokens, and the loss of fresh ones at the same compute."""
    headers = ("unique", "compute", "N", "D", "epochs", "loss", "if fresh")
    table = _table("With repeated tokens", headers)
    for answer, found in rows:
        table.add_row(
            _law(answer),
            count_text(found["unique_tokens"]),
            flops_text(answer.flops.value),
            *_cells(found, ("n_params", "tokens"), count_text),
            *_values(found, ("epochs",), lambda value: f"{value:.3g}"),
            *_cells(found, ("loss",), lambda value: f"{value:.4f}"),
            *_values(found, ("fresh_loss",), lambda value: f"{value:.4f}"),
        )
    return table


def believed_table(rows: Rows) -> Table:
    """What believing another exponent costs at each compute."""
    headers = ("believed from", "compute", "N chosen", "N*", "loss above", "compute above")
    table = _table("If another exponent is believed", headers)
    for answer, found in rows:
        table.add_row(
            _law(answer),
            f"C^{found['exponent']:g}, {flops_text(found['anchor_flops'])}",
            flops_text(answer.flops.value),
            *_values(found, ("n_params", "optimal_n_params"), count_text),
            *_cells(found, ("excess_loss",), lambda value: f"{value:.4f}"),
            *_cells(found, ("extra_compute",), lambda value: f"{100 * value:.3g} %"),
        )
    return table


def cost_table(rows: Sequence[tuple[Answer, Cost]]) -> Table:
    """Price, device-hours and days; one row for all laws that were asked about one compute."""
    table = plain_table("Costs")
    table.add_column("law", min_width=16)
    for header in ("compute, FLOPs", "price", "device-hours", "days"):
        table.add_column(header, no_wrap=True)
    laws: dict[Estimate, list[str]] = {}
    for answer, _ in rows:
        laws.setdefault(answer.flops, []).append(answer.predictor.label)
    for flops, cost in {answer.flops: cost for answer, cost in rows}.items():
        parts = (cost.price, cost.device_hours, cost.days)
        cells = [estimate_text(flops, flops_text, "\n"), *(estimate_text(one, count_text, "\n") for one in parts)]
        table.add_row(*map(Text, ["\n".join(dict.fromkeys(laws[flops])), *cells]))
    return table


def horizon_text(found: DataHorizon) -> str:
    """The year that a text is passed in, with that of the text's own bounds, and whether it is passed already."""
    if found.year is None or found.tokens is None:
        return "past it already" if found.passed else "never"
    ends = (found.low, found.high)
    bounds = "" if None in ends else f" [{found.low:.1f}, {found.high:.1f}] by the text's {found.interval}"
    start = "past it already, since" if found.passed else "in"
    return f"{start} {found.year:.1f}{bounds}, at {count_text(found.tokens)} tokens"


def stocks_table(rows: Rows, stocks: Stocks) -> Table:
    """Tokens a second that the fleet serves of each law's model, and how often D* is each text; * is not verified."""
    table = plain_table("What it could serve, and D* in times of the texts there are")
    table.add_column("text", no_wrap=True)
    table.add_column("tokens", no_wrap=True)
    for answer, _ in rows:
        table.add_column(answer.predictor.label)
    rates = (found["serves_tokens_per_second"] for _, found in rows)
    table.add_row("served a second", "", *("-" if rate is None else count_text(rate) for rate in rates))
    for name, text in stocks.texts.items():
        shares = (found["tokens_over_texts"].get(name) for _, found in rows)
        cells = ("-" if share is None else f"{share:.3g}" for share in shares)
        table.add_row(name + ("" if text.verified else "*"), count_text(tokens_of(text)), *cells)
    return table


def _table(title: str, headers: Sequence[str]) -> Table:
    table = plain_table(title)
    table.add_column("law", min_width=16)
    for header in headers:
        table.add_column(header, no_wrap=True)
    return table


def _law(answer: Answer) -> Text:
    return Text(f"{answer.predictor.label}\n{law_words(answer)}")


def _values(found: Mapping[str, Estimate], names: Sequence[str], number: Callable[[float], str]) -> list[Text]:
    """Without their intervals, which would not fit; --json holds them."""
    return [Text(number(found[name].value)) for name in names]


def _cells(found: Mapping[str, Estimate], names: Sequence[str], number: Callable[[float], str]) -> list[Text]:
    return [Text(estimate_text(found[name], number, "\n")) for name in names]
