"""Everything `fit` says about one table: every approach, every convention, holdout, and what makes them doubtful."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from .arguments import require_table
from .by_convention import carrying_law, other_conventions
from .curves import CurveTable, curves_of
from .diagnostics import Fits, Warn, overlap, warnings_of
from .errors import FitError, InputError
from .estimators.data_constrained import fit_data_constrained
from .estimators.envelope import fit_envelope
from .estimators.isoflop import fit_groups
from .estimators.isoflop.budgets import budget_labels
from .estimators.kaplan import fit_kaplan
from .estimators.overtraining import fit_overtraining
from .estimators.parametric import fit_law, fit_parametric
from .estimators.parametric.profile import exponent_profile
from .estimators.saturating import fit_saturating
from .fit_json import report_of
from .holdout import MIN_BUDGETS_HELD_OUT, Holdout, hold_out
from .options import METHODS, Options
from .results import EnvelopeFit, ExponentProfile, IsoflopFit, ParametricFit
from .runs import RunTable
from .shown import Shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["METHODS", "Analysis", "Options", "analyse"]

_Fit = TypeVar("_Fit")
_MOST_POINTS = 2000  # rows up to which approach 1 and the profile are computed unasked
_MOST_ROWS_HELD_OUT = 20_000
_PROFILE_POINTS = 15  # of either exponent
_KAPLAN_RESAMPLES = 400  # its law is there to compare with; its intervals cost the most


@dataclass(frozen=True, repr=False)
class Analysis(Shown, says="analyses.analysis"):
    """The fits of one table under one pair of conventions, and beside them the other pairs and the warnings.

    `table` counts by the conventions chosen. A fit is None where its method was not asked for or has no answer;
    the warnings and notes say which. `by_convention` rows hold the keys of fit.json.
    """

    table: RunTable
    options: Options
    fits: Fits
    holdout: Holdout | None = None
    by_convention: tuple[dict[str, Any], ...] = ()
    warnings: tuple[Warn, ...] = ()
    sources: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()  # what was left out and why
    curves: CurveTable | None = None  # what approach 1 was fitted to
    profile: ExponentProfile | None = None  # of approach 3's exponents

    @property
    def isoflop(self) -> IsoflopFit | None:
        """Approach 2."""
        return self.fits.isoflop

    @property
    def parametric(self) -> ParametricFit | None:
        """Approach 3."""
        return self.fits.parametric

    @property
    def envelope(self) -> EnvelopeFit | None:
        """Approach 1."""
        return self.fits.envelope

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed: of the table, the budgets, the curves."""
        fitted = (self.isoflop, self.envelope)
        notes = [
            *self.table.notes,
            *(self.curves.notes if self.envelope is not None and self.curves is not None else ()),
        ]
        notes += [note for fit in fitted if fit is not None for note in fit.notes]
        return tuple(dict.fromkeys([*notes, *self.remarks]))

    @property
    def agreement(self) -> dict[str, Any] | None:
        """Isoflop less parametric exponent of N*(C), and whether their intervals overlap; None without both."""
        if self.isoflop is None or self.parametric is None:
            return None
        ours, theirs = self.isoflop.params_exponent, self.parametric.params_exponent
        return {"difference": ours.value - theirs.value, "intervals_overlap": overlap(ours, theirs)}

    def plot(self, name: str | None = None) -> Figure:
        """One of the pictures that a report of it shows (`pictures_of`), by name; the first of them by default.

        A matplotlib figure. Raises InputError, listing the names, where there is none of that name.
        """
        from .reporting.plots import plot_analysis

        return plot_analysis(self, name)

    def to_json(self) -> dict[str, Any]:
        """The content of fit.json: strict, NaN and infinities as None."""
        return report_of(self)


