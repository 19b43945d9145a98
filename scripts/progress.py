"""A sweep's progress on stderr: by FLOPs done with the time left, and what is at work now."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from isoflop.training.plan import Plan, RunPlan


class SweepProgress:
    """Bars on a terminal, a line a cell elsewhere. Counts what this launch has to train, by FLOPs."""

    def __init__(self, plan: Plan, to_do: Sequence[RunPlan], *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._to_do = {cell.run_id for cell in to_do}  # a stack may hold others, which are over
        self._n_cells = len(plan.cells)
        self._n_over = len(plan.cells) - len(to_do)
        self._flops = sum(cell.own_flops for cell in to_do)
        self._done = 0.0
        self._at_work: dict[str, float] = {}
        self._started = time.monotonic()
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
        self._update()

    def ended(self, cell: RunPlan, record: dict[str, Any]) -> None:
        """A cell has its record."""
        if cell.run_id not in self._to_do:
            return
        self._forget(cell)
        self._done += cell.own_flops
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
            print(text, file=sys.stderr, flush=True)
        elif "cut short" in text or "failed" in text or "diverged" in text:
            self._console.print(text, markup=False, highlight=False)

    def _update(self) -> None:
        done = self._done + sum(self._at_work.values())
        self._bars.update(self._sweep, completed=done, description=self._title(), note=self._left())

    def _title(self) -> str:
        return f"{self._n_over} of {self._n_cells} cells"

    def _left(self) -> str:
        done = self._done + sum(self._at_work.values())
        if done <= 0 or done >= self._flops:
            return ""
        seconds = (time.monotonic() - self._started) * (self._flops / done - 1)
        return f"about {seconds / 60:.0f} min left" if seconds > 90 else f"about {seconds:.0f} s left"
