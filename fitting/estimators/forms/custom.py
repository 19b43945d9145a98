"""A user's own law: named parameters with bounds, any columns of the table, any of the four objectives."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike

from ...arguments import check_fit
from ...cells import numbers_of
from ...errors import InputError
from ...law_results import CustomFit
from ...runs import RunTable
from .descent import Array
from .resampling import estimates, run_draws, status_of
from .search import fit_form
from .starts import Parameter, Predict

Bounds = Mapping[str, tuple[float | None, float | None]]
Start = Mapping[str, float | tuple[float, float]]
_START_FACTOR = 3.0  # a start given as one number is searched from a third of it to three times it


def fit_custom(
    form: Callable[..., ArrayLike],
    table: RunTable,
    *,
    bounds: Bounds,
    start: Start | None = None,
    target: str = "loss",
    objective: str = "log_huber",
    weights: ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> CustomFit:
    """Fit `form` to column `target` over the usable runs of `table`.

    The positional arguments of `form` are columns of the table, by name; its keyword-only arguments are the
    parameters. For example

        fit_custom(lambda n_params, tokens, *, E, A, alpha, B, beta: E + A / n_params**alpha + B / tokens**beta, table,
                   bounds={"E": (0, None), "A": (0, None), "alpha": (0, 2), "B": (0, None), "beta": (0, 2)})

    `bounds` has (low, high) for every parameter, None for no bound. `start` has a range (low, high), or one number,
    for a parameter in which the form is not linear and whose bounds are not both finite; others need none. A form
    that broadcasts (NumPy operations only) is evaluated for many parameters at once, any other one by one.
    `weights`, one a usable run, are non-negative.

    Objectives as in `search.fit_form`. Intervals at `level` resample whole runs, within budgets where the table has
    them; each resample starts at the optimum. None for a parameter on its bound, fewer than 4 budgets or 8 runs, or
    over 10 % of resamples failed.

    Raises InputError for an unknown column, parameter or objective, bounds that are missing or crossed, a start outside
    them, weights of the wrong shape, or a form of the wrong shape or without a value; FitError for too few runs.
    """
    check_fit(table, level, resamples)
    columns, names = _signature(form)
    parameters = [_parameter(name, bounds, start or {}) for name in names]
    for given, what in ((bounds, "bounds"), (start or {}, "start")):
        unknown = [name for name in given if name not in names]
        if unknown:
            raise InputError(f"{what} names {unknown[0]!r}, no parameter of the form: its own are {', '.join(names)}")
    values = [_column(table, name) for name in columns]
    observed = _column(table, target)
    own = checked_weights(weights, len(observed))
    fit = fit_form(_prediction(form, values, names, len(observed)), parameters, observed, own, objective)
    found, resampling = estimates(names, fit, own, run_draws(table, resamples, seed), level)
    return CustomFit(
        status=status_of(fit, table),
        objective=objective,
        objective_value=fit.value,
        target=target,
        parameters=found,
        at_bound=tuple(name for name, bound in zip(names, fit.at_bound, strict=True) if bound),
        n_starts=fit.n_starts,
        n_agreeing=fit.n_agreeing,
        condition_number=fit.condition_number,
        n_runs=len(observed),
        resampling=resampling,
    )


def _signature(form: Callable[..., ArrayLike]) -> tuple[list[str], list[str]]:
    """The columns and the parameters that `form` names."""
    kinds = inspect.Parameter
    columns: list[str] = []
    names: list[str] = []
    for name, argument in inspect.signature(form).parameters.items():
        if argument.kind is kinds.KEYWORD_ONLY:
            names.append(name)
        elif argument.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD):
            columns.append(name)
        else:
            raise InputError(f"the form takes *{name}: name each column and each parameter")
    if not columns or not names:
        raise InputError(
            "the form needs columns before a bare * and parameters after it: lambda n_params, *, E, A: ..."
        )
    return columns, names


def _parameter(name: str, bounds: Bounds, start: Start) -> Parameter:
    if name not in bounds:
        raise InputError(f"no bounds for parameter {name!r}: give bounds={{{name!r}: (low, high)}}, None for no bound")
    low, high = bounds[name]
    lower = -math.inf if low is None else float(low)
    upper = math.inf if high is None else float(high)
    if not lower < upper:
        raise InputError(f"bounds of {name!r} are ({lower:g}, {upper:g}): the first must be below the second")
    if name not in start:
        return Parameter(name, lower, upper)
    given = start[name]
    outside = InputError(f"start of {name!r} is {given}, outside its bounds ({lower:g}, {upper:g})")
    if isinstance(given, tuple):
        first, last = (float(value) for value in given)
    else:
        if not lower <= given <= upper:
            raise outside
        width = abs(given) * (_START_FACTOR - 1) or 1.0
        first, last = (given / _START_FACTOR if given > 0 else given - width), given + width
        first, last = max(first, lower), min(last, upper)
    if not (lower <= first <= last <= upper and math.isfinite(first) and math.isfinite(last)):
        raise outside
    return Parameter(name, lower, upper, (first, last))


def _column(table: RunTable, name: str) -> Array:
    frame = table.fitted
    if name not in frame:
        raise InputError(f"no column {name!r} in the table: it has {', '.join(map(str, frame.columns))}")
    values = numbers_of(frame, name).to_numpy(dtype=float)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        run = frame["run"].iloc[int(bad[0])]
        raise InputError(f"column {name!r} is {values[bad[0]]:g} for run {run!r}: select the others with --where")
    return values


def checked_weights(weights: ArrayLike | None, count: int) -> Array:
    """`weights` as an array, ones for None; InputError where they are not `count` finite, non-negative numbers."""
    if weights is None:
        return np.ones(count)
    own = np.array(weights, dtype=float).reshape(-1)
    if len(own) != count or not np.isfinite(own).all() or (own < 0).any():
        raise InputError(f"weights must be {count} finite, non-negative numbers, one for each usable run")
    return own


def _prediction(form: Callable[..., ArrayLike], columns: list[Array], names: list[str], count: int) -> Predict:
    """The form over many parameters: broadcast where that gives the same as one by one, else one by one."""

    def one(theta: Array) -> Array:
        values = dict(zip(names, theta.tolist(), strict=True))
        with np.errstate(all="ignore"):
            predicted = np.asarray(form(*columns, **values), dtype=float)
        if predicted.shape not in ((count,), ()):
            raise InputError(f"the form returns shape {predicted.shape}: it must be ({count},), one value for each run")
        return np.broadcast_to(predicted, (count,))

    def each(theta: Array) -> Array:
        return np.stack([one(row) for row in theta])

    def together(theta: Array) -> Array:
        values = {name: theta[:, i, None] for i, name in enumerate(names)}
        with np.errstate(all="ignore"):
            return np.broadcast_to(np.asarray(form(*columns, **values), dtype=float), (len(theta), count))

    trial = np.linspace(0.5, 1.5, 2 * len(names)).reshape(2, len(names))
    expected = each(trial)
    try:
        broadcasts = np.allclose(together(trial), expected, rtol=1e-9, atol=0, equal_nan=True)
    except (ValueError, TypeError):  # the form branches on a parameter, or calls what takes plain numbers only
        broadcasts = False
    return together if broadcasts else each
