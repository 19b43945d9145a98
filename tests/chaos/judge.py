"""What came out of a sweep under faults, held against the same sweep undisturbed."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .scene import RecordWatch, Scene

MEASURED = ("status", "loss", "loss_se", "bits_per_byte", "tokens", "steps")
END_SECONDS = 20.0  # after its last launch, for what a sweep has started to end


@dataclass(frozen=True)
class Reference:
    """An undisturbed sweep's results, by run id."""

    records: dict[str, dict[str, Any]]
    curves: dict[str, bytes]
    weights: dict[str, bytes]

    @classmethod
    def read(cls, out: Path) -> Reference:
        """Of the sweep in `out`."""
        folders = [path.parent for path in sorted(out.glob("*/record.json"))]
        return cls(
            {folder.name: json.loads((folder / "record.json").read_bytes()) for folder in folders},
            {folder.name: (folder / "curve.jsonl").read_bytes() for folder in folders},
            {folder.name: (folder / "weights.safetensors").read_bytes() for folder in folders},
        )


@dataclass
class Verdict:
    """How one sweep ended; `wrong` is empty where all is as it should be."""

    finished: int = 0
    failed: dict[str, str] = field(default_factory=dict)  # run id -> the reason recorded
    differing: list[str] = field(default_factory=list)  # run ids whose loss, curve or weights are others
    wrong: list[str] = field(default_factory=list)


def judge(scene: Scene, reference: Reference, watch: RecordWatch, explained: list[str]) -> Verdict:
    """Every cell ended once, as undisturbed or with a reason that names what happened, and nothing is left behind."""
    verdict = Verdict()
    for run_id, expected in reference.records.items():
        record = scene.record(run_id)
        if record is None:
            verdict.wrong.append(f"{run_id} has no record")
        elif record["status"] == "failed":
            verdict.failed[run_id] = str(record["reason"])
            if not any(re.search(pattern, str(record["reason"])) for pattern in explained):
                verdict.wrong.append(f"{run_id} failed for no reason of ours: {record['reason']}")
        else:
            verdict.finished += 1
            others = _differences(scene.out / run_id, run_id, record, expected, reference)
            if record["trunk"] in scene.torn_trunks and record["begun_at_step"] == 0:
                # Trained from its first step, to the same loss, but its curve is then all on its own steps.
                others = [each for each in others if each != "another curve.jsonl"]
            if others:
                verdict.differing.append(run_id)
                verdict.wrong.append(f"{run_id}: {', '.join(others)}")
        times, allowed = watch.written[run_id], 1 + scene.torn[run_id]
        if times > allowed:
            verdict.wrong.append(f"{run_id}: its record was written {times} times, {allowed} were due")
    strangers = {path.parent.name for path in scene.out.glob("*/record.json")} - reference.records.keys()
    verdict.wrong += [f"{run_id} was never planned" for run_id in sorted(strangers)]
    verdict.wrong += [f"left behind: {path.relative_to(scene.out)}" for path in sorted(scene.out.rglob("*.tmp"))]
    deadline = time.monotonic() + END_SECONDS
    while (left := scene.left_behind()) and time.monotonic() < deadline:
        time.sleep(0.2)
    verdict.wrong += [f"still there: {what}" for what in left]
    return verdict


def _differences(
    folder: Path, run_id: str, record: dict[str, Any], expected: dict[str, Any], reference: Reference
) -> list[str]:
    found = [f"{key} {record[key]} instead of {expected[key]}" for key in MEASURED if record[key] != expected[key]]
    for name, files in (("curve.jsonl", reference.curves), ("weights.safetensors", reference.weights)):
        path = folder / name
        if not path.is_file():
            found.append(f"no {name}")
        elif path.read_bytes() != files[run_id]:
            found.append(f"another {name}")
    return found
