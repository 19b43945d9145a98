"""One metric against one resource: the rows of a table that speak, their law, what it answers, and what to doubt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .cells import numbers_of, places
from .diagnostics.one_resource import moving_with, require_identified, uncounted_beside, varying_at
from .diagnostics.warn import Warn, listed
from .errors import FitError, InputError
from .estimators.power.fit import fit_power, is_steep, is_straight
from .estimators.power.law import Array, PowerFit
from .marginal import LargestLeftOut, Marginal, TargetCost, largest_left_out, marginal, target_cost
from .query import values_of
from .readers.columns import columns_in, formula_hint
from .reporting.style import amount_text
from .shown import Shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CORRELATED = 0.9
_LACK_OF_FIT = 0.01


@dataclass(frozen=True)
class PowerQuestion:
    """What is asked of a table: `x` and `y` are columns or formulas of columns, the rest as `fit_power` has it.

    `price` is dollars for one unit of x; `at` and `target` are further questions, in the units of x and of y.
    """

    x: str
    y: str
    offset: float | None = None
    bound: str | None = None
    limit: float | None = None
    error: str | None = None
    level: float = 0.95
    price: float | None = None
    target: float | None = None
    at: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.x == self.y:
            raise InputError(f"--x {self.x} --y {self.y}: the metric and its resource must be two columns")


@dataclass(frozen=True, repr=False)
class PowerAnalysis(Shown, says="analyses.power"):
    """The law and its answers. `last` is the law at the largest x; `left_out` that x predicted from the others."""

    asked: PowerQuestion
    fit: PowerFit
    last: Marginal
    at: tuple[Marginal, ...]
    target: TargetCost | None
    left_out: LargestLeftOut | None
    n_rows: int
    excluded: tuple[dict[str, str], ...]
    notes: tuple[str, ...]
    warnings: tuple[Warn, ...]

    @property
    def equation(self) -> str:
        """The form fitted, in words."""
        return f"y = offset {'-' if self.fit.law.rising else '+'} coefficient * x^-exponent"

    def plot(self) -> Figure:
        """The metric against the resource with the law and its band, as a matplotlib figure."""
        from .reporting.power import power_figure

        return power_figure(self)

    def to_json(self) -> dict[str, Any]:
        """The report as it is written."""
        fit = self.fit
        return {
            "schema_version": 1,
            "form": "power",
            "x": self.asked.x,
            "y": self.asked.y,
            "direction": "rising" if fit.law.rising else "falling",
            "equation": self.equation,
            "error": fit.error,
            "status": fit.status,
            "n_rows": self.n_rows,
            "n_points": len(fit.points.x),
            "x_range": fit.x_range,
            "offset": fit.offset,
            "offset_given": fit.offset_given,
            "offset_limit": fit.offset_limit,
            "coefficient": fit.coefficient,
            "exponent": fit.exponent,
            "correlation": fit.correlation,
            "scatter": fit.scatter,
            "trend_p": fit.trend_p,
            "replicates": fit.replicates,
            "points": {"x": fit.points.x, "y": fit.points.y, "n_rows": fit.points.n_rows.astype(int)},
            "price_per_unit": self.asked.price,
            "last": self.last,
            "at": self.at,
            "target": self.target,
            "largest_left_out": self.left_out,
            "excluded": self.excluded,
            "notes": self.notes,
            "warnings": self.warnings,
        }


def analyse_power(frame: pd.DataFrame, asked: PowerQuestion) -> PowerAnalysis:
    """Fit the rows of `frame` that have both columns, and answer what is `asked`.

    Raises InputError, one line, for a column that is not there, no number or not positive where it is x, for a resource
    that another one varies beside (`require_identified`), and as `fit_power` and the answers do; FitError as it does.
    """
    x, y = values_in(frame, asked.x, "--x"), values_in(frame, asked.y, "--y")
    chosen, excluded = _usable(frame, x, y, asked)
    rows, x, y = frame.loc[chosen].reset_index(drop=True), x[chosen], y[chosen]
    if not len(x):
        raise InputError(f"no row has both --x {asked.x} and --y {asked.y}")
    notes = require_identified(rows, x, asked.x)
    fit = fit_power(
        x,
        y,
        offset=asked.offset,
        bound=asked.bound,
        limit=asked.limit,
        error=asked.error,
        runs=rows["run"].fillna("").astype(str) if "run" in rows else None,
        level=asked.level,
    )
    last = marginal(fit, fit.x_range[1], asked.price)
    at = tuple(marginal(fit, each, asked.price) for each in asked.at)
    target = None if asked.target is None else target_cost(fit, asked.target, asked.price)
    left_out, why = _left_out(fit)
    return PowerAnalysis(
        asked=asked,
        fit=fit,
        last=last,
        at=at,
        target=target,
        left_out=left_out,
        n_rows=len(x),
        excluded=tuple(excluded),
        notes=(*notes, *_said_of(fit, asked), *why),
        warnings=(*_beyond(at, target, asked), *_doubts(fit, asked, y, left_out), *_beside(rows, x, asked)),
    )


def values_in(frame: pd.DataFrame, name: str, option: str) -> Array:
    """Column `name` of `frame`, or what a formula of columns gives, as floats (n,), NaN where missing.

    Raises InputError, beginning with the option, for a column that is not there or is no number.
    """
    names = [str(column) for column in frame.columns]
    parts = columns_in(name, names)
    missing = next((part for part in parts if part not in names), None)
    if missing is not None:
        hint = formula_hint(name, names)
        raise InputError(f"{option} {name}: no column {missing!r}; columns: {', '.join(names)}{hint}")
    try:
        columns = {part: numbers_of(frame, part, suffixes=True) for part in parts}
    except InputError as error:
        raise InputError(f"{option} {name}: {error}") from error
    if name in columns:
        return columns[name].to_numpy(dtype=float)
    return values_of(pd.DataFrame(columns, index=frame.index), name, option).to_numpy(dtype=float)


def _usable(
    frame: pd.DataFrame, x: Array, y: Array, asked: PowerQuestion
) -> tuple[NDArray[np.bool_], list[dict[str, str]]]:
    """Which rows have both numbers, and the others with their reason; InputError for an x that is not positive."""
    stands = places(frame)
    names = frame["run"].fillna("").astype(str).tolist() if "run" in frame else [""] * len(frame)
    excluded: list[dict[str, str]] = []
    for row in np.flatnonzero(~(np.isfinite(x) & np.isfinite(y))):
        column, value = (asked.x, x[row]) if not np.isfinite(x[row]) else (asked.y, y[row])
        reason = f"{column} is {'missing' if np.isnan(value) else 'infinite'}"
        excluded.append(
            {"run": names[row] or f"row {row + 1}", "reason": reason} | ({"source": stands[row]} if stands[row] else {})
        )
    chosen = np.isfinite(x) & np.isfinite(y)
    wrong = np.flatnonzero(chosen & (x <= 0))
    if len(wrong):
        place = stands[int(wrong[0])] or f"row {wrong[0] + 1}"
        raise InputError(
            f"{place}: --x {asked.x} is {x[wrong[0]]:g}, and must be more than 0: leave such rows out with --where"
        )
    return chosen, excluded


def _left_out(fit: PowerFit) -> tuple[LargestLeftOut | None, list[str]]:
    try:
        found = largest_left_out(fit)
    except (FitError, InputError) as error:
        return None, [f"the largest x is not predicted from the others: {error}"]
    return found, [] if found is not None else ["the largest x is not left out: too few points"]


def _said_of(fit: PowerFit, asked: PowerQuestion) -> list[str]:
    notes = [f"no intervals: {fit.no_interval}"] if fit.no_interval else []
    if fit.correlation is not None and abs(fit.correlation) > _CORRELATED:
        steeper = "lower ceiling" if fit.law.rising else "higher floor"
        notes.append(
            f"offset and exponent are correlated ({fit.correlation:+.3f}): a {steeper} with a steeper law fits nearly "
            "as well, so read them together"
        )
    if fit.offset_limit is not None and fit.offset.value == fit.offset_limit:
        notes.append(f"the offset lies on its bound, {fit.offset_limit:g}: the points show none beyond it")
    return notes


def _beyond(at: tuple[Marginal, ...], target: TargetCost | None, asked: PowerQuestion) -> list[Warn]:
    """Answers away from the points: the first thing that is said."""
    asks = [(f"--at {amount_text(each.x)}", each.decades_beyond) for each in at]
    if target is not None and target.decades_beyond is not None:
        asks.append((f"--target {target.target:g}", target.decades_beyond))
    parts: list[str] = []
    for side in ("beyond", "below"):
        away = [f"{name} {abs(d):.1f} decades" for name, d in asks if (d > 0 if side == "beyond" else d < 0)]
        parts += [f"{', '.join(away)} {side} the {asked.x} fitted"] if away else []
    return [Warn("extrapolation", "; ".join(parts))] if parts else []


def _doubts(fit: PowerFit, asked: PowerQuestion, y: Array, left_out: LargestLeftOut | None) -> list[Warn]:
    found: list[Warn] = []
    if is_straight(fit.exponent.value):
        found.append(
            Warn(
                "no_offset_seen",
                f"{asked.y} is straight in ln({asked.x}): the points show no bound; give it with --offset or --bound",
            )
        )
    if is_steep(fit.exponent.value):
        found.append(
            Warn("levelled_off", f"{asked.y} levels off after the first points: the exponent is not determined")
        )
    high = fit.offset.value if fit.offset.high is None else fit.offset.high
    if fit.law.rising and asked.limit is None and not fit.offset_given and y.min() >= 0 and y.max() <= 1 < high:
        found.append(
            Warn(
                "ceiling_above_1", f"the ceiling may be up to {high:.3g}; if {asked.y} is a share, give --bound upper=1"
            )
        )
    if fit.replicates and fit.replicates.lack_of_fit_p is not None and fit.replicates.lack_of_fit_p < _LACK_OF_FIT:
        found.append(
            Warn(
                "lack_of_fit",
                f"the points lie further from the law than rows of one {asked.x} do from each other "
                f"(p = {fit.replicates.lack_of_fit_p:.1g}): something else varies, or the form is wrong",
            )
        )
    if left_out is not None and left_out.inside is False:
        found.append(
            Warn(
                "largest_missed",
                f"{asked.y} at the largest {asked.x}, {amount_text(left_out.x)}, lies outside what the other points "
                "predict: do not trust the law beyond it",
            )
        )
    return found


def _beside(rows: pd.DataFrame, x: Array, asked: PowerQuestion) -> list[Warn]:
    names = [str(column) for column in rows.columns]
    used = tuple(part for each in (asked.x, asked.y) for part in columns_in(each, names))
    found: list[Warn] = []
    if moving := moving_with(rows, x, used):
        text = f"{listed(moving, 4)} moves with {asked.x}: the law is of both together; hold it fixed with --where"
        found.append(Warn("moves_together", text))
    if varying := varying_at(rows, x, used):
        text = f"{listed(varying, 4)} differs among rows of one {asked.x}: they are no mere seeds; choose with --where"
        found.append(Warn("varies_beside", text))
    counted, unknown = uncounted_beside(rows, x, used)
    known = [name for name in unknown if name not in varying and not any(each.startswith(name) for each in moving)]
    if known:
        text = f"{listed(known, 4)} varies, and no column is known to count the {counted}: where that does, name it "
        found.append(Warn("varies_beside", f"{text}with --columns and hold it fixed with --where"))
    return found
