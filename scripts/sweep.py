"""Train a sweep, or what is left of it, and fit it."""

from __future__ import annotations

import importlib.util
import os
import shlex
import signal
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from isoflop.scripts.cli import FAILED, ConfigFile, Debug, Overrides, run
from isoflop.fitting.errors import FitError, InputError
from isoflop.scripts.output import JsonFile, note, show, write_json
from isoflop.scripts.plan_costs import cost_lines
from isoflop.scripts.plan_folder import records_of, refuse_another_sweeps
from isoflop.scripts.plan_table import plan_of, plan_table, planned_device
from isoflop.scripts.progress import SweepProgress
from isoflop.training.costs import sweep_costs
from isoflop.training.launch import Outcome, launch
from isoflop.training.launch.admission import Memory
from isoflop.training.launch.devices import visible_gpus
from isoflop.training.plan import Plan, RunPlan
from isoflop.training.records import SweepFolder
from isoflop.training.refine import next_round, with_refinement
from isoflop.training.tracking import mirror_rest
from isoflop.training.tracking_fit import fit_is_mirrored, log_fit
from isoflop.training.wandb_session import mode_of, server_trouble


class Executor(StrEnum):
    """Where cells are trained."""

    LOCAL = "local"
    INLINE = "inline"
    SLURM = "slurm"


def train_what_is_left(plan: Plan, sweep: SweepFolder, retry_failed: bool) -> Outcome:
    """Train the cells that have no record yet; each one's end is told on stderr."""
    to_do = sweep.to_do(plan, retry_failed=retry_failed)
    if not to_do:
        note(f"all {len(plan.cells)} cells of {sweep.path} have a record already")
        return Outcome()
    _ask_wandb(plan)
    # A batch system's SIGTERM is a Ctrl-C: workers checkpoint and leave.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    known = (record for cell in plan.cells if (record := sweep.read_record(cell.run_id)))
    with SweepProgress(plan, to_do, known=known) as progress:
        return launch(plan, sweep, to_do, progress)


def _ask_wandb(plan: Plan) -> None:
    """Find out once whether W&B's server can be had; where not, the workers do not ask it again."""
    if mode_of(plan.config) == "online" and (trouble := server_trouble()):
        note(f"wandb: {trouble}; this sweep is mirrored offline (upload it with `isoflop sync_wandb`)")
        os.environ["WANDB_MODE"] = "offline"


def fit_sweep(plan: Plan, sweep: SweepFolder, *, new: bool) -> tuple[dict[str, Any], list[Path]]:
    """Fit what is there, write fit.json and the figures, mirror them where anything is `new`, print the tables.

    Returns the content of fit.json and what was written.
    """
    # Imported here: workers start a second or two earlier without.
    from isoflop.fitting.analysis import Options, analyse
    from isoflop.fitting.comparison.published_rows import compare_with_published
    from isoflop.fitting.readers import load_runs
    from isoflop.fitting.reporting.comparison import comparison_table
    from isoflop.scripts.drawing import wrote
    from isoflop.scripts.fit import save, show_report

    settings = plan.config.fit
    options = Options(
        n_params=settings.n_params,
        flops=settings.flops,
        minimum=settings.minimum,
        window=settings.window,
        resamples=settings.resamples,
    )
    source = str(sweep.path)
    analysis = analyse(load_runs(source), options, (source,))
    report = analysis.to_json()
    written = save(analysis, sweep.path)
    if new or not fit_is_mirrored(plan.config, sweep.path):
        log_fit(plan.config, sweep.path, report, analysis.table.frame, written[1:])
    show_report(report)
    show("", comparison_table(compare_with_published(report)))
    show(*wrote(written), f"all of it as one page to send around: isoflop report {shlex.quote(source)}")
    return report, written


