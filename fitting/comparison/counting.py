"""What a table leaves unsaid about how it counts N and C, and saying it for the table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import InputError
from ..prediction.sources import chosen_flops

UNNAMED_FLOPS = ("flops", "budget")  # a FLOPs column, planned budgets: nobody named the count


def undeclared(report: Mapping[str, Any]) -> bool:
    """Whether the table of `report` (the parsed fit.json) counts N in one way and C in one, and names neither."""
    return _says(report) == {"n_params"} and chosen_flops(report) in ("flops", "6nd")


def taken_for(report: Mapping[str, Any]) -> str:
    """What N and C of such a table are taken for, in words."""
    counted = "C for 6ND" if chosen_flops(report) == "6nd" else "C for no count that has a name"
    return f"N is taken for total and {counted}, because the table does not say; --counting N:C does"


def declared(report: Mapping[str, Any], name: str, n_params: str, flops: str) -> Mapping[str, Any]:
    """The report of the sweep `name` with its N and C named.

    Raises:
        InputError: the table says itself how it counts.
    """
    if not undeclared(report):
        raise InputError(
            f"--counting: {name}'s table says itself how it counts ({', '.join(sorted(_says(report)))}, "
            f"C {chosen_flops(report)}); leave the option out"
        )
    named = {**report.get("conventions", {}), "n_params": n_params, "flops": "flops", "flops_equals": flops}
    return {**report, "conventions": named, "by_convention": []}


def _says(report: Mapping[str, Any]) -> set[str]:
    own = report.get("conventions", {}).get("n_params", "n_params")
    return {own, *(row["n_params"] for row in report.get("by_convention", ()))}
