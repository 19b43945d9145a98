"""Upload a sweep's cells and fit to W&B, those that are not there yet."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from isoflop.scripts.cli import Debug, run
from isoflop.fitting.errors import InputError
from isoflop.fitting.readers.wandb_records import read_segment
from isoflop.scripts.output import JsonFile, note, show, write_json
from isoflop.training.plan import Plan
from isoflop.training.records import SweepFolder
from isoflop.training.tracking import mirror, mirror_rest, not_mirrored, wandb_id
from isoflop.training.wandb_session import UploadError, forget_mirrored, server_trouble, wait_for_logs


def logs_of(folder: Path) -> dict[str, Path]:
    """The W&B log of each run below `folder`; of a run that was resumed the last segment, which holds all of it."""
    logs = folder.glob("wandb/*run-*/run-*.wandb")
    in_order = sorted(logs, key=lambda log: (log.parent.name.removeprefix("offline-"), log.stat().st_mtime))
    return {log.stem.removeprefix("run-"): log for log in in_order}


def is_uploaded(log: Path) -> bool:
    """Whether `wandb sync`, or an online run at its end, has said so."""
    return log.with_suffix(".wandb.synced").exists()


def upload(folder: Path, logs: Sequence[Path]) -> str:
    """Have W&B upload `logs`, in a process and with a service of its own; returns its last words."""
    environment = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}
    done = subprocess.run(
        [sys.executable, "-m", "wandb", "sync", "--include-online", *map(str, logs)],
        env=environment | {"WANDB_DIR": str(folder)},  # for its debug log, else left where the command is called
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return next((line.strip() for line in reversed(done.stdout.splitlines()) if line.strip()), "")


def is_begun(folder: Path, name: str) -> bool:
    """Whether the server may have rows of the run already: `wandb sync` would append them again, at later steps."""
    logs = folder.glob(f"wandb/*run-*/run-{name}.wandb")
    return any(is_uploaded(log) or not log.parent.name.startswith("offline-") for log in logs)


def mirrored(plan: Plan, mode: str) -> Plan:
    """The plan, mirrored in this mode whatever its config says."""
    wandb = plan.config.wandb.model_copy(update={"mode": mode})
    return Plan(plan.config.model_copy(update={"wandb": wandb}), plan.corpus, plan.cells)


def main(
    sweep: Annotated[Path, typer.Argument(metavar="SWEEP", help="A sweep folder (made by sweep.py).")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the W&B runs to upload and stop.")] = False,
    json_file: JsonFile = None,
    debug: Debug = False,
) -> int:
    """Upload a sweep's recorded cells to W&B, then its fit. It asks nothing and skips what is uploaded already.

    Cells without a whole mirror, as those of a sweep trained with wandb.mode=disabled, get one from their records.

    Example: python scripts/sync_wandb.py runs/demo
    """
    folder = SweepFolder(sweep)
    plan = mirrored(folder.read_plan(), "offline")
    cells = [wandb_id(plan.config, cell.run_id) for cell in plan.cells if folder.read_record(cell.run_id)]
    if not cells:
        raise InputError(f"{sweep}: none of its {len(plan.cells)} cells has a record yet: train them with `sweep`")
    fit = wandb_id(plan.config, "fit")
    unmirrored = {wandb_id(plan.config, cell.run_id) for cell in not_mirrored(plan, folder)}
    before = logs_of(sweep)
    names = [*cells, *([fit] if fit in before else [])]
    due = [name for name in names if name in unmirrored or name not in before or not is_uploaded(before[name])]
    if fit not in before:
        note("no fit is mirrored: `isoflop sweep` fits the sweep and mirrors the fit")
    said = "" if dry_run or not due else _upload(plan, folder, due, fit)
    left = due if dry_run else _not_uploaded(sweep, due)
    write_json(json_file, {"folder": sweep, "runs": names, "uploaded": [n for n in due if n not in left], "left": left})
    if not due:
        show(f"nothing to upload: all {len(names)} runs of {sweep} are uploaded")
    elif dry_run:
        show(*due)
    else:
        show(f"uploaded {len(due) - len(left)} of {len(due)} runs")
    if left and not dry_run:
        why = said or "the server did not take it in time"
        raise UploadError(f"{len(left)} of {len(due)} runs are not uploaded, {left[0]} the first: {why}")
    return 0


def _not_uploaded(folder: Path, names: Sequence[str]) -> list[str]:
    logs = logs_of(folder)
    return [name for name in names if name not in logs or not is_uploaded(logs[name])]


def _upload(plan: Plan, folder: SweepFolder, due: Sequence[str], fit: str) -> str:
    """Upload the runs `due`, the cells before the fit; returns W&B's last words. UploadError: no server is there."""
    if trouble := server_trouble():
        raise UploadError(f"wandb: {trouble}; nothing was uploaded")
    for name, log in logs_of(folder.path).items():
        if name in due and not is_uploaded(log) and read_segment(log).exit_code is None:
            forget_mirrored(folder.path, name)  # a disk that was full, say, has torn its end off
    begun = {name for name in due if name != fit and is_begun(folder.path, name)}
    mirror(mirrored(plan, "online"), folder, [c for c in plan.cells if wandb_id(plan.config, c.run_id) in begun])
    mirror_rest(plan, folder)
    wait_for_logs()
    logs = logs_of(folder.path)
    said = ""
    for part in ([name for name in due if name not in {fit, *begun}], [fit] if fit in due else []):
        if paths := [logs[name] for name in part if name in logs and not is_uploaded(logs[name])]:
            said = upload(folder.path, paths)
    return said


if __name__ == "__main__":
    run(main)
