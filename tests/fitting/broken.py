"""Sources with something wrong in them, made from a seed: rows with wrong cells, and files with wrong bytes."""

from __future__ import annotations

import csv
import decimal
import io
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

Row = dict[str, Any]
N_ROWS = 7
ROWS: list[Row] = [
    {
        "run": f"r{i}",
        "n_params": 10**6 * 2**i,
        "tokens": 4 * 10**8 / 2**i,
        "loss": 3.123456 - 0.1 * i,
        "flops": 2.4e15,
        "seed": i % 2,
        "state": "finished",
        "step": 1000,
        "planned_steps": 1000,
        "corpus": "c4",
    }
    for i in range(N_ROWS)
]
CELLS: list[Any] = [
    None, True, False, [], [1, 2], {}, {"a": 1}, {"a": {"b": [{}]}}, "", " ", "abc", "60M", "1,234", "1e999", 1e308,
    -1, -0.0, 0, float("nan"), float("inf"), 10**30, 10**400, -(10**19), "2020-01-01", "2020-01-01T00:00:00Z", "nan",
    "NULL", "١٢", "é\u202e🦙", "a\nb", 'say "so"', "=1+1", "../../etc/passwd", "C:\\runs\\1", "1_000", "0x10", "true",
    "x" * 5000, "line\r\nline", 1e-320, "6e7 params", "--1", "1e", "∞", "crashed", 60, 0.06, "3,5", "1.2.3", "%s%d{}",
    "\t", "#", "'", 2**63, 5e-324, "1" * 400, "flops", "-inf", "1 2", "9" * 5000,
]  # fmt: skip
NAMES = [
    "",
    " ",
    "loss",
    "Loss",
    "N",
    "n_params",
    "source",
    "source_line",
    "flag",
    "run",
    "é",
    "a.b",
    "__x",
]


@dataclass(frozen=True)
class Source:
    """The files of one source, and the one (or the folder, "") that is read; `n_rows` is None where it is not known."""

    files: Mapping[str, bytes]
    name: str
    n_rows: int | None


# ---- rows with wrong cells -------------------------------------------------------------------------------------------


def wrong_rows(rng: random.Random) -> list[Row]:
    rows = [dict(row) for row in ROWS]
    for _ in range(rng.choice((1, 1, 2, 4))):
        rng.choice(ROW_CHANGES)(rows, rng)
    return rows


def _cell(rows: list[Row], rng: random.Random) -> None:
    row = rng.choice(rows)
    row[rng.choice(list(row))] = rng.choice(CELLS)


def _column(rows: list[Row], rng: random.Random) -> None:
    name, value = rng.choice(list(ROWS[0])), rng.choice(CELLS)
    for row in rows:
        row[name] = value if rng.random() < 0.9 else rng.choice(CELLS)


def _swapped(rows: list[Row], rng: random.Random) -> None:
    row = rng.choice(rows)
    one, two = rng.sample(list(ROWS[0]), 2)
    row[one], row[two] = row.get(two), row.get(one)


def _missing_column(rows: list[Row], rng: random.Random) -> None:
    name = rng.choice(list(ROWS[0]))
    for row in rows:
        row.pop(name, None)


def _missing_cell(rows: list[Row], rng: random.Random) -> None:
    row = rng.choice(rows)
    row.pop(rng.choice(list(ROWS[0])), None)


def _new_column(rows: list[Row], rng: random.Random) -> None:
    name = rng.choice(NAMES)
    for row in rows:
        row[name] = rng.choice(CELLS)


def _renamed(rows: list[Row], rng: random.Random) -> None:
    old, new = rng.choice(list(ROWS[0])), rng.choice(NAMES)
    for row in rows:
        if old in row:
            row[new] = row.pop(old)


def _again(rows: list[Row], rng: random.Random) -> None:
    rows.insert(rng.randrange(len(rows)), dict(rng.choice(rows)))


def _less(rows: list[Row], rng: random.Random) -> None:
    del rows[rng.randrange(len(rows)) :]
    if not rows:
        rows.append(dict(ROWS[0]))


ROW_CHANGES: list[Callable[[list[Row], random.Random], None]] = [
    _cell, _cell, _cell, _column, _swapped, _missing_column, _missing_cell, _new_column, _renamed, _again, _less,
]  # fmt: skip


