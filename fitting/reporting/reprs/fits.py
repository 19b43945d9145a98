"""What the three approaches' fits say of themselves: the exponents with intervals, the law, how far to trust them."""

from __future__ import annotations

from ...diagnostics.agreement import Fits
from ...results import (
    EnvelopeFit,
    EnvelopePoint,
    ExponentProfile,
    IsoflopFit,
    Minimum,
    MinimumStatus,
    ParametricFit,
    Resampling,
)
from ..estimates import exponent_text, level_text, leveled_text
from ..style import count_text, flops_text
from .laws import power_text
from .runs import counted
from .summary import Summary


def status_text(status: str) -> str:
    """ "bound_hit" as "bound hit"."""
    return str(status).replace("_", " ")


def intervals_text(resampling: Resampling | None) -> str:
    """How the intervals were made, or that there are none."""
    if resampling is None:
        return "no intervals"
    if resampling.n_resamples - resampling.n_failed < 2:
        return f"no intervals ({counted(resampling.n_resamples, 'resample')}, {resampling.n_failed} failed)"
    failed = f" ({resampling.n_failed} failed)" if resampling.n_failed else ""
    return f"intervals: {resampling.n_resamples} resamples{failed}, {resampling.method}, seed {resampling.seed}"


def counts_text(fit: IsoflopFit | ParametricFit | EnvelopeFit) -> tuple[str, ...]:
    """A line on what N and C are, where `with_conventions` put others in the place of the table's own."""
    if (fit.counted_n_params, fit.counted_flops) == ("n_params", "flops"):
        return ()
    return (f"counted by N = {fit.counted_n_params}, C = {fit.counted_flops}",)


def exponent_rows(fit: IsoflopFit | EnvelopeFit) -> tuple[tuple[str, ...], ...]:
    """a and b, each with its line."""
    return (
        ("a", exponent_text(fit.params_exponent), power_text(fit.params_law, "N*")),
        ("b", exponent_text(fit.tokens_exponent), power_text(fit.tokens_law, "D*")),
    )


def isoflop(fit: IsoflopFit) -> Summary:
    """Exponents, lines, and which budgets have a minimum."""
    inside = sum(each.status is MinimumStatus.INTERIOR for each in fit.minima)
    count = "the planned budget" if fit.common_flops == "budget" else "the runs' own FLOPs"
    return Summary(
        f"IsoflopFit (approach 2, {fit.minimum} minima): {status_text(fit.status)}; "
        f"{inside} of {counted(len(fit.minima), 'budget')} with a minimum inside",
        rows=exponent_rows(fit),
        lines=(f"C is {count}", *counts_text(fit), intervals_text(fit.resampling)),
        details=tuple(f"note: {note}" for note in fit.notes),
    )


def minimum(found: Minimum) -> Summary:
    """One line a budget."""
    where = f"Minimum at {flops_text(found.budget)} FLOPs ({counted(found.n_runs, 'run')}): {status_text(found.status)}"
    if found.n_params is None or found.tokens is None or found.loss is None:
        return Summary(where)
    return Summary(f"{where}, N* {count_text(found.n_params)}, D* {count_text(found.tokens)}, loss {found.loss:.4f}")


def parametric(fit: ParametricFit) -> Summary:
    """Exponents and the five parameters."""
    held = [f"on its bound: {', '.join(fit.at_bound)}"] if fit.at_bound else []
    held += ["alpha = beta imposed"] if fit.tied else []
    held += [f"E held at {fit.fixed_E:g}"] if fit.fixed_E is not None else []
    return Summary(
        f"ParametricFit (approach 3, {fit.objective}): {status_text(fit.status)}; {counted(fit.n_runs, 'run')}, "
        "L(N, D) = E + A/N^alpha + B/D^beta",
        rows=(
            ("a", exponent_text(fit.params_exponent), "of N* at C = 6 N D"),
            ("b", exponent_text(fit.tokens_exponent), "of D*"),
            *((name, leveled_text(found), "") for name, found in fit.parameters.items()),
        ),
        lines=(*held, *counts_text(fit), intervals_text(fit.resampling)),
    )


def profile(found: ExponentProfile) -> Summary:
    """The grid, and how large the region is."""
    inside = found.inside
    region = "no region" if inside is None else f"{int(inside.sum())} in the joint {level_text(found.level)} region"
    alphas, betas = found.alphas, found.betas
    return Summary(
        f"ExponentProfile ({found.objective}): alpha {alphas[0]:.3g} to {alphas[-1]:.3g}, beta {betas[0]:.3g} to "
        f"{betas[-1]:.3g}, {found.rise.size} points, {region}"
    )


def envelope(fit: EnvelopeFit) -> Summary:
    """Exponents, lines, how many curves and sizes."""
    biased = ("the points come from the middle of decaying schedules: biased",) if fit.decaying_schedule else ()
    return Summary(
        f"EnvelopeFit (approach 1): {status_text(fit.status)}; {counted(fit.n_curves, 'curve')}, "
        f"{counted(fit.n_sizes, 'size')} on the envelope between others",
        rows=exponent_rows(fit),
        lines=(*biased, *counts_text(fit), intervals_text(fit.resampling)),
        details=tuple(f"note: {note}" for note in fit.notes),
    )


def envelope_point(point: EnvelopePoint) -> Summary:
    """One line."""
    return Summary(
        f"EnvelopePoint at {flops_text(point.flops)} FLOPs: {status_text(point.status)}, N* "
        f"{count_text(point.n_params)}, D* {count_text(point.tokens)}, loss {point.loss:.4f} ({point.run})"
    )


def fits(found: Fits) -> Summary:
    """Which methods have an answer."""
    there = [name for name, fit in vars(found).items() if fit is not None]
    missing = [name for name, fit in vars(found).items() if fit is None]
    return Summary(f"Fits: {', '.join(there) or 'none'}" + (f"; none of {', '.join(missing)}" if missing else ""))
