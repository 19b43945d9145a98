"""Which columns of a table count parameters, tokens and FLOPs, and which of them a column or formula stands for."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..cells import numbers_of
from ..errors import InputError
from ..estimators.power.law import Array
from ..readers.columns import guessed_column

RESOURCES = {"n_params": "parameters", "tokens": "tokens", "flops": "FLOPs"}
RATIO = "tokens per parameter"
_NEAR = float(np.log(1.3))  # counts of FLOPs, and budgets that were met, agree this well
_SAME = 1.1  # what varies by less is held fixed
_LEAST_DERIVED = 100.0  # parameters and tokens of a run are more: else the FLOPs were no run's
_ALSO = {"n_params": ("n_params", "n_params_non_embedding"), "tokens": ("tokens",), "flops": ("flops", "budget")}
_UNIT = re.compile(r"\s*[(\[]\s*([A-Za-z]*)[^)\]]*[)\]]\s*$")  # Params (M)
_TIMES = {"k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}
_FEW = 1e5  # no count of a run's parameters or tokens is given in M where it is that large already
_STEPS = re.compile(r"(n_|num_|train_|training_|total_|max_|planned_)?steps?", re.IGNORECASE)
_RATE = re.compile(r"per(_|\b)|rate|speed|throughput|mfu|/s", re.IGNORECASE)


@dataclass(frozen=True)
class Resources:
    """What a table counts, by our names: `values` (n,), and `names` as the table, or a formula, has them.

    `derived` are those that no column counts but that follow from the other two by C = 6ND.
    """

    values: dict[str, Array]
    names: dict[str, str]
    derived: frozenset[str] = frozenset()

    def role(self, x: Array) -> str | None:
        """The resource that `x` (n,) is, in whatever unit; None for another."""
        alike = {ours: _near if ours in self.derived else proportional for ours in self.values}
        return next((ours for ours, each in self.values.items() if alike[ours](each, x)), None)


def resources_of(frame: pd.DataFrame) -> Resources:
    """By our names, their spellings and aliases, with or without a unit in brackets; a column of texts that are none
    is not one."""
    stripped: dict[str, str] = {}
    for name in map(str, frame.columns):
        stripped.setdefault(_UNIT.sub("", name) or name, name)
    found = Resources({}, {})
    for ours, aliases in _ALSO.items():
        guesses = (guessed_column(alias, list(stripped), False) for alias in aliases)
        theirs = next((stripped[guess] for guess in guesses if guess is not None), None)
        if theirs is not None and (values := _numbers(frame, theirs)) is not None:
            found.values[ours], found.names[ours] = values, theirs
    return _with_third(found)


def _numbers(frame: pd.DataFrame, name: str) -> Array | None:
    try:
        values = numbers_of(frame, name, suffixes=True).to_numpy(dtype=float)
    except InputError:
        return None
    unit = _UNIT.search(name)
    few = bool((values[np.isfinite(values)] < _FEW).all())
    return values * (_TIMES.get(unit[1].lower(), 1.0) if unit is not None and few else 1.0)


def _with_third(found: Resources) -> Resources:
    """With the third resource of C = 6ND where two are counted."""
    values, names = found.values, found.names
    missing = [ours for ours in RESOURCES if ours not in values]
    if len(missing) != 1:
        return found
    (third,) = missing
    with np.errstate(all="ignore"):
        if third == "flops":
            derived, name = 6 * values["n_params"] * values["tokens"], f"6 {names['n_params']} {names['tokens']}"
        else:
            other = "tokens" if third == "n_params" else "n_params"
            derived, name = values["flops"] / (6 * values[other]), f"{names['flops']} / (6 {names[other]})"
            if not np.nanmedian(derived) >= _LEAST_DERIVED:
                return found
    return Resources({**values, third: derived}, {**names, third: name}, frozenset([third]))


def named_role(name: str) -> str | None:
    """The resource that a column's name says it counts, in whatever convention; steps count tokens."""
    bare = _UNIT.sub("", name)
    if _RATE.search(bare):
        return None
    if bare.startswith("n_params") or guessed_column("n_params_non_embedding", [bare], False):
        return "n_params"
    if _STEPS.fullmatch(bare):
        return "tokens"
    said = bare.startswith("flops") or guessed_column("flops", [bare], False) or guessed_column("budget", [bare], False)
    return "flops" if said else None


def role_of(resources: Resources, x: Array, name: str) -> str | None:
    """The resource that `x` (n,), the column or formula `name`, is or stands for, or RATIO; None for another.

    It stands for one by its name, where it is FLOPs or tokens per parameter within 30 %, and where it ranks the rows
    just as one does: a width ranks them as parameters. What ranks them as both N and D goes along one path.
    """
    found = resources.role(x) or named_role(name)
    if found is not None:
        return found
    values = resources.values
    if "flops" in values and _near(values["flops"], x):
        return "flops"
    if "n_params" in values and "tokens" in values:
        with np.errstate(all="ignore"):
            if _near(values["tokens"] / values["n_params"], x):
                return RATIO
    ranks = pd.Series(x).rank()
    alike = [ours for ours in ("n_params", "tokens") if ours in values and _ranks(values[ours]).equals(ranks)]
    return alike[0] if len(alike) == 1 else None


def other_factor(frame: pd.DataFrame, flops: Array, x: Array, used: tuple[str, ...]) -> str | None:
    """A column that times `x` (n,) is the FLOPs: one of the two is N, the other D, whatever they are called."""
    for name in map(str, frame.columns):
        if name in used or _RATE.search(name) or not pd.api.types.is_numeric_dtype(frame[name]):
            continue
        values = frame[name].to_numpy(dtype=float)
        if (values > 0).all() and values.max() > _SAME * values.min() and _near(flops, values * x):
            return name
    return None


def with_factors(frame: pd.DataFrame, resources: Resources, x: Array, name: str) -> Resources:
    """With N and D where two columns multiply to the FLOPs `x` (n,), which of the two whichever: a path grows both."""
    for column in map(str, frame.columns):
        values = frame[column].to_numpy(dtype=float) if pd.api.types.is_numeric_dtype(frame[column]) else np.zeros(1)
        if column == name or not (values > 0).all() or values.max() <= _SAME * values.min() or _near(values, x):
            continue
        other = other_factor(frame, x, values, (name, column))
        if other is not None:
            found = {"n_params": values, "tokens": frame[other].to_numpy(dtype=float)}
            return Resources({**resources.values, **found}, {**resources.names, "n_params": column, "tokens": other})
    return resources


def proportional(one: Array, other: Array) -> bool:
    """Whether two columns are one quantity in two units."""
    if not (np.isfinite(one) & (one > 0)).all() or not len(one):
        return False
    return bool(np.ptp(np.log(one / other)) < 1e-6)


def _near(one: Array, other: Array) -> bool:
    if not (np.isfinite(one) & (one > 0)).all():
        return False
    return bool(np.ptp(np.log(one / other)) < _NEAR)


def _ranks(values: Array) -> pd.Series:
    return pd.Series(values).rank()
