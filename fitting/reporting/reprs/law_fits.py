"""What the fits of the rarer laws and of users' own say of themselves: parameters with intervals, and doubts."""

from __future__ import annotations

from collections.abc import Mapping

from ...estimators.power.law import PowerFit
from ...law_results import (
    CustomFit,
    DataConstrainedFit,
    ErrorFit,
    KaplanFit,
    KaplanTrend,
    OvertrainingFit,
    SaturatingFit,
)
from ...results import Estimate
from ..estimates import exponent_text, leveled_text, number_text
from .fits import intervals_text, status_text
from .laws import offset_power
from .runs import counted
from .summary import Summary


def _rows(parameters: Mapping[str, Estimate]) -> tuple[tuple[str, ...], ...]:
    return tuple((name, leveled_text(found)) for name, found in parameters.items())


def _starts(agreeing: int, tried: int) -> str:
    return f"{agreeing} of {tried} starts agree on the optimum"


def custom(fit: CustomFit) -> Summary:
    """Parameters, and how sure the optimum is."""
    bounds = (f"on its bound: {', '.join(fit.at_bound)}",) if fit.at_bound else ()
    return Summary(
        f"CustomFit of {fit.target} ({fit.objective}): {status_text(fit.status)}; {counted(fit.n_runs, 'run')}",
        rows=_rows(fit.parameters),
        lines=(*bounds, _starts(fit.n_agreeing, fit.n_starts), intervals_text(fit.resampling)),
    )


def kaplan_trend(trend: KaplanTrend) -> Summary:
    """The exponent and the scale."""
    whence = f"shown by {counted(trend.n_points, 'run')}" if trend.shown else f"from the joint law: {trend.why}"
    return Summary(
        f"KaplanTrend: L(x) = (x_c/x)^{leveled_text(trend.exponent)}, x_c = {leveled_text(trend.scale)}; {whence}"
    )


def kaplan(fit: KaplanFit) -> Summary:
    """Exponents, parameters, and the three single laws."""
    trends = {"L(N)": fit.loss_of_params, "L(D)": fit.loss_of_tokens, "L(C)": fit.loss_of_flops}
    said = intervals_text(fit.resampling)
    if said.startswith("no "):
        said += " of the joint law; those of a single law that is shown are its own line's"
    single = tuple(
        f"{name}: exponent {leveled_text(trend.exponent)}, {'shown' if trend.shown else 'extrapolated'}"
        for name, trend in trends.items()
        if trend is not None
    )
    return Summary(
        f"KaplanFit ({fit.objective}): {status_text(fit.status)}; {counted(fit.n_runs, 'run')}, "
        "L(N, D) = [(N_c/N)^(alpha_N/alpha_D) + D_c/D]^alpha_D",
        rows=(
            ("a", exponent_text(fit.params_exponent)),
            ("b", exponent_text(fit.tokens_exponent)),
            *_rows(fit.parameters),
        ),
        lines=(*single, said),
    )


def saturating(fit: SaturatingFit) -> Summary:
    """Parameters, and how much of the loss the law calls irreducible."""
    given = "given" if fit.asymptote_fixed else "fitted, and over-optimistic as a rule"
    return Summary(
        f"SaturatingFit: {status_text(fit.status)}; L(C) = E + (C0/C)^gamma, {counted(len(fit.points), 'point')}",
        rows=_rows(fit.parameters),
        lines=(f"E is {given}: {100 * fit.asymptote_share:.0f} % of the least loss seen", f"points: {fit.source}"),
    )


def data_constrained(fit: DataConstrainedFit) -> Summary:
    """Both constants, and how far the runs determine them."""
    ends = ["none" if end is None else number_text(end) for end in fit.range_R_D]
    flat = "; flat: read profile_R_D" if fit.flat else ""
    return Summary(
        f"DataConstrainedFit ({fit.objective}): {status_text(fit.status)}; {counted(fit.n_runs, 'run')}, "
        f"{fit.n_repeated} with repeats, up to {fit.most_epochs:.3g} epochs",
        rows=_rows(fit.parameters),
        lines=(f"R_D* within 1 % of the optimum: {ends[0]} to {ends[1]}{flat}", intervals_text(fit.resampling)),
    )


def overtraining(fit: OvertrainingFit) -> Summary:
    """Parameters, and the tokens per parameter seen."""
    low, high = fit.tokens_per_param_range
    return Summary(
        f"OvertrainingFit ({fit.objective}): {status_text(fit.status)}; {counted(fit.n_runs, 'run')} of {low:.3g} to "
        f"{high:.3g} tokens per parameter",
        rows=_rows(fit.parameters),
        lines=(_starts(fit.n_agreeing, fit.n_starts), intervals_text(fit.resampling)),
    )


def error(fit: ErrorFit) -> Summary:
    """Parameters, and the losses seen."""
    low, high = fit.loss_range
    return Summary(
        f"ErrorFit ({fit.objective}): {status_text(fit.status)}; {counted(fit.n_runs, 'run')}, losses {low:.4g} to "
        f"{high:.4g}",
        rows=_rows(fit.parameters),
        lines=(intervals_text(fit.resampling),),
    )


def power(fit: PowerFit) -> Summary:
    """The equation, its parameters, and why there is no interval where there is none."""
    low, high = fit.x_range
    given = " (given)" if fit.offset_given else ""
    return Summary(
        f"PowerFit (least {fit.error} squares): {status_text(fit.status)}; {counted(len(fit.points.x), 'point')}, x "
        f"{number_text(low)} to {number_text(high)}",
        rows=(
            ("offset", leveled_text(fit.offset) + given),
            ("coefficient", leveled_text(fit.coefficient)),
            ("exponent", leveled_text(fit.exponent)),
        ),
        lines=(
            offset_power(fit.law).title.removeprefix("OffsetPowerLaw: "),
            *((f"no intervals: {fit.no_interval}",) if fit.no_interval else ()),
        ),
    )