def analyse(
    table: RunTable,
    options: Options | None = None,
    sources: tuple[str, ...] = (),
    curves: CurveTable | None = None,
) -> Analysis:
    """Fit `table` as `options` say. `sources` are only repeated in fit.json; `curves` serve approach 1.

    Without `curves` the table's own rows make them. Approach 1 is fitted unasked only where that is unbiased: not
    from the middle of decaying schedules. A method among several that has no answer becomes a warning "no_isoflop",
    "no_parametric", ...; the only one asked for raises its FitError, as does a table on which none has an answer.
    A table that counts by `with_conventions` is fitted so, unless `options` name other counts; the result's options
    then name those of the table. Raises InputError for a convention that the table lacks and for a table of one budget
    when isoflop is asked for.
    """
    require_table(table)
    options = counted_as(options or Options(), table)
    base = replace(table.as_given, keep_flagged=options.keep_flagged or table.keep_flagged)
    chosen = base.with_conventions(options.n_params, options.flops)
    failures: list[Warn] = []
    remarks: list[str] = []

    def attempt(method: str, fit: Callable[[], _Fit]) -> _Fit | None:
        if not options.asks(method):
            return None
        try:
            return fit()
        except FitError as error:
            failures.append(Warn(f"no_{method}", str(error)))
            return None

    words = options.resampling()
    parametric = attempt("parametric", lambda: fit_parametric(chosen, **options.for_parametric, **words))
    law = carrying_law(parametric)
    labels, guessed = budget_labels(chosen, options.budget_tolerance)
    objective = options.objective
    points = _points(chosen, curves, options, remarks) if options.asks("envelope") else None
    fits = Fits(
        parametric=parametric,
        isoflop=attempt(
            "isoflop",
            lambda: fit_groups(chosen, labels, guessed=guessed, law=law, **options.for_isoflop, **words),
        ),
        envelope=attempt("envelope", lambda: _envelope(points, options, remarks)),
        kaplan=attempt(
            "kaplan", lambda: fit_kaplan(chosen, objective=objective, **options.resampling(_KAPLAN_RESAMPLES))
        ),
        saturating=attempt(
            "saturating", lambda: fit_saturating(chosen, asymptote=options.fixed_E, level=options.level)
        ),
        data_constrained=attempt(
            "data_constrained", lambda: fit_data_constrained(chosen, objective=objective, **words)
        ),
        overtraining=attempt("overtraining", lambda: fit_overtraining(chosen, objective=objective, **words)),
    )
    if not fits.any():
        raise FitError("; ".join(warning.text for warning in failures) or "; ".join(remarks))
    pairs = other_conventions(base, chosen, options, labels) if options.by_convention else ()
    held = _held_out(chosen, labels, remarks) if options.holdout and fits.params_exponents else None
    warnings = warnings_of(chosen, labels, guessed, fits, pairs, held, options)
    return Analysis(
        table=chosen,
        options=options,
        fits=fits,
        holdout=held,
        by_convention=pairs,
        warnings=(*warnings, *failures),
        sources=sources,
        remarks=tuple(dict.fromkeys(remarks)),
        curves=points,
        profile=None if parametric is None else _profile(chosen, parametric, options),
    )


def counted_as(options: Options, table: RunTable) -> Options:
    """The same options, with the counts of `table` where they name none of their own."""
    return replace(
        options,
        n_params=table.counted_n_params if options.n_params == "n_params" else options.n_params,
        flops=table.counted_flops if options.flops == "flops" else options.flops,
    )


def _profile(table: RunTable, fit: ParametricFit, options: Options) -> ExponentProfile | None:
    """Of alpha and beta; None where one is tied, on its bound or not there, and of more rows than it is worth."""
    frame = table.fitted
    if options.tied or fit.at_bound or len(frame) > _MOST_POINTS:
        return None
    words = options.for_parametric
    if options.weights is not None:
        words["weights"] = frame[options.weights].to_numpy(dtype=float)
    columns = (frame[name].to_numpy(dtype=float) for name in ("n_params", "tokens", "loss"))
    return exponent_profile(fit_law(*columns, **words), fit, level=options.level, points=_PROFILE_POINTS)


def _points(table: RunTable, curves: CurveTable | None, options: Options, remarks: list[str]) -> CurveTable | None:
    """The curves of approach 1; where it was not asked for by name, only such that answer soon and without bias."""
    named = options.methods is not None
    try:
        found = curves_of(table) if curves is None else curves.with_conventions(options.n_params, options.flops)
    except InputError as error:
        if named:
            raise
        remarks.append(f"approach 1 has no answer: {error}")
        return None
    why = ""
    if found.decaying:
        why = "the rows are from the middle of decaying schedules, whose envelope is biased"
    elif len(found.fitted) > _MOST_POINTS:
        why = f"{len(found.fitted)} rows take long"
    if why and not named:
        remarks.append(f"approach 1 is left out: {why}; --method envelope fits it all the same")
        return None
    return found


def _envelope(points: CurveTable | None, options: Options, remarks: list[str]) -> EnvelopeFit | None:
    if points is None:
        return None
    try:
        return fit_envelope(points, hull=options.hull, **options.resampling())
    except FitError as error:
        if options.methods is not None:
            raise
        remarks.append(f"approach 1 has no answer: {error}")
        return None


def _held_out(table: RunTable, labels: np.ndarray, remarks: list[str]) -> Holdout | None:
    """None with too few budgets, or where nothing predicts; a remark where there are too many rows."""
    if len(np.unique(labels)) < MIN_BUDGETS_HELD_OUT:
        return None
    if len(labels) > _MOST_ROWS_HELD_OUT:
        remarks.append(f"no budget is held out: {len(labels)} rows take long; hold_out does it from Python")
        return None
    try:
        return hold_out(table, labels)
    except FitError:
        return None
