"""A sweep's progress on stderr: by FLOPs done with the time left, and what is at work now."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from isoflop.scripts.output import note
from isoflop.training.durations import TIMED, cell_seconds, device_of
from isoflop.training.plan import Plan, RunPlan

ESTIMATE_SECONDS = 1.0  # between two of the time left


class TimeLeft:
    """What a launch still has to do over how fast it was, both in seconds as cells are estimated to take.

    The estimate, which records scale as they come, tells small cells from large ones; the pace, how many run at once.
    """

    def __init__(self, plan: Plan, to_do: Sequence[RunPlan], known: Iterable[Mapping[str, Any]]) -> None:
        self._plan, self._records = plan, [_timed(record) for record in known]
        self._left = {cell.run_id: 1.0 for cell in to_do}  # the share of its own steps that each has before it
        self._done: dict[str, float] = {}  # the share of each that was trained in this launch
        self._begun: float | None = None  # when training was first heard of
        self._looked = float("-inf")
        self._seconds: float | None = None

    def step(self, cell: RunPlan, step: int) -> None:
        """A cell has trained up to `step`; what it had before its first word is an earlier launch's."""
        self._begun = self._begun or time.monotonic()
        left = min(1.0, (cell.steps - step) / (cell.steps - cell.shared_steps))
        gone = self._left[cell.run_id] - left
        self._done[cell.run_id] = self._done[cell.run_id] + gone if cell.run_id in self._done else 0.0
        self._left[cell.run_id] = left

    def ended(self, cell: RunPlan, record: Mapping[str, Any]) -> None:
        """A cell has its record."""
        self._begun = self._begun or time.monotonic() - (record.get("wall_seconds") or 0.0)
        left = self._left.pop(cell.run_id)
        if record.get("status") != "failed":
            self._done[cell.run_id] = self._done.get(cell.run_id, 0.0) + left
            self._records.append(_timed(record))

    def seconds(self) -> float | None:
        """Until all is done; None before that can be told. Reckoned anew once a second."""
        now = time.monotonic()
        if not self._left or self._begun is None or now - self._begun < ESTIMATE_SECONDS:
            return None
        if now - self._looked >= ESTIMATE_SECONDS:
            self._looked = now
            each = cell_seconds(self._plan, device_of(self._plan, self._records), self._records)
            done = sum(each[run_id] * share for run_id, share in self._done.items())
            left = [each[run_id] * share for run_id, share in self._left.items()]
            self._seconds = max(sum(left) * (now - self._begun) / done, max(left)) if done > 0 else None
        return None if self._seconds is None else max(0.0, self._seconds - (now - self._looked))


def _timed(record: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: record.get(key) for key in TIMED}  # the rest is long


class SweepProgress:
    """Bars on a terminal, a line a cell elsewhere. Counts what this launch has to train, by FLOPs.

    `known` are the sweep's records so far: how long cells took helps to tell the time left.
    """

    def __init__(
        self,
        plan: Plan,
        to_do: Sequence[RunPlan],
        *,
        known: Iterable[Mapping[str, Any]] = (),
        quiet: bool = False,
    ) -> None:
        self._quiet = quiet
        self._time_left = TimeLeft(plan, to_do, known)
        self._to_do = {cell.run_id for cell in to_do}  # a stack may hold others, which are over
        self._n_cells = len(plan.cells)
        self._n_over = len(plan.cells) - len(to_do)
        self._flops = sum(cell.own_flops for cell in to_do)
        self._done = 0.0
        self._at_work: dict[str, float] = {}
        self._console = Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=self._console,
            disable=quiet or not sys.stderr.isatty(),
            transient=True,
        )
        self._sweep = self._bars.add_task(self._title(), total=self._flops, note="")
        self._cells: dict[str, TaskID] = {}

    def __enter__(self) -> SweepProgress:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def step(self, cell: RunPlan, step: int) -> None:
        """A cell has trained up to `step`."""
        if cell.run_id not in self._to_do:
            return
        if cell.run_id not in self._cells:
            name = f"  {cell.budget:.3g} FLOPs, width {cell.shape.width}"
            self._cells[cell.run_id] = self._bars.add_task(name, total=cell.steps, note="")
        self._bars.update(self._cells[cell.run_id], completed=step, note=f"step {step} of {cell.steps}")
        own = max(0, step - cell.shared_steps) / (cell.steps - cell.shared_steps)
        self._at_work[cell.run_id] = cell.own_flops * own
        self._time_left.step(cell, step)
        self._update()

    def ended(self, cell: RunPlan, record: dict[str, Any]) -> None:
        """A cell has its record."""
        if cell.run_id not in self._to_do:
            return
        self._forget(cell)
        self._done += cell.own_flops
        self._time_left.ended(cell, record)
        self._n_over += 1
        self._update()
        loss = record.get("loss")
        came_out = f"loss {loss:.4f}" if loss is not None else f"{record.get('status')}: {record.get('reason')}"
        seconds = record.get("wall_seconds")
        self._line(
            f"{self._n_over}/{self._n_cells}  {cell.run_id}  {cell.budget:.3g} FLOPs  width {cell.shape.width}  "
            f"{came_out}" + (f"  {seconds:.1f} s" if seconds else "") + f"  {self._left()}"
        )

    def note(self, words: str) -> None:
        """How the launcher goes about it."""
        if not self._quiet:
            self._console.print(words, markup=False, highlight=False)

    def trouble(self, cell: RunPlan, reason: str) -> None:
        """A cell was cut short."""
        self._forget(cell)
        self._line(f"{cell.run_id}  {cell.budget:.3g} FLOPs  width {cell.shape.width}  cut short: {reason}")

    def _forget(self, cell: RunPlan) -> None:
        self._at_work.pop(cell.run_id, None)
        if cell.run_id in self._cells:
            self._bars.remove_task(self._cells.pop(cell.run_id))

    def _line(self, text: str) -> None:
        if self._quiet:
            return
        if self._bars.disable:
            note(text)
        elif "cut short" in text or "failed" in text or "diverged" in text:
            self._console.print(text, markup=False, highlight=False)

    def _update(self) -> None:
        done = self._done + sum(self._at_work.values())
        self._bars.update(self._sweep, completed=done, description=self._title(), note=self._left())

    def _title(self) -> str:
        return f"{self._n_over} of {self._n_cells} cells"

    def _left(self) -> str:
        seconds = self._time_left.seconds()
        return "" if seconds is None else f"about {duration_text(seconds)} left"


def duration_text(seconds: float) -> str:
    """A duration as people say it: 40 s, 12 min, 3.5 h, 2.1 days."""
    for size, unit, decimals in ((86400, "days", 1), (3600, "h", 1), (60, "min", 0)):
        if seconds > 1.5 * size:
            return f"{seconds / size:.{decimals}f} {unit}"
    return f"{seconds:.0f} s"
