"""The ladder from Kaplan to Chinchilla (Porian 2024, arXiv:2406.19146, figure 1): what each rung changes, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ..published import PublishedEstimate, published_estimate
from ..reporting.style import exponent_number
from .moves import Move, move_text
from .ours import our_rows
from .rows import Exponent
from .rungs import Rung, moved, published_move


@dataclass(frozen=True)
class Step:
    """A rung of the ladder: the sweep's name in configs/ladder, what it changes, and what Porian's differs in."""

    sweep: str
    change: str
    remark: str = ""


# In Porian's order, by the published estimate that stands for the rung.
STEPS = {
    "porian_kaplan_setting": Step(
        "1_kaplan",
        "N and C without embeddings and head, a warmup as long as the shortest runs, one schedule for all budgets",
    ),
    "porian_head_counted": Step("2_head", "the head is counted, in N and in C"),
    "porian_warmup": Step("3_warmup", "the warmup shrinks with the model: as many tokens as it has parameters"),
    "porian_decay": Step("4_decay", "the rate decays to each run's own end"),
    "porian_tuned": Step(
        "5_tuned",
        "rate and batch are tuned for size and tokens",
        "theirs tunes beta2 too, at a constant rate",
    ),
}


@dataclass(frozen=True)
class CountedRow:
    """The isoFLOP exponents of the same runs under one pair of conventions."""

    n_params: str
    flops: str
    params_exponent: Exponent
    tokens_exponent: Exponent | None


def usual_beside(names: Sequence[str]) -> list[str]:
    """Porian's rung for each sweep, where all are called as those of configs/ladder; else none."""
    known = {step.sweep: published for published, step in STEPS.items()}
    return [known[name] for name in names] if all(name in known for name in names) else []


def counted_rows(report: Mapping[str, Any]) -> tuple[CountedRow, ...]:
    """What counting alone does: a of the same runs under every pair of conventions, from the least."""
    rows = [
        CountedRow(row.n_params, row.flops, row.params_exponent, row.tokens_exponent)
        for row in our_rows(report)
        if row.name == "isoflop" and row.params_exponent is not None
    ]
    return tuple(sorted(rows, key=lambda row: row.params_exponent.value))


def total_move(rungs: Sequence[Rung]) -> Move | None:
    """How far a moved from the first rung to the last."""
    return moved(rungs[0], rungs[-1].sampled) if len(rungs) > 1 else None


def total_words(rungs: Sequence[Rung]) -> str:
    """How far a moved in all, beside the published rungs; "" where one of the two has none."""
    total = total_move(rungs)
    if total is None:
        return ""
    theirs = published_move(rungs[0].beside, rungs[-1].beside)
    beside = _beside(total, theirs, rungs[0].beside, rungs[-1].beside)
    return f"from {rungs[0].name} to {rungs[-1].name} a moves by {move_text(total)}{beside}"


def ladder_words(rungs: Sequence[Rung]) -> list[str]:
    """A sentence a rung: what changed, and how a moved beside the published rung."""
    return [words for rung, before in zip(rungs, (None, *rungs), strict=False) if (words := _rung_words(rung, before))]


def published_steps(first: PublishedEstimate | None, last: PublishedEstimate | None) -> list[str]:
    """Porian's own rungs from one of them to a later one, a line each; empty where there are none between."""
    names = list(STEPS)
    if first is None or last is None or first.name not in names or last.name not in names:
        return []
    rungs = [published_estimate(name) for name in names[names.index(first.name) : names.index(last.name) + 1]]
    if len(rungs) < 3:
        return []
    lines = [
        f"  {STEPS[after.name].change}: {_printed(before.params_exponent)} -> {_printed(after.params_exponent)} "
        f"({_printed(published_move(before, after), signed=True)})"
        for before, after in pairwise(rungs)
    ]
    values = " -> ".join(_printed(rung.params_exponent) for rung in rungs)
    total = _printed(published_move(rungs[0], rungs[-1]), signed=True)
    head = f"why a differs so between {first.label} and {last.label}, by the rungs of {last.study} ({last.corpus}):"
    return [head, *lines, f"  in all {values} ({total})"]


def _rung_words(rung: Rung, before: Rung | None) -> str:
    """What the rung changes is said where the published one is the next after that of the rung before."""
    names = list(STEPS)
    place = names.index(rung.beside.name) if rung.beside and rung.beside.name in names else None
    if before is None:
        return f"{rung.name}: {STEPS[names[0]].change}" if place == 0 else ""
    step = None
    if place and before.beside and before.beside.name == names[place - 1]:
        step = STEPS[names[place]]
    what = f"{rung.name}: {step.change}" if step else rung.name
    if rung.change is None:
        return f"{what}: how a moves by approach 2 cannot be told, it has no value here or one rung before"
    remark = f" ({step.remark})" if step and step.remark else ""
    beside = _beside(rung.change, rung.published_change, before.beside, rung.beside)
    return f"{what}: a moves by {move_text(rung.change)}{beside}{remark}"


def _beside(move: Move, theirs: float | None, before: PublishedEstimate | None, after: PublishedEstimate | None) -> str:
    """Whether a move of ours is one, and goes the way of the published."""
    told = ", which may be none" if move.verdict == "not told apart" else ""
    if theirs is None:
        return told
    way = "the same way" if move.value * theirs > 0 else "the OTHER way"
    return f"{told}; the published move is {exponent_number(theirs, signed=True)}, {way}{_two_counts(before, after)}"


def _two_counts(before: PublishedEstimate | None, after: PublishedEstimate | None) -> str:
    """That a published move is of two counts, but on the ladder, where counting is what a rung changes."""
    if before is None or after is None or {before.name, after.name} <= set(STEPS):
        return ""
    counts = [f"N {each.n_params}, C {each.flops}" for each in (before, after)]
    return "" if counts[0] == counts[1] else f" but between two counts ({'; '.join(counts)})"


def _printed(value: float | None, signed: bool = False) -> str:
    """As the source prints it: .7065."""
    return "-" if value is None else f"{value:{'+' if signed else ''}.4g}".replace("0.", ".", 1)
