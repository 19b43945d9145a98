"""The exponents of a fit as rows, under every pair of conventions that its table allows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import InputError
from ..prediction.sources import FLOPS_OF_LAW, N_PARAMS_OF_COLUMN, chosen_flops
from .rows import ComparisonRow, Exponent

METHODS = {"isoflop": "isoFLOP", "parametric": "parametric", "envelope": "envelope", "kaplan": "Kaplan's law"}
_OF_A_LAW = ("parametric", "kaplan")  # their exponents hold at C = 6 N D with their own N
# a + b is 1 where C is 6 N D; a larger gap says that the count of C, or a line, is not what it seems.
_SUM_TOLERANCE = 0.02


def our_rows(report: Mapping[str, Any]) -> tuple[ComparisonRow, ...]:
    """Our exponents in `report` (the parsed fit.json), the chosen conventions first, then every other pair.

    The exponents of a law in N and D hold at C = 6 N D with N as it counts it, so they appear once for each
    convention of N, under that count of C. Raises InputError for a report of several groups.
    """
    if "groups" in report:
        raise InputError("this fit holds several groups: take one entry of its `groups` at a time")
    rows: dict[tuple[str, str, str], ComparisonRow] = {}
    parametric: Mapping[str, Any] = report.get("fits", {}).get("parametric") or {}
    tied = bool(parametric.get("tied"))  # under every count alike
    for entry in _entries(report):
        n_params = N_PARAMS_OF_COLUMN.get(str(entry["n_params"]), str(entry["n_params"]))
        for method in METHODS:
            fit = entry.get(method) or ({"reason": entry["reason"]} if "reason" in entry else None)
            if fit:
                law_flops = FLOPS_OF_LAW.get(n_params, "6nd of its N")
                flops = law_flops if method in _OF_A_LAW else str(entry["flops"])
                if fit.get("common_flops") == "budget":
                    flops = "budget"
                imposed = tied and method == "parametric"
                rows.setdefault((n_params, flops, method), _our_row(n_params, flops, method, fit, imposed))
    return tuple(rows.values())


def _entries(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The chosen pair of conventions, shaped like those of `by_convention`, then these."""
    own: dict[str, Any] = {
        "n_params": report.get("conventions", {}).get("n_params", "n_params"),
        "flops": chosen_flops(report),
        **report.get("fits", {}),
    }
    for warning in report.get("warnings", ()):
        method = str(warning.get("code", "")).removeprefix("no_")
        if method in METHODS and not own.get(method):
            own[method] = {"reason": warning.get("text", "no answer")}
    return [own, *report.get("by_convention", ())]


def _our_row(n_params: str, flops: str, method: str, fit: Mapping[str, Any], imposed: bool) -> ComparisonRow:
    params, tokens = (
        Exponent.from_report(fit.get("params_exponent")),
        Exponent.from_report(fit.get("tokens_exponent")),
    )
    return ComparisonRow(
        ours=True,
        name=method,
        label=f"ours, {METHODS[method]}",
        n_params=n_params,
        flops=flops,
        params_exponent=params,
        tokens_exponent=tokens,
        words=_our_words(fit, params, tokens, imposed),
        comparable=not imposed,
    )


def _our_words(fit: Mapping[str, Any], params: Exponent | None, tokens: Exponent | None, imposed: bool) -> str:
    if params is None:
        return f"no fit: {fit.get('reason', 'no exponent')}"
    words = ["a = .5 was imposed, not found"] if imposed else []
    if fit.get("status", "converged") != "converged":
        words.append(str(fit["status"]).replace("_", " "))
    if not params.interval and not imposed:
        words.append("no interval")
    if not words and tokens and abs(params.value + tokens.value - 1) > _SUM_TOLERANCE:
        words.append(f"a + b = {params.value + tokens.value:.2f}")
    return ", ".join(words)
