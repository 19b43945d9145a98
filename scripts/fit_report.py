"""What `fit` prints of its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from isoflop.fitting.reporting import tables
from isoflop.scripts.output import show

LAWS = (
    ("parametric", ("E", "A", "B", "alpha", "beta"), "L = E + A/N^alpha + B/D^beta"),
    ("saturating", ("E", "C0", "gamma"), "L = E + (C0/C)^gamma"),
    ("data_constrained", ("R_D", "R_N"), "D' = U_D (1 + R_D* (1 - exp(-R_D/R_D*))), N' likewise"),
    ("overtraining", ("E", "a", "b", "eta"), "L = E + (a M^eta + b M^-eta) C^-eta"),
    ("kaplan", ("N_c", "D_c", "alpha_N", "alpha_D"), "L = [(N_c/N)^(alpha_N/alpha_D) + D_c/D]^alpha_D"),
)
_MOST_LISTED = 10


def show_report(report: Mapping[str, Any]) -> None:
    """Print the minima, the exponents under the chosen conventions, the holdout, and every note and warning."""
    if report["fits"].get("isoflop"):
        show(tables.minima_table(report))
    if any("params_exponent" in fit for fit in report["fits"].values()):
        show(tables.exponents_table({**report, "by_convention": ()}))
    for method, letters, equation in LAWS:
        fit = report["fits"].get(method)
        if fit:
            law = "  ".join(f"{letter} {_number(fit[letter])}" for letter in letters)
            value = f"   ({fit['objective']} {_number(fit['objective_value'], 6)})" if "objective" in fit else ""
            show(f"{equation}:  {law}{value}")
    held = tables.holdout_table(report)
    if held is not None:
        show(held, *tables.holdout_remarks(report))
    show(f"{report['n_runs']} runs fitted, {len(report['excluded'])} excluded")
    show_rows(report["excluded"], "excluded")
    show_rows(report.get("kept_flagged", []), "fitted although flagged")
    show(*(f"note: {note}" for note in report.get("notes", ())))
    show(*(f"warning [{warning['code']}]: {warning['text']}" for warning in report["warnings"]))


def show_rows(rows: Sequence[Mapping[str, str]], said: str) -> None:
    """Print the first of `rows` with their reasons and places, and how many more there are."""
    show(*(f"  {said} {row['run']}{_place(row)}: {row['reason']}" for row in rows[:_MOST_LISTED]))
    if len(rows) > _MOST_LISTED:
        show(f"  ... and {len(rows) - _MOST_LISTED} more; --json lists all")


def _place(row: Mapping[str, str]) -> str:
    return f" ({row['source']})" if "source" in row else ""


def _number(value: float | None, digits: int = 5) -> str:
    """To so many digits; fit.json has no infinities."""
    return "-" if value is None else f"{value:.{digits}g}"
