"""Train single cells of a planned sweep: what `accelerate launch` and batch jobs call."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from isoflop.fitting.errors import InputError
from isoflop.scripts.cli import FAILED, Debug, run
from isoflop.scripts.progress import SweepProgress
from isoflop.training.launch import run_inline
from isoflop.training.records import SweepFolder


def main(
    sweep: Annotated[Path, typer.Argument(metavar="SWEEP", help="A sweep folder (made by sweep.py).")],
    run_id: Annotated[list[str], typer.Argument(metavar="RUN_ID...", help="Cells, by run id, as in plan.json.")],
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
        print("all of them have a record already", file=sys.stderr)
    if not cells:
        return 0
    with SweepProgress(plan, cells, quiet=quiet) as progress:
        outcome = run_inline(plan, folder, [(cell,) for cell in cells], progress)
    if outcome.halted:
        print(f"error: unfinished: {outcome.halted}", file=sys.stderr)
    for name, reason in outcome.paused.items():
        print(f"error: unfinished: {name}: {reason}", file=sys.stderr)
    return FAILED if outcome.halted or outcome.failed or outcome.paused else 0


if __name__ == "__main__":
    run(main)
