"""`fit --form power`: one metric of a table against one resource."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from isoflop.fitting.errors import FitError, InputError
from isoflop.fitting.estimators.power.fit import BOUNDS, ERRORS
from isoflop.fitting.jsonio import to_strict, write_json_atomic
from isoflop.fitting.one_dimensional import PowerAnalysis, PowerQuestion, analyse_power
from isoflop.fitting.query import rows_matching
from isoflop.fitting.readers import load_runs
from isoflop.fitting.readers.columns import name_columns
from isoflop.fitting.readers.log import Log
from isoflop.fitting.readers.mapping import ColumnMap
from isoflop.fitting.readers.sources import read_log
from isoflop.fitting.reporting.figures import save_figures
from isoflop.fitting.reporting.power import gains_table, power_figure, power_lines
from isoflop.scripts.amounts import amounts
from isoflop.scripts.drawing import wrote
from isoflop.scripts.fit_report import show_rows
from isoflop.scripts.output import show, write_json

FORMS = ("power",)

Form = Annotated[
    str | None,
    typer.Option(metavar="power", help="Instead of N*(C): y = offset + coefficient * x^-exponent, of --x and --y."),
]
XColumn = Annotated[
    str | None, typer.Option("--x", metavar="COL", help="With --form: the resource, a column or formula of columns.")
]
YColumn = Annotated[
    str | None, typer.Option("--y", metavar="COL", help="With --form: the metric, a column or formula of columns.")
]
Offset = Annotated[
    str | None, typer.Option(metavar="fitted|VALUE", help="With --form: the floor or ceiling; 0 for none.")
]
Bound = Annotated[
    str | None,
    typer.Option(
        metavar="lower|upper[=VALUE]", help="With --form: which side the offset is on, and what it cannot pass."
    ),
]
ErrorKind = Annotated[
    str | None, typer.Option("--error", help="With --form: relative or absolute squares. Default: as y is.")
]
Price = Annotated[float | None, typer.Option("--price-per-unit", help="With --form: dollars for one unit of x.")]
Target = Annotated[float | None, typer.Option(help="With --form: the x that this y needs, and its price.")]
At = Annotated[str | None, typer.Option(metavar="X,...", help="With --form: y and marginal gains at these x.")]

# What goes with --form: its own options, and those of fit that choose rows or say where the report goes.
OWN = ("x", "y", "offset", "bound", "error", "price_per_unit", "target", "at")
_SHARED = ("source", "form", "out", "columns", "mapping", "loss", "ends", "where", "group_by", "keep_flagged")
_ALSO = (*_SHARED, "level", "json_file", "style", "debug")


def check_options(given: Sequence[str], form: str | None) -> None:
    """Raises InputError where options `given` (parameters' names) do not go with the `form`, or without one."""
    if form is not None and form not in FORMS:
        raise InputError(f"--form {form!r} is unknown: choose {', '.join(FORMS)}")
    wrong = [name for name in given if (name in OWN if form is None else name not in (*OWN, *_ALSO))]
    if not wrong:
        return
    option = "--" + wrong[0].replace("_", "-")
    if form is None:
        raise InputError(f"{option} is for --form {FORMS[0]}")
    why = ": its intervals are profiles, nothing is drawn" if wrong[0] in ("resamples", "seed") else ""
    raise InputError(f"{option} does not go with --form {form}{why}")


@dataclass(frozen=True)
class Rows:
    """Which rows are fitted: what the options of `fit` say of that."""

    source: Sequence[str]
    columns: dict[str, str]
    mapping: Path | None
    ends: bool
    where: str | None
    group_by: str | None
    keep_flagged: bool


def question(
    x: str | None,
    y: str | None,
    offset: str | None,
    bound: str | None,
    error: str | None,
    price: float | None,
    target: float | None,
    at: str | None,
    level: float,
) -> PowerQuestion:
    """The options as numbers. Raises InputError for what is none, and without --x or --y."""
    for name, value in (("--x", x), ("--y", y)):
        if not (value or "").strip():
            raise InputError(f"--form power needs {name} COL: the {'resource' if name == '--x' else 'metric'}")
    if error is not None and error not in ERRORS:
        raise InputError(f"--error {error!r} is unknown: choose {', '.join(ERRORS)}")
    side, equals, limit = (bound or "").partition("=")
    if bound is not None and side not in BOUNDS:
        raise InputError(f"--bound {bound!r}: give lower or upper, and what the offset cannot pass, as upper=1")
    return PowerQuestion(
        x=str(x).strip(),
        y=str(y).strip(),
        offset=None if offset in (None, "fitted") else _number(str(offset), "--offset", "fitted, or a number as 0"),
        bound=side or None,
        limit=_number(limit, f"--bound {bound}", "a number behind =, as upper=1") if equals else None,
        error=error,
        level=level,
        price=price,
        target=target,
        at=tuple(amounts("--at", at)),
    )


def _number(text: str, option: str, wanted: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{option} {text!r}: must be {wanted}")
    return value


def table_of(rows: Rows) -> tuple[pd.DataFrame, list[dict[str, str]], list[str]]:
    """The rows to fit, those left out with their reasons, and notes.

    A source in which N, D and a loss are told is read and checked as runs; any other table is taken as it stands.
    """
    logs = [] if rows.columns or rows.mapping else [read_log(source) for source in rows.source]
    if not logs or any(log.ours or log.history is not None for log in logs) or all(map(_holds_runs, logs)):
        table = load_runs(
            *rows.source,
            columns=rows.columns,
            mapping=rows.mapping,
            ends=rows.ends,
            where=rows.where,
            apart=rows.group_by,
            keep_flagged=rows.keep_flagged,
        )
        return table.fitted, table.excluded, list(table.notes)
    for given, option in ((rows.ends, "--ends"), (rows.keep_flagged, "--keep-flagged")):
        if given:
            raise InputError(f"{option} is for tables of runs: no n_params, tokens and loss in {rows.source[0]}")
    frame = pd.concat([log.frame for log in logs], ignore_index=True)
    if rows.where is not None:
        chosen = rows_matching(frame, rows.where)
        if not chosen.any():
            raise InputError(f"--where {rows.where!r} selects none of {len(frame)} rows")
        frame = frame.loc[chosen].reset_index(drop=True)
    return frame, [], [f"{log.source}: {log.kind}, {len(log.frame)} rows" for log in logs]


def _holds_runs(log: Log) -> bool:
    try:
        name_columns(log, ColumnMap())
    except InputError:
        return False
    return True


def fit_form(rows: Rows, asked: PowerQuestion, out: Path | None, json_file: str | None) -> None:
    """Fit, print, and write what is asked for. Raises InputError and FitError as `analyse_power`."""
    if rows.group_by is not None and out is not None:
        raise InputError("--out goes with one fit, not with --group-by; use --where, and --json FILE")
    frame, excluded, notes = table_of(rows)
    parts = [(None, frame)] if rows.group_by is None else groups_of(frame, rows.group_by)
    found = [(key, _analysed(part.reset_index(drop=True), asked, rows, key)) for key, part in parts]
    reports = [_report(each, rows, excluded, notes) for _, each in found]
    whole = reports[0]
    if rows.group_by is not None:
        keyed = [{"key": to_strict(key), **each} for (key, _), each in zip(found, reports, strict=True)]
        whole = {"schema_version": 1, "groups": keyed}
    written = _save(found[0][1], whole, out) if out is not None else []
    write_json(json_file, whole)
    for (key, each), report in zip(found, reports, strict=True):
        show(*([f"\n{rows.group_by} = {key}"] if rows.group_by is not None else []))
        _tell(each, report)
    show(*wrote(written))


def groups_of(frame: pd.DataFrame, column: str) -> Iterator[tuple[Any, pd.DataFrame]]:
    """The parts of `frame` by the values of `column`. Raises InputError where there is no such column."""
    if column not in frame:
        raise InputError(f"--group-by {column!r}: no such column; there are {', '.join(map(str, frame.columns))}")
    yield from frame.groupby(column, sort=True, dropna=False)


def _analysed(frame: pd.DataFrame, asked: PowerQuestion, rows: Rows, key: Any) -> PowerAnalysis:
    """With the source, and the group, at the head of its errors."""
    try:
        return analyse_power(frame, asked)
    except (FitError, InputError) as error:
        kind = InputError if isinstance(error, InputError) else FitError
        text, where = str(error), ""
        if rows.group_by is not None:
            where, text = f"{rows.group_by} = {key}: ", f"{text}; leave the group out with --where"
        first = rows.source[0]
        raise kind(
            text if text.startswith((first, "--target", "--at", "--price")) else f"{first}: {where}{text}"
        ) from error


def _report(found: PowerAnalysis, rows: Rows, excluded: list[dict[str, str]], notes: list[str]) -> dict[str, Any]:
    report = found.to_json()
    return report | {
        "source": list(rows.source),
        "excluded": [*excluded, *found.excluded],
        "notes": [*notes, *found.notes],
    }


def _save(found: PowerAnalysis, report: dict[str, Any], folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    write_json_atomic(folder / "power.json", report)
    return [folder / "power.json", *save_figures(folder / "figures", {"power": power_figure(found)})]


def _tell(found: PowerAnalysis, report: dict[str, Any]) -> None:
    show(*power_lines(found), gains_table(found))
    show_rows(report["excluded"], "excluded")
    show(*(f"note: {note}" for note in report["notes"]))
    show(*(f"warning [{each.code}]: {each.text}" for each in found.warnings if each.code != "extrapolation"))
