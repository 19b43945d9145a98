"""Hold a fit beside published estimates, convention by convention."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from isoflop.fitting.analysis import Options, analyse
from isoflop.fitting.compare import compare_with_published
from isoflop.fitting.errors import InputError
from isoflop.fitting.readers import load_runs
from isoflop.fitting.reporting.tables import comparison_table
from isoflop.scripts.cli import Debug, run
from isoflop.scripts.fit import check_writable
from isoflop.scripts.output import show
from isoflop.scripts.sources import Columns, KeepFlagged, Loss, MappingFile, Where, columns_of


def read_report(source: str) -> dict[str, Any] | None:
    """The content of a fit.json: the file, or that of a fitted sweep; None for runs. Raises InputError."""
    path = Path(source)
    if path.is_dir() and (path / "fit.json").is_file():
        path = path / "fit.json"
    if path.suffix == ".json" and path.is_file():
        try:
            report = json.loads(path.read_text())
        except ValueError:
            raise InputError(f"{path}: is not JSON") from None
        if isinstance(report, dict) and "fits" in report:
            fits = report["fits"]
            if not isinstance(fits, dict) or not all(isinstance(fit, dict) for fit in fits.values()):
                raise InputError(f"{path}: is no fit.json: its fits are no objects; write it with `fit --out`")
            return report
        if isinstance(report, dict) and "groups" in report:
            raise InputError(f"{path}: holds groups; fit the one to compare by itself, with --where")
    return None


def main(
    source: Annotated[
        str, typer.Argument(metavar="FIT|SOURCE", help="A fit.json, a sweep folder, or any source that fit takes.")
    ],
    columns: Columns = None,
    mapping: MappingFile = None,
    loss: Loss = None,
    where: Where = None,
    keep_flagged: KeepFlagged = False,
    every: Annotated[
        bool, typer.Option("--all", help="Every published row of a convention, not the best known.")
    ] = False,
    json_file: Annotated[str | None, typer.Option("--json", metavar="FILE|-", help="Write the rows there.")] = None,
    debug: Debug = False,
) -> None:
    """Set our exponents beside the published ones that count parameters the same way.

    Example: python scripts/compare.py runs/demo
    """
    check_writable(json_file)
    chosen = {"columns": columns_of(columns, loss), "mapping": mapping, "where": where, "keep_flagged": keep_flagged}
    report = None if any(chosen.values()) else read_report(source)
    if report is None:
        table = load_runs(source, **chosen)
        report = analyse(table, Options(keep_flagged=keep_flagged), (source,)).to_json()
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
