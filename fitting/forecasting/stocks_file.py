"""The file of stocks: entries with value, unit, date and source, checked key by key."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import yaml

from ..errors import InputError
from ..json_shapes import is_object
from ..units import count_of
from ..yaml_keys import UniqueKeys

# Section -> the units its entries may be in.
UNITS = {
    "devices": ("FLOP/s",),
    "prices": ("dollars/hour",),
    "fleets": ("FLOP/s",),
    "flop_per_dollar": ("FLOP/dollar",),
    "budgets": ("FLOP",),
    "texts": ("tokens", "words"),
}
_REQUIRED = ("value", "unit", "date", "source", "verified")
_KEYS = (*_REQUIRED, "note", "growth", "low", "high", "interval")
_DATE = re.compile(r"(\d{4})-(\d{2})(?:-\d{2})?")


@dataclass(frozen=True)
class Stock:
    """One entry: `value` in `unit` at `date` (a year), read in `source` if `verified`.

    `growth` is a factor a year, None where none is known. `low` and `high` are what `interval` says.
    """

    section: str
    name: str
    value: float
    unit: str
    date: float
    source: str
    verified: bool
    note: str = ""
    growth: float | None = None
    low: float | None = None
    high: float | None = None
    interval: str = ""

    def at(self, year: float | None) -> float:
        """value growth^(year - date): the trend carried on; the value itself for None.

        Raises InputError for another year where no growth is known, and for one so far off that nothing is finite.
        """
        if year is None:
            return self.value
        if self.growth is None:
            raise InputError(
                f"{self.section}.{self.name}: has no growth, so it says {int(self.date)} and no other year"
            )
        log_value = math.log(self.value) + (year - self.date) * math.log(self.growth)
        if not abs(log_value) < 690:
            raise InputError(f"{self.section}.{self.name}: year {year:g} is too far from {self.date:g} for its growth")
        return math.exp(log_value)


def parse_stocks(text: str, where: str) -> dict[str, dict[str, Stock]]:
    """The entries of a YAML text by section and name; sections may be left out, but all are in the answer.

    An unknown section or key, a key that stands twice, a required key that does not, another unit than the section's,
    a value that is no positive number, a growth without, or bounds that do not hold the value are each an InputError
    that names `where` and the key.
    """
    try:
        data = yaml.load(text, Loader=UniqueKeys)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise InputError(f"{where}{line}: not valid YAML: {problem}") from None
    if not is_object(data):
        raise InputError(f"{where}: must be a mapping of the sections {', '.join(UNITS)}")
    for section in data:
        if section not in UNITS:
            raise InputError(f"{where}: {section}: is no section; they are {', '.join(UNITS)}")
    return {section: _section(data.get(section), section, where) for section in UNITS}


def _section(entries: Any, section: str, where: str) -> dict[str, Stock]:
    if entries is None:
        return {}
    if not is_object(entries):
        raise InputError(f"{where}: {section}: must be a mapping of names to entries")
    return {
        str(name): _entry(entry, section, str(name), f"{where}: {section}.{name}") for name, entry in entries.items()
    }


def _entry(entry: Any, section: str, name: str, where: str) -> Stock:
    if not is_object(entry):
        raise InputError(f"{where}: must be a mapping with {', '.join(_REQUIRED)}")
    for key in entry:
        if key not in _KEYS:
            raise InputError(f"{where}.{key}: is no key of an entry; they are {', '.join(_KEYS)}")
    for key in _REQUIRED:
        if entry.get(key) in (None, ""):
            raise InputError(f"{where}.{key}: is missing; an entry has {', '.join(_REQUIRED)}")
    if entry["unit"] not in UNITS[section]:
        raise InputError(f"{where}.unit: is {entry['unit']!r}, must be {' or '.join(UNITS[section])}")
    if not isinstance(entry["verified"], bool):
        raise InputError(f"{where}.verified: is {entry['verified']!r}, must be true or false")
    stock = Stock(
        section,
        name,
        value=_positive(entry["value"], f"{where}.value"),
        unit=entry["unit"],
        date=_year(entry["date"], f"{where}.date"),
        source=str(entry["source"]),
        verified=entry["verified"],
        note=str(entry.get("note", "")),
        **{
            key: _positive(entry[key], f"{where}.{key}")
            for key in ("growth", "low", "high")
            if entry.get(key) is not None
        },
        interval=str(entry.get("interval", "")),
    )
    _check_bounds(stock, where)
    return stock


def _check_bounds(stock: Stock, where: str) -> None:
    bounds = (stock.low is not None, stock.high is not None, bool(stock.interval))
    if any(bounds) and not all(bounds):
        raise InputError(f"{where}: low, high and interval must be given together")
    if stock.low is not None and stock.high is not None and not stock.low <= stock.value <= stock.high:
        raise InputError(f"{where}.value: {stock.value:g} lies outside [{stock.low:g}, {stock.high:g}]")


def _positive(value: Any, where: str) -> float:
    """A number, or a text such as 4e21 (which YAML 1.1 takes for one) or 15T."""
    number = count_of(value) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not (math.isfinite(number) and number > 0):
        raise InputError(f"{where}: is {value!r}, must be a finite number above 0, as in 4e21 or 15T")
    return float(number)


def _year(value: Any, where: str) -> float:
    """2025.1, or the middle of the month of 2025-02; a day counts as its month."""
    match = _DATE.fullmatch(str(value))
    if match and 1 <= int(match[2]) <= 12:
        return int(match[1]) + (int(match[2]) - 0.5) / 12
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 1900 <= value <= 2200:
        return float(value)
    raise InputError(f"{where}: is {value!r}, must be a year from 1900 to 2200, as in 2025, 2025.1 or 2025-02")
