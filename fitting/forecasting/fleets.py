"""What a fleet, dollars or a text come to: training FLOPs, tokens served, the year that the text runs out."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import InputError
from ..laws import PowerLaw
from .stocks_file import Stock
from .surfaces import positive

TOKENS_PER_WORD = 4 / 3  # of English text; the tokenizers' makers' rule of thumb


def compute_of(flops_per_second: float, seconds: float, share: float, use: float) -> float:
    """Training FLOPs of a `share` of a fleet of peak `flops_per_second` at a utilisation `use`, both up to 1.

    Raises InputError for what is not positive, and for a share or use above 1.
    """
    positive(flops_per_second, "the fleet's FLOP/s")
    return flops_per_second * positive(seconds, "the time") * _share(share, "the share") * _share(use, "the use")


def compute_for(flop_per_dollar: Stock, dollars: float, use: float, year: float | None = None) -> float:
    """Training FLOPs that `dollars` buy at a utilisation `use`, in `year` by the stock's growth.

    Raises InputError for what is not positive, a use above 1, and a year without a growth.
    """
    return flop_per_dollar.at(year) * positive(dollars, "the dollars") * _share(use, "the use")


def serving_rate(flops_per_second: float, n_params: float, use: float) -> float:
    """Tokens a second: use F / 2N, of a dense model without its attention. Raises InputError as `compute_of`."""
    positive(flops_per_second, "the fleet's FLOP/s")
    return _share(use, "the use") * flops_per_second / (2 * positive(n_params, "the number of parameters"))


def tokens_of_words(words: float, tokens_per_word: float = TOKENS_PER_WORD) -> float:
    """Tokens of so many words; 4/3 a word is a rule of thumb for English. Raises InputError for what is not above 0."""
    return positive(words, "the words") * positive(tokens_per_word, "the tokens per word")


def tokens_of(text: Stock, year: float | None = None) -> float:
    """Tokens of an entry of `texts`, whose unit is tokens or words, in `year` by its growth."""
    return text.at(year) if text.unit == "tokens" else tokens_of_words(text.at(year))


@dataclass(frozen=True)
class DataHorizon:
    """The year at which the optimal tokens of a growing budget pass a text, and both there.

    All three are None where the budget's tokens do not grow faster than the text and never pass it. `passed` says that
    they are past it in the year of the budget already, in which case `year` lies before it. `low` and `high` are the
    years of the text's own bounds, which are what `interval` says of the text alone: the growths are taken for exact.
    """

    year: float | None
    flops: float | None
    tokens: float | None
    passed: bool
    assumptions: tuple[str, ...]
    low: float | None = None
    high: float | None = None
    interval: str = ""


def data_horizon(tokens_law: PowerLaw, budget: Stock, text: Stock) -> DataHorizon:
    """When D*(C) = `text`, with C the `budget` and both growing by their growths for ever.

    D* = k C^b and C = C_0 g^(t - t_0) meet S h^(t - t_S) at one t, in closed form; a text without a growth is taken to
    stand still. Raises InputError for a budget without a growth.
    """
    if budget.growth is None:
        raise InputError(f"{budget.section}.{budget.name}: has no growth, so it says nothing of later years")
    text_growth = 0.0 if text.growth is None else math.log(text.growth)
    closing = tokens_law.exponent * math.log(budget.growth) - text_growth  # a year, of ln D*/S
    stock = math.log(tokens_of(text)) + text_growth * (budget.date - text.date)
    missing = stock - math.log(float(tokens_law(budget.value)))  # ln S/D* in the budget's year
    assumptions = (
        f"training compute goes on growing {budget.growth:g} times a year from {budget.value:.2e} in {budget.date:.1f}",
        f"it is spent at the law's optimum, D* ~ C^{tokens_law.exponent:.2f}, without repeats",
        f"the text {'stands still' if text.growth is None else f'grows {text.growth:g} times a year'}",
        *([] if text.unit == "tokens" else [f"a word is {TOKENS_PER_WORD:.3g} tokens"]),
    )
    if closing <= 0:
        return DataHorizon(None, None, None, missing <= 0, assumptions)
    year = budget.date + missing / closing
    low, high = (
        None if bound is None else year + math.log(bound / text.value) / closing for bound in (text.low, text.high)
    )
    flops = budget.at(year)
    tokens = float(tokens_law(flops))
    return DataHorizon(year, flops, tokens, missing <= 0, assumptions, low, high, text.interval)


def _share(value: float, name: str) -> float:
    if not 0 < value <= 1:
        raise InputError(f"{name} is {value:g}, must be a part of the whole, above 0 and at most 1")
    return value
