"""One table file as a DataFrame whose rows know where they stand."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..errors import InputError
from ..json_shapes import is_list, is_object
from .parquet import read_parquet


def read_file(path: Path) -> pd.DataFrame:
    """The table in `path`, with `source` (the file; `source_path` where it has a source of its own) and `source_line`.

    Columns that are numbers where they can be are left as read; whether a text is a number is settled when it is
    known which column it is. Raises InputError for an unknown suffix, an empty or binary file, a file without rows
    and a file that does not parse.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path}: unknown kind {path.suffix!r}: give {', '.join(SUFFIXES)}, or a sweep folder")
    try:
        if path.stat().st_size == 0:
            raise InputError(f"{path}: the file is empty")
        frame = reader(path)
    except OSError as error:
        reason = " ".join(str(error.strerror or error).split())[:160]
        raise InputError(f"{path}: cannot be read: {reason}") from error
    if frame.empty:
        raise InputError(f"{path}: no rows below the header ({', '.join(map(str, frame.columns)) or 'no columns'})")
    return frame


def _text_of(path: Path) -> str:
    data = path.read_bytes()
    if b"\0" in data:
        raise InputError(f"{path}: a binary file, not text: {path.suffix} files are UTF-8 text")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start}): save it as UTF-8") from error
    if not text.strip():
        raise InputError(f"{path}: the file is empty")
    return text


def _separated(separator: str) -> Callable[[Path], pd.DataFrame]:
    def read(path: Path) -> pd.DataFrame:
        return _parse_separated(path, _text_of(path), separator)

    return read


def _parse_separated(path: Path, text: str, separator: str) -> pd.DataFrame:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    header: list[str] | None = None
    torn = ""
    try:
        for row in reader:
            if not any(map(str.strip, row)):
                continue
            if header is None:
                header = [cell.strip() for cell in row]
                _check_separator(path, header, separator)
                continue
            if len(row) != len(header):
                if len(row) > len(header) or text.endswith("\n") or next(reader, None) is not None:
                    raise InputError(
                        f"{path}:{reader.line_num}: {len(row)} cells where the header has {len(header)}: quote cells "
                        "that hold the separator"
                    )
                torn = f"torn: the file ends after {len(row)} of {len(header)} cells"
                row += [""] * (len(header) - len(row))
            rows.append(row)
            lines.append(reader.line_num)
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: {error}") from error
    if header is None:  # commas and quotes with nothing between them
        raise InputError(f"{path}: the file is empty")
    repeated = next((name for name in header if header.count(name) > 1), None)
    if repeated is not None:
        raise InputError(f"{path}: column {repeated!r} occurs twice: name each column once")
    cells = zip(*rows, strict=True) if rows else ((),) * len(header)
    frame = pd.DataFrame({name: _typed(list(values)) for name, values in zip(header, cells, strict=True)})
    return _with_source(_flag_last(frame, torn), path, lines)


def _check_separator(path: Path, header: list[str], separator: str) -> None:
    """A header of one cell that holds another separator is, as a rule, a spreadsheet's of another country."""
    other = next((mark for mark in ";\t,|" if mark in header[0]), None) if len(header) == 1 else None
    if other is not None:
        raise InputError(
            f"{path}: cells are separated by {other!r}, those of {path.suffix} files by {separator!r}: save it so, "
            "with decimal points"
        )


_MISSING = {"", "na", "n/a", "nan", "none", "null", "-nan", "<na>"}
_TRUTH = {"true": True, "false": False}


def _typed(cells: list[str]) -> pd.Series:
    """A column of texts as numbers or truths where all of it is that; else the texts, None where missing."""
    try:
        return pd.Series(pd.to_numeric(np.array(cells, dtype=object)))
    except (ValueError, TypeError):
        column = pd.Series([cell.strip() for cell in cells], dtype=object)
    missing = column.str.casefold().isin(_MISSING)
    known = pd.Series(column.loc[~missing])
    if known.empty:
        return pd.Series(float("nan"), index=column.index)
    if known.str.casefold().isin(_TRUTH).all() and not missing.any():
        return column.str.casefold().map(_TRUTH).astype(bool)
    numbers = pd.Series(pd.to_numeric(known, errors="coerce"))
    if numbers.notna().all():
        return pd.Series(pd.to_numeric(column.where(~missing, None)))
    return column.where(~missing, None).astype(object)


