"""The answer in two sentences that can be quoted: what was found over which compute, and what speaks against it."""

from __future__ import annotations

import numpy as np

from ...comparison.differences import SIGNIFICANT
from ...comparison.rows import ComparisonRow, Exponent
from ...prediction.predictor import Predictor
from ...results import Estimate, MinimumStatus
from ..style import exponent_number, flops_text
from ..tables import convention_words
from .subject import Subject
from .warnings import main_doubt

_BY = {
    "isoflop": "isoFLOP minima",
    "parametric": "the fitted law L(N, D)",
    "envelope": "the envelope of training curves",
    "kaplan": "Kaplan's law",
}
# Whose exponents are believed first: minima assume no form of the law.
_VAGUE = 0.3  # an interval wider than this agrees with all that was ever published
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
    return a == a and not getattr(fit, "tied", False)


def _finding(subject: Subject, method: str) -> str:
    fit, law = getattr(subject.analysis.fits, method), subject.predictors[method]
    a, b = fit.params_exponent, fit.tokens_exponent
    level = f"{100 * a.level:g} %, " if a.low is not None else ""
    n_words, c_words = convention_words(law.n_params, law.flops)
    low, high, said = _range(subject, method, law)
    span = f"Over {flops_text(low)} to {flops_text(high)} FLOPs{said}" if high > low else f"At {flops_text(high)} FLOPs"
    without = "" if a.low is not None else f", without an interval{_why_no_interval(subject, method)}"
    with np.errstate(all="ignore"):  # of resamples that overflow, which are then left out
        ratio = law.estimate(lambda known: known.tokens_per_param(high))
    top = "" if ratio is None else f": {_number(ratio)} tokens a parameter at the top"
    return (
        f"{span}, compute-optimal parameters grow as C^{_interval(a)} and tokens as C^{_interval(b)} "
        f"({level}{_BY[method]}, N {n_words}, C {c_words}{without}){top}."
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
    reasons = {"too_few": ": too few budgets", "bound_hit": ": the fit lies on a bound"}
    return reasons.get(status, "")


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
    return f"These {runs} show no compute-optimal exponent: no fit has an answer."


def _standing(subject: Subject, method: str | None) -> str:
    """How the other approaches and the literature stand to it, and the most serious doubt."""
    parts = [_agreement(subject, method), _literature(subject, method), _doubt(subject, method)]
    said = "; ".join(part for part in parts if part)
    return f"{said[0].upper()}{said[1:]}." if said else ""


def _agreement(subject: Subject, method: str | None) -> str:
    """Approach 3 beside approach 2, as the two that estimate one thing by different means."""
    fit, isoflop = subject.analysis.parametric, subject.analysis.isoflop
    if method != "isoflop" or fit is None or isoflop is None:
        others = [name for name in HEADLINE if name in subject.predictors and name != method]
        return "" if method is None or others else "no other approach has an answer to hold against it"
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
    wide = any(each.high - each.low > _VAGUE for each in (a, ours) if each.low is not None and each.high is not None)
    return f"approach 3 {('does not contradict it' if wide else 'agrees') if overlap else 'disagrees'} {known}"


def _literature(subject: Subject, method: str | None) -> str:
    """How the comparable published exponents stand to this one, the furthest named."""
    if method is None or subject.comparison is None:
        return ""
    n_params = subject.predictors[method].n_params
    rows = [row for row in subject.comparison.rows if row.n_params == n_params and row.comparable and not row.ours]
    told = [row for row in rows if _z(row) is not None]
    if not told:
        return "no published exponent that counts alike can be told from it or not" if rows else ""
    apart = [row for row in told if abs(_z(row) or 0.0) >= SIGNIFICANT]
    error = (
        "error" if getattr(subject.analysis.fits, method).params_exponent.low is not None else "their own error alone"
    )
    if not apart:
        if len(told) == 1:
            return f"the one published exponent that counts alike is within {error}"
        return f"the {len(told)} published exponents that count alike are within {error}"
    furthest = max(apart, key=lambda row: abs(_z(row) or 0.0))
    side = "above" if (_z(furthest) or 0.0) > 0 else "below"
    assert furthest.params_exponent is not None
    return (
        f"of {len(told)} published exponents that count alike {len(told) - len(apart)} "
        f"{'is' if len(told) - len(apart) == 1 else 'are'} within {error}, the furthest {furthest.label}'s "
        f"{exponent_number(furthest.params_exponent.value)}, {abs(_z(furthest) or 0.0):.1f} standard errors {side}"
    )


def _z(row: ComparisonRow) -> float | None:
    """Standard errors between a published exponent and ours; None where that cannot be told."""
    found = row.difference
    return None if found is None or row.words.startswith("cannot be told") else found.z


def _doubt(subject: Subject, method: str | None) -> str:
    doubt = main_doubt(subject.warnings, method)
    return "" if doubt is None else f"the main doubt: {doubt}"


def _interval(found: Estimate | Exponent) -> str:
    """Such as ".42 [.36, .48]"."""
    if found.low is None or found.high is None:
        return exponent_number(found.value)
    return f"{exponent_number(found.value)} [{exponent_number(found.low)}, {exponent_number(found.high)}]"


def _number(found: Estimate) -> str:
    """Two digits, with its interval: what is read off is no more exact."""
    value, low, high = (None if x is None else f"{float(f'{x:.2g}'):g}" for x in (found.value, found.low, found.high))
    return f"{value}" if low is None or high is None else f"{value} [{low}, {high}]"
