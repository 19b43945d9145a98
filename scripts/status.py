"""Show how a sweep stands: what is done, at work, left and failed, and what it has cost."""

from __future__ import annotations

import math
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from isoflop.scripts.cli import Debug, run
from isoflop.fitting.errors import InputError
from isoflop.fitting.reporting.style import count_text, flops_text
from isoflop.scripts.output import JsonFile, console, laid_out, show, write_json
from isoflop.scripts.progress import duration_text
from isoflop.training.records import SweepFolder
from isoflop.training.status import CellStatus, SweepStatus, Watcher

FOLLOW_SECONDS = 2.0
LAST_LOOKS = 3  # in a row at which every cell has a record: a round of refinement may come yet
MOST_NAMED = 3  # run ids in a row of the failed


def main(
    sweep: Annotated[Path, typer.Argument(metavar="SWEEP", help="A sweep folder (made by sweep.py).")],
    follow: Annotated[bool, typer.Option("--follow", help="Go on until every cell has a record, or Ctrl-C.")] = False,
    price: Annotated[
        float | None, typer.Option("--price-per-hour", metavar="X", help="Of a device, for the cost so far.")
    ] = None,
    json_file: JsonFile = None,
    debug: Debug = False,
) -> None:
    """Show how a sweep stands, by its folder alone; nothing is written there.

    Example: python scripts/status.py runs/demo --follow
    """
    if price is not None and not (math.isfinite(price) and price >= 0):
        raise InputError(f"--price-per-hour {price:g}: must be a number of at least 0")
    if follow and json_file:
        raise InputError("--follow prints tables; leave it or --json out")
    watcher = Watcher(SweepFolder(sweep))
    if follow:
        follow_sweep(watcher, price)
        return
    status = watcher.look()
    write_json(json_file, as_data(status, price))
    show(*report(status, price))


def follow_sweep(watcher: Watcher, price: float | None) -> None:
    """Show the sweep every two seconds until it is over or Ctrl-C; piped, a line where it has moved.

    It is over when all cells have a record and no round of refinement is sought, or has come a few seconds later.
    """
    from rich.live import Live

    terminal, told, looks = sys.stdout.isatty(), "", LAST_LOOKS - 1  # one that is over at first is over
    try:
        with Live(console=console(), auto_refresh=False) if terminal else nullcontext() as live:
            while True:
                status = watcher.look()
                if live is not None:
                    items = report(status, price, following=True)
                    parts = (Text(i) if isinstance(i, str) else i for i in laid_out(items, live.console))
                    live.update(Group(*parts), refresh=True)
                elif (moved := f"{cells_line(status)}; {flops_line(status)}") != told:
                    told = moved
                    show(f"{told}; {time_line(status, price)}")
                    sys.stdout.flush()
                looks = looks + 1 if status.is_over and not watcher.is_refined else 0
                if looks >= LAST_LOOKS:
                    return
                time.sleep(FOLLOW_SECONDS)
    except KeyboardInterrupt:
        return


def report(status: SweepStatus, price: float | None, *, following: bool = False) -> list[RenderableType]:
    """The lines and tables of one look."""
    lines = [f"{status.plan.config.name}: {cells_line(status)}", flops_line(status), time_line(status, price)]
    tables = (budget_table(status), running_table(status, following), left_table(status), failed_table(status))
    return [*lines, *status.launchers, *(table for table in tables if table.row_count)]


def cells_line(status: SweepStatus) -> str:
    """How many cells are in which state."""
    counts = {"done" if state == "finished" else state: count for state, count in status.counts.items()}
    always = ("done", "running", "waiting", "failed")
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count or state in always)
    return f"{told} of {len(status.cells)} cells"


def flops_line(status: SweepStatus) -> str:
    """What is done and what is left, by FLOPs."""
    done, left = status.flops_done, status.flops_to_go
    share = f" ({done / (done + left):.0%})" if done + left else ""
    return f"{flops_text(done)} FLOPs done{share}, {flops_text(left)} to go"


def time_line(status: SweepStatus, price: float | None) -> str:
    """The time left, how well devices were used, and what they have cost."""
    left, mfu, hours = status.seconds_left, status.mfu, status.device_hours
    words = [] if status.is_over else [f"time left {'-' if left is None else f'about {duration_text(left)}'}"]
    words.append("MFU -" if mfu is None else f"MFU {mfu[0]:.1%} ({mfu[1]:.1%} to {mfu[2]:.1%})")
    words.append(f"{hours:.3g} device-hours")
    if price is not None:
        words.append(f"cost {hours * price:.2f}")
    return ", ".join(words)


