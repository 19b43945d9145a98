"""Time the reading of many runs with long curves, each in a process of its own, and how it grows with their number."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table

from isoflop.fitting import ChinchillaLaw, load_curves, load_runs
from isoflop.scripts.output import show

LAW = ChinchillaLaw(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28)
SHARES = (0.1, 0.3, 1.0)  # of the runs asked for: the sizes that growth is measured over
BUDGETS = 20


@dataclass(frozen=True)
class Reading:
    """One reading in a fresh process: seconds without imports, peak memory with them."""

    what: str
    n_runs: int
    n_rows: int
    seconds: float
    peak_gib: float


def write_logs(folder: Path, n_runs: int, points: int) -> tuple[Path, Path]:
    """A sweep folder of `n_runs` runs with curves of `points` rows, and one Parquet file of the same curves."""
    generator = np.random.default_rng(0)
    sizes = np.geomspace(1e6, 1e9, -(-n_runs // BUDGETS))
    n_params = np.tile(sizes, BUDGETS)[:n_runs]
    budget = np.repeat(np.geomspace(1e16, 1e20, BUDGETS), len(sizes))[:n_runs]
    tokens = budget / 6 / n_params
    steps = np.arange(1, points + 1)
    seen = tokens[:, None] * steps / points
    loss = LAW.loss(n_params[:, None], seen) + 0.01 * generator.standard_normal(seen.shape)
    sweep = folder / f"sweep-{n_runs}"
    sweep.mkdir()
    names = [f"{i:012x}" for i in range(n_runs)]
    cells = [{"run_id": name, "budget": float(c)} for name, c in zip(names, budget, strict=True)]
    plan = {"schema_version": 1, "name": "bench", "cells": cells, "config": {"grid": {"flops": "6nd"}}}
    (sweep / "plan.json").write_text(json.dumps(plan))
    for i, name in enumerate(names):
        (sweep / name).mkdir()
        record = _record(name, float(budget[i]), int(n_params[i]), float(tokens[i]), float(loss[i, -1]), points)
        (sweep / name / "record.json").write_text(json.dumps(record, indent=1))
        rows = zip(steps.tolist(), seen[i].tolist(), loss[i].tolist(), strict=True)
        (sweep / name / "curve.jsonl").write_text(
            "".join(
                f'{{"step": {s}, "tokens": {d!r}, "flops": {6 * float(n_params[i]) * d!r}, "loss": {y!r}, '
                f'"learning_rate": 0.001, "gradient_norm": 1.0}}\n'
                for s, d, y in rows
            )
        )
    table = folder / f"curves-{n_runs}.parquet"
    columns = {"run": np.repeat(names, points), "params": np.repeat(n_params, points), "tokens": seen.reshape(-1)}
    pd.DataFrame(columns | {"loss": loss.reshape(-1), "step": np.tile(steps, n_runs)}).to_parquet(table)
    return sweep, table


def _record(name: str, budget: float, n_params: int, tokens: float, loss: float, steps: int) -> dict[str, Any]:
    """As large as a real one: most of it is the configuration."""
    return {
        "schema_version": 1,
        "run_id": name,
        "status": "finished",
        "reason": None,
        "budget": budget,
        "planned_flops": "6nd",
        "n_params": n_params,
        "n_params_non_embedding": n_params // 2,
        "tokens": tokens,
        "unique_tokens": tokens,
        "flops": {"6nd": 6.0 * n_params * tokens, "6nd_non_embedding": 3.0 * n_params * tokens},
        "loss": loss,
        "steps": steps,
        "seed": 0,
        "phase": "cooled",
        "config": {"recipe": {"schedule": {"warmup": 0.01}}, "rest": {f"key_{i}": i / 7 for i in range(80)}},
    }


def notebook_curves(sweep: str) -> pd.DataFrame:
    """What a notebook does: each run's record by json, its curve by pandas, all of it concatenated."""
    parts = []
    for path in sorted(Path(sweep).glob("*/record.json")):
        record = json.loads(path.read_text())
        curve = pd.read_json(path.with_name("curve.jsonl"), lines=True)
        parts.append(curve.assign(run=record["run_id"], n_params=record["n_params"]))
    return pd.concat(parts, ignore_index=True)


def notebook_ends(sweep: str) -> pd.DataFrame:
    """The records alone."""
    return pd.json_normalize([json.loads(path.read_text()) for path in Path(sweep).glob("*/record.json")])


WAYS: dict[str, Callable[[str], Any]] = {
    "curves": load_curves,
    "runs": load_runs,
    "ends": lambda source: load_runs(source, ends=True),
    "notebook_curves": notebook_curves,
    "notebook_ends": notebook_ends,
    "pandas": pd.read_parquet,
}


def read_in_a_process(what: str, way: str, source: Path, n_runs: int) -> Reading:
    """One reading, in a process that does nothing else."""
    words = [sys.executable, "-m", "isoflop.scripts.bench_read", way, str(source)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    rows, seconds, peak = done.stdout.split()[-3:]
    return Reading(what, n_runs, int(rows), float(seconds), float(peak))


def peak_gib() -> float:
    """The most memory this process has had: the kernel's own mark, where rusage's is the parent's until the fork."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 2**20


def bench_read(n_runs: int, points: int) -> dict[str, Any]:
    """Read a sweep folder and one Parquet file of the same runs, at three sizes; print times, memory and growth."""
    readings: list[Reading] = []
    with tempfile.TemporaryDirectory() as folder:
        for share in SHARES:
            count = max(2, round(share * n_runs))
            sweep, table = write_logs(Path(folder), count, points)
            ways = [
                ("sweep folder, ends", "runs", sweep),
                ("sweep folder, curves", "curves", sweep),
                ("Parquet, ends", "ends", table),
                ("Parquet, all rows", "runs", table),
                ("Parquet, curves", "curves", table),
            ]
            if share == SHARES[0]:
                ways += [
                    ("  json.loads + json_normalize, ends", "notebook_ends", sweep),
                    ("  json.loads + pandas.read_json, curves", "notebook_curves", sweep),
                    ("  pandas.read_parquet, all rows", "pandas", table),
                ]
            readings += [read_in_a_process(what, way, source, count) for what, way, source in ways]
    show(_table(readings, points))
    growth = {what: _slope([r for r in readings if r.what == what]) for what in dict.fromkeys(r.what for r in readings)}
    for what, slope in growth.items():
        if slope is not None:
            show(f"{what}: seconds grow as runs^{slope:.2f}")
    return {"points": points, "readings": [vars(reading) for reading in readings], "growth": growth}


def _slope(readings: Sequence[Reading]) -> float | None:
    if len(readings) < 2:
        return None
    runs, seconds = np.log([r.n_runs for r in readings]), np.log([r.seconds for r in readings])
    return float(np.polyfit(runs, seconds, 1)[0])


def _table(readings: Sequence[Reading], points: int) -> Table:
    table = Table(title=f"Reading runs of {points} points", title_justify="left", box=None, header_style="")
    for name in ("source", "runs", "rows", "seconds", "ms a run", "peak GiB"):
        table.add_column(name, justify="left" if name == "source" else "right", no_wrap=True)
    for r in readings:
        per_run = f"{1000 * r.seconds / r.n_runs:.2f}"
        table.add_row(r.what, str(r.n_runs), str(r.n_rows), f"{r.seconds:.2f}", per_run, f"{r.peak_gib:.2f}")
    return table


if __name__ == "__main__":
    start = time.perf_counter()
    loaded = WAYS[sys.argv[1]](sys.argv[2])
    spent = time.perf_counter() - start
    print(len(loaded), spent, peak_gib())
