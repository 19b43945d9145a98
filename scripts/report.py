"""Write a fit as one page that opens offline and can be sent around, and its figures for a paper."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from isoflop.scripts.cli import Debug, run
from isoflop.fitting.errors import InputError
from isoflop.fitting.forecasting.stocks import load_stocks
from isoflop.fitting.jsonio import write_text_atomic
from isoflop.fitting.reporting.page.build import build_page
from isoflop.fitting.reporting.pictures.every import pictures_of
from isoflop.fitting.reporting.report.page import page_of
from isoflop.fitting.reporting.report.spending import Spending, assumed_spending, measured_spending
from isoflop.fitting.reporting.report.subject import Subject
from isoflop.fitting.reporting.report.sweep import SweepDetails
from isoflop.scripts.drawing import Style, draw_in
from isoflop.scripts.fit import given_options
from isoflop.scripts.forecast_asked import rates_of
from isoflop.scripts.output import JsonFile, note, show, write_json
from isoflop.scripts.reading import Reading
from isoflop.scripts.report_source import Taken, take
from isoflop.scripts.sources import Columns, Ends, KeepFlagged, Loss, MappingFile, Where, columns_of
from isoflop.training.provenance import git_commit

DEVICE = "H100"  # assumed where neither a sweep nor --device says what a FLOP takes
NONE = "none"


def main(
    context: typer.Context,
    source: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...", help="A sweep folder, a folder that `fit --out` wrote, or any source that fit takes."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="The page.  [default: report.html in the folder given, else here]"),
    ] = None,
    figures: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|none", help="Every picture as PNG, PDF and SVG there.  [default: figures/ beside the page]"
        ),
    ] = None,
    style: Style = None,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="Of the page.")] = None,
    gpu_hour: Annotated[
        float | None, typer.Option(metavar="X", help="Dollars for an hour of one device: prices the runs and budgets.")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What budgets are priced on, of the stocks.  [default: the sweep's, H100]"),
    ] = None,
    mfu: Annotated[float | None, typer.Option(metavar="M", help="Share of its peak that training uses.")] = None,
    columns: Columns = None,
    mapping: MappingFile = None,
    loss: Loss = None,
    ends: Ends = False,
    where: Where = None,
    keep_flagged: KeepFlagged = False,
    json_file: JsonFile = None,
    debug: Debug = False,
) -> None:
    """Write report.html, one file that opens offline: verdict, pictures, a slider of budgets, warnings, provenance.

    A sweep, or a folder that fit wrote, is fitted again as it was; other fits than the default: fit --out DIR first.

    Example: python scripts/report.py runs/demo
    """
    page_file = checked_out(out or default_out(source))
    folder = None if figures == NONE else check_folder(Path(figures or page_file.parent / "figures"))
    draw_in(context, style, folder is not None, "--figures DIR")
    if mfu is not None and device is None:
        raise InputError(f"--mfu {mfu:g}: is a share of a device's peak; give --device too")
    asked = Reading(columns_of(columns, loss), None if mapping is None else str(mapping), ends, where, keep_flagged)
    assumed = None if device is None else _assumed(device, gpu_hour, mfu)
    taken = take(source, asked)
    subject = Subject(
        analysis=taken.analysis,
        source=" ".join(source),
        spending=assumed or spending_of(taken, gpu_hour),
        sweep=taken.sweep,
        curves=taken.curves,
        files=taken.files,
        commands=commands_of(source, taken, words_of(context)),
        doubts=taken.doubts,
        title=title or "",
        where=taken.where,
        code=git_commit() or "",
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        sources=tuple(source),
    )
    pictures = pictures_of(subject.analysis, subject.curves, subject.comparison)
    page = page_of(subject, pictures)
    _write(page_file, build_page(page))
    show(*page.verdict, f"wrote {page_file} ({page_file.stat().st_size / 1e6:.1f} MB)")
    drawn: list[Path] = []
    if folder is not None:
        from isoflop.fitting.reporting.figures import save_figures  # here: matplotlib, once the page is written

        drawn = save_figures(folder, pictures)
        show(f"wrote {len(drawn)} files in {folder}: {len(pictures)} pictures as PNG, PDF and SVG")
    note(*(f"warning [{doubt.code}]: {doubt.text}" for doubt in taken.doubts))
    written = {"report": page_file, "figures": drawn, "verdict": page.verdict, "facts": page.facts}
    write_json(json_file, written | {"warnings": subject.warnings})


def default_out(source: Sequence[str]) -> Path:
    """report.html in the one folder given, a sweep's or a fit's; else in the current folder."""
    first = Path(source[0])
    own = first.parent if first.name == "fit.json" else first
    of_fit = len(source) == 1 and any((own / name).is_file() for name in ("plan.json", "fit.json"))
    return own / "report.html" if of_fit else Path("report.html")


def checked_out(path: Path) -> Path:
    """The page's path. Raises InputError where it cannot be written: better now than after the fit."""
    if path.suffix not in (".html", ".htm"):
        raise InputError(f"--out {path}: is no page; name a file that ends in .html")
    if path.is_dir():
        raise InputError(f"--out {path}: is a folder; name a file in it")
    above = next(parent for parent in path.absolute().parents if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise InputError(f"--out {path}: cannot be written in {above}; choose another place")
    return path


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomic(path, text)
    except OSError as error:
        raise InputError(f"--out {path}: cannot be written ({error.strerror}); choose another place") from None


def check_folder(folder: Path) -> Path:
    """The figures' folder. Raises InputError where it cannot be one: better now than after the page."""
    above = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not above.is_dir():
        raise InputError(f"--figures {folder}: a file is in the way; name a folder, or none")
    try:
        tempfile.TemporaryDirectory(dir=above).cleanup()
    except OSError as error:
        why = f"cannot be written in {above} ({error.strerror})"
        raise InputError(f"--figures {folder}: {why}; name another folder, or none") from None
    return folder


def spending_of(taken: Taken, gpu_hour: float | None) -> Spending:
    """What the sweep measured, else what an H100 is assumed to reach."""
    measured = None
    if isinstance(taken.sweep, SweepDetails):
        flops = taken.analysis.options.flops.removeprefix("flops_")
        measured = measured_spending(taken.sweep, None if flops == "flops" else flops, gpu_hour)
    return measured or _assumed(DEVICE, gpu_hour, None)


def _assumed(device: str, gpu_hour: float | None, mfu: float | None) -> Spending:
    rates = rates_of(
        load_stocks(), price_per_flop=None, gpu_hour=gpu_hour, device=device, peak_tflops=None, mfu=mfu, devices=None
    )
    return assumed_spending(rates, device, gpu_hour is not None)


def commands_of(source: Sequence[str], taken: Taken, report_words: Sequence[str]) -> tuple[str, ...]:
    """What a shell takes to make the runs, the fit, the page and its figures again."""
    given = shlex.join(source)
    report = " ".join(["isoflop report", given, *report_words])
    if taken.sweep is not None:
        config = shlex.quote(f"{taken.sweep.name}.yaml")
        train = f"isoflop sweep {config} --out {given}  # the config is below"
        fit = " ".join(["isoflop fit", given, *taken.fit_words])
        return (f"isoflop plan {config}", train, fit, report)
    if taken.folder is not None:
        sources = shlex.join(taken.analysis.sources)
        return (" ".join(["isoflop fit", sources, *taken.fit_words, f"--out {given}"]), report)
    return (" ".join(["isoflop fit", given, *taken.fit_words]), report)


def words_of(context: typer.Context) -> list[str]:
    """The options that the command line names, quoted for a shell; without those that leave the page as it is."""
    words: list[str] = []
    named = given_options(context)
    for parameter in context.command.params:
        if parameter.name not in named or parameter.name in ("source", "json_file", "debug"):
            continue
        option, value = max(parameter.opts, key=len), context.params[parameter.name]
        words.append(option if value is True else f"{option} {shlex.quote(str(value))}")
    return words


if __name__ == "__main__":
    run(main)
