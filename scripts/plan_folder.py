"""The folder of a plan's sweep: what it must not hold, and the records it does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from isoflop.fitting.errors import InputError
from isoflop.training.plan import Plan
from isoflop.training.records import SweepFolder


def refuse_another_sweeps(sweep: SweepFolder, plan: Plan) -> None:
    """Raises InputError where the folder holds something else than the plan's sweep."""
    if (sweep.path / "plan.json").is_file():
        name = sweep.read_plan().config.name
        if name != plan.config.name:
            raise InputError(f"{sweep.path}: holds the sweep {name!r}, not {plan.config.name!r}; choose another --out")
    elif sweep.path.exists() and (not sweep.path.is_dir() or any(p.suffix != ".tmp" for p in sweep.path.iterdir())):
        raise InputError(f"{sweep.path}: exists and is no sweep folder; choose another --out")


def records_of(plan: Plan, folder: Path) -> dict[str, dict[str, Any]]:
    """The records that cells of `plan` have in the sweep's folder, by run id.

    Raises InputError where the folder holds something else.
    """
    sweep = SweepFolder(folder)
    refuse_another_sweeps(sweep, plan)
    found = {cell.run_id: sweep.read_record(cell.run_id) for cell in plan.cells} if folder.is_dir() else {}
    return {run_id: record for run_id, record in found.items() if record is not None}


def failed_words(records: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line where cells are recorded as failed: a sweep passes them over."""
    failed = sum(record.get("status") == "failed" for record in records.values())
    return [f"{failed} cells are recorded as failed: `sweep --retry-failed` trains them again."] if failed else []
