"""What a plan's simulated precision says, as a table of estimators, one of budgets, and in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.console import RenderableType
from rich.table import Table

from ..precision.results import BudgetPrecision, ExpectedInterval, Precision, Spread
from ..precision.warnings import BRACKETED
from .style import count_text, flops_text
from .tables import plain_table

_NONE = "-"


def expected_text(precision: Precision) -> str:
    """Such as "expected a = .457 +- .028 (isoflop, 1 SE), .461 +- .012 (parametric)"; 1 SE is of one sweep."""
    parts: list[str] = []
    for each in precision.methods:
        spread = each.params_exponent
        level = ", 1 SE" if not parts else ""
        if 0 < each.answered < BRACKETED:
            parts.append(f"in {each.answered:.0%} of simulated sweeps only ({each.method})")
        elif spread is not None:
            bias = f", bias {spread.bias:+.3f}" if abs(spread.bias) > spread.se else ""
            parts.append(f"{_number(spread.mean)} +- {_number(spread.se)} ({each.method}{level}{bias})")
    return f"expected a = {', '.join(parts)}" if parts else "no estimator has an answer on this grid"


def precision_report(precision: Precision, words: Sequence[str]) -> list[RenderableType]:
    """The tables of estimators, `words` on what was assumed, and the budgets where one is not bracketed."""
    lost = [each for each in precision.budgets if each.interior < BRACKETED]
    return [
        exponents_table(precision),
        optima_table(precision),
        *words,
        *([budgets_table(precision.budgets)] if lost else []),
    ]


def exponents_table(precision: Precision) -> Table:
    """One row an estimator: the prior's a and b, the standard error of one sweep, and what the mean is off by.

    "95 %" is half the interval that `fit` would report, "holds" the share of these that hold the prior's a.
    """
    table = plain_table("Expected exponents, if prior and noise are right: N* ~ C^a, D* ~ C^b")
    table.add_column("method", no_wrap=True)
    for header in ("a", "SE", "bias", "95 %", "holds", "b", "SE", "bias", "answers"):
        table.add_column(header, justify="right", no_wrap=True)
    for each in precision.methods:
        table.add_row(
            each.method,
            *_exponent_words(each.params_exponent),
            *_interval_words(each.interval),
            *_exponent_words(each.tokens_exponent),
            f"{each.n_answered}/{each.n_sims}",
        )
    return table


def optima_table(precision: Precision) -> Table:
    """One row an estimator: the prior's N* and D* at the target compute, one standard error and the bias as factors."""
    table = plain_table(f"Expected optimum at {flops_text(precision.at_flops)} FLOPs")
    table.add_column("method", no_wrap=True)
    for header in ("N*", "SE", "bias", "D*", "SE", "bias"):
        table.add_column(header, justify="right", no_wrap=True)
    for each in precision.methods:
        table.add_row(each.method, *_count_words(each.log_n_params), *_count_words(each.log_tokens))
    return table


def _exponent_words(spread: Spread | None) -> list[str]:
    if spread is None:
        return [_NONE] * 3
    return [_number(spread.truth), _number(spread.se), _number(spread.bias, signed=True)]


def _interval_words(interval: ExpectedInterval | None) -> list[str]:
    return [_NONE] * 2 if interval is None else [f"+-{_number(interval.half_width)}", f"{interval.covered:.0%}"]


def _count_words(spread: Spread | None) -> list[str]:
    if spread is None:
        return [_NONE] * 3
    return [count_text(float(np.exp(spread.truth))), _factor(spread.se), _factor(spread.bias)]


def _factor(log_factor: float) -> str:
    """Such as x1.27: a factor of which the logarithm is given."""
    return f"x{float(np.exp(min(log_factor, 700.0))):.3g}"


def budgets_table(budgets: Sequence[BudgetPrecision]) -> Table:
    """Where each budget's minimum lies in the simulations of approach 2, and how sharp it is."""
    table = plain_table("Budgets under approach 2: where the minimum lies, by share of the simulations")
    for header in (
        "budget",
        "sizes",
        "runs",
        "interior",
        "below them",
        "above them",
        "SE of ln N*",
        "sizes' centre/N*",
    ):
        table.add_column(header, justify="right", no_wrap=True)
    for each in budgets:
        shares = (f"{share:.0%}" for share in (each.interior, each.below, each.above))
        error = _NONE if each.log_n_params is None else f"{each.log_n_params.se:.3f}"
        centre = _factor(each.centre_offset)
        table.add_row(flops_text(each.budget), str(each.n_sizes), str(each.n_runs), *shares, error, centre)
    return table


def _number(value: float, signed: bool = False) -> str:
    """Three decimals without the zero before the point, as errors of exponents need: .028, -.003."""
    text = f"{value:+.3f}" if signed else f"{value:.3f}"
    return text.replace("0.", ".", 1) if abs(value) < 0.9995 else text
