"""The answer in two sentences that can be quoted: what was found over which compute, and what speaks against it."""

from __future__ import annotations

import numpy as np

from ...comparison.rows import Exponent
from ...curves import CurveKind
from ...prediction.predictor import Predictor
from ...results import Estimate, FitStatus, MinimumStatus
from ...uncertainty import MIN_SUCCESS
from ..style import exponent_number, flops_text
from ..tables import convention_words
from .literature import is_vague, literature_words
from .subject import Subject
from .warnings import main_doubt

_BY = {
    "isoflop": "isoFLOP minima",
    "parametric": "the fitted law L(N, D)",
    "envelope": "the envelope of training curves",
    "kaplan": "Kaplan's law",
}
_SAME_FLOPS = 1e-9  # in ln C: the digits that a table leaves of one number
# Whose exponents are believed first: minima assume no form of the law.
HEADLINE = ("isoflop", "parametric", "envelope", "kaplan")


def verdict_of(subject: Subject) -> tuple[str, ...]:
    """Two sentences; one where these runs have no exponent and nothing speaks for or against it."""
    method = headline_method(subject)
    first = _without_exponent(subject) if method is None else _finding(subject, method)
    return tuple(sentence for sentence in (first, _standing(subject, method)) if sentence)


def headline_method(subject: Subject) -> str | None:
    """The fit that the verdict quotes: the first of `HEADLINE` whose exponent was found and not imposed."""
    return next((method for method in HEADLINE if method in subject.predictors and _found(subject, method)), None)


def _found(subject: Subject, method: str) -> bool:
    fit = getattr(subject.analysis.fits, method)
    a = fit.params_exponent.value
    return a == a and not getattr(fit, "tied", False) and not _unquotable(subject, method)


def _unquotable(subject: Subject, method: str) -> str:
    """Why an exponent that was computed is no answer: the runs hold it on a bound, or do not hold it; "" if it is."""
    fit = getattr(subject.analysis.fits, method)
    if fit.params_exponent.low is not None:
        return ""
    if fit.status is FitStatus.BOUND_HIT and getattr(fit, "at_bound", ()) != ("E",):  # on which a does not hang
        return f"{_by(subject, method)} lies on a bound"
    made = fit.resampling
    if made is not None and made.n_failed > (1 - MIN_SUCCESS) * made.n_resamples:
        return f"{_by(subject, method)} has no optimum in {made.n_failed} of {made.n_resamples} resamples"
    return ""


def _by(subject: Subject, method: str) -> str:
    curves = subject.analysis.curves
    if method == "envelope" and curves is not None and curves.kind is not CurveKind.CHECKPOINTS:
        return "the envelope of run ends"
    return _BY[method]


_N_WORDS = {"non_embedding": "without embeddings", "blocks_and_head": "of blocks and head"}


def _finding(subject: Subject, method: str) -> str:
    fit, law = getattr(subject.analysis.fits, method), subject.predictors[method]
    a, b = fit.params_exponent, fit.tokens_exponent
    level = f"{100 * a.level:g} %, " if a.low is not None else ""
    n_words, c_words = convention_words(law.n_params, law.flops)
    n_words = _N_WORDS.get(law.n_params, n_words)
    low, high, said = _range(subject, method, law)
    span = f"Over {flops_text(low)} to {flops_text(high)} FLOPs{said}" if high > low else f"At {flops_text(high)} FLOPs"
    without = "" if a.low is not None else f", without an interval{_why_no_interval(subject, method)}"
    with np.errstate(all="ignore"):  # of resamples that overflow, which are then left out
        ratio = law.estimate(lambda known: known.tokens_per_param(high))
    top = "" if ratio is None else f": {_number(ratio)} tokens a parameter at the top"
    return (
        f"{span}, compute-optimal parameters grow as C^{_interval(a)} and tokens as C^{_interval(b)} "
        f"({level}{_by(subject, method)}, N {n_words}, C {c_words}{without}){top}."
    )


def _range(subject: Subject, method: str, law: Predictor) -> tuple[float, float, str]:
    """The compute that the exponent was measured over; of approach 2 that of its minima, and how many those are."""
    if method == "isoflop":
        fit = subject.analysis.isoflop
        assert fit is not None
        inside = [minimum.flops for minimum in fit.minima if minimum.status is MinimumStatus.INTERIOR]
        counted = "all" if len(inside) == len(fit.minima) else f"{len(inside)} of"
        return min(inside), max(inside), f" ({counted} {len(fit.minima)} budgets)"
    low, high = law.flops_range or subject.flops
    return low, high, ""


