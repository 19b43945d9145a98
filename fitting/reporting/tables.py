"""Tables for a terminal of 100 columns; they say the same without colour, through a pipe or in a log."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from ..comparison.published_rows import ComparisonRow, Exponent, our_rows
from .style import count_text, flops_text, interval_text, unit_text

_N_PARAMS_WORDS = {
    "total": "total",
    "non_embedding": "no embed.",
    "blocks_and_head": "blocks+head",
    "flops_per_token": "FLOPs/token",
    "unverified": "?",
    "n_params": "total",
    "n_params_non_embedding": "no embed.",
    "n_params_blocks_and_head": "blocks+head",
}
_FLOPS_WORDS = {
    "flops": "table's",
    "budget": "planned",
    "6nd": "6ND",
    "6nd_non_embedding": "Kaplan",
    "hoffmann": "Hoffmann",
    "porian": "Porian",
    "deepseek": "DeepSeek",
    "unverified": "?",
    "palm": "PaLM",
    "own": "study's",
}
_NONE = "-"
_CAPTION_WIDTH = 84


def failures(rows: Sequence[ComparisonRow]) -> list[str]:
    """Why some of our rows have no exponent, each reason once."""
    return list(dict.fromkeys(row.words for row in rows if row.ours and row.params_exponent is None))


def add_caption(table: Table, paragraphs: Sequence[str]) -> None:
    """Put `paragraphs` under `table`, each broken where 84 columns end."""
    # rich crops a caption that is wider than its table, so the lines are broken here.
    lines = [
        line for paragraph in paragraphs for line in textwrap.wrap(paragraph, _CAPTION_WIDTH, break_on_hyphens=False)
    ]
    table.caption = Text("\n".join(lines))
    table.caption_justify = "left"


def exponents_table(report: Mapping[str, Any]) -> Table:
    """The exponents in `report` (the parsed fit.json) by method, under every pair of conventions."""
    table = plain_table("Exponents of this fit: N* ~ C^a, D* ~ C^b")
    for header in ("method", "N", "C", "a", "b"):
        table.add_column(header, no_wrap=True)
    table.add_column("status")
    for row in our_rows(report):
        table.add_row(
            Text(row.label.removeprefix("ours, ")),
            *map(Text, convention_words(row.n_params, row.flops)),
            Text(exponent_text(row.params_exponent)),
            Text(exponent_text(row.tokens_exponent)),
            Text((row.words or "converged") if row.params_exponent else "no fit"),
        )
    add_caption(table, failures(our_rows(report)))
    return table


def minima_table(report: Mapping[str, Any]) -> Table:
    """The loss-minimising size of every budget, from `report` (the parsed fit.json).

    Budgets in FLOPs, N* in parameters, D* in tokens, loss in nats per token or what the report says. A budget without
    an interior minimum shows why; it takes no part in the fit.
    """
    conventions = report.get("conventions", {})
    chosen, unit = conventions.get("n_params", "n_params"), conventions.get("loss_unit")
    loss_header = f"loss, {unit_text(unit) if unit else 'nats'}"
    table = plain_table(f"Minima by budget (N: {_N_PARAMS_WORDS.get(chosen, chosen)})")
    for header in ("budget, FLOPs", "N*", "D*", loss_header, "tokens/param", "runs"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("minimum", no_wrap=True)
    for minimum in report.get("fits", {}).get("isoflop", {}).get("minima", ()):
        n_params, tokens, loss = (minimum.get(key) for key in ("n_params", "tokens", "loss"))
        table.add_row(
            flops_text(minimum["budget"]),
            _NONE if n_params is None else count_text(n_params),
            _NONE if tokens is None else count_text(tokens),
            _NONE if loss is None else f"{loss:.4f}",
            _NONE if not n_params or tokens is None else f"{tokens / n_params:.1f}",
            str(minimum.get("n_runs", _NONE)),
            Text(str(minimum.get("status", "")).replace("_", " ")),
        )
    return table


def convention_words(n_params: str, flops: str) -> tuple[str, str]:
    """How a row counts N and C, in words short enough for a column."""
    return _N_PARAMS_WORDS.get(n_params, n_params), _FLOPS_WORDS.get(flops, flops)


def exponent_text(exponent: Exponent | None, with_level: bool = True) -> str:
    """Such as ".49 [.46, .53] 80 %", or without the "80 %"; "-" where there is none."""
    if exponent is None:
        return _NONE
    return interval_text(exponent.value, exponent.low, exponent.high, exponent.interval if with_level else "")


def plain_table(title: str) -> Table:
    """A table without lines, its title on the left."""
    return Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))


def holdout_table(report: Mapping[str, Any]) -> Table | None:
    """How the laws, fitted without the largest budget, predict it; None where `report` holds no holdout."""
    held = report.get("holdout")
    if not held:
        return None
    table = plain_table(f"Held out: the budget {flops_text(held['budget'])} FLOPs, predicted from the others")
    for header in ("law", "RMS error", "bias", "on the runs fitted", "skill"):
        table.add_column(header, justify="left" if header == "law" else "right", no_wrap=True)
    for name, found in held["largest"].items():
        table.add_row(
            name,
            f"{100 * found['rms_error']:.2f} %",
            f"{100 * found['mean_error']:+.2f} %",
            f"{100 * found['rms_fitted']:.2f} %",
            _NONE if found["skill"] is None else f"{found['skill']:.2f}",
        )
    return table


def holdout_remarks(report: Mapping[str, Any]) -> list[str]:
    """What the holdout says in words: which law predicts better, and N* at the budget held out."""
    held = report.get("holdout")
    if not held:
        return []
    size = held["n_params"]
    remarks = [comparison["verdict"] for comparison in held["comparisons"]]
    if size["ratio"] is not None:
        remarks.append(
            f"N* there: {count_text(size['predicted'])} by the line through the other budgets, "
            f"{count_text(size['measured'])} by its own minimum ({size['ratio']:.2f} times)"
        )
    return remarks
