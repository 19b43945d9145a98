"""Measure the ratios the README quotes, each against a named alternative in the same run."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from isoflop.scripts.cli import FAILED, Debug, Overrides, run
from isoflop.fitting.readers import load_runs
from isoflop.scripts.output import JsonFile, write_json

DEMO = Path(__file__).resolve().parents[1] / "configs" / "demo.yaml"


class What(StrEnum):
    """What is measured."""

    ALL = "all"
    FIT = "fit"
    COVERAGE = "coverage"
    PRECISION = "precision"
    READ = "read"
    SWEEP = "sweep"
    TRAIN = "train"
    LAUNCH = "launch"


def main(
    what: Annotated[
        What,
        typer.Argument(
            help="all: these one after the other, and docs/benchmarks.md; "
            "fit: the parametric fit beside other solvers; coverage: how often intervals contain the truth; "
            "precision: whether the standard errors that plan expects come true; "
            "read: many runs with long curves beside a notebook's loop; sweep: a whole sweep beside the same cells by "
            "Hugging Face's Trainer; train: single cells beside Trainer and a plain PyTorch loop, small ones packed; "
            "launch: the launcher, status and planning over cells that train nothing."
        ),
    ],
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="SOURCE", help="fit: a table of runs (240 simulated ones); sweep, train: a YAML file (the demo)."
        ),
    ] = None,
    where: Annotated[str | None, typer.Option(metavar="QUERY", help="fit: only rows for which this holds.")] = None,
    repeats: Annotated[
        int | None, typer.Option(min=1, help="fit, train: take the median of so many (5, and 3).")
    ] = None,
    all_starts: Annotated[
        bool,
        typer.Option("--all-starts", help="fit: run the peers' start grids in full (minutes), not a part, scaled."),
    ] = False,
    sweeps: Annotated[
        int | None, typer.Option(min=20, help="coverage, precision: simulated sweeps a row (500, and 200).")
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="coverage, precision: processes at once.")] = 2,
    runs: Annotated[int, typer.Option(min=20, help="read: so many runs.")] = 10_000,
    points: Annotated[int, typer.Option(min=2, help="read: rows a curve.")] = 1000,
    overrides: Overrides = None,
    cells: Annotated[int, typer.Option(min=2, help="sweep: how many cells to time with Trainer.")] = 4,
    sizes: Annotated[
        str | None, typer.Option(metavar="N,N,...", help="train: parameters (4k to 2M; with a GPU 1M to 400M).")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="train: of a timed round, about.")] = 1.0,
    steps: Annotated[int | None, typer.Option(min=1, help="train: of a timed round, in place of seconds.")] = None,
    launched: Annotated[int, typer.Option(min=200, help="launch: cells that are launched.")] = 1000,
    planned: Annotated[int, typer.Option(min=4, help="launch: cells that are planned.")] = 10_000,
    quick: Annotated[bool, typer.Option("--quick", help="all: minutes, not most of an hour, and rough.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="all: the page (docs/benchmarks.md).")] = None,
    json_file: JsonFile = None,
    debug: Debug = False,
) -> int | None:
    """Time ours beside others, or measure the coverage of the intervals.

    Example: python scripts/bench.py fit runs.csv --where 'loss < 4'
    """
    fine = True
    if what is What.ALL:
        from isoflop.scripts.bench_all import PAGE, bench_all

        figures, fine = bench_all(quick, out or PAGE)
    elif what is What.FIT:
        figures = _fit(source, where, repeats or 5, all_starts)
    elif what is What.COVERAGE:
        from isoflop.scripts.bench_coverage import bench_coverage

        figures = {"rows": bench_coverage(sweeps or 500, processes)}
    elif what is What.PRECISION:
        from isoflop.scripts.bench_precision import bench_precision

        figures = {"rows": bench_precision(sweeps or 200, processes)}
    elif what is What.READ:
        from isoflop.scripts.bench_read import bench_read

        figures = bench_read(runs, points)
    elif what is What.LAUNCH:
        from isoflop.scripts.bench_launch import bench_launch

        figures = bench_launch(launched, planned)
    elif what is What.TRAIN:
        from isoflop.scripts.bench_cells import Settings
        from isoflop.scripts.bench_train import bench_train

        figures = bench_train(source, overrides or [], sizes, Settings(repeats or 3, seconds, steps))
    else:
        from isoflop.scripts.bench_sweep import bench_sweep  # needs pydantic's configs; the fit does not

        figures = bench_sweep(source or DEMO, overrides or [], cells)
    write_json(json_file, figures)
    return None if fine else FAILED


def _fit(source: Path | None, where: str | None, repeats: int, all_starts: bool) -> dict[str, Any]:
    from isoflop.scripts.bench_fit import bench_fit, simulated_rows

    table = simulated_rows(240) if source is None else load_runs(source)
    return bench_fit(table if where is None else table.where(where), repeats, all_starts)


if __name__ == "__main__":
    run(main)
