"""The answer in numbers: exponents by estimator and convention, the minima, the laws' parameters, the holdout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...comparison.ours import our_rows
from ..page.content import PageTable
from ..style import count_text, flops_text, unit_text
from ..tables import convention_words, exponent_text, failures
from .subject import Subject

_NONE = "-"
_MOST_ROWS = 12  # of exponents; of more those of other conventions are folded away
# Each law's name and equation, and its letters in the order of the paper.
LAWS = {
    "parametric": ("approach 3", "L = E + A/N^alpha + B/D^beta", ("E", "A", "B", "alpha", "beta")),
    "saturating": ("saturating law", "L = E + (C0/C)^gamma", ("E", "C0", "gamma")),
    "data_constrained": (
        "data-constrained law",
        "L = E + A/N'^alpha + B/D'^beta, D' = U_D (1 + R_D* (1 - exp(-R_D/R_D*))) for U_D unique tokens that are "
        "repeated R_D times, and N' likewise with R_N*",
        ("E", "A", "B", "alpha", "beta", "R_D", "R_N"),
    ),
    "overtraining": ("over-training law", "L = E + (a M^eta + b M^-eta) C^-eta", ("E", "a", "b", "eta")),
    "kaplan": (
        "Kaplan's law",
        "L = [(N_c/N)^(alpha_N/alpha_D) + D_c/D]^alpha_D",
        ("N_c", "D_c", "alpha_N", "alpha_D"),
    ),
}

_WRITTEN = {"R_D": "R_D*", "R_N": "R_N*"}  # the constants; without the star they are the runs' repeats


def exponents_table(subject: Subject) -> PageTable | None:
    """Every exponent under every pair of conventions, those of the fits themselves first; None without one."""
    rows = our_rows(subject.report)
    if not any(row.params_exponent for row in rows):
        return None
    chosen = len(our_rows({**subject.report, "by_convention": ()}))
    cells = tuple(
        (
            row.label.removeprefix("ours, "),
            *convention_words(row.n_params, row.flops),
            exponent_text(row.params_exponent),
            exponent_text(row.tokens_exponent, with_level=False),
            (row.words or "converged") if row.params_exponent else "no fit",
        )
        for row in rows
    )
    other = "Greyed rows count N or C otherwise." if len(rows) > chosen else ""
    return PageTable(
        ("method", "N", "C", "a", "b", "status"),
        cells,
        title="Exponents: N* ~ C^a, D* ~ C^b",
        notes=tuple(note for note in (other, *failures(rows)) if note),
        faint=frozenset(range(chosen, len(rows))),
        shown=chosen if len(rows) > _MOST_ROWS else len(rows),
    )


def minima_table(subject: Subject) -> PageTable | None:
    """The loss-minimising size of every budget; those without an interior minimum are greyed and take no part."""
    fit = subject.report["fits"].get("isoflop")
    if not fit:
        return None
    n_words = convention_words(subject.analysis.options.n_params, "")[0]
    rows = tuple(
        (
            flops_text(each["budget"]),
            _count(each["n_params"]),
            _factor(each["log_n_params_se"]),
            _count(each["tokens"]),
            _NONE if not each["n_params"] else f"{each['tokens'] / each['n_params']:.1f}",
            _NONE if each["loss"] is None else f"{each['loss']:.4f}",
            str(each["n_runs"]),
            str(each["status"]).replace("_", " "),
        )
        for each in fit["minima"]
    )
    unit = unit_text(subject.analysis.table.loss_unit)
    return PageTable(
        ("budget, FLOPs", "N*", "± N*", "D*", "tokens/param", f"loss, {unit}", "runs", "minimum"),
        rows,
        title=f"Minimum of every budget (N {n_words})",
        notes=("± N*: one standard error of the minimum's size, from the scatter of the losses.",),
        right=frozenset(range(7)),
        faint=frozenset(i for i, each in enumerate(fit["minima"]) if each["status"] != "interior"),
    )


def parameters_table(subject: Subject) -> PageTable | None:
    """The letters of each fitted law with their intervals; None where no law was fitted."""
    rows = [
        (
            LAWS[name][0] if letter == LAWS[name][2][0] else "",
            _WRITTEN.get(letter, letter),
            _number(fit[letter] if letter in fit else fit["base"][letter]),
            *_bounds(fit, letter),
        )
        for name in LAWS
        if (fit := subject.report["fits"].get(name))
        for letter in LAWS[name][2]
    ]
    if not rows:
        return None
    equations = tuple(f"{LAWS[name][0]}: {LAWS[name][1]}" for name in LAWS if subject.report["fits"].get(name))
    warnings: list[str] = []
    if subject.analysis.parametric is not None:
        warnings.append("A, B and E go together: quote exponents and predictions, never one coefficient alone.")
    repeats = subject.analysis.fits.data_constrained
    if repeats is not None:
        made = "fitted to the runs without repeats" if repeats.base_fitted else "given"
        warnings.append(f"{LAWS['data_constrained'][0]}: E to beta were {made}; the intervals hold them fixed.")
    return PageTable(
        ("law", "", "value", "low", "high"),
        tuple(rows),
        title=f"Parameters of the fitted laws, {100 * subject.analysis.options.level:g} % intervals",
        notes=(*equations, *warnings),
        right=frozenset((2, 3, 4)),
    )


def holdout_table(subject: Subject) -> PageTable | None:
    """How the laws, fitted without the largest budget, predict it; None where none was held out."""
    held = subject.analysis.holdout
    if held is None:
        return None
    rows = tuple(
        (
            name,
            f"{100 * found.rms_error:.2f} %",
            f"{100 * found.mean_error:+.2f} %",
            f"{100 * found.rms_fitted:.2f} %",
            _NONE if found.skill != found.skill else f"{found.skill:.2f}",
        )
        for name, found in held.largest.items()
    )
    return PageTable(
        ("law", "RMS error", "bias", "on the runs fitted", "skill"),
        rows,
        title=f"The budget {flops_text(held.budget)} FLOPs, predicted from the others",
        notes=(
            "Skill is 1 for a perfect prediction and 0 for one no better than the mean loss of the nearest budget.",
            *held.failed,
        ),
        right=frozenset(range(1, 5)),
    )


def _count(value: float | None) -> str:
    return _NONE if value is None else count_text(value)


def _factor(log_error: float | None) -> str:
    return _NONE if log_error is None else f"{100 * log_error:.0f} %"


def _number(value: float | None) -> str:
    return _NONE if value is None else f"{value:.5g}"


def _bounds(fit: Mapping[str, Any], letter: str) -> tuple[str, str]:
    found: Mapping[str, Any] = fit.get("intervals", {}).get(letter) or {}
    return _number(found.get("low")), _number(found.get("high"))
