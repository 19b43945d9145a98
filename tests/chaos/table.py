"""What a chaos run says: a table in Markdown, and every fault in JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .judge import Verdict
from .play import Applied
from .scene import Scene


@dataclass
class Sweep:
    """One sweep under faults, judged."""

    scene: Scene
    number: int
    kind: str
    applied: list[Applied]
    seconds: float
    verdict: Verdict

    def to_json(self) -> dict[str, Any]:
        """With every fault, its moment and what it hit."""
        return {
            "sweep": self.number,
            "executor": self.scene.executor,
            "kind": self.kind,
            "launches": [launch.status for launch in self.scene.launches],
            "seconds": round(self.seconds, 1),
            **asdict(self.verdict),
            "faults": [fault.to_json(self.scene.launches) for fault in self.applied],
        }


HEAD = "| fault | applied | sweeps | launches | cells finished | failed, with reason | losses that differ | wrong |"
RULE = "|---|---:|---:|---:|---:|---:|---:|---:|"


def markdown(sweeps: Sequence[Sweep]) -> str:
    """A row a kind of fault, over the sweeps that it struck, and one for all; a sweep stands in several rows."""
    lines = [HEAD, RULE]
    names = list(dict.fromkeys(hit.fault.name for sweep in sweeps for hit in sweep.applied))
    for executor in dict.fromkeys(sweep.scene.executor for sweep in sweeps):
        for name in sorted(names):
            struck = [
                s for s in sweeps if s.scene.executor == executor and any(h.fault.name == name for h in s.applied)
            ]
            if struck:
                hits = [hit for sweep in struck for hit in sweep.applied if hit.fault.name == name]
                lines.append(_row(f"{executor}: {name}", hits, struck))
    lines.append(_row("**all**", [hit for sweep in sweeps for hit in sweep.applied], sweeps))
    return "\n".join(lines) + "\n"


def _row(name: str, hits: Sequence[Applied], sweeps: Sequence[Sweep]) -> str:
    verdicts = [sweep.verdict for sweep in sweeps]
    numbers = [
        len(hits),
        len(sweeps),
        sum(len(sweep.scene.launches) for sweep in sweeps),
        sum(verdict.finished for verdict in verdicts),
        sum(len(verdict.failed) for verdict in verdicts),
        sum(len(verdict.differing) for verdict in verdicts),
        sum(len(verdict.wrong) for verdict in verdicts),
    ]
    return f"| {name} | " + " | ".join(map(str, numbers)) + " |"
