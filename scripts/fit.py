"""Fit scaling laws to a sweep, or to runs you already have; needs no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isoflop.scripts.cli import Debug, run
from isoflop.fitting.analysis import METHODS, Analysis, Options, analyse
from isoflop.fitting.curves import CurveTable
from isoflop.fitting.errors import FitError, InputError
from isoflop.fitting.estimators.parametric.objectives import OBJECTIVES
from isoflop.fitting.fit_folder import FIT_NAME, check_replaceable, write_rows
from isoflop.fitting.jsonio import to_strict, write_json_atomic
from isoflop.fitting.readers.sweep import PLAN_NAME
from isoflop.fitting.reporting.figures import save_figures
from isoflop.fitting.reporting.pictures.allocation import allocation_picture
from isoflop.fitting.reporting.pictures.envelope import envelope_picture
from isoflop.fitting.reporting.pictures.isoflop import isoflop_picture
from isoflop.fitting.reporting.pictures.picture import Picture
from isoflop.fitting.runs import RunTable
from isoflop.scripts import fit_form
from isoflop.scripts.amounts import amounts
from isoflop.scripts.drawing import Style, draw_in, wrote
from isoflop.scripts.fit_report import show_report
from isoflop.scripts.output import JsonFile, check_writable, show, write_json
from isoflop.scripts.reading import Reading
from isoflop.scripts.sources import Columns, Ends, KeepFlagged, Loss, MappingFile, Sources, Where, columns_of

if TYPE_CHECKING:
    import pandas as pd


def save(
    analysis: Analysis,
    folder: Path,
    report: Mapping[str, Any] | None = None,
    table: RunTable | None = None,
    curves: CurveTable | None = None,
) -> list[Path]:
    """Write fit.json and figures/ into `folder`; returns the paths, fit.json first.

    `report` is fit.json's content, the analysis's own unless given. `table` and `curves` are what was read: given,
    they are written beside it (`fit_folder`), so that the folder can be fitted again without its source.
    """
    folder.mkdir(parents=True, exist_ok=True)
    report = analysis.to_json() if report is None else report
    rows = {} if table is None else write_rows(folder, table, curves)
    paths = save_figures(folder / "figures", _pictures(analysis))
    write_json_atomic(folder / FIT_NAME, {**report, **rows})
    return [folder / FIT_NAME, *(folder / file["name"] for file in rows.values() if file), *paths]


def _pictures(analysis: Analysis) -> Iterator[Picture]:
    options, isoflop, envelope = analysis.options, analysis.isoflop, analysis.envelope
    if isoflop is not None:
        yield isoflop_picture(analysis.table, isoflop, options.n_params)
        yield allocation_picture(isoflop, options.n_params, options.flops)
    if envelope is not None and analysis.curves is not None:
        yield envelope_picture(analysis.curves, envelope, options.n_params, options.flops)


def fit_group(frame: pd.DataFrame, like: RunTable, options: Options, source: Sequence[str], name: str) -> Analysis:
    """The analysis of one group of the table `like`; its errors begin with the group's `name`."""
    try:
        return analyse(RunTable(frame, like.notes, like.keep_flagged), options, tuple(source))
    except (FitError, InputError) as error:
        kind = InputError if isinstance(error, InputError) else FitError
        raise kind(f"{name}: {error}; leave the group out with --where") from error


