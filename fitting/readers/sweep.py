"""A sweep folder: plan.json and one record.json a run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import InputError
from ..json_shapes import is_list, is_object
from ..schema import MARK, NOTES_BETWEEN, SCHEMA_VERSION

PLAN_NAME = "plan.json"
RECORD_NAME = "record.json"


def read_sweep(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """The recorded cells of the plan in `folder`, one row each by budget, size and seed, and notes on the others.

    A cell that failed or diverged is a row with its reason as `flag`. Each FLOP count of a record is a column
    "flops_" and its name; `flops` is the one the sweep was planned by. Records of cells that the plan no longer has
    are ignored and counted. Raises InputError for a plan or record that is torn or of another schema version, and
    where no cell has a record.
    """
    cells, planned = _cells(folder / PLAN_NAME)
    rows = [
        _row(record | said, planned, folder / run_id / RECORD_NAME)
        for run_id, said in cells.items()
        if (record := _object(folder / run_id / RECORD_NAME)) is not None
    ]
    notes: list[str] = []
    missing = len(cells) - len(rows)
    if missing:
        notes.append(f"{missing} of {len(cells)} cells have no record yet")
    strangers = _strangers(folder, set(cells))
    if strangers:
        notes.append(f"{strangers} records are of cells that the plan no longer has: ignored")
    if not rows:
        raise InputError(f"{folder}: none of the {len(cells)} planned cells has a record yet: train it with `sweep`")
    if not any(row["flag"] == "" for row in rows):
        raise InputError(f"{folder}: no finished run among {len(rows)} records: the first {rows[0]['flag']}")
    return pd.DataFrame(sorted(rows, key=plan_order)), notes


def plan_order(row: Mapping[str, Any]) -> tuple[float | str, ...]:
    """What the runs of a sweep are sorted by, wherever they are read from."""
    counts = (row.get(name) for name in ("budget", "n_params", "seed"))
    return *(n if isinstance(n, (int, float)) and n == n else math.inf for n in counts), str(row["run"])


def _cells(path: Path) -> tuple[dict[str, dict[str, Any]], str | None]:
    """The plan's run ids, each with its budget and notes there, and the convention of FLOPs it counts budgets in.

    These are the plan's to say: a record keeps what an earlier plan, now edited, said of the same run.
    """
    plan = _object(path)
    if plan is None:
        raise InputError(f"{path}: no such file: a sweep folder has its plan there")
    cells = plan.get("cells")
    if not is_list(cells) or not all(is_object(cell) and isinstance(cell.get("run_id"), str) for cell in cells):
        raise InputError(f"{path}: cells is no list of objects with a run_id: plan the sweep again")
    names: list[str] = [cell["run_id"] for cell in cells]
    for name in names:
        # The name becomes a path: it must not leave the folder.
        if not name or name in (".", "..") or "/" in name or "\\" in name or "\0" in name:
            raise InputError(f"{path}: run_id {name!r} is no plain folder name")
    grid = nested(plan, "config", "grid")
    said = {
        cell["run_id"]: {
            key: cell[name] for key, name in (("budget", "budget"), ("recipe_notes", "notes")) if name in cell
        }
        for cell in cells
    }
    return said, grid.get("flops") if is_object(grid) else None


def _object(path: Path) -> dict[str, Any] | None:
    """The JSON object in `path`, None where there is no such file."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error}): the file is torn; remove it and run its cell again") from error
    if not is_object(data):
        raise InputError(f"{path}: {type(data).__name__} where an object is due: remove it and run its cell again")
    version = data.get("schema_version")
    if version != SCHEMA_VERSION:
        raise InputError(f"{path}: schema_version {version!r}, this version reads {SCHEMA_VERSION}")
    return data


def _row(record: dict[str, Any], planned: str | None, path: Path) -> dict[str, Any]:
    row: dict[str, Any] = {
        name: value for name, value in record.items() if not isinstance(value, (dict, list)) and name != "run_id"
    }
    row["run"] = str(record.get("run_id", path.parent.name))
    row["source"] = str(path)
    row["flag"] = _flag(record)
    for name in ("n_params", "tokens"):
        if name not in record:
            raise InputError(f"{path}: no {name}: remove it and run its cell again")
    row.setdefault("loss", None)
    corpus = record.get("corpus")
    if is_object(corpus) and isinstance(corpus.get("fingerprint"), str):
        row["corpus"] = corpus["fingerprint"]  # which covers the tokenizer and the split
    row["warmup"] = _warmup(record)
    notes = record.get("recipe_notes")
    if is_list(notes) and notes:
        row["recipe_notes"] = NOTES_BETWEEN.join(map(str, notes))
    flops = record.get("flops")
    if not is_object(flops) or not flops:
        raise InputError(f"{path}: flops is no object of named counts: remove it and run its cell again")
    row |= {f"flops_{name}": count for name, count in flops.items()}
    planned = planned or record.get("planned_flops", "exact")
    if not isinstance(planned, str) or planned not in flops:
        raise InputError(f"{path}: planned_flops {planned!r} is none of its counts: {', '.join(flops)}")
    row["flops"] = flops[planned]
    return row


def _warmup(record: Mapping[str, Any]) -> float:
    """The fraction of the run's steps in which its rate rises, 0 where the record does not say."""
    rising, steps = record.get("warmup_steps"), record.get("steps")
    if isinstance(rising, int) and isinstance(steps, int) and steps > 0:
        return rising / steps
    found = nested(record, "config", "recipe", "schedule", "warmup")
    return float(found) if isinstance(found, float) else 0.0


def nested(values: Any, *names: str) -> Any:
    """What stands under nested `names`, None where one is not there."""
    for name in names:
        values = values.get(name) if is_object(values) else None
    return values


def own_row(
    run: str, config: Mapping[str, Any], summary: Mapping[str, Any], place: str, flag: str
) -> dict[str, Any] | None:
    """The row of a run of ours from its mirror in W&B, as the sweep folder gives it; None for a stranger's run.

    Its config is the planned part of the record, its summary the record itself once the run was over. `flag` is what
    the mirror says of a run that has no record. Raises InputError for another schema version.
    """
    version = config.get(MARK)
    if version is None:
        return None
    if version != SCHEMA_VERSION:
        raise InputError(f"{place}: {MARK} {version!r}, this version reads {SCHEMA_VERSION}")
    record = {key: value for key, value in {**config, **summary}.items() if key != MARK and not key.startswith("_")}
    if "status" not in summary:
        record |= {"status": "unfinished", "reason": flag, "loss": None}
    return _row(record, None, Path(place)) | {"run": str(config.get("run_id", run))}


def _flag(record: dict[str, Any]) -> str:
    status, reason = record.get("status"), record.get("reason")
    if status != "finished":
        return f"{status}: {reason}" if reason else f"status is {status}"
    return "" if record.get("loss") is not None else "loss is null"


def _strangers(folder: Path, cells: set[str]) -> int:
    return sum(1 for path in folder.glob(f"*/{RECORD_NAME}") if path.parent.name not in cells and path.is_file())
