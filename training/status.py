"""How a sweep stands, read from its folder alone: by anyone, on any machine, while others write there."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any, Literal

from .claims import ClaimInfo, Taker, read_claim
from .durations import TIMED, cell_seconds, device_of, seconds_to_end
from .plan import Plan, RunPlan
from .records import OVER, SweepFolder
from .refine import CLAIM

State = Literal["finished", "running", "waiting", "failed", "diverged", "torn"]
STATES: tuple[State, ...] = ("finished", "running", "waiting", "failed", "diverged", "torn")
RECORDED = (*OVER, "failed")
ASK_SECONDS = 15.0  # between two questions to a batch system
_LONGEST_HEADER = 100_000_000  # bytes, by the format
KEPT = (*TIMED, "status", "reason", "mfu")  # of a record


@dataclass(frozen=True)
class CellStatus:
    """One cell. A torn one has a record that cannot be read: it is trained again."""

    cell: RunPlan
    state: State
    record: Mapping[str, Any] | None = None  # of KEPT
    claim: ClaimInfo | None = None  # of who is at it, or was before it was left
    still: float = 0.0  # seconds that its claim was seen not to move, by this process' clock
    kept: int = 0  # steps in the checkpoint of one that nobody is at

    @property
    def step(self) -> int | None:
        """The step reached: by the record, as its owner told last, or that which it will go on from."""
        if self.record is not None:
            return self.record["tokens"] // self.record["batch_tokens"]
        if self.state == "running":
            return self.claim.step if self.claim else None
        return self.kept or None

    @property
    def part(self) -> float:
        """The share of the cell's own steps that is done, 0 to 1."""
        own = (self.step or 0) - self.cell.shared_steps
        return min(1.0, max(0.0, own / (self.cell.steps - self.cell.shared_steps)))


@dataclass(frozen=True)
class SweepStatus:
    """A sweep at one moment."""

    folder: Path
    plan: Plan
    cells: Sequence[CellStatus]
    launchers: Sequence[str] = ()  # what batch systems say, in lines

    def of(self, *states: State) -> list[CellStatus]:
        """The cells in these states."""
        return [cell for cell in self.cells if cell.state in states]

    @property
    def is_over(self) -> bool:
        """Whether every cell has a record."""
        return all(cell.state in RECORDED for cell in self.cells)

    @cached_property
    def counts(self) -> dict[State, int]:
        """Cells in each state."""
        counted = Counter(cell.state for cell in self.cells)
        return {state: counted[state] for state in STATES}

    @property
    def flops_done(self) -> float:
        """Training FLOPs spent, in the grid's convention; of running cells up to the step that they told last."""
        return sum(cell.cell.own_flops * cell.part for cell in self.cells)

    @property
    def flops_to_go(self) -> float:
        """Training FLOPs of what has no record yet."""
        left = self.of("running", "waiting", "torn")
        return sum(cell.cell.own_flops * (1 - cell.part) for cell in left)

    @cached_property
    def seconds(self) -> dict[str, float]:
        """What each cell takes on its own, by run id: an estimate, scaled by the sweep's own records."""
        return cell_seconds(self.plan, device_of(self.plan, self._records), self._records)

    @property
    def seconds_left(self) -> float | None:
        """Until what is at work now has done all that is left; None where nothing is at work."""
        owners: Counter[tuple[Any, ...]] = Counter()
        for cell in self.of("running"):
            assert cell.claim is not None
            owner = (cell.claim.host, cell.claim.machine, cell.claim.pid)
            owners[owner] += self.seconds[cell.cell.run_id] * (1 - cell.part)  # type: ignore[assignment]
        waiting = [self.seconds[cell.cell.run_id] * (1 - cell.part) for cell in self.of("waiting", "torn")]
        return seconds_to_end(owners.values(), waiting)

    @property
    def device_hours(self) -> float:
        """Hours of devices that training the plan's cells has taken; of those without a record by the estimate."""
        measured = (
            (record.get("wall_seconds") or 0.0) * (record.get("machine") or {}).get("n_processes", 1)
            for record in self._records
        )
        begun = (self.seconds[cell.cell.run_id] * cell.part for cell in self.of("running", "waiting"))
        return (sum(measured) + sum(begun)) / 3600

    @property
    def mfu(self) -> tuple[float, float, float] | None:
        """Median, lowest and highest of the finished cells; None where none says it."""
        shares = [cell.record["mfu"] for cell in self.of("finished") if cell.record and cell.record.get("mfu")]
        return (median(shares), min(shares), max(shares)) if shares else None

    @cached_property
    def _records(self) -> list[Mapping[str, Any]]:
        return [cell.record for cell in self.cells if cell.record is not None]


