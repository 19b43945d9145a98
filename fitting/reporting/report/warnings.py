"""What makes the numbers doubtful, the most serious first, and what was assumed."""

from __future__ import annotations

from collections.abc import Sequence

from ...diagnostics import Warn
from ..page.content import Notice
from .subject import Subject

# Codes from those that take the answer away, over those that bias it, to those that are good to know. What is not
# named comes between the last two.
_SERIOUS = (
    "no_isoflop",
    "no_parametric",
    "differs_from_fit",
    "duplicate_rows",
    "mixed_",
    "disagreement",
    "edge_minima",
    "failed_resamples",
    "few_budgets",
    "bound_hit",
    "checkpoints",
    "repeated_data",
    "recipe",
    "large_batch",
    "off_centre",
    "drifting_centre",
    "wide_parabola",
    "influential_budget",
    "influential_runs",
    "outliers",
    "weak_curvature",
    "poor_prediction",
    "lack_of_fit",
    "clustered_budgets",
    "near_duplicates",
    "replicates",
    "excluded_runs",
)
_MILD = (
    "decaying_envelope",
    "no_envelope",
    "no_kaplan",
    "counting_decides",
    "sum_of_exponents",
    "ill_conditioned",
    "vague_coefficients",
)
_OF_METHOD = {"envelope": ("decaying_envelope",), "parametric": ("bound_hit", "ill_conditioned")}
_SHORTEST_HEAD = 30  # characters before the colon of a warning that say enough by themselves
_LONGEST = 200


def worst_first(warnings: Sequence[Warn]) -> list[Warn]:
    """By what they do to the answer; equals stay in their order."""
    return sorted(warnings, key=lambda warning: _rank(warning.code))


def main_doubt(warnings: Sequence[Warn], method: str | None = None) -> str | None:
    """The most serious warning without its details and remedy; None where there is none but mild ones.

    `method` is whose exponent is quoted: what makes that one doubtful is not mild.
    """
    own = [warning for warning in warnings if warning.code in _OF_METHOD.get(method or "", ())]
    serious = [warning for warning in worst_first(warnings) if warning.code not in _MILD]
    ranked = [*own, *serious]
    return _head(ranked[0].text) if ranked else None


def notices(subject: Subject) -> tuple[Notice, ...]:
    """Every warning with its remedy, the worst first, then every note."""
    warned = [Notice("warning", warning.code, warning.text) for warning in worst_first(subject.warnings)]
    return (*warned, *(Notice("note", "", note) for note in subject.analysis.notes))


def _rank(code: str) -> int:
    found = next((place for place, known in enumerate(_SERIOUS) if code.startswith(known)), None)
    if found is not None:
        return found
    return len(_SERIOUS) + 1 + (_MILD.index(code) if code in _MILD else -1)


def _head(text: str) -> str:
    """What a warning says before its remedy: up to the first semicolon or colon that leaves a whole statement."""
    for mark in ("; ", ": "):
        head = text.partition(mark)[0]
        if head.count("(") > head.count(")"):
            head = head.rpartition(" (")[0]
        if _SHORTEST_HEAD <= len(head) < len(text):
            text = head
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST].rsplit(' ', 1)[0]} …"
