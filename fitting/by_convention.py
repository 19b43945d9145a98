"""The exponents of one table under every other way it can count N and C."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np

from .errors import FitError
from .estimators.isoflop import fit_groups
from .estimators.parametric import fit_parametric
from .laws import ChinchillaLaw
from .options import Options
from .results import IsoflopFit, ParametricFit
from .runs import RunTable

CONVENTION_RESAMPLES = 400  # for this side table


def other_conventions(
    base: RunTable, chosen: RunTable, options: Options, labels: np.ndarray
) -> tuple[dict[str, Any], ...]:
    """Exponents under every other pair of conventions that all fitted runs have, as rows of fit.json.

    The runs stay in the budgets they were planned for, `labels`. The parametric exponents depend on the count of
    parameters alone and are fitted once for each.
    """
    base = replace(base, frame=base.frame.loc[chosen.usable])  # the same runs everywhere, as the labels are
    known = base.conventions
    own_flops = _label(base, options.flops)
    names = list(dict.fromkeys(_label(base, name) for name in known["flops"]))
    rows: list[dict[str, Any]] = []
    for n_params in known["n_params"]:
        if (len(known["n_params"]), names) == (1, [own_flops]):
            break  # the one pair there is
        parametric, law = _parametric_exponents(base.with_conventions(n_params, "flops"), options)
        for flops in names:
            if (n_params, flops) == (options.n_params, own_flops):
                continue
            table = base.with_conventions(n_params, flops)
            row: dict[str, Any] = {"n_params": n_params, "flops": flops}
            if options.asks("isoflop"):
                row["isoflop"] = _isoflop_exponents(table, options, labels, law)
            if options.asks("parametric"):
                row["parametric"] = parametric
            rows.append(row)
    return tuple(rows)


def carrying_law(fit: ParametricFit | None) -> ChinchillaLaw | None:
    """The law along which losses are carried to a common C, where it is fitted already: the default one."""
    plain = fit is not None and fit.objective == "log_huber" and not fit.tied and fit.fixed_E is None
    return fit.law if fit is not None and plain else None


def _label(table: RunTable, flops: str) -> str:
    """The convention's name; "flops" is called by the convention that it equals, if any."""
    name = flops.removeprefix("flops_")
    return (table.flops_convention or "flops") if name == "flops" else name


def _parametric_exponents(table: RunTable, options: Options) -> tuple[dict[str, Any], ChinchillaLaw | None]:
    asked = CONVENTION_RESAMPLES if options.asks("parametric") else 0
    try:
        fit = fit_parametric(table, **options.for_parametric, **options.resampling(asked))
    except FitError as error:
        return {"reason": str(error)}, None
    return _exponents(fit), carrying_law(fit)


def _isoflop_exponents(
    table: RunTable, options: Options, labels: np.ndarray, law: ChinchillaLaw | None
) -> dict[str, Any]:
    chosen = options.for_isoflop | {"common_flops": "runs"}
    try:
        fit = fit_groups(table, labels, law=law, **chosen, **options.resampling(CONVENTION_RESAMPLES))
    except FitError as error:
        return {"reason": str(error)}
    return _exponents(fit)


def _exponents(fit: IsoflopFit | ParametricFit) -> dict[str, Any]:
    return {
        "status": str(fit.status),
        "params_exponent": asdict(fit.params_exponent),
        "tokens_exponent": asdict(fit.tokens_exponent),
    }
