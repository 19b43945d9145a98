"""Hold a fit beside published estimates, convention by convention."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from isoflop.fitting.analysis import Options, analyse
from isoflop.fitting.comparison.published_rows import compare_with_published
from isoflop.fitting.comparison.rungs import rungs_of
from isoflop.fitting.errors import InputError
from isoflop.fitting.prediction.sources import read_report
from isoflop.fitting.readers import load_runs
from isoflop.fitting.reporting.rungs import rungs_figure, rungs_table
from isoflop.fitting.reporting.tables import comparison_table
from isoflop.scripts.cli import Debug, run
from isoflop.scripts.fit import check_writable
from isoflop.scripts.output import show
from isoflop.scripts.sources import Columns, KeepFlagged, Loss, MappingFile, Where, columns_of


def report_of(source: str, chosen: dict[str, Any]) -> dict[str, Any]:
    """The fit of a source: the one that was written, unless the runs are `chosen` anew."""
    report = None if any(chosen.values()) else read_report(source)
    if report is None:
        table = load_runs(source, **chosen)
        report = analyse(table, Options(keep_flagged=chosen["keep_flagged"]), (source,)).to_json()
    return report


def names_of(sources: Sequence[str]) -> list[str]:
    """A short name for each: a sweep's folder, a table's file; all as they were given where two would be alike."""
    names = [_short(Path(source)) if Path(source).exists() else source for source in sources]
    return names if len(set(names)) == len(names) else list(sources)


def _short(path: Path) -> str:
    folder = path if path.is_dir() else path.parent if path.name == "fit.json" else None
    return path.stem if folder is None else folder.resolve().name


def _check_figure(figure: Path) -> None:
    if figure.suffix not in (".png", ".pdf", ".svg") or not figure.parent.is_dir():
        raise InputError(f"--figure {figure}: must end in .png, .pdf or .svg, in a folder that exists")


def _compare_sweeps(
    reports: list[tuple[str, dict[str, Any]]], beside: str | None, figure: Path | None, json_file: str | None
) -> None:
    names = names_of([source for source, _ in reports])
    named = [(name, report) for name, (_, report) in zip(names, reports, strict=True)]
    rungs = rungs_of(named, [name.strip() for name in beside.split(",")] if beside else [])
    if figure is not None:
        rungs_figure(rungs).savefig(figure, dpi=160)
    text = json.dumps([rung.to_json() for rung in rungs], indent=1) + "\n"
    if json_file == "-":
        sys.stdout.write(text)
        return
    if json_file is not None:
        Path(json_file).write_text(text)
    show(rungs_table(rungs))
    for name, report in named:
        show(*(f"{name}: warning [{warning['code']}]: {warning['text']}" for warning in report["warnings"]))


def main(
    source: Annotated[
        list[str],
        typer.Argument(
            metavar="FIT|SOURCE...",
            help="A fit.json, a sweep folder, or any source that fit takes; of several, each is a row of one table.",
        ),
    ],
    columns: Columns = None,
    mapping: MappingFile = None,
    loss: Loss = None,
    where: Where = None,
    keep_flagged: KeepFlagged = False,
    every: Annotated[
        bool, typer.Option("--all", help="Every published row of a convention, not the best known.")
    ] = False,
    beside: Annotated[
        str | None,
        typer.Option(metavar="NAME,...", help="Of several sources: the published estimate to show beside each."),
    ] = None,
    figure: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Of several sources: draw their exponents there (.png, .pdf).")
    ] = None,
    json_file: Annotated[str | None, typer.Option("--json", metavar="FILE|-", help="Write the rows there.")] = None,
    debug: Debug = False,
) -> None:
    """Set our exponents beside the published ones that count parameters alike, or several sweeps beside each other.

    Example: python scripts/compare.py runs/demo
    """
    check_writable(json_file)
    if figure is not None:
        _check_figure(figure)
    chosen = {"columns": columns_of(columns, loss), "mapping": mapping, "where": where, "keep_flagged": keep_flagged}
    reports = [(one, report_of(one, chosen)) for one in source]
    if len(reports) > 1:
        _compare_sweeps(reports, beside, figure, json_file)
        return
    if beside or figure:
        raise InputError("--beside and --figure are for several sources; one is held beside all that count alike")
    report = reports[0][1]
    comparison = compare_with_published(report, every=every)
    text = json.dumps(comparison.to_json(), indent=1) + "\n"
    if json_file == "-":
        sys.stdout.write(text)
        return
    if json_file is not None:
        Path(json_file).write_text(text)
    show(comparison_table(comparison))
    show(f"{report['n_runs']} runs fitted, {len(report['excluded'])} excluded; `fit` lists them and its notes")
    show(*(f"warning [{warning['code']}]: {warning['text']}" for warning in report["warnings"]))


if __name__ == "__main__":
    run(main)
