"""What runs of one trunk branch from, on disk: a state a step, and where the trunk stopped being a number.

runs/x/trunks/<trunk>/<step>.safetensors
runs/x/trunks/<trunk>/diverged.json
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from ..fitting.jsonio import write_json_atomic
from .plan import RunPlan


def work_ahead(cells: Iterable[RunPlan]) -> dict[str, float]:
    """FLOPs that each of `cells` has before it.

    A cell of a trunk has those of the trunk's longer cells before it too, and so comes before them.
    """
    ahead: dict[str, float] = {}
    behind: dict[str, float] = {}
    for cell in sorted(cells, key=lambda cell: -cell.trunk_steps):
        ahead[cell.run_id] = cell.own_flops + (behind.get(cell.trunk, 0.0) if cell.trunk else 0.0)
        if cell.trunk:
            behind[cell.trunk] = ahead[cell.run_id]
    return ahead


class Trunks:
    """The trunks of one sweep."""

    def __init__(self, sweep: Path) -> None:
        self._folder = sweep / "trunks"

    def path(self, trunk: str, step: int) -> Path:
        """Where the state of `trunk` after `step` steps stands, if it was saved."""
        return self._folder / trunk / f"{step}.safetensors"

    def latest_step(self, cell: RunPlan) -> int:
        """The steps taken in the latest saved state of its trunk that `cell` can go on from; 0 for none."""
        if cell.trunk is None:
            return 0
        paths = self.path(cell.trunk, 0).parent.glob("*.safetensors")
        steps = [int(path.stem) for path in paths if path.stem.isdecimal()]
        return max((step for step in steps if step <= cell.trunk_steps), default=0)

    def awaits(self, cell: RunPlan, others: Iterable[RunPlan]) -> bool:
        """Whether one of `others` is still to leave a state of their trunk that `cell` had better go on from."""
        if not cell.shared_steps or self.path(str(cell.trunk), cell.shared_steps).is_file():
            return False
        return any(
            other.trunk == cell.trunk
            and other.trunk_steps <= cell.shared_steps
            and not self.path(str(other.trunk), other.trunk_steps).is_file()
            for other in others
        )

    def note_divergence(self, cell: RunPlan, step: int) -> None:
        """Tell the longer runs of the cell's trunk where it stopped being a number, if that was on the trunk."""
        if cell.trunk and step < cell.trunk_steps:
            path = self.path(cell.trunk, 0).with_name("diverged.json")
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json_atomic(path, {"step": step})

    def divergence(self, cell: RunPlan) -> int | None:
        """The step (from 0) at which the cell's trunk stops being a number, if that is known and lies on its way."""
        if not cell.trunk:
            return None
        try:
            step = json.loads(self.path(cell.trunk, 0).with_name("diverged.json").read_text())["step"]
        except (FileNotFoundError, ValueError, KeyError):  # torn: it will be found out anew
            return None
        return step if step < cell.trunk_steps else None

    def remove(self) -> None:
        """Free the room of all the states that cells branched from."""
        for path in self._folder.glob("*/*.safetensors"):
            path.unlink(missing_ok=True)