def _why_no_interval(subject: Subject, method: str) -> str:
    if not subject.analysis.options.resamples:
        return ": no resamples were asked for"
    fit = getattr(subject.analysis.fits, method)
    status = str(getattr(fit, "status", "converged"))
    return {"too_few": ": too few budgets"}.get(status, "")


def _without_exponent(subject: Subject) -> str:
    low, high = subject.flops
    n_runs = len(subject.analysis.table.fitted)
    runs = f"{n_runs} {'run' if n_runs == 1 else 'runs'} from {flops_text(low)} to {flops_text(high)} FLOPs"
    tied = subject.analysis.parametric
    if tied is not None and tied.tied:
        return f"These {runs} are fitted with alpha = beta imposed, so that a = .50 is an assumption and not a finding."
    fitted = [
        name for name in ("saturating", "data_constrained", "overtraining") if getattr(subject.analysis.fits, name)
    ]
    if fitted:
        laws = " and ".join(f"the {name.replace('_', '-')} law" for name in fitted)
        return f"These {runs} are fitted by {laws} alone, without a word on how N* and D* grow with compute."
    why = [reason for method in HEADLINE if method in subject.predictors and (reason := _unquotable(subject, method))]
    return f"These {runs} show no compute-optimal exponent: {' and '.join(why) or 'no fit has an answer'}."


def _standing(subject: Subject, method: str | None) -> str:
    """How the other approaches and the literature stand to it, and the most serious doubt."""
    parts = [_agreement(subject, method), literature_words(subject, method), _doubt(subject, method)]
    said = "; ".join(part for part in parts if part)
    return f"{said[0].upper()}{said[1:]}." if said else ""


def _agreement(subject: Subject, method: str | None) -> str:
    """Approach 3 beside approach 2, as the two that estimate one thing by different means."""
    fit, isoflop = subject.analysis.parametric, subject.analysis.isoflop
    if method != "isoflop" or fit is None or isoflop is None:
        others = [name for name in HEADLINE if name in subject.predictors and name != method]
        asked = [name for name in HEADLINE if subject.analysis.options.asks(name) and name != method]
        if method is None or others:
            return ""
        return f"no other approach {'has an answer' if asked else 'was fitted'} to hold against it"
    a = fit.params_exponent
    if fit.tied:
        return "approach 3 was fitted with alpha = beta imposed and cannot confirm it"
    if a.value != a.value:
        return "approach 3 has no optimum to hold against it"
    counts = [subject.predictors[name].flops for name in ("parametric", "isoflop") if name in subject.predictors]
    where = "" if len(set(counts)) < 2 else f", C {convention_words('', counts[0])[1]}"
    known = f"({_interval(a)}{where})"
    assert subject.analysis.agreement is not None
    overlap = subject.analysis.agreement["intervals_overlap"]
    ours = isoflop.params_exponent
    if overlap is None:
        return f"whether approach 3 {known} agrees cannot be told without both intervals"
    wide = is_vague(a) or is_vague(ours)
    return f"approach 3 {('does not contradict it' if wide else 'agrees') if overlap else 'disagrees'} {known}"


def _doubt(subject: Subject, method: str | None) -> str:
    certain = _grouped_for_certain(subject)
    warnings = [each for each in subject.warnings if not (certain and each.code == "clustered_budgets")]
    doubt = main_doubt(warnings, method)
    return "" if doubt is None else f"the main doubt: {doubt}"


def _grouped_for_certain(subject: Subject) -> bool:
    """Whether budgets read off the FLOPs are those planned: within each, all runs have the same."""
    fit = subject.analysis.isoflop
    log_flops = np.sort(np.log(subject.analysis.table.fitted["flops"].to_numpy(dtype=float)))
    return fit is not None and int((np.diff(log_flops) > _SAME_FLOPS).sum()) + 1 == len(fit.minima)


def _interval(found: Estimate | Exponent) -> str:
    """Such as ".42 [.36, .48]"."""
    if found.low is None or found.high is None:
        return exponent_number(found.value)
    return f"{exponent_number(found.value)} [{exponent_number(found.low)}, {exponent_number(found.high)}]"


def _number(found: Estimate) -> str:
    """Two digits, with its interval: what is read off is no more exact."""
    value, low, high = (None if x is None else f"{float(f'{x:.2g}'):g}" for x in (found.value, found.low, found.high))
    return f"{value}" if low is None or high is None else f"{value} [{low}, {high}]"
