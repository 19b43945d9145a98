"""Train single cells of a planned sweep: what `accelerate launch` and batch jobs call."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from isoflop.scripts.cli import FAILED, Debug, run
from isoflop.fitting.errors import InputError
from isoflop.scripts.output import JsonFile, note, write_json
from isoflop.scripts.progress import SweepProgress
from isoflop.training.launch import Outcome, run_inline
from isoflop.training.records import SweepFolder

ENDS = ("status", "reason", "n_params", "tokens", "loss", "wall_seconds")  # of a record


def main(
    sweep: Annotated[Path, typer.Argument(metavar="SWEEP", help="A sweep folder (made by sweep.py).")],
    run_id: Annotated[list[str], typer.Argument(metavar="RUN_ID...", help="Cells, by run id, as in plan.json.")],
    json_file: JsonFile = None,
    debug: Debug = False,
) -> int:
    """Train the cells named, in this process, unless they are finished or another process is at them.

    Example: accelerate launch --config_file configs/accelerate/gpus.yaml scripts/run.py runs/big 0123456789ab
    """
    folder = SweepFolder(sweep)
    plan = folder.read_plan()
    known = {cell.run_id: cell for cell in plan.cells}
    for name in run_id:
        if name not in known:
            raise InputError(f"{sweep}/plan.json: has no cell {name!r}")
    several = os.environ.get("WORLD_SIZE", "1") != "1"  # processes, which have to choose alike: the first one does
    cells = [known[name] for name in dict.fromkeys(run_id) if several or not folder.has_ended(name)]
    quiet = os.environ.get("RANK", "0") != "0"  # of several processes of a launch, one tells
    if not cells and not quiet:
        note("all of them have a record already")
    with SweepProgress(plan, cells, quiet=quiet) as progress:
        outcome = run_inline(plan, folder, [(cell,) for cell in cells], progress) if cells else Outcome()
    if not quiet:
        write_json(json_file, _told(folder, list(dict.fromkeys(run_id)), outcome))
    if outcome.halted:
        note(f"error: unfinished: {outcome.halted}")
    for name, reason in outcome.paused.items():
        note(f"error: unfinished: {name}: {reason}")
    return FAILED if outcome.halted or outcome.failed or outcome.paused else 0


def _told(folder: SweepFolder, run_ids: Sequence[str], outcome: Outcome) -> dict[str, Any]:
    """The end of each cell; one without a record is unfinished."""
    unfinished = {"status": "unfinished", "reason": outcome.halted}
    records = {name: folder.read_record(name) or unfinished | {"reason": outcome.paused.get(name)} for name in run_ids}
    cells = [{"run_id": name, **{key: records[name].get(key) for key in ENDS}} for name in run_ids]
    return {"folder": folder.path, "cells": cells, "halted": outcome.halted}


if __name__ == "__main__":
    run(main)
