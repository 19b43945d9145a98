"""Our exponents beside the published ones that count alike, and those that do not: a table, and half a sentence."""

from __future__ import annotations

from ...comparison.differences import SIGNIFICANT
from ...comparison.ours import METHODS
from ...comparison.published_rows import Comparison
from ...comparison.rows import ComparisonRow
from ...results import Estimate
from ..comparison import COMPARISON_HEADERS, comparison_cells, comparison_remarks
from ..page.content import PageTable
from ..style import exponent_number
from ..tables import convention_words
from .subject import Subject

_VAGUE = 0.3  # an interval wider than this agrees with all that was ever published


def literature_table(comparison: Comparison) -> PageTable:
    """Sections by what N counts; rows that are not comparable are greyed, with the reason in their verdict."""
    rows: list[tuple[str, ...]] = []
    faint, headings = set[int](), set[int]()
    for section in comparison.sections:
        headings.add(len(rows))
        rows.append((f"N: {convention_words(section.n_params, '')[0]}", *[""] * (len(COMPARISON_HEADERS) - 1)))
        for row in section.rows:
            if not row.comparable:
                faint.add(len(rows))
            rows.append(comparison_cells(row))
    return PageTable(
        COMPARISON_HEADERS,
        tuple(rows),
        title="Published exponents beside ours",
        notes=tuple(comparison_remarks(comparison)),
        faint=frozenset(faint),
        headings=frozenset(headings),
    )


def literature_words(subject: Subject, method: str | None) -> str:
    """How all published exponents that are comparable with that of `method` stand to it; "" where there are none."""
    if method is None or subject.comparison is None:
        return ""
    counted, label = subject.predictors[method].n_params, f"ours, {METHODS[method]}"
    rows = [row for row in subject.comparison.rows if row.n_params == counted and row.comparable and not row.ours]
    rows = [row for row in rows if (row.beside or "").startswith(label)]
    known = [(row, z) for row in rows if (z := _z(row)) is not None]
    if not known:
        return "the published exponents that count alike state too little to be told from it" if rows else ""
    apart = [(row, z) for row, z in known if abs(z) >= SIGNIFICANT]
    ours: Estimate = getattr(subject.analysis.fits, method).params_exponent
    if not apart and is_vague(ours):
        return "its interval is too wide to tell published exponents apart"
    within = f"within {'error' if ours.low is not None else 'their own error alone'}"
    if not apart and len(known) == len(rows):
        one = "the one published exponent that counts alike is"
        return f"{one if len(rows) == 1 else f'the {len(rows)} published exponents that count alike are'} {within}"
    parts = [f"{_are(len(known) - len(apart))} {within}"]
    if apart:
        furthest = "" if len(apart) == 1 else "the furthest "
        parts.append(f"{_are(len(apart))} not ({furthest}{_far(*max(apart, key=lambda each: abs(each[1])))})")
    untold = len(rows) - len(known)
    parts += [f"{untold} cannot be told"] if untold else []
    listed = " and ".join(part for part in (", ".join(parts[:-1]), parts[-1]) if part)
    return f"of {len(rows)} published exponents that count alike {listed}"


def is_vague(found: Estimate) -> bool:
    """Whether its interval is too wide for an agreement to mean anything."""
    return found.low is not None and found.high is not None and found.high - found.low > _VAGUE


def _z(row: ComparisonRow) -> float | None:
    """Standard errors between a published exponent and ours; None where that cannot be told."""
    found = row.difference
    return None if found is None or row.words.startswith("cannot be told") else found.z


def _far(row: ComparisonRow, z: float) -> str:
    assert row.params_exponent is not None
    theirs = exponent_number(row.params_exponent.value)
    return f"{row.label}'s {theirs}, {abs(z):.1f} standard errors {'above' if z > 0 else 'below'}"


def _are(count: int) -> str:
    return f"{count} {'is' if count == 1 else 'are'}"