def budget_table(status: SweepStatus) -> Table:
    """Progress, budget by budget."""
    table = _table("budget", "cells", "done", "running", "waiting", "failed", "diverged", "FLOPs done")
    by_budget: dict[float, list[CellStatus]] = {}
    for cell in status.cells:
        by_budget.setdefault(cell.cell.budget, []).append(cell)
    for budget, cells in sorted(by_budget.items()):
        part = SweepStatus(status.folder, status.plan, cells)
        counts, own = part.counts, sum(cell.cell.own_flops for cell in cells)
        waiting = counts["waiting"] + counts["torn"]
        states = (counts["finished"], counts["running"], waiting, counts["failed"], counts["diverged"])
        table.add_row(flops_text(budget), str(len(cells)), *map(str, states), f"{part.flops_done / own:.0%}")
    return table


def running_table(status: SweepStatus, following: bool) -> Table:
    """What is at work, and where; while following also since when its owner has given no sign."""
    table = _table("running", "budget", "width", "N", "step", "of", *(["quiet"] if following else []), "by")
    for cell in status.of("running"):
        assert cell.claim is not None
        quiet = [f"{cell.still:.0f} s"] if following else []
        table.add_row(*_cell_words(cell), str(cell.cell.steps), *quiet, cell.claim.owner)
    return table


def left_table(status: SweepStatus) -> Table:
    """Cells that were begun, or recorded in vain, and are at nobody now."""
    table = _table("left", "budget", "width", "N", "at step", "why")
    for cell in status.of("waiting", "torn"):
        if cell.state == "torn":
            table.add_row(*_cell_words(cell), "its record cannot be read; it is trained again")
        elif cell.claim is not None:
            gone = "was let go by" if cell.claim.released else "gone:"
            table.add_row(*_cell_words(cell), f"{gone} {cell.claim.owner}")
    return table


def failed_table(status: SweepStatus) -> Table:
    """Why cells failed or diverged; those of one reason in one row, at whichever step."""
    table = _table("failed", "cells", "reason")
    table.columns[1].justify, table.columns[2].justify = "right", "left"
    reasons: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for cell in status.of("failed", "diverged"):
        reason = (cell.record or {}).get("reason") or "-"
        reasons.setdefault((cell.state, reason.split(" at step ")[0]), []).append((cell.cell.run_id, reason))
    for (state, reason), found in sorted(reasons.items(), key=lambda row: (row[0][0] != "failed", -len(row[1]))):
        run_ids = [run_id for run_id, _ in found]
        reason = found[0][1] if len(found) == 1 else reason  # the step of one alone
        more = f" and {len(run_ids) - MOST_NAMED} more" if len(run_ids) > MOST_NAMED else ""
        words = reason if state == "failed" else f"diverged: {reason}"
        table.add_row(" ".join(run_ids[:MOST_NAMED]) + more, str(len(run_ids)), words)
    return table


def as_data(status: SweepStatus, price: float | None = None) -> dict[str, Any]:
    """The same as data; FLOPs in the grid's convention."""
    mfu, hours = status.mfu, status.device_hours
    return {
        "sweep": status.plan.config.name,
        "folder": status.folder,
        "states": status.counts,
        "flops_done": status.flops_done,
        "flops_to_go": status.flops_to_go,
        "seconds_left": status.seconds_left,
        "mfu": dict(zip(("median", "low", "high"), mfu, strict=True)) if mfu else None,
        "device_hours": hours,
        "cost": None if price is None else hours * price,
        "launchers": status.launchers,
        "cells": [_cell_data(cell) for cell in status.cells],
    }


def _cell_data(cell: CellStatus) -> dict[str, Any]:
    claim = cell.claim
    owner = None if claim is None else {"host": claim.host, "pid": claim.pid, "job": claim.job, "beat": claim.beat}
    return {
        "run_id": cell.cell.run_id,
        "budget": cell.cell.budget,
        "width": cell.cell.shape.width,
        "n_params": cell.cell.counts.params.n_params,
        "seed": cell.cell.seed,
        "state": cell.state,
        "step": cell.step,
        "steps": cell.cell.steps,
        "owner": owner,
        "reason": (cell.record or {}).get("reason"),
    }


def _cell_words(cell: CellStatus) -> list[str]:
    n_params = count_text(cell.cell.counts.params.n_params)
    step = "-" if cell.step is None else str(cell.step)
    return [cell.cell.run_id, flops_text(cell.cell.budget), str(cell.cell.shape.width), n_params, step]


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="left" if name in ("by", "why", "reason") else "right")
    return table


if __name__ == "__main__":
    run(main)
