"""Which budget each run of the isoFLOP picture belongs to, as the fit had it, and how each budget is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...results import IsoflopFit, Minimum, MinimumStatus
from ...runs import RunTable
from ..style import flops_text, sequential_colors
from .picture import Array, Symbol

_MOST_NAMED = 14  # budgets in the legend
_NEAR = 0.3  # in ln C: a run left out is of the nearest budget, if any is this near
_SYMBOLS: tuple[Symbol, ...] = ("circle", "square")  # neighbours differ without their colours too
_SHAPELESS = (MinimumStatus.TOO_FEW, MinimumStatus.WIDE)


@dataclass(frozen=True)
class Budget:
    """A budget that has a curve; `place` is its own among all of the fit, from the least."""

    place: int
    minimum: Minimum
    color: str
    symbol: Symbol
    label: str  # "" where the legend has no room


def rising(isoflop: IsoflopFit) -> list[Minimum]:
    """The fit's budgets from the least, as places count them."""
    return sorted(isoflop.minima, key=lambda minimum: minimum.budget)


def budgets_of(isoflop: IsoflopFit) -> list[Budget]:
    """Those with a curve: of enough sizes, and at one compute. The legend names those with a minimum first."""
    shaped = [each for each in enumerate(rising(isoflop)) if each[1].status not in _SHAPELESS]
    named = _named([minimum for _, minimum in shaped])
    look = enumerate(zip(shaped, sequential_colors(len(shaped)), strict=True))
    return [
        Budget(place, minimum, color, _SYMBOLS[i % 2], budget_name(minimum) if minimum.budget in named else "")
        for i, ((place, minimum), color) in look
    ]


def budget_name(minimum: Minimum) -> str:
    """Such as "2e18 FLOPs"."""
    return f"{flops_text(minimum.budget)} FLOPs"


def _named(minima: Sequence[Minimum]) -> set[float]:
    if len(minima) > _MOST_NAMED:
        minima = [minimum for minimum in minima if minimum.status is MinimumStatus.INTERIOR]
    return {minimum.budget for minimum in minima[:: max(1, -(-len(minima) // _MOST_NAMED))]}


def places_of(table: RunTable, isoflop: IsoflopFit) -> NDArray[np.intp]:
    """The place of each row's budget, -1 for none, shape (n_rows,): of fitted runs as the fit grouped them.

    Runs left out belong to the nearest budget.

    Raises:
        InputError: the budgets were guessed, and from other runs than the table's.
    """
    frame, kept = table.frame, table.usable.to_numpy(dtype=bool)
    budgets = np.array([minimum.budget for minimum in rising(isoflop)])
    flops = frame["flops"].to_numpy(dtype=float)
    compute = frame["budget"].to_numpy(dtype=float) if "budget" in frame else flops
    places = _nearest(cast("Array", np.where(np.isfinite(compute), compute, flops)), budgets)
    stated = table.budgets
    if stated is not None:
        equal = np.isclose(stated[:, None], budgets, rtol=1e-9, atol=0)
        places[kept] = np.where(equal.any(axis=1), equal.argmax(axis=1), -1)
        return places
    # Guessed budgets are stretches of the runs in order of FLOPs, and the fit says how many runs each has.
    counts = [minimum.n_runs for minimum in rising(isoflop)]
    fitted = np.flatnonzero(kept)
    if sum(counts) != len(fitted):
        raise InputError(
            f"the isoFLOP picture needs the runs that were fitted: the fit has {sum(counts)}, this table {len(fitted)}"
        )
    places[fitted[np.argsort(flops[fitted], kind="stable")]] = np.repeat(np.arange(len(counts)), counts)
    return places


def _nearest(compute: Array, budgets: Array) -> NDArray[np.intp]:
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.abs(np.log(compute)[:, None] - np.log(budgets))
    distance = np.nan_to_num(distance, nan=np.inf)
    return np.where(distance.min(axis=1) < _NEAR, distance.argmin(axis=1), -1)
