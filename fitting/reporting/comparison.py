"""Ours beside published estimates: exponents, predictions and tenfold compute, as tables and in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from rich.table import Table
from rich.text import Text

from ..comparison.differences import SIGNIFICANT
from ..comparison.predictions import Prediction, Tenfold
from ..comparison.published_rows import Comparison, ComparisonRow, Exponent
from .estimates import estimate_text
from .markdown import markdown_table
from .style import count_text, exponent_number, flops_text
from .tables import add_caption, convention_words, exponent_text, failures, plain_table

COMPARISON_HEADERS = ("estimate", "C", "training", "a", "b", "a - ours (SE)", "verdict")
_NONE = "-"
_DAGGER = " †"
_C_REMARK = (
    "C is counted as named: table's is the FLOPs column of this fit, planned its budgets, Kaplan is 6ND "
    "without embeddings, study's is a counter of the study's own."
)
_DAGGER_REMARK = "† second-hand, or a part of the convention was not verified."
_LAW_REMARKS = (
    "N and C are each law's own. Losses are of each law's own corpus and tokenizer: those of different rows are not "
    "comparable with each other.",
    "Beyond: decades above (+) or below (-) the compute measured; ? where that is not known.",
)


def comparison_table(comparison: Comparison) -> Table:
    """Ours and published, grouped by what N counts; `a - ours` is the published a minus ours, with its standard error.

    The two intervals of a row are of one kind, named beside a. Rows that are not comparable are dim.
    """
    table = plain_table("Compute-optimal exponents: N* ~ C^a, D* ~ C^b")
    for header in ("estimate", "C", "a", "b", "a - ours (SE), verdict"):
        table.add_column(header, no_wrap=header in ("C", "a", "b"))
    for section in comparison.sections:
        table.add_row(Text(f"N: {convention_words(section.n_params, '')[0]}", style="italic"))
        for row in section.rows:
            style = "" if row.comparable else "dim"
            table.add_row(*(Text(cell) for cell in _cells(row)), style="bold" if row.ours else style)
        table.add_section()
    doubtful = [_DAGGER_REMARK] if any(row.doubtful for row in comparison.rows) else []
    add_caption(table, [*comparison.remarks, _C_REMARK, *doubtful, *failures(comparison.rows)])
    return table


def _cells(row: ComparisonRow) -> tuple[str, ...]:
    return (
        row.label + _DAGGER * row.doubtful,
        _flops_words(row),
        exponent_text(row.params_exponent),
        exponent_text(row.tokens_exponent, with_level=False),
        f"{_difference(row)} {_short(row)}".strip(),
    )


def _flops_words(row: ComparisonRow) -> str:
    return "~" * (row.comparable and "C" in row.differs) + convention_words(row.n_params, row.flops)[1]


def _difference(row: ComparisonRow) -> str:
    """Such as "+.05 (.03)"; "(>.03)" where one side's error is not known."""
    found = row.difference
    if found is None:
        return ""
    number = exponent_number(found.value, signed=True)
    if found.standard_error is None:
        return f"{number} (?)"
    error = exponent_number(found.standard_error) if found.standard_error >= 0.01 else _three(found.standard_error)
    return f"{number} ({'>' * found.lower_bound}{error})"


def _short(row: ComparisonRow) -> str:
    """The verdict in a few words; `words` has it whole."""
    if row.ours:
        return "no fit" if row.params_exponent is None else row.words
    if not row.comparable:
        names = {"training": row.training.replace("_", " "), "a": "a imposed"}
        return f"not comparable: {', '.join(names.get(part, part) for part in row.differs) or 'no a'}"
    found = row.difference
    nearly = f" (~{row.training})" if "training" in row.differs else ""
    if found is None or found.z is None or row.words.startswith("cannot be told"):
        return f"cannot tell{nearly}"
    if abs(found.z) < SIGNIFICANT:
        return f"same{nearly}"
    return f"{'higher' if found.z > 0 else 'lower'} {abs(found.z):.1f} SE{nearly}"


def _three(value: float) -> str:
    """Three decimals, or two where the third is 0."""
    return f"{value:.3f}".removesuffix("0").replace("0.", ".", 1)


def _as_given(exponent: Exponent | None) -> str:
    """As `exponent_text`, with three decimals."""
    if exponent is None:
        return _NONE
    if exponent.low is None or exponent.high is None:
        return _three(exponent.value)
    return f"{_three(exponent.value)} [{_three(exponent.low)}, {_three(exponent.high)}] {exponent.interval}".rstrip()


