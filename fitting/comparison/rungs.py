"""Several sweeps one after another: how a, of N* ~ C^a, moves as one thing at a time is changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..errors import InputError
from ..published import PublishedEstimate, published_estimate
from .moves import Move, Sampled, move_between, sampled_exponents
from .ours import our_rows
from .rows import ComparisonRow, Exponent, published_exponents


@dataclass(frozen=True)
class Rung:
    """One sweep's isoFLOP exponents under the conventions its fit speaks.

    `change` is its a minus that of the rung before, None where either has none. `beside` is a published estimate to
    hold it against, and `published_change` how far that moved from the one before. `sampled` is a with its resamples.
    """

    name: str
    n_params: str
    flops: str
    params_exponent: Exponent | None
    tokens_exponent: Exponent | None
    words: str
    change: Move | None = None
    beside: PublishedEstimate | None = None
    published_change: float | None = None
    sampled: Sampled | None = None

    @property
    def published_exponent(self) -> Exponent | None:
        """The a of `beside`, with the interval its source gives."""
        return published_exponents(self.beside)[0] if self.beside else None

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, texts, numbers and None."""
        exponents = {name: getattr(self, name) for name in ("params_exponent", "tokens_exponent")}
        return {
            **{name: getattr(self, name) for name in ("name", "n_params", "flops", "words", "published_change")},
            **{name: exponent and asdict(exponent) for name, exponent in exponents.items()},
            "change": self.change and self.change.to_json(),
            "beside": self.beside and asdict(self.beside),
        }


def rungs_of(reports: Sequence[tuple[str, Mapping[str, Any]]], published: Sequence[str] = ()) -> tuple[Rung, ...]:
    """One rung a (name, parsed fit.json), in the order given; `published` names an estimate for each, or none at all.

    Of two, which are compared by other methods too, a fit without approach 2 is a rung without a.

    Raises:
        InputError: a fit without approach 2 (but of two), or of several groups; as many published names as rungs are
            not given.
    """
    if published and len(published) != len(reports):
        raise InputError(
            f"--beside names {len(published)} published estimates for {len(reports)} sources: give one for each"
        )
    rungs: list[Rung] = []
    for i, (name, report) in enumerate(reports):
        row = _isoflop(name, report, needed=len(reports) != 2)
        sampled = None if row.params_exponent is None else sampled_exponents(report["fits"]["isoflop"], "isoflop")[0]
        before = rungs[-1] if rungs else None
        beside = published_estimate(published[i]) if published else None
        rungs.append(
            Rung(
                name=name,
                n_params=row.n_params,
                flops=row.flops,
                params_exponent=row.params_exponent,
                tokens_exponent=row.tokens_exponent,
                words=row.words,
                change=moved(before, sampled),
                beside=beside,
                published_change=published_move(before.beside if before else None, beside),
                sampled=sampled,
            )
        )
    return tuple(rungs)


def moved(before: Rung | None, sampled: Sampled | None) -> Move | None:
    """How far a moved from a rung to `sampled`; None where either has none."""
    if before is None or before.sampled is None or sampled is None:
        return None
    return move_between(before.sampled, sampled)


def published_move(before: PublishedEstimate | None, after: PublishedEstimate | None) -> float | None:
    """How far the published a moved; None where either has none."""
    if before is None or after is None or before.params_exponent is None or after.params_exponent is None:
        return None
    return after.params_exponent - before.params_exponent


def _isoflop(name: str, report: Mapping[str, Any], needed: bool) -> ComparisonRow:
    rows = our_rows(report)
    found = [row for row in rows if row.name == "isoflop"]
    if report["fits"].get("isoflop"):
        return found[0]  # the conventions its fit speaks come first
    if needed or not rows:
        why = f": {found[0].words}" if found and found[0].params_exponent is None and found[0].words else ""
        raise InputError(f"{name}: its fit has no approach 2{why}; fit it again with --method isoflop")
    return replace(rows[0], name="isoflop", params_exponent=None, tokens_exponent=None, words="no approach 2")
