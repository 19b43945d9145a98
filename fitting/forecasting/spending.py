"""What compute there is to forecast for: a share of a fleet for some time, or dollars, from the stocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from ..units import count_of
from .answers import Answer
from .fleets import compute_for, compute_of, serving_rate, tokens_of
from .stocks import RENTED, Stocks, describe, not_verified

DAY = 86400.0  # seconds


@dataclass(frozen=True)
class Spending:
    """Training FLOPs, how they come about in words, and the FLOP/s of the part of the fleet (None: of dollars)."""

    flops: float
    words: str
    flops_per_second: float | None
    use: float


def of_fleet(
    stocks: Stocks, fleet: str, *, share: float, days: float, use: float, year: float | None = None
) -> Spending:
    """A `share` of `fleet`, an entry of the stocks or FLOP/s as text, for `days` at a utilisation `use`.

    Raises InputError for an unknown entry, and for numbers out of range.
    """
    given = count_of(fleet)
    if given is not None and year is not None:
        raise InputError(f"--stock {fleet} and --year: FLOP/s that are given have no growth; leave the year out")
    entry = None if given is not None else stocks.find("fleets", fleet)
    peak = given if entry is None else entry.at(year)
    assert peak is not None
    words = f"{peak:.3g} FLOP/s" if entry is None else f"{fleet}, {describe(entry, year)}"
    flops = compute_of(peak, days * DAY, share, use)
    return Spending(flops, f"{share:g} of {words}, for {days:g} days at {use:.0%} use", peak * share, use)


def of_dollars(stocks: Stocks, dollars: float, *, by: str | None, use: float, year: float | None) -> Spending:
    """What `dollars` buy by the entry `by` of FLOP per dollar, in `year` by its growth, at a utilisation `use`."""
    entry = stocks.find("flop_per_dollar", by or RENTED)
    flops = compute_for(entry, dollars, use, year)
    return Spending(
        flops, f"{dollars:,.0f} dollars at {use:.0%} use by {entry.name}, {describe(entry, year)}", None, use
    )


def beside_stocks(answer: Answer, spending: Spending, stocks: Stocks) -> Mapping[str, Any]:
    """Tokens a second that the fleet could serve of the answer's model, and D* over each text's tokens, by name."""
    serves = None
    if spending.flops_per_second is not None and answer.size is not None and answer.counts_parameters:
        serves = serving_rate(spending.flops_per_second, answer.size.value, spending.use)
    texts = {
        name: answer.tokens.value / tokens_of(text) for name, text in stocks.texts.items() if answer.tokens is not None
    }
    return {
        "flops": spending.flops,
        "from": spending.words,
        "serves_tokens_per_second": serves,
        "tokens_over_texts": texts,
        "not_verified": not_verified(stocks.texts[name] for name in texts),
    }
