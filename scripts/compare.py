"""Hold a fit beside published estimates, convention by convention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from isoflop.scripts.cli import Debug, run
from isoflop.fitting.analysis import Options, analyse
from isoflop.fitting.comparison.counting import declared
from isoflop.fitting.comparison.predictions import Prediction, predictions, tenfold, to_json
from isoflop.fitting.comparison.published_rows import compare_with_published
from isoflop.fitting.errors import InputError
from isoflop.fitting.prediction.sources import read_report
from isoflop.fitting.readers import load_runs
from isoflop.fitting.reporting.comparison import (
    comparison_markdown,
    comparison_table,
    predictions_table,
    tenfold_table,
)
from isoflop.fitting.reporting.figures import save_figure
from isoflop.fitting.reporting.pictures.forest import forest_picture
from isoflop.fitting.reporting.style import flops_text
from isoflop.scripts.amounts import amounts
from isoflop.scripts.compare_sweeps import compare_sweeps, counts_asked, names_of, split_by
from isoflop.scripts.drawing import FigureFile, Style, check_figure, draw_in
from isoflop.scripts.output import JsonFile, show, write_json, write_text
from isoflop.scripts.sources import Columns, KeepFlagged, Loss, MappingFile, Where, columns_of


def report_of(source: str, chosen: dict[str, Any]) -> dict[str, Any]:
    """The fit of a source: the one that was written, unless the runs are `chosen` anew."""
    report = None if any(chosen.values()) else read_report(source)
    if report is None:
        table = load_runs(source, **chosen)
        report = analyse(table, Options(keep_flagged=chosen["keep_flagged"]), (source,)).to_json()
    return report


def _check_markdown(markdown: str | None, json_file: str | None) -> None:
    if markdown == "-" and json_file == "-":
        raise InputError("--markdown - and --json -: only one can go to standard output; give the other a file")
    if markdown not in (None, "-") and (Path(markdown).is_dir() or not Path(markdown).parent.is_dir()):
        raise InputError(f"--markdown {markdown}: no file in a folder that exists; give another, or -")


def _compare_with_published(
    source: str,
    report: Mapping[str, Any],
    *,
    every: bool,
    training: str | None,
    flops: list[float],
    figure: Path | None,
    json_file: str | None,
    markdown: str | None,
) -> None:
    comparison = compare_with_published(report, every=every, training=training)
    predicted = predictions(report, source, flops, every) if flops else ()
    factors = tenfold(report, every)
    if figure is not None:
        from isoflop.fitting.reporting.pictures.paper import draw  # matplotlib, where something is drawn

        save_figure(figure, draw(forest_picture(comparison)))
    found = comparison.to_json() | {"predictions": to_json(predicted), "tenfold": to_json(factors)}
    write_json(json_file, found)
    if write_text(markdown, comparison_markdown(comparison, predicted, factors)):
        return
    show(*_beyond(predicted), comparison_table(comparison), *([predictions_table(predicted)] if predicted else []))
    show(tenfold_table(factors))
    show(f"{report['n_runs']} runs fitted, {len(report['excluded'])} excluded; `fit` lists them and its notes")
    show(*(f"warning [{warning['code']}]: {warning['text']}" for warning in report["warnings"]))


def _beyond(predicted: Sequence[Prediction]) -> list[str]:
    """The first line, where a budget lies beyond the runs or nobody knows whether it does."""
    ours = {row.at_flops: row.beyond for row in predicted if row.ours}
    far = [f"{flops_text(flops)} by {found:+.1f} decades" for flops, found in ours.items() if found]
    unknown = [flops_text(flops) for flops, found in ours.items() if found is None]
    said = [f"extrapolated beyond the compute these runs measured: {', '.join(far)}"] if far else []
    if unknown:
        said.append(
            f"this fit does not say what compute it measured: {', '.join(unknown)} may lie far beyond; fit again"
        )
    return said


def main(
    context: typer.Context,
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
    every: Annotated[bool, typer.Option("--all", help="Every published estimate, not the best known.")] = False,
    training: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Of one source: what its training held fixed (matched, tuned, untuned, fixed_batch, critical_batch, "
            "early_stopped, hot, simulated).  [default: matched, and that this is assumed is said]",
        ),
    ] = None,
    flops: Annotated[
        str | None,
        typer.Option(
            metavar="C,...",
            help="Of one source: predict N*, D* and the loss at these FLOPs, ours and published laws'; of two: compare "
            "their losses there.",
        ),
    ] = None,
    beside: Annotated[
        str | None,
        typer.Option(metavar="NAME,...", help="Of several sources: the published estimate to show beside each."),
    ] = None,
    counting: Annotated[
        str | None,
        typer.Option(metavar="N:C,...", help="How each source counts, where its table does not say, as total:6nd."),
    ] = None,
    group_by: Annotated[
        str | None, typer.Option(metavar="COL", help="Of one source: a sweep for each value of a column.")
    ] = None,
    figure: FigureFile = None,
    style: Style = None,
    json_file: JsonFile = None,
    markdown: Annotated[str | None, typer.Option(metavar="FILE|-", help="Write the tables there as Markdown.")] = None,
    debug: Debug = False,
) -> None:
    """Set our exponents beside the published ones that count parameters alike, or several sweeps beside each other.

    Example: python scripts/compare.py runs/demo
    """
    _check_markdown(markdown, json_file)
    check_figure(figure)
    draw_in(context, style, figure is not None, "--figure FILE")
    budgets = amounts("--flops", flops)
    chosen = {"columns": columns_of(columns, loss), "mapping": mapping, "where": where, "keep_flagged": keep_flagged}
    if group_by is not None and len(source) > 1:
        raise InputError(f"--group-by {group_by}: splits one source into sweeps; {len(source)} are given")
    names, reports = (
        (list(source), [report_of(one, chosen) for one in source])
        if group_by is None
        else split_by(source[0], group_by, chosen)
    )
    if len(reports) > 1:
        if training is not None or every:
            raise InputError(f"{'--all' if every else '--training'}: is for one source beside published estimates")
        if budgets and len(reports) > 2:
            raise InputError(f"--flops {flops}: losses are compared of two sweeps at a time; {len(reports)} are given")
        written = {"figure": figure, "json_file": json_file, "markdown": markdown}
        compare_sweeps(names, reports, beside=beside, counting=counting, flops=budgets, **written)
        return
    if beside is not None:
        raise InputError(f"--beside {beside}: is for several sources; one is held beside all that count alike")
    report: Mapping[str, Any] = reports[0]
    for n_params, count in counts_asked(counting, 1):
        report = declared(report, names_of(source)[0], n_params, count)
    _compare_with_published(
        names[0],
        report,
        every=every,
        training=training,
        flops=budgets,
        figure=figure,
        json_file=json_file,
        markdown=markdown,
    )


if __name__ == "__main__":
    run(main)
