"""fit.json: what an analysis says, as strict JSON."""

from __future__ import annotations

from dataclasses import asdict, fields, is_dataclass
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from .holdout import Holdout
from .json_shapes import is_object
from .jsonio import to_strict
from .law_results import DataConstrainedFit, KaplanFit, OvertrainingFit, SaturatingFit
from .results import EnvelopeFit, ExponentProfile, IsoflopFit, ParametricFit
from .runs import RunTable

if TYPE_CHECKING:
    from .analysis import Analysis

SCHEMA_VERSION = 1
_LAW_COLUMNS = ("E", "A", "B", "alpha", "beta")
_LINE_COLUMNS = ("log_params_coefficient", "params_exponent", "log_tokens_coefficient", "tokens_exponent")
_DIGITS = 8  # of resamples: forecasts far beyond the runs multiply what is cut off
_ARRAYS = ("resamples",)  # written by columns
_LAWS = ("params_law", "tokens_law", "law")  # written by their parts
_COUNTS = ("counted_n_params", "counted_flops")  # written once, in `conventions`


def report_of(analysis: Analysis) -> dict[str, Any]:
    """The content of fit.json: NaN and infinities as None."""
    fits = analysis.fits
    written: dict[str, Any] = {}
    if fits.parametric is not None:
        written["parametric"] = _parametric(fits.parametric) | {"profile": _profile(analysis.profile)}
    if fits.isoflop is not None:
        written["isoflop"] = _power_laws(fits.isoflop)
    if fits.envelope is not None:
        written["envelope"] = _power_laws(fits.envelope)
    if fits.kaplan is not None:
        written["kaplan"] = _kaplan(fits.kaplan)
    for name in ("saturating", "data_constrained", "overtraining"):
        if getattr(fits, name) is not None:
            written[name] = _other(getattr(fits, name))
    return to_strict(
        {
            "schema_version": SCHEMA_VERSION,
            "isoflop_version": isoflop_version(),
            "source": list(analysis.sources),
            "options": asdict(analysis.options),
            "n_runs": len(analysis.table.fitted),
            "ranges": _ranges(analysis.table),
            "excluded": analysis.table.excluded,
            "kept_flagged": analysis.table.kept,
            "conventions": {
                "n_params": analysis.options.n_params,
                "flops": analysis.options.flops,
                "flops_equals": analysis.table.flops_convention,
                "loss_unit": analysis.table.loss_unit,
                "corpus": analysis.table.corpus,
            },
            "by_convention": list(analysis.by_convention),
            "fits": written,
            "agreement": analysis.agreement,
            "holdout": None if analysis.holdout is None else _holdout(analysis.holdout),
            "warnings": [asdict(warning) for warning in analysis.warnings],
            "notes": list(analysis.notes),
        }
    )


@cache
def isoflop_version() -> str | None:
    """The version installed; None where this code is not installed."""
    try:
        return metadata.version("isoflop")
    except metadata.PackageNotFoundError:
        return None


def _flat(fit: Any, *left_out: str) -> dict[str, Any]:
    """The fields of a result, nested ones as objects, without arrays and laws."""
    names = [field.name for field in fields(fit) if field.name not in (*_ARRAYS, *_LAWS, *_COUNTS, *left_out)]
    values = {name: getattr(fit, name) for name in names}
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, tuple):
        return [_plain(each) for each in cast("tuple[Any, ...]", value)]
    if is_object(value):
        return {name: _plain(each) for name, each in value.items()}
    return value


def _parametric(fit: ParametricFit) -> dict[str, Any]:
    parts = {name: getattr(fit.law, name) for name in _LAW_COLUMNS}
    flat = _flat(fit, "parameters") | {"resamples": _columns(fit.resamples, _LAW_COLUMNS)}
    return flat | parts | {"intervals": {name: asdict(each) for name, each in fit.parameters.items()}}


def _columns(resamples: NDArray[np.float64] | None, names: tuple[str, ...]) -> dict[str, list[float]] | None:
    """What a forecast takes its intervals from: a list a column, one entry a successful resample."""
    if resamples is None:
        return None
    return {
        name: [float(f"{value:.{_DIGITS}g}") for value in column]
        for name, column in zip(names, resamples.T, strict=True)
    }


def _ranges(table: RunTable) -> dict[str, list[float]]:
    """What the fitted runs span, in the conventions of the fits: least and most.

    `flops` is the runs' own count, `flops_6nd` 6 N D of the N chosen, in which the laws of N and D speak, and `budget`
    the planned budgets, where every run has one.
    """
    columns = {name: table.fitted[name].to_numpy(dtype=float) for name in ("n_params", "tokens", "flops")}
    columns["flops_6nd"] = 6 * columns["n_params"] * columns["tokens"]
    if table.budgets is not None:
        columns["budget"] = table.budgets
    return {name: [float(values.min()), float(values.max())] for name, values in columns.items()}


def _profile(profile: ExponentProfile | None) -> dict[str, Any] | None:
    """`rise[i][j]` is the objective at alphas[i], betas[j] over its optimum, less 1."""
    if profile is None:
        return None
    return {
        "alphas": profile.alphas.round(6),
        "betas": profile.betas.round(6),
        "rise": profile.rise.round(6),
        "threshold": profile.threshold,
        "level": profile.level,
    }


def _power_laws(fit: IsoflopFit | EnvelopeFit) -> dict[str, Any]:
    return _flat(fit, "notes") | {
        "resamples": _columns(fit.resamples, _LINE_COLUMNS),
        "params_coefficient": fit.params_law.coefficient,
        "tokens_coefficient": fit.tokens_law.coefficient,
    }


def _kaplan(fit: KaplanFit) -> dict[str, Any]:
    parts = {name: getattr(fit.law, name) for name in ("N_c", "D_c", "alpha_N", "alpha_D")}
    flat = _flat(fit, "parameters", "loss_of_params", "loss_of_tokens", "loss_of_flops")
    single = {
        name: {**asdict(trend), "rows": len(trend.rows)}
        for name in ("loss_of_params", "loss_of_tokens", "loss_of_flops")
        if (trend := getattr(fit, name)) is not None
    }
    return flat | parts | {"intervals": {name: asdict(each) for name, each in fit.parameters.items()}} | single


def _other(fit: SaturatingFit | DataConstrainedFit | OvertrainingFit) -> dict[str, Any]:
    """Its law's letters beside the rest; those of a law within it as an object."""
    return (
        _flat(fit, "parameters")
        | asdict(fit.law)
        | {"intervals": {name: asdict(each) for name, each in fit.parameters.items()}}
    )


def _holdout(held: Holdout) -> dict[str, Any]:
    """Without the runs one by one and the inner folds: the figures are in the sums."""
    return {
        "budget": held.budget,
        "n_budgets": held.n_budgets,
        "largest": {name: asdict(each) for name, each in held.largest.items()},
        "n_params": asdict(held.size),
        "comparisons": [asdict(each) for each in held.comparisons],
        "failed": list(held.failed),
    }
