"""Stocks of compute, money and text: what the world, or a fleet, has of them; the numbers are in stocks.yaml."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from ..errors import InputError
from ..reporting.style import count_text, flops_text
from .stocks_file import Stock, parse_stocks

RENTED = "rented_h100"  # of flop_per_dollar: made of devices.H100 and prices.H100
_FILE = "stocks.yaml"


@dataclass(frozen=True)
class Stocks:
    """The entries of each section by name; units are `stocks_file.UNITS`."""

    devices: Mapping[str, Stock]
    prices: Mapping[str, Stock]
    fleets: Mapping[str, Stock]
    flop_per_dollar: Mapping[str, Stock]
    budgets: Mapping[str, Stock]
    texts: Mapping[str, Stock]

    def get(self, section: str, name: str) -> Stock | None:
        """The entry, upper or lower case alike; None where there is none."""
        return {known.lower(): stock for known, stock in getattr(self, section).items()}.get(name.lower())

    def find(self, section: str, name: str) -> Stock:
        """The same; raises InputError for one that is not there, naming those like it."""
        found = self.get(section, name)
        if found is None:
            entries = {known.lower(): stock for known, stock in getattr(self, section).items()}
            near = difflib.get_close_matches(name.lower(), entries, n=3, cutoff=0.5) or entries
            names = ", ".join(entries[key].name for key in near) or "none"
            raise InputError(f"no stock of {section} is called {name!r}; there are: {names}")
        return found


def load_stocks(path: str | Path | None = None) -> Stocks:
    """The stocks that come with the package; those of the YAML file `path` replace them by name, or add to them.

    Raises InputError, one line that names the file and the key, for a file that cannot be read or is not of the form
    that the head of stocks.yaml tells.
    """
    ours = files(__name__.rpartition(".")[0]).joinpath(_FILE).read_text(encoding="utf-8")
    sections = parse_stocks(ours, _FILE)
    if path is not None:
        try:
            text = Path(path).read_text(encoding="utf-8")
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from None
        except UnicodeDecodeError:
            raise InputError(f"{path}: is not text; stocks are a YAML file") from None
        theirs = parse_stocks(text, str(path))
        sections = {name: {**entries, **theirs.get(name, {})} for name, entries in sections.items()}
        if not any(name.lower() == RENTED for name in theirs["flop_per_dollar"]):
            sections["flop_per_dollar"][RENTED] = _rented(Stocks(**sections))
    return Stocks(**sections)


def _rented(stocks: Stocks) -> Stock:
    """FLOP per dollar of a rented H100, from its peak and its price, whoever gave those."""
    ours, device, price = stocks.flop_per_dollar[RENTED], stocks.find("devices", "H100"), stocks.find("prices", "H100")
    value = device.value * 3600 / price.value
    if math.isclose(value, ours.value, rel_tol=5e-3):  # ours is printed to three digits
        return ours
    return replace(ours, value=value, date=price.date, verified=device.verified and price.verified)


def not_verified(stocks: Iterable[Stock]) -> list[str]:
    """Those whose number was not read in its source, as section.name."""
    return [f"{stock.section}.{stock.name}" for stock in stocks if not stock.verified]


def describe(stock: Stock, year: float | None = None) -> str:
    """One line for a table: value, interval, unit and date, and where the number is from.

    `year` is that of `Stock.at`, whose value and extrapolation are then told.
    """
    write = count_text if stock.unit in ("tokens", "words", "dollars/hour") else flops_text
    said = f"{write(stock.value)} {stock.unit} in {int(stock.date)}"
    if stock.low is not None and stock.high is not None:
        said = f"{said} [{write(stock.low)}, {write(stock.high)}] {stock.interval}"
    if year is not None:
        said = f"{write(stock.at(year))} {stock.unit} in {year:.6g}: {said}, times {stock.growth:g} a year"
    doubt = "" if stock.verified else "; NOT VERIFIED: the number was not read there"
    return f"{said} ({stock.source}{doubt})"
