"""What a sweep folder tells beside its runs: the plan it was made by, who trained it on what, and what that took."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ...readers.sweep import PLAN_NAME, RECORD_NAME, nested

_MIRRORED = Path("wandb", "mirrored")


@dataclass(frozen=True)
class SweepDetails:
    """The plan's config and the records of its cells, in the plan's order; `n_cells` counts those without one too."""

    path: Path
    name: str
    config: Mapping[str, Any]
    n_cells: int
    records: tuple[Mapping[str, Any], ...]
    addresses: Mapping[str, str]  # of the cells' W&B runs by run id, of those mirrored online

    @property
    def device_seconds(self) -> float:
        """Of training, over all processes; of a run among several trained as one its share."""
        return sum(map(_device_seconds, self.records))

    def flops(self, convention: str | None = None) -> float:
        """Training FLOPs spent, in the grid's count or the one named; what runs of a trunk share is counted once."""
        return sum(_own_share(record) * _flops(record, convention) for record in self.records)

    @property
    def tokens(self) -> float:
        """Tokens trained on, what runs of a trunk share counted once."""
        return sum(_own_share(record) * record.get("tokens", 0) for record in self.records)

    def flops_per_second(self, convention: str | None = None) -> float | None:
        """What one device reached over all finished runs; None where no run was timed."""
        timed = [record for record in self.records if _device_seconds(record) > 0]
        seconds = sum(map(_device_seconds, timed))
        spent = sum(_own_share(record) * _flops(record, convention) for record in timed)
        return spent / seconds if spent > 0 and seconds > 0 else None

    @property
    def elapsed(self) -> tuple[datetime, datetime] | None:
        """From the begin of the first run to the end of the last, pauses between them included; None if unknown."""
        ends = [(_time(record.get("ended_at")), float(record.get("wall_seconds") or 0.0)) for record in self.records]
        known = [(end, seconds) for end, seconds in ends if end is not None]
        if not known:
            return None
        return min(end - timedelta(seconds=seconds) for end, seconds in known), max(end for end, _ in known)

    @property
    def devices(self) -> Counter[str]:
        """The runs trained on each kind of device, in words."""
        return Counter(_device(record.get("machine") or {}) for record in self.records if record.get("machine"))

    def distinct(self, *keys: str) -> Counter[str]:
        """The runs that say each value under nested `keys`, as text; runs that say nothing are left out."""
        return Counter(str(value) for record in self.records if (value := nested(record, *keys)) is not None)


def sweep_details(folder: Path) -> SweepDetails:
    """Of a folder that `read_sweep` has taken already."""
    plan = json.loads((folder / PLAN_NAME).read_text(encoding="utf-8"))
    names = [cell["run_id"] for cell in plan["cells"]]
    records = tuple(record for name in names if (record := _record(folder / name / RECORD_NAME)) is not None)
    config: Mapping[str, Any] = plan.get("config") or {}
    sweep = str(plan.get("name") or config.get("name") or folder.name)
    addresses = {name: address for name in names if (address := _address(folder, f"{sweep}-{name}"))}
    return SweepDetails(folder, sweep, config, len(names), records, addresses)


def _address(folder: Path, name: str) -> str:
    """Of the W&B run of that id, where it was mirrored online: what its marker holds."""
    try:
        text = (folder / _MIRRORED / name).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return text if text.startswith(("https://", "http://")) else ""


def _record(path: Path) -> Mapping[str, Any] | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def _device_seconds(record: Mapping[str, Any]) -> float:
    machine: Mapping[str, Any] = record.get("machine") or {}
    return float(record.get("wall_seconds") or 0.0) * machine.get("n_processes", 1)


def _own_share(record: Mapping[str, Any]) -> float:
    """The share of its tokens that a run trained on itself, not the trunk it began from."""
    rate, tokens = record.get("tokens_per_second"), record.get("tokens")
    if not rate or not tokens:
        return 1.0
    return min(1.0, rate * record["wall_seconds"] / tokens)


def _flops(record: Mapping[str, Any], convention: str | None) -> float:
    counts: Mapping[str, Any] = record.get("flops") or {}
    return float(counts.get(convention or "") or counts.get(record.get("planned_flops", "exact")) or 0.0)


def _device(machine: Mapping[str, Any]) -> str:
    name, processes = str(machine.get("device", "an unknown device")), machine.get("n_processes", 1)
    if name == "cpu":
        threads = machine.get("threads", 1)
        name = "1 CPU core" if threads == 1 else f"{threads} CPU cores"
    kernels = f", {machine['kernels']} kernels" if machine.get("kernels") else ""
    return f"{processes} x {name}{kernels}" if processes != 1 else f"{name}{kernels}"


def _time(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
