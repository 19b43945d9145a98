"""How far a count of C that differs slightly moves an exponent: on the runs themselves, or by the compute they span."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..reporting.style import exponent_number, flops_text
from .differences import SIGNIFICANT, Difference
from .rows import ComparisonRow

# Counts that lie as far apart as a study's own counter may from ours: full attention instead of its causal half.
_STANDS_FOR = {"own": ("exact", "palm")}
# Up to how many FLOPs, and by how much a moves at most between exact, 6nd and hoffmann. Computed for shapes 64 times as
# wide as deep, vocabularies of 32k and 50k, contexts of 1024 and 2048 under Besiroglu's law: .08 from 1e15 to 1e17, .04
# from 1e17 to 1e19, .025 from 1e18 to 1e20, .01 from 1e19 to 1e21. The sweeps of configs/ladder, at 3e11: .11.
_AT_MOST = ((1e17, 0.1), (1e19, 0.05), (float("inf"), 0.03))
_TELLS_FROM = 1e18  # FLOPs: below, a difference that the count alone may make is none


@dataclass(frozen=True)
class CountSize:
    """By how much a count of C moves a: `words`, and `at_most` where the runs do not tell."""

    words: str
    at_most: float | None = None


def count_size(
    ours: ComparisonRow, theirs: str, rows: Sequence[ComparisonRow], flops_range: Sequence[float] | None
) -> CountSize:
    """For `ours` held against a count called `theirs`.

    `rows` are all of ours of that N; `flops_range` is what our runs span, in FLOPs, None where not known.
    """
    one, other = _STANDS_FOR.get(theirs, (ours.flops, theirs))
    found = {row.flops: row.params_exponent for row in rows if row.name == ours.name}
    here, there = found.get(one), found.get(other)
    if here and there:
        moved = exponent_number(there.value - here.value, signed=True)
        instead = "full attention" if theirs in _STANDS_FOR else f"C as {other}"
        of = "its causal half" if theirs in _STANDS_FOR else one
        return CountSize(f"{instead} instead of {of} moves a by {moved} on these runs")
    if not flops_range:
        known = [f"{exponent_number(size)} below {flops_text(top)} FLOPs" for top, size in _AT_MOST[:-1]]
        return CountSize(f"that may move a by {', '.join(known)}, {exponent_number(_AT_MOST[-1][1])} above")
    size = next(size for top, size in _AT_MOST if flops_range[1] <= top)
    words = f"at up to {flops_text(flops_range[1])} FLOPs that may move a by {exponent_number(size)}"
    return CountSize(words, size if flops_range[1] < _TELLS_FROM else None)


def hides(size: CountSize, difference: Difference) -> bool:
    """Whether counting alone may make a difference, or its absence."""
    if size.at_most is None:
        return False
    return abs(difference.value) - size.at_most <= SIGNIFICANT * (difference.standard_error or 0.0)
