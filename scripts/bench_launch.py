"""Time the launcher over cells that train nothing, the status of their sweep, and the planning of many cells."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from rich.table import Table

from isoflop.scripts.output import note, show
from isoflop.scripts.plan_table import plan_table
from isoflop.training.config import parse_config
from isoflop.training.corpus import prepare_corpus
from isoflop.training.launch.local import run_local
from isoflop.training.plan import Plan, RunPlan
from isoflop.training.planning import make_plan
from isoflop.training.records import SweepFolder
from isoflop.training.stacking import orders

NULL_WORKER = "isoflop.scripts.bench_null"
WORKERS = 2
EARLY = 100  # cells after which the launcher's memory is looked at first
Made = TypeVar("Made")


class Clock:
    """A launch's listener: when cells ended, and how much memory this process had then."""

    def __init__(self) -> None:
        self.ends: list[float] = []
        self.resident: list[int] = []

    def step(self, cell: RunPlan, step: int) -> None:
        """Nothing."""

    def ended(self, cell: RunPlan, record: dict[str, Any]) -> None:
        """The cell has its record."""
        self.ends.append(time.perf_counter())
        self.resident.append(_resident())

    def note(self, words: str) -> None:
        """Of the launcher's."""
        note(words)

    def trouble(self, cell: RunPlan, reason: str) -> None:
        """None is expected."""
        note(f"{cell.run_id}: {reason}")


def bench_launch(n_cells: int, n_planned: int) -> dict[str, Any]:
    """`n_cells` (at least 200) through the launcher, and `n_planned` through planning; seconds and bytes."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        figures = {"launch": _launch(place, n_cells), "planning": _planning(place, n_planned)}
    show(_table(figures))
    return figures


def null_plan(place: Path, n_cells: int, **execution: Any) -> Plan:
    """A plan of so many cells, each of another budget or width, over a made-up corpus in `place`."""
    text = place / "text"
    text.mkdir(parents=True, exist_ok=True)
    for i in range(40):
        (text / f"{i}.txt").write_text(f"{i} " * 300)
    n_budgets = max(2, next(n for n in range(round(n_cells**0.5), 0, -1) if n_cells % n == 0))
    config = {
        "name": "null",
        "model": {"depth": 1, "heads": 2, "context": 16, "width_multiple": 4},
        "data": {
            "corpus": {"kind": "files", "paths": [str(text / "*.txt")]},
            "validation_fraction": 0.2,
            "validation_sequences": 32,
            "max_epochs": 1e12,
        },
        "grid": {
            "budgets": [1e12 * (1 + i / 10) for i in range(n_budgets)],
            "widths": [4 * (1 + i) for i in range(-(-n_cells // n_budgets))],
        },
        "recipe": {"learning_rate": {"rule": "width_power", "coefficient": 0.3}},
        "execution": {"workers": WORKERS, "device": "cpu", **execution},
        "wandb": {"mode": "disabled"},
    }
    parsed = parse_config(config, "bench")
    return make_plan(parsed, prepare_corpus(parsed.data).info)


def _launch(place: Path, n_cells: int) -> dict[str, Any]:
    plan, sweep, clock = null_plan(place, n_cells), SweepFolder(place / "sweep"), Clock()
    sweep.write_plan(plan)
    handed_out = orders(plan, sweep, plan.cells, device="cpu", workers=WORKERS)
    before = _cpu_seconds()
    run_local(plan, sweep, handed_out, clock, module=NULL_WORKER)
    cpu = _cpu_seconds() - before
    n_ended = len(clock.ends)
    wall = (clock.ends[-1] - clock.ends[0]) / (n_ended - 1)
    record = sum(float(log.read_text().split()[0]) for log in sweep.path.glob("worker-*.log")) / n_ended
    claim = _claim_seconds(plan, SweepFolder(place / "claims"))
    return {
        "cells": n_ended,
        "workers": WORKERS,
        "seconds_a_cell": wall,
        "record_seconds_a_cell": record,
        "claim_seconds_a_cell": claim,
        "overhead_seconds_a_cell": WORKERS * wall - record - claim,
        "launcher_cpu_seconds_a_cell": cpu / n_ended,
        "resident_bytes_early": clock.resident[EARLY - 1],
        "resident_bytes_last": clock.resident[-1],
        "status_seconds": _status(sweep.path),
    }


def _claim_seconds(plan: Plan, sweep: SweepFolder) -> float:
    """Seconds to claim a cell and to let it go, in one process."""
    sweep.write_plan(plan)
    begun = time.perf_counter()
    for cell in plan.cells:
        with sweep.claim_all([cell]):
            pass
    return (time.perf_counter() - begun) / len(plan.cells)


def _status(sweep: Path) -> float:
    """Seconds of the whole command on the finished sweep."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-m", "isoflop.scripts.status", str(sweep)], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def _planning(place: Path, n_planned: int) -> dict[str, Any]:
    seconds: dict[str, float] = {}

    def timed(name: str, make: Callable[[], Made]) -> Made:
        begun = time.perf_counter()
        made = make()
        seconds[name] = time.perf_counter() - begun
        return made

    plan = timed("make the plan", lambda: null_plan(place / "many", n_planned))
    sweep = SweepFolder(place / "planned")
    timed("write plan.json", lambda: sweep.write_plan(plan))
    timed("read plan.json", sweep.read_plan)
    left = timed("what is left", lambda: sweep.to_do(plan))
    timed("orders", lambda: orders(plan, sweep, left, device="cpu", workers=WORKERS))
    timed("its table", lambda: plan_table(plan, "cpu"))
    return {"cells": len(plan.cells), "seconds": seconds, "total_seconds": sum(seconds.values())}


def _table(figures: dict[str, Any]) -> Table:
    launch, planning = figures["launch"], figures["planning"]
    grown = (launch["resident_bytes_last"] - launch["resident_bytes_early"]) / 2**20
    table = Table(box=None, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, value in (
        (f"{launch['cells']:,} null cells on {launch['workers']} workers: a cell", _ms(launch["seconds_a_cell"])),
        ("  of a worker's time: the record", _ms(launch["record_seconds_a_cell"])),
        ("  of a worker's time: the claim", _ms(launch["claim_seconds_a_cell"])),
        ("  of a worker's time: all else, the launcher's", _ms(launch["overhead_seconds_a_cell"])),
        ("  CPU time of the launcher", _ms(launch["launcher_cpu_seconds_a_cell"])),
        (f"  launcher's memory, from cell {EARLY} to the last", f"{grown:+.1f} MiB"),
        ("status.py, the whole process", f"{launch['status_seconds']:.2f} s"),
        (f"planning {planning['cells']:,} cells", f"{planning['total_seconds']:.2f} s"),
        *((f"  {name}", f"{seconds:.2f} s") for name, seconds in planning["seconds"].items()),
    ):
        table.add_row(name, value)
    return table


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.2f} ms"


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _resident() -> int:
    """Bytes of this process in memory; its peak where the system does not say (it then cannot shrink)."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
