"""Counts as people write them: 60M, 1.2B, 1,234,567, 3e18 FLOPs."""

from __future__ import annotations

import re

# "0,725M" has a decimal comma: it is no count here, rather than one a thousand times as large.
_NUMBER = re.compile(
    r"\s*(?P<number>[+-]?(?:[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?|\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*"
    r"(?P<times>[kmbgt])?\s*(?:params?|parameters|tokens?|toks?|flops?)?\s*",
    re.IGNORECASE,
)
_TIMES = {"k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}


def count_of(text: str) -> float | None:
    """The count that `text` says, as 6e7 of "60M" (k, M, B or G, T; any case); None where it says none."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    number = float(match["number"].replace(",", ""))
    return number * _TIMES[match["times"].lower()] if match["times"] else number
