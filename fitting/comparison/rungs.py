"""Several sweeps one after another: how a, of N* ~ C^a, moves as one thing at a time is changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import InputError
from ..published import PublishedEstimate, published_estimate
from .published_rows import ComparisonRow, Exponent, our_rows, published_exponents


@dataclass(frozen=True)
class Rung:
    """One sweep's isoFLOP exponents under the conventions its fit speaks.

    `change` is its a minus that of the rung before, None where either has none. `beside` is a published estimate to
    hold it against.
    """

    name: str
    n_params: str
    flops: str
    params_exponent: Exponent | None
    tokens_exponent: Exponent | None
    words: str
    change: float | None = None
    beside: PublishedEstimate | None = None

    @property
    def published_exponent(self) -> Exponent | None:
        """The a of `beside`, with the interval its source gives."""
        return published_exponents(self.beside)[0] if self.beside else None

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and None."""
        return asdict(self)


def rungs_of(reports: Sequence[tuple[str, Mapping[str, Any]]], published: Sequence[str] = ()) -> tuple[Rung, ...]:
    """One rung a (name, parsed fit.json), in the order given; `published` names an estimate for each, or none at all.

    Raises:
        InputError: a fit without approach 2, or of several groups; as many published names as rungs are not given.
    """
    if published and len(published) != len(reports):
        raise InputError(f"{len(published)} published estimates for {len(reports)} sources: give one for each")
    rungs: list[Rung] = []
    for i, (name, report) in enumerate(reports):
        row = _isoflop(name, report)
        before = rungs[-1].params_exponent if rungs else None
        moved = row.params_exponent.value - before.value if row.params_exponent and before else None
        beside = published_estimate(published[i]) if published else None
        words = row.words
        rungs.append(
            Rung(name, row.n_params, row.flops, row.params_exponent, row.tokens_exponent, words, moved, beside)
        )
    return tuple(rungs)


def _isoflop(name: str, report: Mapping[str, Any]) -> ComparisonRow:
    rows = [row for row in our_rows(report) if row.name == "isoflop"]
    if not rows:
        raise InputError(f"{name}: its fit has no approach 2; fit it again with --method isoflop")
    return rows[0]  # the conventions its fit speaks come first