def predictions_table(rows: Sequence[Prediction]) -> Table:
    """N*, D*, tokens per parameter and loss of each law at each budget; intervals are of the level the fit says."""
    levels = {
        100 * found.level for row in rows for found in (row.n_params, row.loss) if found and found.low is not None
    }
    said = f" ({', '.join(f'{level:g} %' for level in sorted(levels))} intervals)" if levels else ""
    table = plain_table(f"Predictions{said}")
    for header in ("law", "N, C", "N*", "D*", "tokens/param", "loss", "beyond"):
        table.add_column(header, justify="left" if header in ("law", "N, C") else "right")
    for flops, group in groupby(rows, key=lambda row: row.at_flops):
        table.add_row(Text(f"C = {flops_text(flops)}", style="italic"))
        for row in group:
            table.add_row(*map(Text, _prediction_cells(row, "\n")), style="bold" if row.ours else "")
        table.add_section()
    units = {row.loss_unit for row in rows if row.loss_unit}
    add_caption(table, [*_LAW_REMARKS, *(f"Our losses are in {unit.replace('_', ' ')}." for unit in sorted(units))])
    return table


def _prediction_cells(row: Prediction, between: str) -> tuple[str, ...]:
    beyond = "?" if row.beyond is None else f"{row.beyond:+.1f}" if row.beyond else "0"
    return (
        row.label,
        ", ".join(convention_words(row.n_convention, row.flops_convention)),
        estimate_text(row.n_params, count_text, between),
        estimate_text(row.tokens, count_text, between),
        estimate_text(row.tokens_per_param, lambda value: f"{value:.3g}", between),
        estimate_text(row.loss, lambda value: f"{value:.3f}", between),
        beyond,
    )


def tenfold_table(rows: Sequence[Tenfold]) -> Table:
    """By what ten times the compute multiplies N* and D* under each law."""
    table = plain_table("Ten times the compute multiplies")
    for header in ("law", "N, C", "N* by", "D* by"):
        table.add_column(header, no_wrap=header != "law")
    for row in rows:
        table.add_row(*map(Text, _tenfold_cells(row)), style="bold" if row.ours else "")
    return table


def _tenfold_cells(row: Tenfold) -> tuple[str, ...]:
    words = ", ".join(convention_words(row.n_convention, row.flops_convention))
    return row.label, words, _factor_text(row.params_factor), _factor_text(row.tokens_factor)


def _factor_text(factor: Exponent | None) -> str:
    if factor is None:
        return _NONE
    bounds = "" if factor.low is None else f" [{factor.low:.1f}, {factor.high:.1f}] {factor.interval}"
    return f"{factor.value:.1f}x{bounds}"


def comparison_markdown(
    comparison: Comparison, predicted: Sequence[Prediction] = (), tenfold: Sequence[Tenfold] = ()
) -> str:
    """The same tables as GitHub Markdown, with each verdict and reason whole."""
    parts = ["## Compute-optimal exponents: N\\* ~ C^a, D\\* ~ C^b\n"]
    for section in comparison.sections:
        parts.append(f"### N: {convention_words(section.n_params, '')[0]}\n")
        parts.append(markdown_table(COMPARISON_HEADERS, map(comparison_cells, section.rows)))
    parts.append(_bullets(comparison_remarks(comparison)))
    for flops, group in groupby(predicted, key=lambda row: row.at_flops):
        parts.append(f"## Predictions at C = {flops_text(flops)}\n")
        headers = ("law", "N, C", "N\\*", "D\\*", "tokens/param", "loss", "beyond")
        parts.append(markdown_table(headers, (_prediction_cells(row, " ") for row in group)))
    if predicted:
        parts.append(_bullets(_LAW_REMARKS))
    if tenfold:
        parts.append("## Ten times the compute multiplies\n")
        parts.append(markdown_table(("law", "N, C", "N\\* by", "D\\* by"), map(_tenfold_cells, tenfold)))
    return "\n".join(parts)


def comparison_remarks(comparison: Comparison) -> list[str]:
    """What must not be concluded from its rows, and how their cells are read."""
    return [*comparison.remarks, _C_REMARK, _DAGGER_REMARK]


def comparison_cells(row: ComparisonRow) -> tuple[str, ...]:
    """The cells of one estimate under `COMPARISON_HEADERS`, its verdict or reason whole."""
    more = ", ".join(part for part in (row.remark, row.count_size) if part)
    whole = f"{row.words} ({more})" if more else row.words
    return (
        row.label + _DAGGER * row.doubtful,
        _flops_words(row),
        row.training.replace("_", " "),
        *((exponent_text if row.ours else _as_given)(found) for found in (row.params_exponent, row.tokens_exponent)),
        _difference(row),
        whole,
    )


def _bullets(lines: Iterable[str]) -> str:
    return "".join(f"- {line}\n" for line in lines)
