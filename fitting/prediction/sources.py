"""Where predictors come from: a published estimate by its name, or the fits of a fit.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..json_shapes import is_object
from ..laws import ChinchillaLaw, KaplanLaw, PowerLaw
from ..published import PublishedEstimate, published_estimate
from .predictor import NO_LEAST, Predictor, Scaling

if TYPE_CHECKING:
    from ..analysis import Analysis

# Columns of a table of runs -> the convention of N that they hold.
N_PARAMS_OF_COLUMN = {
    "n_params": "total",
    "n_params_non_embedding": "non_embedding",
    "n_params_blocks_and_head": "blocks_and_head",
}
# 6 N D with N as it is counted, which is what the exponents of a law in N and D speak.
FLOPS_OF_LAW = {"total": "6nd", "non_embedding": "6nd_non_embedding", "blocks_and_head": "porian"}
METHODS = ("parametric", "isoflop", "envelope", "kaplan")  # those that predict, the one that says most first
_PREFIX = "published:"


def published_predictor(name: str) -> Predictor:
    """The published estimate called `name`, with or without "published:". Raises InputError for an unknown name."""
    row = published_estimate(name)
    known = None if row.flops_max is None else (row.flops_min or NO_LEAST, row.flops_max)
    return Predictor(
        name=f"{_PREFIX}{row.name}",
        label=row.label,
        scaling=Scaling(row.params_law, row.tokens_law, row.law, row.frontier),
        n_params=row.n_params,
        flops=row.flops,
        flops_range=known,
        notes=_notes(row),
    )


def _notes(row: PublishedEstimate) -> tuple[str, ...]:
    notes: list[str] = []
    if row.n_params == "flops_per_token":
        notes.append("what stands for N counts FLOPs per token, not parameters")
    if row.law is not None and row.flops != FLOPS_OF_LAW.get(row.n_params, "6nd"):
        notes.append(f"the study counts C as {row.flops}; the optimum of its L(N, D) is taken at C = 6 N D")
    if row.doubtful:
        notes.append("second-hand, or a convention that was not verified")
    return (*notes, row.note) if row.note else tuple(notes)


def read_report(source: str | Path) -> dict[str, Any] | None:
    """The content of a fit.json: the file, or that of a fitted sweep's folder; None for anything else.

    Raises InputError for a file that is no fit.json, or one of several groups.
    """
    path = Path(source)
    if path.is_dir() and (path / "fit.json").is_file():
        path = path / "fit.json"
    if path.suffix != ".json" or not path.is_file():
        return None
    try:
        report: Any = json.loads(path.read_text())
    except ValueError:
        raise InputError(f"{path}: is not JSON") from None
    if is_object(report) and "groups" in report:
        raise InputError(f"{path}: holds groups; fit the one wanted by itself, with --where")
    if not is_object(report) or "fits" not in report:
        return None
    fits = report["fits"]
    if not is_object(fits) or not all(is_object(fit) for fit in fits.values()):
        raise InputError(f"{path}: is no fit.json: its fits are no objects; write it with `fit --out`")
    return report


def predictors_of(source: str | Path | Analysis) -> tuple[Predictor, ...]:
    """Those of `published:NAME`, or one for each fit of a fit.json, a fitted sweep or an analysis, approach 3 first.

    Raises InputError for an unknown name, and for a source that is neither.
    """
    if isinstance(source, str) and source.startswith(_PREFIX):
        return (published_predictor(source),)
    name = str(source) if isinstance(source, str | Path) else "this analysis"
    return predictors_in(required_report(source), name)


def required_report(source: object) -> dict[str, Any]:
    """The content of fit.json that `source` has: a path as `read_report` takes, or an analysis.

    Raises InputError for anything else.
    """
    from ..analysis import Analysis  # here: what an analysis is made of predicts

    if isinstance(source, Analysis):
        return source.to_json()
    if not isinstance(source, str | Path):
        raise InputError(
            f"an Analysis is wanted, or the path of a fit.json, not {type(source).__name__}: analyse(table)"
        )
    report = read_report(source)
    if report is None:
        raise InputError(
            f"{source}: is no fit.json, no folder with one, no published:NAME; `fit {source} --out DIR` writes one"
        )
    return report


def predictors_in(report: Mapping[str, Any], source: str) -> tuple[Predictor, ...]:
    """One for each fit of `report` (the parsed fit.json) that predicts, in the order of `METHODS`.

    Raises InputError where none does.
    """
    found = [
        _fitted(report, method, report["fits"][method], source) for method in METHODS if report["fits"].get(method)
    ]
    if not found:
        raise InputError(f"{source}: holds no fit that predicts ({', '.join(METHODS)}); see its warnings")
    return tuple(found)


def _fitted(report: Mapping[str, Any], method: str, fit: Mapping[str, Any], source: str) -> Predictor:
    conventions, ranges = report.get("conventions", {}), report.get("ranges", {})
    column = str(conventions.get("n_params", "n_params"))
    n_params = N_PARAMS_OF_COLUMN.get(column, column)
    of_law = method in ("parametric", "kaplan")
    flops = FLOPS_OF_LAW.get(n_params, "6nd") if of_law else chosen_flops(report)
    by_budget = fit.get("common_flops") == "budget"
    # What the runs span in the law's own count of C; files of before have the one of the runs' column alone.
    spanned = "flops_6nd" if of_law else "budget" if by_budget else "flops"
    resampling: Mapping[str, Any] = fit.get("resampling") or {}
    resamples: Mapping[str, Sequence[float]] = fit.get("resamples") or {}
    return Predictor(
        name=f"{source}, {method}",
        label=f"ours, {method}",
        scaling=_scaling(method, fit),
        n_params=n_params,
        flops="budget" if by_budget else flops,
        flops_range=_range(ranges, spanned) or _range(ranges, "flops"),
        params_range=_range(ranges, "n_params"),
        tokens_range=_range(ranges, "tokens"),
        loss_unit=conventions.get("loss_unit"),
        draws=tuple(_drawn(method, row) for row in zip(*resamples.values(), strict=True)),
        n_resamples=resampling.get("n_resamples", 0),
        freedom=resampling.get("freedom"),
        level=fit.get("params_exponent", {}).get("level", 0.95),
    )


def chosen_flops(report: Mapping[str, Any]) -> str:
    """The count of C that the fits speak, by its name where the table's own column equals a known one."""
    conventions = report.get("conventions", {})
    flops = conventions.get("flops") or "flops"
    return str(conventions.get("flops_equals") or flops) if flops == "flops" else flops.removeprefix("flops_")


def _range(ranges: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    found = ranges.get(name)
    return (float(found[0]), float(found[1])) if found else None


def _scaling(method: str, fit: Mapping[str, Any]) -> Scaling:
    if method == "parametric":
        return Scaling.of_surface(ChinchillaLaw(*(fit[name] for name in ("E", "A", "B", "alpha", "beta"))))
    if method == "kaplan":
        return Scaling.of_surface(KaplanLaw(*(fit[name] for name in ("N_c", "D_c", "alpha_N", "alpha_D"))))
    params, tokens = fit["params_exponent"]["value"], fit["tokens_exponent"]["value"]
    return Scaling(PowerLaw(fit["params_coefficient"], params), PowerLaw(fit["tokens_coefficient"], tokens))


def _drawn(method: str, row: Sequence[float]) -> Scaling:
    """One resample: E, A, B, alpha, beta; or ln coefficient and exponent of N*, then of D*."""
    if method == "parametric":
        return Scaling.of_surface(ChinchillaLaw(*row))
    return Scaling(PowerLaw.from_log(*row[:2]), PowerLaw.from_log(*row[2:]))
