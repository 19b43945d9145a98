"""Training curves from wherever they are kept, as one `CurveTable`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from ..curves import CurveKind, CurveTable, curves_of
from ..errors import InputError
from ..runs import RunTable
from . import load_runs
from .sweep import PLAN_NAME, RECORD_NAME, read_sweep

CURVE_NAME = "curve.jsonl"
# What a record counts per run and a point has its share of.
_PER_RUN = "flops"
# What a record says of the run's end, and a point of its middle must not.
_OF_THE_END = ("loss_se", "bits_per_byte", "validation_tokens", "unique_tokens", "epochs", "budget", "steps")


def load_curves(*sources: str | Path, columns: Mapping[str, str] | None = None) -> CurveTable:
    """The curves of all `sources` in one table: sweep folders, or files as `load_runs` reads them.

    Of a sweep folder these are the logged training losses (curve.jsonl): means over the steps since the row before,
    so each is placed at the middle of its tokens. On data not yet repeated they estimate the test loss; what lies
    beyond the first epoch, and the warm-up, is flagged. The validation losses at the runs' ends are
    `curves_of(load_runs(folder))`. Raises InputError, one line, for a source that cannot be used.
    """
    folders = [(Path(source) / PLAN_NAME).is_file() for source in sources]
    if not any(folders):
        return curves_of(load_runs(*sources, columns=columns))
    if not all(folders):
        raise InputError("sweep folders and files together: their losses are of different kinds; fit them one by one")
    parts = [_sweep_curves(Path(source)) for source in sources]
    if len(parts) == 1:
        return parts[0]
    frames = [
        part.table.frame.assign(
            run=[f"{source}:{run}" for run in part.table.frame["run"]],
            curve=[f"{source}:{curve}" for curve in part.table.frame["curve"]],
        )
        for source, part in zip(sources, parts, strict=True)
    ]
    notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
    table = replace(parts[0].table, frame=pd.concat(frames, ignore_index=True), notes=notes)
    return CurveTable(table, CurveKind.CHECKPOINTS)


def _sweep_curves(folder: Path) -> CurveTable:
    if not (folder / PLAN_NAME).is_file():
        raise InputError(f"{folder}: a folder without {PLAN_NAME} is no sweep; name one, or a table of checkpoints")
    records, notes = read_sweep(folder)
    rows: list[dict[str, Any]] = []
    missing = 0
    for record in records.to_dict("records"):
        points = _points(folder / record["run"])
        missing += not points
        rows += _rows({str(name): value for name, value in record.items()}, points, folder)
    if missing:
        notes.append(f"{missing} of {len(records)} recorded runs have no {CURVE_NAME}")
    if not rows:
        raise InputError(f"{folder}: no run has a {CURVE_NAME}: curves are written while training, by `sweep`")
    notes.append(
        "losses are the training's own, means between logged steps, placed at the middle of their tokens; data not yet "
        "repeated make them estimates of the test loss"
    )
    return CurveTable(RunTable(pd.DataFrame(rows), tuple(notes)), CurveKind.CHECKPOINTS)


def _points(folder: Path) -> list[dict[str, Any]]:
    """The logged rows of one run; empty where it logged none."""
    path = folder / CURVE_NAME
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    points = []
    for number, line in enumerate(lines, start=1):
        try:
            point = json.loads(line)
        except (ValueError, RecursionError):
            point = None
        if not isinstance(point, dict) or not {"step", "tokens", "loss"} <= set(point):
            raise InputError(
                f"{path}:{number}: no object with step, tokens and loss: remove the file or run the cell again"
            )
        points.append(point)
    return points


def _rows(record: dict[str, Any], points: list[dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
    run = record["run"]
    total, steps = float(record["tokens"]), float(record.get("steps") or 0)
    warmup = _warmup(folder / run / RECORD_NAME) * steps
    unique = float(record.get("unique_tokens") or total)
    kept = {name: value for name, value in record.items() if name not in _OF_THE_END}
    counts = {name: value for name, value in record.items() if name.split("_")[0] == _PER_RUN}
    rows, before = [], 0.0
    for number, point in enumerate(points, start=1):
        tokens = (before + float(point["tokens"])) / 2
        before = float(point["tokens"])
        flag = record["flag"]
        if not flag and point["step"] <= warmup:
            flag = "in the warm-up"
        elif not flag and point["tokens"] > unique:
            flag = "repeats data: a training loss there is no estimate of the test loss"
        share = {name: value * tokens / total for name, value in counts.items()} if total else {}
        rows.append(
            kept
            | share
            | {"curve": run, "step": point["step"], "tokens": tokens, "loss": point["loss"], "flag": flag}
            | {"source": str(folder / run / CURVE_NAME), "source_line": number}
        )
    return rows


def _warmup(path: Path) -> float:
    """The fraction of a run's steps in which its rate rises, 0 where its record does not say."""
    schedule = json.loads(path.read_text(encoding="utf-8")).get("config", {}).get("recipe", {}).get("schedule", {})
    return float(schedule.get("warmup", 0.0))
