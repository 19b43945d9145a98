"""Every doubt about one analysis, in the order of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import FitError
from ..estimators.isoflop import fit_groups
from ..estimators.parametric import fit_law
from ..estimators.parametric.refits import leave_out
from ..holdout import Holdout
from ..options import Options
from ..results import IsoflopFit, ParametricFit
from ..runs import RunTable
from ..uncertainty import MIN_SUCCESS, resampling_units
from . import agreement, beyond, law, minima
from .recipe import recipe_warnings
from .table import table_warnings
from .warn import Warn

_MOST_UNITS = 500  # runs left out one by one; of more none alone decides what resampling does not show


def warnings_of(
    table: RunTable,
    labels: np.ndarray,
    guessed: bool,
    fits: agreement.Fits,
    pairs: Sequence[Mapping[str, Any]],
    held: Holdout | None,
    options: Options,
) -> tuple[Warn, ...]:
    """Doubts about the runs, each fit, and what they say together.

    `labels` is the budget of each fitted run, `guessed` if clustered from FLOPs, `pairs` the exponents under the
    other conventions.
    """
    found: list[Warn | None] = [*table_warnings(table), *recipe_warnings(table)]
    if fits.data_constrained is not None and not fits.params_exponents:
        found = [warning for warning in found if warning is None or warning.code != "repeated_data"]  # it asks for them
    if fits.isoflop is not None:
        found += _of_isoflop(table, labels, guessed, fits.isoflop, options)
    if fits.parametric is not None:
        found += _of_parametric(table, fits.parametric, options)
    for name, other in (("Kaplan's law", fits.kaplan), ("the overtraining law", fits.overtraining)):
        found.append(None if other is None else law.failed(name, other.resampling, MIN_SUCCESS))
    found += agreement.disagreements(fits)
    found += [
        agreement.biased_envelope(fits.envelope),
        agreement.counting(fits, options.n_params, pairs),
        agreement.poor_prediction(held),
        beyond.asymptote(fits.saturating),
        beyond.flat_repeats(fits.data_constrained),
    ]
    return tuple(warning for warning in found if warning is not None)


def _of_isoflop(
    table: RunTable, labels: np.ndarray, guessed: bool, fit: IsoflopFit, options: Options
) -> list[Warn | None]:
    def refit(rows: np.ndarray | None = None, **changes: Any) -> IsoflopFit | None:
        chosen = options.for_isoflop | {"minimum": fit.minimum, "common_flops": fit.common_flops} | changes
        part = table if rows is None else _part(table, rows)
        kept = labels if rows is None else labels[rows]
        try:
            return fit_groups(part, kept, guessed=guessed, **chosen, **options.resampling(0))
        except FitError:
            return None

    def without(budget: float) -> float:
        other = refit(labels != budget)
        return float("nan") if other is None else other.params_exponent.value

    frame = table.fitted
    counted = labels if fit.common_flops == "budget" else frame["flops"].to_numpy(dtype=float)
    over = counted / (6 * frame["n_params"] * frame["tokens"]).to_numpy(dtype=float)
    repeated = any(minimum.n_replicates for minimum in fit.minima)
    whole = fit.window is None and fit.minimum == "parabola"
    return [
        minima.clustered(fit, table.unbudgeted if guessed else ""),
        minima.edges(fit),
        minima.few(fit),
        minima.failed(fit, MIN_SUCCESS),
        minima.weak(fit),
        minima.off_centre(fit),
        minima.drift(fit),
        minima.total(fit, (float(over.min()), float(over.max()))),
        minima.influential_budget(fit, without),
        minima.wide_parabola(fit, refit(window=Options.window) if whole else None),
        minima.replicates(
            fit,
            refit(replicates="best") if repeated else None,
            refit(replicates="all") if repeated else None,
        ),
    ]


def _part(table: RunTable, rows: np.ndarray) -> RunTable:
    return replace(table, frame=table.fitted[rows])


def _of_parametric(table: RunTable, fit: ParametricFit, options: Options) -> list[Warn | None]:
    frame = table.fitted
    columns = [frame[name].to_numpy(dtype=float) for name in ("n_params", "tokens", "loss")]
    chosen = options.for_parametric
    weights = np.ones(len(frame)) if options.weights is None else frame[options.weights].to_numpy(dtype=float)
    units = resampling_units(frame)

    def without(rows: np.ndarray) -> float:
        try:
            return fit_law(*columns, **chosen | {"weights": np.where(rows, 0.0, weights)}).law.params_exponent
        except FitError:
            return float("nan")

    whole = fit_law(*columns, **chosen | {"weights": weights})
    shown = fit.params_exponent.low is not None and len(np.unique(units)) <= _MOST_UNITS
    single = leave_out(whole, units) if shown else None
    return [
        law.bound(fit),
        law.failed("the parametric fit", fit.resampling, MIN_SUCCESS),
        law.condition(fit),
        law.vague_coefficients(fit),
        law.outlying(table, fit, without),
        None if single is None else law.influential(table, fit, single.params_exponent, units, single.groups),
        law.lack_of_fit(table, fit, resampling_units(frame.drop(columns="run"))),
    ]