def main(
    context: typer.Context,
    source: Sources,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write fit.json, runs.csv and figures/ there (a sweep: its own folder)."),
    ] = None,
    method: Annotated[
        str | None, typer.Option(help=f"Which, by commas: {','.join(METHODS)}. Default: the first four.")
    ] = None,
    n_params: Annotated[str, typer.Option(metavar="COL", help="The column that counts N.")] = "n_params",
    flops: Annotated[str, typer.Option(metavar="COL", help="The column, or convention, that counts C.")] = "flops",
    columns: Columns = None,
    mapping: MappingFile = None,
    loss: Loss = None,
    ends: Ends = False,
    where: Where = None,
    group_by: Annotated[str | None, typer.Option(metavar="COL", help="One fit for each value of a column.")] = None,
    keep_flagged: KeepFlagged = False,
    objective: Annotated[str, typer.Option(help=f"Of the laws in N and D: {', '.join(OBJECTIVES)}.")] = "log_huber",
    delta: Annotated[float | None, typer.Option(help="Approach 3: Huber's width, else 0.001.")] = None,
    tied: Annotated[bool, typer.Option("--tied", help="Approach 3: alpha = beta.")] = False,
    fixed_e: Annotated[float | None, typer.Option(metavar="E", help="E held at this (approach 3, saturating).")] = None,
    weights: Annotated[str | None, typer.Option(metavar="COL", help="Approach 3: a weight for each run.")] = None,
    minimum: Annotated[
        str, typer.Option(help="Approach 2: parabola, akima, or auto: the better at predicting runs left out.")
    ] = "auto",
    window: Annotated[
        str, typer.Option(metavar="W|none", help="Approach 2: runs within this fraction of the lowest loss.")
    ] = "0.1",
    replicates: Annotated[
        str, typer.Option(help="Approach 2: all, mean or best runs of a size; auto: best of several settings.")
    ] = "auto",
    size_tolerance: Annotated[
        float, typer.Option(help="Approach 2: sizes this near, relative, are one.")
    ] = Options.size_tolerance,
    budget_tolerance: Annotated[
        float, typer.Option(help="Approach 2: without a budget column, FLOPs chained by smaller gaps are one budget.")
    ] = Options.budget_tolerance,
    common_flops: Annotated[
        str, typer.Option(help="Approach 2: C of a budget is its runs' mean (runs), the planned (budget), or auto.")
    ] = "auto",
    sum_to_one: Annotated[bool, typer.Option("--sum-to-one", help="Approach 2: force a + b = 1.")] = False,
    curves: Annotated[
        bool, typer.Option("--curves", help="Approach 1: from the logged training curves, not from the runs' ends.")
    ] = False,
    at_flops: Annotated[
        str | None,
        typer.Option(metavar="C,C,...", help="Fit what the training curves say at these FLOPs, each a budget."),
    ] = None,
    hull: Annotated[bool, typer.Option("--hull", help="Approach 1: only curves on the convex hull.")] = False,
    no_holdout: Annotated[
        bool, typer.Option("--no-holdout", help="Do not predict the largest budget from the others.")
    ] = False,
    resamples: Annotated[int, typer.Option(min=0, help="For the intervals.")] = 1000,
    level: Annotated[float, typer.Option(help="Of the intervals.")] = 0.95,
    seed: Annotated[int, typer.Option(help="Of the resampling.")] = 0,
    json_file: JsonFile = None,
    form: fit_form.Form = None,
    x: fit_form.XColumn = None,
    y: fit_form.YColumn = None,
    offset: fit_form.Offset = None,
    bound: fit_form.Bound = None,
    error: fit_form.ErrorKind = None,
    price_per_unit: fit_form.Price = None,
    target: fit_form.Target = None,
    at: fit_form.At = None,
    style: Style = None,
    debug: Debug = False,
) -> None:
    """Fit N*(C) and D*(C): envelope (approach 1), isoFLOP minima (2), parametric law (3), Kaplan's laws.

    Example: python scripts/fit.py runs.csv --columns n_params=size,tokens=seen,loss=val
    """
    fit_form.check_options(given_options(context), form)
    own = Path(source[0]) if len(source) == 1 and (Path(source[0]) / PLAN_NAME).is_file() else None
    folder = out or (own if form is None else None)
    draw_in(context, style, folder is not None and group_by is None, "--out DIR")
    if form is not None:
        check_writable(None, out)
        asked = fit_form.question(x, y, offset, bound, error, price_per_unit, target, at, level)
        rows = fit_form.Rows(source, columns_of(columns, loss), mapping, ends, where, group_by, keep_flagged)
        fit_form.fit_form(rows, asked, out, json_file)
        return
    options = Options(
        methods=_methods(method),
        n_params=n_params,
        flops=flops,
        objective=objective,
        delta=delta,
        tied=tied,
        fixed_E=fixed_e,
        weights=weights,
        minimum=minimum,
        window=_window(window),
        replicates=replicates,
        size_tolerance=size_tolerance,
        budget_tolerance=budget_tolerance,
        common_flops=common_flops,
        sum_to_one=sum_to_one,
        hull=hull,
        resamples=resamples,
        level=level,
        seed=seed,
        keep_flagged=keep_flagged,
        holdout=not no_holdout,
    )
    if group_by is not None and (out is not None or curves):
        raise InputError("--out and --curves go with one fit, not with --group-by; use --where, and --json FILE")
    if at_flops is not None and (curves or ends):
        raise InputError("--at-flops reads the curves itself: leave --curves and --ends out")
    if curves and not options.asks("envelope"):
        raise InputError("--curves is for --method envelope, not for what --method names")
    check_writable(None, out)
    if folder is not None and folder != own:
        check_replaceable(folder, source)
    reading = Reading(
        columns=columns_of(columns, loss),
        mapping=None if mapping is None else str(mapping),
        ends=ends,
        where=where,
        keep_flagged=keep_flagged,
        curves=curves,
        at_flops=tuple(amounts("--at-flops", at_flops)),
    )
    table = reading.runs(source, apart=group_by)
    if group_by is not None:
        groups = [
            {"key": to_strict(key), **fit_group(part, table, options, source, f"{group_by} = {key}").to_json()}
            for key, part in fit_form.groups_of(table.frame, group_by)
        ]
        _tell({"schema_version": 1, "groups": groups}, groups, json_file, group_by)
        return
    training_curves = reading.curve_table(source)
    analysis = analyse(table, options, tuple(source), training_curves)
    report = analysis.to_json() | {"read_with": reading.to_json()}
    _tell(report, [report], json_file, "")
    as_read = None if folder == own else table  # a sweep has its records
    written = save(analysis, folder, report, as_read, training_curves) if folder else []
    show(*wrote(written))


def _tell(whole: dict[str, Any], parts: list[dict[str, Any]], json_file: str | None, group_by: str) -> None:
    write_json(json_file, whole)
    for part in parts:
        if group_by:
            show(f"\n{group_by} = {part['key']}")
        show_report(part)


def given_options(context: typer.Context) -> list[str]:
    """The parameters that the command line itself names."""
    known = (name for name in context.params if context.get_parameter_source(name) is not None)
    return [name for name in known if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"]


def _methods(text: str | None) -> tuple[str, ...] | None:
    return tuple(name.strip() for name in text.split(",")) if text is not None else None


def _window(text: str) -> float | None:
    try:
        return None if text == "none" else float(text)
    except ValueError:
        raise InputError(f"--window {text!r}: must be a positive number, as 0.1, or none") from None


if __name__ == "__main__":
    run(main)
