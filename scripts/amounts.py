"""Numbers in options: `7B`, `1e24,70B`; an option that holds none, or one not above 0, is told by its name."""

from __future__ import annotations

import math

from isoflop.fitting.errors import InputError
from isoflop.fitting.units import count_of

_MOST = 1e60  # beyond it powers of a number overflow


def positive(option: str, value: float, text: str = "") -> float:
    """`value`, where it is a number above 0; InputError names the option, with its `text`, otherwise."""
    if not (math.isfinite(value) and 0 < value < _MOST):
        raise InputError(f"{option} {text or f'{value:g}'}: must be a finite number above 0 (and below {_MOST:g})")
    return value


def amount(option: str, text: str) -> float:
    """`70B` as a number above 0. Raises InputError naming the option for anything else."""
    return amounts(option, text)[0] if "," not in text else _refuse(option, text, text)


def amounts(option: str, text: str | None) -> list[float]:
    """`1e24,70B` as numbers above 0, none of None. Raises InputError naming the option for anything else."""
    found = []
    for item in text.split(",") if text is not None else []:
        value = count_of(item)
        found.append(_refuse(option, str(text), item) if value is None else positive(option, value, str(text)))
    return found


def _refuse(option: str, text: str, item: str) -> float:
    raise InputError(f"{option} {text}: {item.strip()!r} is no number, as 1e24 or 70B")
