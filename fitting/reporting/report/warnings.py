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
# What is a doubt about the exponent of one approach alone: mild or not, it is none about another's.
_OF_METHOD = {
    "isoflop": (
        "edge_minima",
        "few_budgets",
        "clustered_budgets",
        "off_centre",
        "drifting_centre",
        "wide_parabola",
        "influential_budget",
        "weak_curvature",
        "replicates",
        "sum_of_exponents",
    ),
    "parametric": (
        "bound_hit",
        "ill_conditioned",
        "vague_coefficients",
        "influential_runs",
        "outliers",
        "poor_prediction",
        "lack_of_fit",
    ),
    "envelope": ("decaying_envelope",),
    "saturating": ("asymptote_uncertain",),
    "data_constrained": ("repeat_profile_flat",),
}
_BENDING = ("decaying_envelope", "bound_hit", "ill_conditioned")  # first among the doubts about their own approach
# How the warnings that any fit may have call the fit they are about.
_CALLED = {"isoflop": "the isoFLOP fit", "parametric": "the parametric fit", "kaplan": "Kaplan's law"}
_SHORTEST_HEAD = 30  # characters before the colon of a warning that say enough by themselves
_LONGEST = 200


def worst_first(warnings: Sequence[Warn]) -> list[Warn]:
    """By what they do to the answer; equals stay in their order."""
    return sorted(warnings, key=lambda warning: _rank(warning.code))


def main_doubt(warnings: Sequence[Warn], method: str | None = None) -> str | None:
    """The most serious warning without its details and remedy; None where there is none but mild ones.

    `method` is whose exponent is quoted: what makes that one doubtful is not mild, and a doubt about another approach
    alone is none. That no minimum stands beside a law is one where there is no other.
    """
    about = [warning for warning in worst_first(warnings) if method is None or _concerns(warning, method)]
    bending = [warning for warning in about if method is not None and warning.code in _BENDING]
    beside = [warning for warning in about if method is not None and warning.code == "no_isoflop"]
    ranked = [*bending, *(each for each in about if each.code not in _MILD and each not in beside), *beside]
    return _head(ranked[0].text) if ranked else None


def _concerns(warning: Warn, method: str) -> bool:
    """Whether it makes the exponent of `method` doubtful."""
    if warning.code.startswith("no_"):
        return warning.code == "no_isoflop"
    if warning.code == "failed_resamples":
        return _CALLED.get(method, method) in warning.text
    if warning.code == "disagreement":
        return method in warning.text
    owners = [name for name, codes in _OF_METHOD.items() if warning.code in codes]
    return not owners or method in owners


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
