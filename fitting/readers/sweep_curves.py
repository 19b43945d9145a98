"""The curves of our own runs, validated or of the training: curve.jsonl of a sweep folder, or its mirror in W&B."""

from __future__ import annotations

import io
import json
import re
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
TRAINED = (
    "losses are the training's own, means between logged steps, placed at the middle of their tokens; data not yet "
    "repeated make them estimates of the test loss"
)
VALIDATED = "losses are validation losses, measured along the runs and at their ends"
_FEW = 3  # validated points make a curve, the run's end among them
WARMUP, REPEATED = "in the warm-up", "repeats data: a training loss there is no estimate of the test loss"
# What a record says of the run's end, and a point of its middle must not.
_OF_THE_END = ("unique_tokens", "epochs", "budget", "steps", "warmup", "tokens", "source", "step")
_SCORES = re.compile(r"(?!loss_unit$)(loss|loss_se|bits_per_byte|validation_tokens)(_.+)?")
_KEYS = ("step", "tokens", "loss")
SCORED_KEYS = ("validation_loss", "validation_loss_se")
_SCORED = ("loss", "loss_se")
_SCHEMA = pa.schema([(name, pa.float64()) for name in (*_KEYS, *SCORED_KEYS)])
_BATCH = 200  # files parsed at once, their points then thinned


