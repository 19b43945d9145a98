"""A doubt about a fit, and how its numbers are written."""

from __future__ import annotations

from dataclasses import dataclass

from ..results import Estimate


@dataclass(frozen=True)
class Warn:
    """One doubt: a stable `code` for programs and one sentence with number and remedy for people."""

    code: str
    text: str


def shown(estimate: Estimate) -> str:
    """Such as ".493 (.451 to .532)"; the value alone where it has no interval."""
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"


def standard_error(estimate: Estimate) -> float | None:
    """A quarter of a 95 % interval's width, or what its level makes of that; None without an interval."""
    if estimate.low is None or estimate.high is None:
        return None
    from scipy.special import ndtri

    return (estimate.high - estimate.low) / (2 * float(ndtri(0.5 + estimate.level / 2)))


def listed(items: list[str], most: int = 5) -> str:
    """The first `most` items by commas, and how many more there are."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