def main(
    config: ConfigFile,
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="The sweep folder.  [default: runs/NAME]")] = None,
    executor: Annotated[
        Executor | None, typer.Option(help="Worker processes here, this one, or tasks of Slurm's.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Train cells recorded as failed again.")] = False,
    refine: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Rounds that add cells where minima are not bracketed or least certain."),
    ] = 0,
    json_file: JsonFile = None,
    debug: Debug = False,
) -> int:
    """Train every cell of a sweep that has no record yet, then fit it. Stopped or killed, it resumes.

    Example: python scripts/sweep.py configs/demo.yaml --out runs/demo
    """
    chosen = [*(overrides or []), *([f"execution.executor={executor}"] if executor else [])]
    plan = plan_of(config, chosen)
    sweep = SweepFolder(out or Path("runs") / plan.config.name)
    refuse_another_sweeps(sweep, plan)
    plan, words = with_refinement(plan, sweep.path)
    note(*words)
    if dry_run:
        costs = sweep_costs(plan, device := planned_device(plan), records_of(plan, sweep.path))
        write_json(json_file, plan.to_json() | {"costs": costs.to_json()})
        show(plan_table(plan, device, costs.seconds), *cost_lines(costs))
        return 0
    need_training_packages()
    trained: list[str] = []
    grown: Plan | None = plan
    while grown is not None:
        plan = grown
        sweep.write_plan(plan)
        outcome = train_what_is_left(plan, sweep, retry_failed)
        trained += outcome.trained
        if left := [cell.run_id for cell in sweep.to_do(plan)]:
            write_json(json_file, _told(plan, sweep, trained) | {"left": left, "why": _why(outcome)})
            note(f"error: stopped with {len(left)} of {len(plan.cells)} cells unfinished: {_why(outcome)}")
            return FAILED
        retry_failed = False
        grown = refined(plan, sweep, refine)
    if not plan.config.execution.keep_trunks:
        sweep.trunks.remove()
    failed = failed_cells(plan, sweep)
    note(*(f"error: cell {name} failed: {reason} (try again: --retry-failed)" for name, reason in failed.items()))
    mirrored = mirror_rest(plan, sweep)
    fitted: Mapping[str, Any] = {}
    if len(failed) < len(plan.cells):
        try:
            report, written = fit_sweep(plan, sweep, new=bool(mirrored or trained))
        except FitError as error:
            write_json(json_file, _told(plan, sweep, trained) | {"why": str(error)})
            raise
        fitted = {"fit": written[0], "written": written[1:], "exponents": _exponents(report)}
    write_json(json_file, _told(plan, sweep, trained) | fitted)
    return FAILED if failed else 0


def _told(plan: Plan, sweep: SweepFolder, trained: Sequence[str]) -> dict[str, Any]:
    """What `--json` gives of a sweep, before its fit: which cells this launch trained, and which failed."""
    return {
        "sweep": plan.config.name,
        "folder": sweep.path,
        "cells": len(plan.cells),
        "trained": trained,
        "failed": failed_cells(plan, sweep),
        "left": [],
        "fit": None,
    }


def _exponents(report: Mapping[str, Any]) -> dict[str, Any]:
    """Of N*(C) and D*(C) by each estimator that gives them, as fit.json has them."""
    keys = ("params_exponent", "tokens_exponent")
    fits = {method: fit for method, fit in report["fits"].items() if keys[0] in fit}
    return {method: {key: fit[key] for key in keys} for method, fit in fits.items()}


def refined(plan: Plan, sweep: SweepFolder, rounds: int) -> Plan | None:
    """The plan of the next of so many rounds of refinement, said on stderr; None where there is none."""
    if not rounds:
        return None
    admit: Callable[[RunPlan], None] = lambda _: None  # noqa: E731
    if plan.config.execution.executor != "slurm":  # its nodes may have more than this machine
        memory = Memory(plan, visible_gpus(plan.config.execution))
        admit = lambda cell: memory.refuse_too_large([(cell,)])  # noqa: E731
    grown, words = next_round(plan, sweep, rounds, admit)
    note(*words)
    return grown


def _why(outcome: Outcome) -> str:
    if outcome.halted:
        return outcome.halted
    if outcome.paused:
        return f"{len(outcome.paused)} are left by execution.max_seconds; the same command goes on with them"
    return "another process is at them; this command fits them when they are done"


def failed_cells(plan: Plan, sweep: SweepFolder) -> dict[str, str]:
    """The reasons of the cells recorded as failed, now or by an earlier launch."""
    records = {cell.run_id: sweep.read_record(cell.run_id) or {} for cell in plan.cells}
    return {run_id: record["reason"] for run_id, record in records.items() if record.get("status") == "failed"}


def need_training_packages() -> None:
    """Raises InputError where what training needs is not installed."""
    for name in ("torch", "transformers", "accelerate"):
        if importlib.util.find_spec(name) is None:
            raise InputError(f"training needs {name}, which is not installed: pip install 'isoflop[train]'")


if __name__ == "__main__":
    run(main)
