"""Fit scaling laws to runs already trained. Needs numpy, scipy and pandas; never torch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .analysis import Analysis, Options, analyse
    from .comparison.published_rows import compare_with_published
    from .curves import CurveTable, curves_of
    from .downstream.analysis import analyse_task
    from .errors import FitError, InputError
    from .estimators.data_constrained import fit_data_constrained
    from .estimators.envelope import fit_envelope
    from .estimators.forms import fit_custom
    from .estimators.isoflop import fit_isoflop
    from .estimators.kaplan import fit_kaplan
    from .estimators.overtraining import fit_error, fit_overtraining
    from .estimators.parametric import fit_parametric
    from .estimators.parametric.profile import exponent_profile
    from .estimators.power import fit_power
    from .estimators.saturating import fit_saturating
    from .holdout import hold_out
    from .interpolation import runs_at
    from .laws import ChinchillaLaw, KaplanLaw, PowerLaw
    from .precision import simulate
    from .prediction import predictors_of
    from .published import published_estimate, published_estimates
    from .readers import load_runs
    from .readers.curves import load_curves
    from .results import Estimate
    from .runs import RunTable

# Loaded when first asked for: a training process wants the counts without pandas and scipy.
_HOMES = {
    "Analysis": "analysis",
    "ChinchillaLaw": "laws",
    "CurveTable": "curves",
    "Estimate": "results",
    "FitError": "errors",
    "InputError": "errors",
    "KaplanLaw": "laws",
    "Options": "analysis",
    "PowerLaw": "laws",
    "RunTable": "runs",
    "analyse": "analysis",
    "analyse_task": "downstream.analysis",
    "compare_with_published": "comparison.published_rows",
    "exponent_profile": "estimators.parametric.profile",
    "curves_of": "curves",
    "fit_custom": "estimators.forms",
    "fit_data_constrained": "estimators.data_constrained",
    "fit_envelope": "estimators.envelope",
    "fit_error": "estimators.overtraining",
    "fit_isoflop": "estimators.isoflop",
    "fit_kaplan": "estimators.kaplan",
    "fit_overtraining": "estimators.overtraining",
    "fit_parametric": "estimators.parametric",
    "fit_power": "estimators.power",
    "fit_saturating": "estimators.saturating",
    "hold_out": "holdout",
    "load_curves": "readers.curves",
    "load_runs": "readers",
    "predictors_of": "prediction",
    "published_estimate": "published",
    "published_estimates": "published",
    "runs_at": "interpolation",
    "simulate": "precision",
}

__all__ = [
    "Analysis",
    "ChinchillaLaw",
    "CurveTable",
    "Estimate",
    "FitError",
    "InputError",
    "KaplanLaw",
    "Options",
    "PowerLaw",
    "RunTable",
    "analyse",
    "analyse_task",
    "compare_with_published",
    "curves_of",
    "exponent_profile",
    "fit_custom",
    "fit_data_constrained",
    "fit_envelope",
    "fit_error",
    "fit_isoflop",
    "fit_kaplan",
    "fit_overtraining",
    "fit_parametric",
    "fit_power",
    "fit_saturating",
    "hold_out",
    "load_curves",
    "load_runs",
    "predictors_of",
    "published_estimate",
    "published_estimates",
    "runs_at",
    "simulate",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
