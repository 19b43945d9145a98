"""What tables of runs and of curves say of themselves: what they span, how they count, what is left out and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pandas as pd

from ...curves import CurveKind, CurveTable
from ...runs import RunTable
from ..style import count_text, flops_text, unit_text
from .summary import Summary

_HEAD = 5
_SHOWN = ("run", "n_params", "tokens", "flops", "budget", "loss", "seed", "flag")
_TEXT_OF = {"n_params": count_text, "tokens": count_text, "flops": flops_text, "budget": flops_text}
_MOST_REASONS = 3


def run_table(table: RunTable) -> Summary:
    """Counts, spans, conventions, and why rows are left out; the first rows in HTML."""
    total, fitted = len(table), int(table.usable.sum())
    return Summary(
        f"RunTable: {counted(total, 'run')}, {fitted} fitted, {total - fitted} excluded",
        rows=(
            *_spans(table.fitted),
            ("loss", _span(table.fitted["loss"], "{:.4g}".format), _unit(table)),
        ),
        lines=(_budgets(table), _conventions(table), *_left_out(table)),
        details=tuple(f"note: {note}" for note in table.notes),
        head=_head(table.frame),
    )


def curve_table(curves: CurveTable) -> Summary:
    """How many curves of how many points, what their points are, and the schedule."""
    fitted = curves.fitted
    points = "checkpoints of one run" if curves.kind is CurveKind.CHECKPOINTS else "run ends of one size"
    schedule = {True: "the rate decays later", False: "no decay ahead of them", None: "schedule not known"}
    names = pd.Series(fitted["curve"])
    return Summary(
        f"CurveTable: {counted(int(names.nunique()), 'curve')} of {counted(len(fitted), 'fitted point')} "
        f"({len(curves)} in all): each the {points}, {schedule[curves.decaying]}",
        rows=_spans(fitted),
        details=tuple(f"note: {note}" for note in curves.notes),
    )


def counted(count: int, noun: str) -> str:
    """Such as "1 run" or "3 runs"."""
    return f"{count} {noun}{'s' * (count != 1)}"


def _spans(frame: pd.DataFrame) -> tuple[tuple[str, ...], ...]:
    sizes = counted(int(pd.Series(frame["n_params"]).nunique()), "size")
    return (
        ("N", _span(frame["n_params"], count_text), f"parameters, {sizes}"),
        ("D", _span(frame["tokens"], count_text), "tokens"),
        ("C", _span(frame["flops"], flops_text), "FLOPs"),
    )


def _span(values: pd.Series | pd.DataFrame, text: Callable[[float], str]) -> str:
    numbers = values.to_numpy(dtype=float)
    if not len(numbers):
        return "none"
    low, high = text(float(np.min(numbers))), text(float(np.max(numbers)))
    return low if low == high else f"{low} to {high}"


def _unit(table: RunTable) -> str:
    return f"{unit_text(table.loss_unit)}{', assumed (no loss_unit)' * ('loss_unit' not in table.frame)}"


def _budgets(table: RunTable) -> str:
    planned = table.budgets
    if planned is None:
        return f"budgets: guessed from FLOPs where they are needed ({table.unbudgeted})"
    return f"budgets: {len(np.unique(planned))}"


def _conventions(table: RunTable) -> str:
    known = table.conventions
    own = table.flops_convention if table.counted_flops == "flops" else None
    said = [name for name in known["flops"] if name not in ("flops", own)]
    equal = f" = {own}" if own else ""
    counted = ""
    if (table.counted_n_params, table.counted_flops) != ("n_params", "flops"):
        counted = f"counted by N = {table.counted_n_params}, C = {table.counted_flops}; "
    return f"{counted}counts: N as {', '.join(known['n_params'])}; C as {', '.join([f'flops{equal}', *said])}"


def _left_out(table: RunTable) -> tuple[str, ...]:
    reasons = Counter(row["reason"] for row in table.excluded)
    if not reasons:
        return ()
    shown = [f"{count} x {reason}" for reason, count in reasons.most_common(_MOST_REASONS)]
    more = len(reasons) - len(shown)
    return (f"excluded: {'; '.join(shown)}{f'; {more} more reasons' if more > 0 else ''}",)


def _head(frame: pd.DataFrame) -> tuple[tuple[str, ...], ...]:
    """The first rows of the columns that a reader looks for, as text."""
    columns = [name for name in _SHOWN if name in frame and not (name == "flag" and not frame["flag"].any())]
    rows = [tuple(_cell(name, row[name]) for name in columns) for _, row in frame.head(_HEAD).iterrows()]
    more = [(f"and {len(frame) - _HEAD} more",)] if len(frame) > _HEAD else []
    return (tuple(columns), *rows, *more)


def _cell(name: str, value: object) -> str:
    if not isinstance(value, float | int) or pd.isna(value):
        return "" if value is None or value is pd.NA else str(value)
    number = float(value)
    return _TEXT_OF[name](number) if name in _TEXT_OF else f"{number:.5g}"
