"""Fit scaling laws to runs already trained. Needs numpy, scipy and pandas; never torch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .analysis import Analysis as Analysis
    from .analysis import Options as Options
    from .analysis import analyse as analyse
    from .comparison.published_rows import Comparison as Comparison
    from .comparison.published_rows import compare_with_published as compare_with_published
    from .curves import CurveTable as CurveTable
    from .curves import curves_of as curves_of
    from .downstream.analysis import TaskResult as TaskResult
    from .downstream.analysis import analyse_task as analyse_task
    from .downstream.runs import tasks_of as tasks_of
    from .downstream.steps import Target as Target
    from .errors import FitError as FitError
    from .errors import InputError as InputError
    from .estimators.data_constrained import fit_data_constrained as fit_data_constrained
    from .estimators.envelope import fit_envelope as fit_envelope
    from .estimators.forms import fit_custom as fit_custom
    from .estimators.isoflop import fit_isoflop as fit_isoflop
    from .estimators.kaplan import fit_kaplan as fit_kaplan
    from .estimators.overtraining import fit_error as fit_error
    from .estimators.overtraining import fit_overtraining as fit_overtraining
    from .estimators.parametric import fit_parametric as fit_parametric
    from .estimators.parametric.profile import exponent_profile as exponent_profile
    from .estimators.power import fit_power as fit_power
    from .estimators.power.law import OffsetPowerLaw as OffsetPowerLaw
    from .estimators.power.law import PowerFit as PowerFit
    from .estimators.saturating import fit_saturating as fit_saturating
    from .forecasting.answers import Answer as Answer
    from .forecasting.answers import answer as answer
    from .forecasting.questions import Question as Question
    from .holdout import Holdout as Holdout
    from .holdout import hold_out as hold_out
    from .interpolation import runs_at as runs_at
    from .law_results import CustomFit as CustomFit
    from .law_results import DataConstrainedFit as DataConstrainedFit
    from .law_results import ErrorFit as ErrorFit
    from .law_results import KaplanFit as KaplanFit
    from .law_results import OvertrainingFit as OvertrainingFit
    from .law_results import SaturatingFit as SaturatingFit
    from .laws import ChinchillaLaw as ChinchillaLaw
    from .laws import DataConstrainedLaw as DataConstrainedLaw
    from .laws import ErrorLaw as ErrorLaw
    from .laws import KaplanLaw as KaplanLaw
    from .laws import OvertrainingLaw as OvertrainingLaw
    from .laws import PowerLaw as PowerLaw
    from .laws import SaturatingLaw as SaturatingLaw
    from .one_dimensional import PowerAnalysis as PowerAnalysis
    from .one_dimensional import PowerQuestion as PowerQuestion
    from .one_dimensional import analyse_power as analyse_power
    from .precision import NoiseModel as NoiseModel
    from .precision import PlannedGrid as PlannedGrid
    from .precision import Precision as Precision
    from .precision import prior_surface as prior_surface
    from .precision import simulate as simulate
    from .prediction import Predictor as Predictor
    from .prediction import predictors_of as predictors_of
    from .published import PublishedEstimate as PublishedEstimate
    from .published import published_estimate as published_estimate
    from .published import published_estimates as published_estimates
    from .readers import load_runs as load_runs
    from .readers.curves import load_curves as load_curves
    from .reporting.figures import save_figures as save_figures
    from .reporting.pictures.every import pictures_of as pictures_of
    from .results import EnvelopeFit as EnvelopeFit
    from .results import Estimate as Estimate
    from .results import ExponentProfile as ExponentProfile
    from .results import FitStatus as FitStatus
    from .results import IsoflopFit as IsoflopFit
    from .results import ParametricFit as ParametricFit
    from .runs import RunTable as RunTable

# Loaded when first asked for: a training process wants the counts without pandas and scipy.
_HOMES = {
    "Analysis": "analysis",
    "Answer": "forecasting.answers",
    "ChinchillaLaw": "laws",
    "Comparison": "comparison.published_rows",
    "CurveTable": "curves",
    "CustomFit": "law_results",
    "DataConstrainedFit": "law_results",
    "DataConstrainedLaw": "laws",
    "EnvelopeFit": "results",
    "ErrorFit": "law_results",
    "ErrorLaw": "laws",
    "Estimate": "results",
    "ExponentProfile": "results",
    "FitError": "errors",
    "FitStatus": "results",
    "Holdout": "holdout",
    "InputError": "errors",
    "IsoflopFit": "results",
    "KaplanFit": "law_results",
    "KaplanLaw": "laws",
    "NoiseModel": "precision",
    "OffsetPowerLaw": "estimators.power.law",
    "Options": "analysis",
    "OvertrainingFit": "law_results",
    "OvertrainingLaw": "laws",
    "ParametricFit": "results",
    "PlannedGrid": "precision",
    "PowerAnalysis": "one_dimensional",
    "PowerFit": "estimators.power.law",
    "PowerLaw": "laws",
    "PowerQuestion": "one_dimensional",
    "Precision": "precision",
    "Predictor": "prediction",
    "PublishedEstimate": "published",
    "Question": "forecasting.questions",
    "RunTable": "runs",
    "SaturatingFit": "law_results",
    "SaturatingLaw": "laws",
    "Target": "downstream.steps",
    "TaskResult": "downstream.analysis",
    "analyse": "analysis",
    "analyse_power": "one_dimensional",
    "analyse_task": "downstream.analysis",
    "answer": "forecasting.answers",
    "compare_with_published": "comparison.published_rows",
    "curves_of": "curves",
    "exponent_profile": "estimators.parametric.profile",
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
    "pictures_of": "reporting.pictures.every",
    "predictors_of": "prediction",
    "prior_surface": "precision",
    "published_estimate": "published",
    "published_estimates": "published",
    "runs_at": "interpolation",
    "save_figures": "reporting.figures",
    "simulate": "precision",
    "tasks_of": "downstream.runs",
}

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]: type checkers read the imports above


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
