"""What whole analyses say of themselves: the answer first, then what makes it doubtful."""

from __future__ import annotations

from collections.abc import Sequence

from ...analysis import Analysis
from ...comparison.ours import METHODS
from ...diagnostics.warn import Warn
from ...downstream.analysis import TaskResult
from ...holdout import Holdout
from ...one_dimensional import PowerAnalysis
from ...precision.results import Precision, Spread
from ..estimates import exponent_text, leveled_text, number_text
from ..style import exponent_number, flops_text
from ..tables import convention_words
from .fits import status_text
from .law_fits import power as power_fit
from .runs import counted
from .summary import Summary


def analysis(found: Analysis) -> Summary:
    """The exponents by approach; warnings by code in text, whole in HTML."""
    table = found.table
    fitted = int(table.usable.sum())
    words = convention_words(found.options.n_params, found.options.flops)
    rows = [
        (METHODS[name], exponent_text(fit.params_exponent), exponent_text(fit.tokens_exponent), status_text(fit.status))
        for name, fit in vars(found.fits).items()
        if name in METHODS and fit is not None
    ]
    others = [name for name, fit in vars(found.fits).items() if fit is not None and name not in METHODS]
    return Summary(
        f"Analysis of {counted(len(table), 'run')}, {fitted} fitted (N: {words[0]}, C: {words[1]})",
        headers=("", "a of N* ~ C^a", "b of D* ~ C^b", "status") if rows else (),
        rows=tuple(rows),
        lines=(*((f"also fitted: {', '.join(others)}",) if others else ()), _doubts(found.warnings)),
        details=(
            *(f"{warning.code}: {warning.text}" for warning in found.warnings),
            *(f"note: {note}" for note in found.notes),
        ),
    )


def _doubts(warnings: Sequence[Warn]) -> str:
    if not warnings:
        return "no warnings"
    codes = ", ".join(dict.fromkeys(warning.code for warning in warnings))
    return f"{counted(len(warnings), 'warning')}: {codes}"


def holdout(found: Holdout) -> Summary:
    """How each law predicts the largest budget."""
    rows = [
        (name, f"{100 * each.rms_error:.2f} %", f"{100 * each.mean_error:+.2f} %", f"{each.skill:.2f}")
        for name, each in found.largest.items()
    ]
    return Summary(
        f"Holdout: {counted(found.n_budgets, 'budget')} left out in turn; of the largest, {flops_text(found.budget)} "
        "FLOPs, predicted ln L",
        headers=("law", "RMS error", "bias", "skill"),
        rows=tuple(rows),
        lines=(*(each.verdict for each in found.comparisons), *found.failed),
    )


def power(found: PowerAnalysis) -> Summary:
    """The law of y in x, and its doubts."""
    fit = power_fit(found.fit)
    asked = found.asked
    return Summary(
        f"PowerAnalysis of {asked.y} against {asked.x}: {fit.title.partition(': ')[2]}",
        rows=fit.rows,
        lines=(*fit.lines, _doubts(found.warnings)),
        details=tuple(f"{warning.code}: {warning.text}" for warning in found.warnings),
    )


def task(found: TaskResult) -> Summary:
    """The link, what it says of the scores, and the predictions."""
    return Summary(
        f"TaskResult of {found.runs.task}: {found.link.link.name} link, {status_text(found.status)}; "
        f"{found.smoothness.verdict}, {counted(len(found.runs), 'row')}",
        headers=("target", "loss", "score") if found.predictions else (),
        rows=tuple((each.target.name, leveled_text(each.loss), leveled_text(each.score)) for each in found.predictions),
        lines=tuple(f"{name}: {leveled_text(value)}" for name, value in found.parameters.items()),
        details=found.warnings,
    )


def precision(found: Precision) -> Summary:
    """The expected errors of a by method."""
    rows = [
        (METHODS[each.method], _spread(each.params_exponent), f"{100 * each.answered:.0f} %") for each in found.methods
    ]
    return Summary(
        f"Precision of a planned sweep, noise {found.noise.describe()}",
        headers=("method", "a: truth, standard error, bias", "answered"),
        rows=tuple(rows),
        lines=(f"N* and D* at {flops_text(found.at_flops)} FLOPs", _doubts(found.warnings)),
        details=tuple(f"{warning.code}: {warning.text}" for warning in found.warnings),
    )


def _spread(spread: Spread | None) -> str:
    if spread is None:
        return "too few answers"
    return f"{exponent_number(spread.truth)}, {spread.se:.3f}, {spread.bias:+.3f}"


def spread(found: Spread) -> Summary:
    """Truth, error and bias."""
    return Summary(
        f"Spread: truth {number_text(found.truth)}, standard error {number_text(found.se)}, bias "
        f"{number_text(found.bias)} over {found.n} simulations"
    )
