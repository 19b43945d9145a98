"""Our exponents beside the published ones that count alike, and those that do not."""

from __future__ import annotations

from ...comparison.published_rows import Comparison
from ..comparison import COMPARISON_HEADERS, comparison_cells, comparison_remarks
from ..page.content import PageTable
from ..tables import convention_words


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
