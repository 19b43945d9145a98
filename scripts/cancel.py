"""End what is at work on a sweep, on whatever machine; cells keep their checkpoints."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Annotated

import typer

from isoflop.scripts.cli import FAILED, Debug, run
from isoflop.fitting.errors import InputError
from isoflop.scripts.output import JsonFile, note, show, write_json
from isoflop.training.claims import ClaimInfo, Taker, read_claim
from isoflop.training.launch.slurm import LAUNCHER
from isoflop.training.launch.slurm_status import cancel_tasks, names_of
from isoflop.training.records import SweepFolder
from isoflop.training.stopping import LOOK_SECONDS

POLL_SECONDS = 0.2
SETTLED_SECONDS = 2 * LOOK_SECONDS  # without a claim: a process between two cells has looked by then


def main(
    sweep: Annotated[Path, typer.Argument(metavar="SWEEP", help="A sweep folder (made by sweep.py).")],
    wait: Annotated[float, typer.Option(metavar="SECONDS", help="How long to wait for cells to be let go.")] = 60.0,
    json_file: JsonFile = None,
    debug: Debug = False,
) -> int:
    """End what is at work on a sweep, as Ctrl-C there would; the command that began it goes on with it.

    Example: python scripts/cancel.py runs/demo
    """
    if not (math.isfinite(wait) and wait >= 0):
        raise InputError(f"--wait {wait:g}: must be a number of seconds of at least 0")
    folder = SweepFolder(sweep)
    holders = [*(cell.run_id for cell in folder.read_plan().cells), LAUNCHER]
    submitted = bool(names_of(folder))
    watch = Watch(folder, holders)
    try:
        folder.stop.write()  # before Slurm is asked: a launcher would submit again what it misses
        if submitted:
            cancel_tasks(folder, waiting=True)
        seen, left = wait_for_the_end(folder, watch, wait)
    except OSError as error:
        raise InputError(f"{folder.stop.path}: cannot be written ({error.strerror})") from None
    ended = {run_id: owner for run_id, owner in seen.items() if run_id not in left}
    silent = bool(submitted and not left and not cancel_tasks(folder, waiting=False))
    still = {run_id: claim.owner for run_id, claim in left.items()}
    write_json(json_file, {"folder": sweep, "ended": ended, "at_work": still, "slurm_answers": not silent})
    if left:
        told = "; ".join(f"{run_id}: {owner}" for run_id, owner in still.items())
        asked = f"they end when they look at {folder.stop.path}"
        note(f"error: after {wait:g} s still at work: {told}; {asked}")
        return FAILED
    if silent:
        note(f"error: Slurm does not answer here (squeue); its tasks of {sweep} start later and go on")
        return FAILED
    nothing = f"nothing is at work in {sweep}"
    show(f"cancelled: {nothing} any more" if seen else f"{nothing}; a launch that is still starting ends too")
    return 0


class Watch:
    """Who is at work on a sweep's cells, taking an owner for gone whose counter stands still."""

    def __init__(self, sweep: SweepFolder, run_ids: list[str]) -> None:
        self._folders = {run_id: sweep.path / run_id for run_id in run_ids}
        self._taker = Taker()

    def look(self) -> dict[str, ClaimInfo]:
        """The claims that are alive, by run id."""
        claims = {name: read_claim(path) for name, path in self._folders.items() if not self._taker.sees_free(path)}
        return {run_id: claim for run_id, claim in claims.items() if claim is not None and claim.alive}


def wait_for_the_end(folder: SweepFolder, watch: Watch, wait: float) -> tuple[dict[str, str], dict[str, ClaimInfo]]:
    """Who was at work, and who still is after `wait` seconds, by run id."""
    began = quiet_since = time.monotonic()
    seen, told = dict[str, str](), set[str]()
    while True:
        folder.stop.write()  # anew: a task that has just started has seen the last one before it began
        left, now = watch.look(), time.monotonic()
        seen |= {run_id: claim.owner for run_id, claim in left.items()}
        if owners := {claim.owner for claim in left.values()}:
            quiet_since = now
        if owners and owners != told:
            note(f"waiting for {_cells(len(left))} of {', '.join(sorted(owners))}")
            told = owners
        if now - quiet_since >= SETTLED_SECONDS or (left and now - began >= wait):
            return seen, left
        time.sleep(POLL_SECONDS)


def _cells(count: int) -> str:
    return f"{count} cell{'s' if count != 1 else ''}"


if __name__ == "__main__":
    run(main)