def folder_points(folder: Path, records: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The points of every recorded run in `folder`, thinned, as rows of a table, and notes.

    `records` are the rows of `read_sweep`. Raises InputError for a file that is torn, and where no run has one.
    """
    paths = [folder / run / CURVE_NAME for run in records["run"]]
    trained: list[pd.DataFrame] = []
    scored: list[pd.DataFrame] = []
    missing, dense = 0, 0
    for first in range(0, len(paths), _BATCH):
        texts = [_bytes_of(path) for path in paths[first : first + _BATCH]]
        missing += sum(not text for text in texts)
        batch = _parsed(texts, paths[first : first + _BATCH])
        if len(batch):
            batch = batch.assign(row=batch["row"] + first)
            points, more = trained_points(records, batch)
            trained.append(points)
            scored.append(batch.loc[batch["validation_loss"].notna()])
            dense += more
    if not trained:
        raise InputError(f"{folder}: no run has a {CURVE_NAME}: curves are written while training, by `sweep`")
    frame, said = own_points(records, pd.concat(scored), (pd.concat(trained, ignore_index=True), dense))
    frame["source"] = np.array([str(path) for path in paths], dtype=object)[frame.pop("row").to_numpy()]
    return frame, [*([f"{missing} of {len(records)} recorded runs have no {CURVE_NAME}"] if missing else []), *said]


def thinning_note(dense: int) -> list[str]:
    """What thinning did to so many curves."""
    return [f"{dense} dense curves are averaged over equal steps of ln tokens"] if dense else []


def own_points(
    records: pd.DataFrame, scored: pd.DataFrame, trained: tuple[pd.DataFrame, int]
) -> tuple[pd.DataFrame, list[str]]:
    """The validated points of the runs where most have a curve of them, else `trained`; and notes.

    `scored` are the logged points with a validation loss (row, step, tokens, `SCORED_KEYS`), `trained` is what
    `trained_points` returns. A validated loss is that of its tokens, and a finished run's end is one more.
    """
    finished = records["loss"].notna().to_numpy()
    count = np.bincount(scored["row"].to_numpy(dtype=np.int64), minlength=len(records)) + finished
    fitted = finished & (records["flag"] == "").to_numpy()
    whole = count >= _FEW
    if 2 * (whole & fitted).sum() <= fitted.sum():
        return trained[0], [TRAINED, *thinning_note(trained[1])]
    (ends,) = np.nonzero(finished)
    at_end = records.iloc[ends]
    last = {"row": ends, "step": at_end.get("steps", np.nan), "tokens": at_end["tokens"]}
    last |= {"loss": at_end["loss"], "loss_se": at_end.get("loss_se", np.nan)}
    along = scored.drop(columns="loss", errors="ignore").rename(columns=dict(zip(SCORED_KEYS, _SCORED, strict=True)))
    points = pd.concat([along, pd.DataFrame(last)], ignore_index=True).sort_values(["row", "tokens"], kind="stable")
    points = points.drop_duplicates(["row", "tokens"], keep="last").reset_index(drop=True)
    reason = np.where(_warming(records, points), 1, 0)
    frame, dense = _table(records, points, reason)
    without = int((fitted & ~whole).sum())
    few = [f"{without} of {fitted.sum()} runs have fewer than {_FEW} such points"] if without else []
    return frame, [VALIDATED, *few, *thinning_note(dense)]


def trained_points(records: pd.DataFrame, points: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Logged points as rows of a table, thinned, with how many curves were; `points` has row, step, tokens and loss.

    `row` is the run's in `records` and stays a column. A loss is the mean since the point before, so it belongs to the
    middle of those tokens. Points in the warm-up, and beyond the first epoch, are flagged.
    """
    row = points["row"].to_numpy(dtype=np.int64)
    end = points["tokens"].to_numpy(dtype=float)
    begins = np.diff(row, prepend=-1) != 0
    middle = (end + np.where(begins, 0.0, np.concatenate([[0.0], end[:-1]]))) / 2
    repeated = end > np.fmin(_of_run(records, row, "unique_tokens", np.inf), _of_run(records, row, "tokens", np.nan))
    reason = np.where(_warming(records, points), 1, np.where(repeated, 2, 0))
    return _table(records, points.drop(columns=list(SCORED_KEYS), errors="ignore").assign(tokens=middle), reason)


def _of_run(records: pd.DataFrame, row: NDArray[np.int64], name: str, otherwise: float) -> NDArray[np.float64]:
    """What `records` say in column `name` of each point's run."""
    if name not in records:
        return np.full(len(row), otherwise)
    return np.asarray(records[name].astype(float).fillna(otherwise), dtype=np.float64)[row]


def _warming(records: pd.DataFrame, points: pd.DataFrame) -> NDArray[np.bool_]:
    row = points["row"].to_numpy(dtype=np.int64)
    last = _of_run(records, row, "warmup", 0.0) * _of_run(records, row, "steps", 0.0)
    return points["step"].to_numpy(dtype=float) <= last


def _table(records: pd.DataFrame, points: pd.DataFrame, reason: NDArray[np.int_]) -> tuple[pd.DataFrame, int]:
    """`points`, thinned, with what their runs' records say that is not of the end alone; and how many were thinned."""
    short, dense = thinned(points, points["row"].to_numpy(dtype=np.int64), reason)
    row = np.asarray(short["row"], dtype=np.intp)
    kept = records[[name for name in records if name not in _OF_THE_END and not _SCORES.fullmatch(str(name))]]
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
    """The points of some files: row (the file's number), source_line, step, tokens, loss and `SCORED_KEYS`."""
    lines = np.array([text.count(b"\n") for text in texts])
    whole = b"".join(texts)
    if not whole:
        return pd.DataFrame(columns=pd.Index(["row", "source_line", *_SCHEMA.names]))
    try:
        options = paj.ParseOptions(explicit_schema=_SCHEMA, unexpected_field_behavior="ignore")
        table = paj.read_json(io.BytesIO(whole), parse_options=options)
        if len(table) != lines.sum() or table["step"].null_count or table["tokens"].null_count:
            raise ValueError("a line is no point")
        columns: dict[str, Any] = {name: table[name].to_numpy() for name in _SCHEMA.names}
    except (pa.ArrowException, ValueError):
        columns = _one_by_one(texts, paths)
    starts = np.cumsum(lines) - lines
    number = np.arange(1, int(lines.sum()) + 1) - np.repeat(starts, lines)
    places = {"row": np.repeat(np.arange(len(texts)), lines), "source_line": number.astype(np.int32)}
    return pd.DataFrame(places | columns)


def _one_by_one(texts: list[bytes], paths: list[Path]) -> dict[str, NDArray[np.float64]]:
    """The same by Python's parser, which takes NaN and can say which line is wrong. Raises InputError for one."""
    rows = [row for text, path in zip(texts, paths, strict=True) for row in _points(text, path)]
    return dict(zip(_SCHEMA.names, np.array(rows, dtype=float).reshape(-1, len(_SCHEMA)).T, strict=True))


def _points(text: bytes, path: Path) -> Iterator[list[float]]:
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            point = json.loads(line)
            losses = (point["loss"], *(point.get(key) for key in SCORED_KEYS))
            yield [float(point["step"]), float(point["tokens"]), *(float("nan" if x is None else x) for x in losses)]
        except (ValueError, RecursionError, KeyError, TypeError, OverflowError):
            raise InputError(
                f"{path}:{number}: no object with step, tokens and loss: remove the file or run the cell again"
            ) from None
