"""Which laws answer a forecast: published ones, those of a fit.json, or fits of runs made on the spot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from isoflop.fitting.errors import InputError
from isoflop.fitting.laws import ChinchillaLaw, DataConstrainedLaw
from isoflop.fitting.prediction import Predictor, published_predictor
from isoflop.fitting.prediction.sources import METHODS, predictors_in
from isoflop.scripts.compare import report_of
from isoflop.scripts.compare_sweeps import names_of

PUBLISHED = "published:"


@dataclass(frozen=True)
class Law:
    """A law that answers, the repeats that its runs measured (None: they did not), and its fit's own warnings."""

    predictor: Predictor
    repeats: DataConstrainedLaw | None = None
    fit_warnings: tuple[Mapping[str, str], ...] = ()


def own_laws(sources: Sequence[str]) -> list[str] | None:
    """Those of `sources` that are not published names; None where there is none."""
    return [source for source in sources if not source.startswith(PUBLISHED)] or None


def laws_of(sources: Sequence[str], method: str | None, chosen: dict[str, Any]) -> list[Law]:
    """One for each published name, and of other sources one for each fit that predicts, or the `method` alone.

    Raises InputError for an unknown name or method, a source that cannot be read, or one without such a fit.
    """
    if method is not None and method not in METHODS:
        raise InputError(f"--method {method!r}: must be one of {', '.join(METHODS)}")
    own = own_laws(sources) or []
    names = dict(zip(own, names_of(own), strict=True))
    laws: list[Law] = []
    for source in dict.fromkeys(sources):
        if source.startswith(PUBLISHED):
            laws.append(_published(source))
        else:
            laws += _fitted(source, names[source] if len(names) > 1 else "ours", method, chosen)
    return laws


def _published(source: str) -> Law:
    predictor = published_predictor(source)
    unknown = ("the compute it was measured over is not known: nor is how far an answer extrapolates",)
    return Law(replace(predictor, notes=(*predictor.notes, *(unknown if predictor.flops_range is None else ()))))


def _fitted(source: str, name: str, method: str | None, chosen: dict[str, Any]) -> list[Law]:
    report = report_of(source, chosen)
    found = {predictor.name.rpartition(", ")[2]: predictor for predictor in predictors_in(report, source)}
    if method is not None and method not in found:
        raise InputError(f"{source}: holds no {method} fit that predicts; --method may be {', '.join(found)}")
    wanted = {method: found[method]} if method is not None else found
    repeats, warnings = _repeats(report), tuple(report.get("warnings", ()))
    return [
        Law(replace(one, label=f"{name}, {kind}", notes=_notes(one, kind, report["fits"][kind])), repeats, warnings)
        for kind, one in wanted.items()
    ]


def _repeats(report: Mapping[str, Any]) -> DataConstrainedLaw | None:
    fit = report["fits"].get("data_constrained")
    return DataConstrainedLaw(ChinchillaLaw(**fit["base"]), fit["R_D"], fit["R_N"]) if fit else None


def _notes(predictor: Predictor, kind: str, fit: Mapping[str, Any]) -> tuple[str, ...]:
    notes = [*predictor.notes]
    if fit.get("status") not in (None, "converged"):
        notes.append(f"the fit's status is {fit['status']}")
    if not predictor.draws:
        notes.append(_without_intervals(kind, fit))
    if predictor.flops_range is None:
        notes.append("its fit.json does not say what compute it was fitted on; fit it again to know what extrapolates")
    return tuple(notes)


def _without_intervals(kind: str, fit: Mapping[str, Any]) -> str:
    """Why forecasts of a fit have none."""
    if kind == "kaplan":
        return "forecasts of Kaplan's law have no intervals: fit.json keeps none of its resamples"
    if "resamples" in fit:
        return "the fit has no resamples (too few budgets or runs, or none were asked for), so it has no intervals"
    return "its fit.json holds no resamples of this fit, so it has no intervals; fit it again for them"
