"""The training curves of our own runs: curve.jsonl of a sweep folder, or their mirror in W&B."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.json as paj
from numpy.typing import NDArray

from ..errors import InputError
from .thinning import thinned

CURVE_NAME = "curve.jsonl"
NOTE = (
    "losses are the training's own, means between logged steps, placed at the middle of their tokens; data not yet "
    "repeated make them estimates of the test loss"
)
WARMUP, REPEATED = "in the warm-up", "repeats data: a training loss there is no estimate of the test loss"
# What a record says of the run's end, and a point of its middle must not.
_OF_THE_END = ("loss_se", "bits_per_byte", "validation_tokens", "unique_tokens", "epochs", "budget", "steps", "warmup")
_KEYS = ("step", "tokens", "loss")
_SCHEMA = pa.schema([(name, pa.float64()) for name in _KEYS])
_BATCH = 200  # files parsed at once, their points then thinned


def folder_points(folder: Path, records: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The points of every recorded run in `folder`, thinned, as rows of a table, and notes.

    `records` are the rows of `read_sweep`. Raises InputError for a file that is torn, and where no run has one.
    """
    paths = [folder / run / CURVE_NAME for run in records["run"]]
    parts, missing, dense = [], 0, 0
    for first in range(0, len(paths), _BATCH):
        texts = [_bytes_of(path) for path in paths[first : first + _BATCH]]
        missing += sum(not text for text in texts)
        batch = _parsed(texts, paths[first : first + _BATCH])
        if len(batch):
            points, more = own_points(records, batch.assign(row=batch["row"] + first))
            parts.append(points)
            dense += more
    if not parts:
        raise InputError(f"{folder}: no run has a {CURVE_NAME}: curves are written while training, by `sweep`")
    frame = pd.concat(parts, ignore_index=True)
    frame["source"] = np.array([str(path) for path in paths], dtype=object)[frame.pop("row").to_numpy()]
    notes = [f"{missing} of {len(records)} recorded runs have no {CURVE_NAME}"] if missing else []
    return frame, [*notes, NOTE, *thinning_note(dense)]


def thinning_note(dense: int) -> list[str]:
    """What thinning did to so many curves."""
    return [f"{dense} dense curves are averaged over equal steps of ln tokens"] if dense else []


def own_points(records: pd.DataFrame, points: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Logged points as rows of a table, thinned, with how many curves were; `points` has row, step, tokens and loss.

    `row` is the run's in `records` and stays a column. A loss is the mean since the point before, so it belongs to the
    middle of those tokens. Points in the warm-up, and beyond the first epoch, are flagged.
    """
    row = points["row"].to_numpy(dtype=np.int64)
    end = points["tokens"].to_numpy(dtype=float)
    begins = np.diff(row, prepend=-1) != 0
    middle = (end + np.where(begins, 0.0, np.concatenate([[0.0], end[:-1]]))) / 2

    def of_run(name: str, otherwise: float) -> NDArray[np.float64]:
        if name not in records:
            return np.full(len(row), otherwise)
        return records[name].astype(float).fillna(otherwise).to_numpy()[row]

    total = of_run("tokens", np.nan)
    repeated = end > np.fmin(of_run("unique_tokens", np.inf), total)
    warming = points["step"].to_numpy(dtype=float) <= of_run("warmup", 0.0) * of_run("steps", 0.0)
    reason = np.where(warming, 1, np.where(repeated, 2, 0))
    frame = points.assign(tokens=middle)
    short, dense = thinned(frame, row, reason)
    row = short["row"].to_numpy()
    kept = records[[name for name in records if name not in (*_OF_THE_END, "loss", "tokens", "source", "step")]]
    runs = pd.DataFrame(kept).iloc[row].reset_index(drop=True)
    share = short["tokens"].to_numpy() / records["tokens"].to_numpy(dtype=float)[row]
    for name in runs.columns:
        if str(name).split("_")[0] == "flops":
            runs[name] = runs[name].to_numpy(dtype=float) * share
    reasons = np.array(["", WARMUP, REPEATED], dtype=object)[reason[short.index.to_numpy()]]
    flags = np.where(runs["flag"].to_numpy() != "", runs["flag"].to_numpy(), reasons)
    short = short.reset_index(drop=True)
    return runs.assign(flag=flags, curve=runs["run"], **{str(name): short[name] for name in short}), dense


def _bytes_of(path: Path) -> bytes:
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    return text if not text or text.endswith(b"\n") else text + b"\n"


def _parsed(texts: list[bytes], paths: list[Path]) -> pd.DataFrame:
    """The points of some files: row (the file's number), source_line, step, tokens, loss."""
    lines = np.array([text.count(b"\n") for text in texts])
    whole = b"".join(texts)
    if not whole:
        return pd.DataFrame(columns=pd.Index(["row", "source_line", *_KEYS]))
    try:
        options = paj.ParseOptions(explicit_schema=_SCHEMA, unexpected_field_behavior="ignore")
        table = paj.read_json(io.BytesIO(whole), parse_options=options)
        if len(table) != lines.sum() or table["step"].null_count or table["tokens"].null_count:
            raise ValueError("a line is no point")
        columns: dict[str, Any] = {name: table[name].to_numpy() for name in _KEYS}
    except (pa.ArrowException, ValueError):
        columns = _one_by_one(texts, paths)
    starts = np.cumsum(lines) - lines
    number = np.arange(1, lines.sum() + 1) - np.repeat(starts, lines)
    places = {"row": np.repeat(np.arange(len(texts)), lines), "source_line": number.astype(np.int32)}
    return pd.DataFrame(places | columns)


def _one_by_one(texts: list[bytes], paths: list[Path]) -> dict[str, NDArray[np.float64]]:
    """The same by Python's parser, which takes NaN and can say which line is wrong. Raises InputError for one."""
    rows = [row for text, path in zip(texts, paths, strict=True) for row in _points(text, path)]
    return dict(zip(_KEYS, np.array(rows, dtype=float).reshape(-1, len(_KEYS)).T, strict=True))


def _points(text: bytes, path: Path) -> Iterator[list[float]]:
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            point = json.loads(line)
            yield [float("nan") if point[key] is None and key == "loss" else float(point[key]) for key in _KEYS]
        except (ValueError, RecursionError, KeyError, TypeError, OverflowError):
            raise InputError(
                f"{path}:{number}: no object with step, tokens and loss: remove the file or run the cell again"
            ) from None
