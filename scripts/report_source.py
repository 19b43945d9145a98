"""What a report is made of: a sweep, the folder of a fit, or runs read anew, each analysed as it was before."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from isoflop.fitting.analysis import Analysis, Options, analyse
from isoflop.fitting.curves import CurveTable
from isoflop.fitting.diagnostics import Warn
from isoflop.fitting.errors import InputError
from isoflop.fitting.fit_folder import CURVES_NAME, FIT_NAME, RUNS_NAME, options_in, read_fit, read_fit_folder
from isoflop.fitting.readers.curves import load_curves
from isoflop.fitting.readers.sweep import PLAN_NAME
from isoflop.fitting.reporting.report.runs import with_addresses
from isoflop.fitting.reporting.report.sweep import SweepDetails, sweep_details
from isoflop.fitting.runs import RunTable
from isoflop.scripts.reading import Reading
from isoflop.scripts.report_differences import differences


@dataclass(frozen=True)
class Taken:
    """The analysis of the sources, and where it is from: `folder` is the sweep's or the fit's own, None for others.

    `curves` are training curves beside the analysis's own, `doubts` say where it differs from the fit that was
    written, `fit_words` are the options by which `fit` makes the same fit.
    """

    analysis: Analysis
    folder: Path | None
    sweep: SweepDetails | None
    curves: CurveTable | None
    files: tuple[Path, ...]
    doubts: tuple[Warn, ...]
    fit_words: tuple[str, ...]
    where: str = ""  # which rows, as --where says it


def take(sources: Sequence[str], reading: Reading) -> Taken:
    """Read and analyse. Raises InputError for what cannot be read, FitError where the runs admit no answer."""
    first = Path(sources[0])
    if len(sources) == 1 and first.is_dir():
        if (first / PLAN_NAME).is_file():
            return _sweep(first, str(sources[0]), reading)
        if (first / FIT_NAME).is_file():
            return _fit(first, reading)
    if len(sources) == 1 and first.name == FIT_NAME and first.is_file():
        return take([str(first.parent)], reading)
    table = reading.runs(sources)
    options = Options(keep_flagged=reading.keep_flagged)
    files = tuple(Path(source) for source in sources if Path(source).is_file())
    analysis = _analysed(table, options, sources, reading)
    return Taken(analysis, None, None, None, files, (), _words(options, reading), reading.where or "")


def _analysed(table: RunTable, options: Options, sources: Sequence[str], reading: Reading) -> Analysis:
    """As `analyse`; where its error names --method, an option of `fit`, it says how that comes into a report."""
    try:
        return analyse(table, options, tuple(sources))
    except InputError as error:
        if "--method" not in str(error):
            raise
        fit = " ".join(["isoflop fit", shlex.join(sources), *reading.words, "--method parametric --out DIR"])
        raise InputError(f"{error}: {fit}, then isoflop report DIR") from error


def _sweep(folder: Path, source: str, asked: Reading) -> Taken:
    path = folder / FIT_NAME
    earlier = read_fit(path) if path.is_file() else None
    as_fitted = Reading() if earlier is None else Reading.from_report(earlier)
    reading = as_fitted.and_also(asked)
    runs = reading.runs([source])  # first: it checks the plan and the records
    details = sweep_details(folder)
    options = (None if earlier is None else options_in(earlier)) or _planned(details.config)
    analysis = analyse(runs, _kept(options, asked), (source,), reading.curve_table([source]))
    analysis = with_addresses(analysis, details.addresses)
    doubts = () if asked.asked else differences(earlier, analysis, path)
    curves = _curves(source)
    return Taken(analysis, folder, details, curves, (), doubts, _words(options, as_fitted), reading.where or "")


def _fit(folder: Path, asked: Reading) -> Taken:
    said = [name for name in ("columns", "mapping", "ends") if getattr(asked, name)]
    if said:
        raise InputError(f"--{said[0]}: {folder} holds runs that were read already; leave it out, or give their source")
    found = read_fit_folder(folder)
    table: RunTable = found.table if asked.where is None else found.table.where(asked.where)
    curves = found.curves if asked.where is None or found.curves is None else found.curves.where(asked.where)
    as_fitted = Reading.from_report(found.report)
    options = _kept(found.options, asked)
    analysis = analyse(table, options, tuple(found.report.get("source") or ()), curves)
    doubts = () if asked.asked else differences(found.report, analysis, folder / FIT_NAME)
    files = tuple(path for name in (RUNS_NAME, CURVES_NAME) if (path := folder / name).is_file())
    where = as_fitted.and_also(asked).where or ""
    return Taken(analysis, folder, None, curves, files, doubts, _words(found.options, as_fitted), where)


def _kept(options: Options, asked: Reading) -> Options:
    return replace(options, keep_flagged=options.keep_flagged or asked.keep_flagged)


def _planned(config: Mapping[str, Any]) -> Options:
    """As `sweep` fits: by the part `fit` of its config."""
    known = {field.name for field in fields(Options)}
    settings = {name: value for name, value in (config.get("fit") or {}).items() if name in known}
    return Options(**settings)


def _curves(source: str) -> CurveTable | None:
    """The sweep's training curves; None where none was logged."""
    try:
        return load_curves(source)
    except InputError:
        return None


def _words(options: Options, reading: Reading) -> tuple[str, ...]:
    """The options of `fit`, as on a command line, that differ from its defaults."""
    renamed = {"methods": "method", "fixed_E": "fixed-e"}
    words = list(reading.words)
    for each in fields(Options):
        value = getattr(options, each.name)
        if value == each.default or each.name in ("by_convention", "keep_flagged"):
            continue
        option = f"--{renamed.get(each.name, each.name).replace('_', '-')}"
        if each.name == "holdout":
            words.append("--no-holdout")
        elif value is True:
            words.append(option)
        else:
            text = ",".join(value) if isinstance(value, tuple) else "none" if value is None else str(value)
            words.append(f"{option} {shlex.quote(text)}")
    return tuple(words)