# ---- rows as files ---------------------------------------------------------------------------------------------------


def separated(rows: Sequence[Row], separator: str) -> bytes:
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator)
    writer.writerow(names)
    writer.writerows([["" if (value := row.get(name)) is None else value for name in names] for row in rows])
    return text.getvalue().encode()


def json_lines(rows: Sequence[Row]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def json_columns(rows: Sequence[Row]) -> bytes:
    names = dict.fromkeys(name for row in rows for name in row)
    return json.dumps({name: [row.get(name) for row in rows] for name in names}).encode()


def parquet(rows: Sequence[Row]) -> bytes:
    """A column keeps its numbers where it can, else it is of texts."""
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {}
    for name in names:
        values = [row.get(name) for row in rows]
        try:
            columns[name] = pa.array(values)
            parquet_bytes(pa.table({name: columns[name]}))  # a struct without fields cannot be written
        except (pa.ArrowException, OverflowError):
            columns[name] = pa.array([None if value is None else repr(value) for value in values])
    return parquet_bytes(pa.table(columns))


def parquet_bytes(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


def typed_parquet(rng: random.Random) -> bytes:
    """One column of a type that a count or a loss is not, or not as a rule."""
    table = pa.Table.from_pandas(pd.DataFrame(ROWS), preserve_index=False)
    kinds = [
        pa.array([[1.0, 2.0]] * N_ROWS),
        pa.array([{"a": 1}] * N_ROWS),
        pa.array([decimal.Decimal("3.5")] * N_ROWS),
        pa.array(np.arange(N_ROWS).astype("datetime64[s]")),
        pa.array(np.arange(N_ROWS).astype("timedelta64[s]")),
        pa.array([b"\xff\x00"] * N_ROWS),
        pa.array(["1e6", None] * 3 + ["x"]).dictionary_encode(),
        pa.array([1.5, 2.5] * 3 + [None]).dictionary_encode(),
        pa.array([[("a", 1)]] * N_ROWS, type=pa.map_(pa.string(), pa.int64())),
        pa.array([True, None] * 3 + [False]),
        pa.nulls(N_ROWS),
        pa.array(np.linspace(1, 3, N_ROWS).astype(np.float16)),
        pa.array([2**64 - 1] * N_ROWS, type=pa.uint64()),
        pa.array([3] * 6 + [None], type=pa.int8()),
        pa.array([0] * N_ROWS, type=pa.date32()),
        pa.array([0] * N_ROWS, type=pa.time64("us")),
        pa.array([""] * N_ROWS),
        pa.array(["3.5", "3,5"] * 3 + ["60M"], type=pa.large_string()),
    ]
    where = rng.randrange(table.num_columns)
    name = rng.choice([table.column_names[where], *NAMES])
    return parquet_bytes(table.set_column(where, name, rng.choice(kinds)))


# ---- wrong bytes -----------------------------------------------------------------------------------------------------


def wrong_bytes(data: bytes, rng: random.Random) -> bytes:
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        data = rng.choice(BYTE_CHANGES)(data, rng)
    return data


def _flipped(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 3, 20)) if data else 0):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def _printable(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    if out:
        out[rng.randrange(len(out))] = rng.choice(b' ,"{}[]:-.e0\t\n\\/~')
    return bytes(out)


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _inserted(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    texts = (
        b"\0",
        b"\r",
        b'"',
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b",",
        b"[" * 5000,
        b"}" * 3,
        "\u2028é".encode(),
        b"NaN",
        b"\x1a",
    )
    return data[:at] + rng.choice(texts) + data[at:]


def _line_twice(data: bytes, rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    lines.insert(rng.randrange(len(lines)), rng.choice(lines))
    return b"\n".join(lines)


def _line_gone(data: bytes, rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    del lines[rng.randrange(len(lines))]
    return b"\n".join(lines)


def _windows(data: bytes, rng: random.Random) -> bytes:
    return b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n")


def _chunk_moved(data: bytes, rng: random.Random) -> bytes:
    start, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[start:end] + data[at:]


BYTE_CHANGES = [
    _flipped, _printable, _printable, _cut, _inserted, _line_twice, _line_gone, _windows, _chunk_moved,
]  # fmt: skip