def _json(path: Path) -> pd.DataFrame:
    try:
        data = json.loads(_text_of(path), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {error}") from error
    if is_object(data) and all(is_list(value) for value in data.values()) and data:
        if len({len(value) for value in data.values()}) != 1:
            raise InputError(f"{path}: the columns have different lengths: give every column one value a run")
        data = [dict(zip(data, values, strict=True)) for values in zip(*data.values(), strict=True)]
    if not is_list(data) or not all(is_object(row) for row in data):
        raise InputError(f'{path}: neither a list of runs nor an object of columns: write [{{"n_params": ...}}, ...]')
    return _records(data, path, list(range(1, len(data) + 1)))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; json itself would keep the last of two equal keys and say nothing."""
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key {next(name for name in names if names.count(name) > 1)!r} occurs twice")
    return row


def _jsonl(path: Path) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    texts = _text_of(path).split("\n")
    torn = ""
    for number, line in enumerate(texts, start=1):
        if not line.strip():
            continue
        row: Any
        try:
            row = json.loads(line, object_pairs_hook=_unique)
        except (ValueError, RecursionError) as error:
            if number < len(texts) or not rows:
                raise InputError(f"{path}:{number}: not JSON: {error}") from error
            row = dict[str, Any]()
            torn = f"torn: the file ends after {len(line)} characters of this line"
        if not is_object(row):
            raise InputError(f"{path}:{number}: {line.strip()[:40]!r} is no object: write one run a line")
        rows.append(row)
        lines.append(number)
    return _records(rows, path, lines, torn)


def _records(rows: list[dict[str, Any]], path: Path, lines: list[int], torn: str = "") -> pd.DataFrame:
    flat = [_flat(row) for row in rows]
    return _with_source(_flag_last(pd.DataFrame(flat), torn), path, lines)


def _flag_last(frame: pd.DataFrame, torn: str) -> pd.DataFrame:
    """A killed writer leaves half a line: its row stays, with the reason why it is not fitted."""
    if not torn:
        return frame
    flags = frame["flag"].astype(object) if "flag" in frame else pd.Series("", index=frame.index, dtype=object)
    return frame.assign(flag=[*flags.iloc[:-1], torn])


def _flat(row: dict[str, Any], prefix: str = "", levels: int = 8) -> dict[str, Any]:
    """Nested objects as columns joined by dots; lists, and what lies deeper than `levels`, are left out."""
    out: dict[str, Any] = {}
    for key, value in row.items():
        if is_object(value) and levels > 1:
            out |= _flat(value, f"{prefix}{key}.", levels - 1)
        elif _is_scalar(value):
            out[f"{prefix}{key}"] = value
    return out


def _is_scalar(value: Any) -> bool:
    return not isinstance(value, (dict, list, np.ndarray))


def _first_of(column: pd.Series) -> Any:
    return next((value for value in column if value is not None), None) if column.dtype == object else None


def _parquet(path: Path) -> pd.DataFrame:
    frame = read_parquet(path)
    frame = frame.drop(columns=[name for name in frame if not _is_scalar(_first_of(frame[name]))])
    return _with_source(frame, path, np.arange(1, len(frame) + 1))


def _with_source(frame: pd.DataFrame, path: Path, lines: Any) -> pd.DataFrame:
    name = "source" if "source" not in frame.columns else "source_path"
    return frame.assign(**{name: _constant(str(path), frame), "source_line": np.asarray(lines, dtype=np.int32)})


def _constant(value: str, frame: pd.DataFrame) -> pd.Series:
    same = np.empty(len(frame), dtype=object)
    same.fill(value)  # one object for all rows; np.full would make as many
    return pd.Series(same, index=frame.index, dtype=object)


_READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    ".csv": _separated(","),
    ".tsv": _separated("\t"),
    ".json": _json,
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".parquet": _parquet,
}
SUFFIXES = tuple(_READERS)
