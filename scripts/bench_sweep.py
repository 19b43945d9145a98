"""Time a sweep of ours beside the same cells trained one after another by Hugging Face's Trainer."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isoflop.scripts.output import show
from isoflop.scripts.plan_table import plan_of
from isoflop.training.plan import Plan, RunPlan


def spread(cells: Sequence[RunPlan], count: int) -> list[RunPlan]:
    """`count` cells that differ most in what a step costs, cheapest first."""
    ordered = sorted(cells, key=lambda cell: cell.flops / cell.steps)
    return [ordered[round(i * (len(ordered) - 1) / (count - 1))] for i in range(count)]


def scaled_seconds(plan: Plan, cells: Sequence[RunPlan], seconds: Sequence[float]) -> float:
    """Seconds for all of the plan's cells one after another, from those of the measured `cells`, cheapest step first.

    A step's time is interpolated in its FLOPs; outside the measured range the nearest is taken.
    """
    flops = [cell.flops / cell.steps for cell in cells]
    per_step = [spent / cell.steps for cell, spent in zip(cells, seconds, strict=True)]
    return sum(cell.steps * float(np.interp(cell.flops / cell.steps, flops, per_step)) for cell in plan.cells)


def time_trainer(config: Path, overrides: Sequence[str], run_id: str) -> tuple[float, float]:
    """Seconds that Trainer takes to train one cell and to score it, in a process with its default threads."""
    words = [sys.executable, "-m", "isoflop.scripts.bench_trainer", str(config), run_id, *overrides]
    environment = {key: value for key, value in os.environ.items() if not key.endswith("_NUM_THREADS")}
    done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    train, score = map(float, done.stdout.splitlines()[-1].split())
    return train, score


def time_sweep(config: Path, overrides: Sequence[str], folder: Path) -> float:
    """Seconds of the whole command a user types, from nothing to the fit."""
    script = Path(__file__).with_name("sweep.py")
    words = [sys.executable, str(script), str(config), "--out", str(folder)]
    started = time.monotonic()
    subprocess.run([*words, *(f"--set={item}" for item in overrides)], stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - started


def bench_sweep(config: Path, overrides: Sequence[str], n_cells: int) -> dict[str, Any]:
    """The whole sweep by us, and by Trainer scaled from `n_cells` cells, timed before and after it.

    These machines drift; what is timed on both sides of ours sees the same drift.
    """
    plan = plan_of(config, list(overrides))
    cells = spread(plan.cells, n_cells)
    before = [time_trainer(config, overrides, cell.run_id) for cell in cells]
    with tempfile.TemporaryDirectory() as folder:
        ours = time_sweep(config, overrides, Path(folder) / "sweep")
    after = [time_trainer(config, overrides, cell.run_id) for cell in cells]
    train = [(a[0] + b[0]) / 2 for a, b in zip(before, after, strict=True)]
    score = sum(a[1] + b[1] for a, b in zip(before, after, strict=True)) / (2 * n_cells)
    theirs = scaled_seconds(plan, cells, train)
    scored = theirs + len(plan.cells) * score
    ends = [
        scaled_seconds(plan, cells, [each[0] for each in timed]) + len(plan.cells) * score for timed in (before, after)
    ]
    for cell, a, b in zip(cells, before, after, strict=True):
        show(f"Trainer, width {cell.shape.width}, {cell.steps} steps: {a[0]:.1f} s before ours, {b[0]:.1f} s after")
    show(f"Trainer, {len(plan.cells)} cells one after another, by steps: {theirs:.0f} s, {scored:.0f} s with scoring")
    show(f"isoflop, the whole command from start-up to fit: {ours:.0f} s")
    show(f"ratio: {theirs / ours:.2f} without Trainer's scoring, {scored / ours:.2f} with it")
    return {
        "isoflop_seconds": ours,
        "trainer_seconds": theirs,
        "trainer_seconds_scored": scored,
        "ratio": theirs / ours,
        "ratio_scored": scored / ours,
        "ratios_scored": [ends[0] / ours, scored / ours, ends[1] / ours],  # Trainer timed before, both, after
        "trainer_cells": [
            {"run_id": cell.run_id, "width": cell.shape.width, "steps": cell.steps, "before": a[0], "after": b[0]}
            for cell, a, b in zip(cells, before, after, strict=True)
        ],
    }