class Watcher:
    """Looks at one sweep again and again; reads what can no longer change only once."""

    def __init__(self, sweep: SweepFolder) -> None:
        self.sweep = sweep
        self._plan, self._plan_file = sweep.read_plan(), _identity(sweep.path / "plan.json")
        self._over: dict[str, Mapping[str, Any]] = {}
        self._taker = Taker()  # takes nothing: it tells whose counter stands still
        self._moved: dict[str, tuple[Any, float]] = {}
        self._stacks: dict[str, list[Path]] = {}
        self._tasks: list[str] = []
        self._asked = float("-inf")

    def look(self) -> SweepStatus:
        """The sweep as it stands now. Raises InputError where its plan is gone, or of another version by now."""
        plan_file = _identity(self.sweep.path / "plan.json")
        if plan_file != self._plan_file:  # grown, by an edited config or a refinement
            self._plan, self._plan_file = self.sweep.read_plan(), plan_file
        if time.monotonic() - self._asked >= ASK_SECONDS:
            self._tasks, self._asked = batch_tasks(self.sweep), time.monotonic()
        self._stacks = _stacks_of(self.sweep)
        cells = [self._cell(cell) for cell in self._plan.cells]
        return SweepStatus(self.sweep.path, self._plan, cells, self._tasks)

    @property
    def is_refined(self) -> bool:
        """Whether a launcher looks for a round of refinement right now."""
        claim = read_claim(self.sweep.path / CLAIM)
        return claim is not None and claim.alive

    def _cell(self, cell: RunPlan) -> CellStatus:
        run_id = cell.run_id
        if run_id in self._over:
            record = self._over[run_id]
            return CellStatus(cell, record["status"], record)
        folder = self.sweep.path / run_id
        record, claim = _read_record(folder), None
        if not _has_ended(record):
            claim = read_claim(folder)
            record = _read_record(folder)  # again: it may have ended in between, and let its claim go
        if record and _has_ended(record):
            self._over[run_id] = record
            return CellStatus(cell, record["status"], record)
        if claim is not None and claim.alive and not self._taker.sees_free(folder):  # a failed one is tried again
            return CellStatus(cell, "running", None, claim, self._still(run_id, claim))
        if record:
            return CellStatus(cell, "failed", record)
        kept = self._kept(run_id) if claim is not None else 0
        return CellStatus(cell, "waiting" if record is None else "torn", None, claim, kept=kept)

    def _kept(self, run_id: str) -> int:
        paths = (self.sweep.checkpoint(run_id), *self._stacks.get(run_id, ()))
        return max(map(_checkpoint_step, paths))

    def _still(self, run_id: str, claim: ClaimInfo) -> float:
        now, sign = time.monotonic(), (claim.host, claim.pid, claim.beat, claim.step)
        if run_id not in self._moved or self._moved[run_id][0] != sign:
            self._moved[run_id] = (sign, now)
        return now - self._moved[run_id][1]


def batch_tasks(sweep: SweepFolder) -> list[str]:
    """What batch systems say of the sweep's tasks, a line each; empty where it was never handed to one."""
    if not (sweep.path / "slurm").is_dir():
        return []
    from .launch.slurm_status import task_lines  # here, as most sweeps are of one machine

    return task_lines(sweep)


def _has_ended(record: Mapping[str, Any] | None) -> bool:
    return bool(record) and record["status"] in OVER


def _read_record(folder: Path) -> Mapping[str, Any] | None:
    """What is KEPT of a run's record; None where there is none, and empty where it is torn."""
    try:
        record = json.loads((folder / "record.json").read_bytes())
        kept = {key: record.get(key) for key in KEPT}
        whole = kept["status"] in RECORDED and kept["tokens"] >= 0 and kept["batch_tokens"] > 0
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError, AttributeError):  # one that is replaced while it is read, among them
        return {}
    return kept if whole else {}


def _stacks_of(sweep: SweepFolder) -> dict[str, list[Path]]:
    """The checkpoints of stacks that hold a run, by run id."""
    found: dict[str, list[Path]] = {}
    for path in sweep.path.glob("stacks/*.safetensors"):
        for run_id in json.loads(_words(path).get("members", "[]")):
            found.setdefault(run_id, []).append(path)
    return found


def _checkpoint_step(path: Path) -> int:
    """The step that a checkpoint goes on from; 0 where there is none, or a torn one."""
    try:
        return int(json.loads(_words(path)["state"])["step"])
    except (KeyError, ValueError, TypeError):
        return 0


def _words(path: Path) -> dict[str, str]:
    """The words in a safetensors file's header, by its format alone, as torch takes a second to import."""
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size)) if 0 < size <= _LONGEST_HEADER else {}
        words = header.get("__metadata__", {})
        return words if isinstance(words, dict) else {}
    except (OSError, ValueError, AttributeError):
        return {}


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns
