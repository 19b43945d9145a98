"""One .wandb file: LevelDB's framing around protobuf records, read up to the first that is damaged."""

from __future__ import annotations

import json
import struct
import zlib
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..json_shapes import is_object
from .tracked import flat

_MAGIC = b":W&B" + struct.pack("<HB", 0xBEE1, 0)
_BLOCK = 32768
_FRAGMENT = struct.Struct("<IHB")  # crc32 of type and data, length of the data, type
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_TYPE_CRC = {kind: zlib.crc32(bytes([kind])) for kind in (_FULL, _FIRST, _MIDDLE, _LAST)}
_NUMBER = frozenset("-0123456789NI")  # how a number begins in W&B's JSON, which has NaN and Infinity
_QUOTED = {'"NaN"': "nan", '"Infinity"': "inf", '"-Infinity"': "-inf"}  # as older versions wrote them

Keys = tuple[str, ...]


@dataclass
class Segment:
    """What one .wandb file says of its run; a resumed run has several.

    `config` and `summary` map a key, nested ones by their parts, to its JSON in the order written, None for a key
    that was removed. `steps` has the step of each logged row, `columns` the rows and values of each number logged.
    `exit_code` is None where the run did not end, `problem` says why the file was not read to its end ("" if it was).
    """

    path: Path
    id: str
    start: float | None = None
    facts: dict[str, Any] = field(default_factory=dict[str, Any])
    config: dict[Keys, str | None] = field(default_factory=dict[Keys, str | None])
    summary: dict[Keys, str | None] = field(default_factory=dict[Keys, str | None])
    steps: array[float] = field(default_factory=lambda: array("d"))
    columns: dict[str, tuple[array[int], array[float]]] = field(
        default_factory=dict[str, tuple["array[int]", "array[float]"]]
    )
    exit_code: int | None = None
    problem: str = ""
    records: int = 0
    media: set[str] = field(default_factory=set[str])

    def add(self, record: Any) -> None:
        """Take in the next record (a wandb_internal_pb2.Record)."""
        self.records += 1
        kind = record.WhichOneof("record_type")
        if kind == "history":
            self._log(record.history)
        elif kind == "summary":
            _edit(self.summary, record.summary)
        elif kind == "config":
            _edit(self.config, record.config)
        elif kind == "run":
            self._describe(record.run)
        elif kind == "exit":
            self.exit_code = record.exit.exit_code

    def _describe(self, run: Any) -> None:
        _edit(self.config, run.config)
        _edit(self.summary, run.summary)
        self.id = run.run_id or self.id
        if run.HasField("start_time"):
            self.start = run.start_time.seconds + run.start_time.nanos / 1e9
        known = {
            "name": run.display_name,
            "entity": run.entity,
            "project": run.project,
            "group": run.run_group,
            "job_type": run.job_type,
            "tags": list(run.tags),
        }
        self.facts |= {key: value for key, value in known.items() if value}

    def _log(self, history: Any) -> None:
        row = len(self.steps)
        step = self.steps[-1] + 1 if row else 0.0
        self.steps.append(step)
        for item in history.item:
            name, text = item.key or ".".join(item.nested_key), item.value_json
            if text[:1] in _NUMBER:
                if name == "_step":
                    step = float(text)
                else:
                    self._put(name, row, float(text))
            elif name.endswith("._type"):
                self.media.add(name.removesuffix("_type"))
            elif text in _QUOTED:
                self._put(name, row, float(_QUOTED[text]))
            elif text.startswith("{"):  # as older versions wrote nested keys
                for key, value in flat(without_media({name: value_of(text)}), "").items():
                    if isinstance(value, (int, float)) and not isinstance(value, bool):
                        self._put(key, row, float(value))
        self.steps[row] = history.step.num if history.HasField("step") else step

    def _put(self, name: str, row: int, value: float) -> None:
        column = self.columns.get(name)
        if column is None:
            column = self.columns[name] = (array("q"), array("d"))
        column[0].append(row)
        column[1].append(value)


def read_segment(path: Path) -> Segment:
    """The whole records of `path`. What keeps it from being read (further) is told by `problem`: nothing is raised
    but InputError where W&B is not installed."""
    segment = Segment(path, path.stem.removeprefix("run-"))
    try:
        data = path.read_bytes()
    except OSError as error:
        segment.problem = f"the log cannot be read: {error.strerror or error}"
        return segment
    segment.problem = _no_log(data)
    if segment.problem:
        return segment
    record, unreadable = _protobuf()
    whole = len(_MAGIC)
    try:
        for payload, end in _payloads(data):
            record.ParseFromString(payload)
            segment.add(record)
            whole = end
    except (unreadable, ValueError, RecursionError):
        pass  # the checksum is right, the content is not: what comes after cannot be trusted either
    if data[whole:].strip(b"\0") or len(data) - whole >= _FRAGMENT.size:
        segment.problem = f"the log is torn after {whole:,} of {len(data):,} bytes"
    elif not segment.records:
        segment.problem = "the log holds no record yet"
    for prefix in segment.media:
        segment.columns = {name: column for name, column in segment.columns.items() if not name.startswith(prefix)}
    return segment


def without_media(values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` without images, tables, histograms: mappings with a `_type`."""
    inner = {key: without_media(value) if is_object(value) else value for key, value in values.items()}
    return {key: value for key, value in inner.items() if not (is_object(value) and "_type" in value)}


def value_of(text: str) -> Any:
    """The JSON value in `text`; the text itself where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _protobuf() -> tuple[Any, type[Exception]]:
    """An empty record, and what it raises for bytes that are none."""
    try:
        from google.protobuf.message import DecodeError
        from wandb.proto import wandb_internal_pb2
    except ImportError as error:
        raise InputError(f"reading .wandb files needs W&B ({error}): pip install 'isoflop[logs]'") from error
    return vars(wandb_internal_pb2)["Record"](), DecodeError


def _no_log(data: bytes) -> str:
    """Why `data` holds no records at all, "" where it may."""
    if not data:
        return "the log is empty"
    head = data[: len(_MAGIC)]
    if head == _MAGIC:
        return ""
    if not head.strip(b"\0"):
        return "the log has no header yet: its run was killed at once, or has just begun"
    if _MAGIC.startswith(head):
        return f"the log is torn after 0 of {len(data)} bytes"
    return f"it is no W&B log: it begins with {head!r}"


def _payloads(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Each whole record and where it ends, up to the first fragment that is cut, out of order or fails its checksum."""
    position = len(_MAGIC)
    parts: list[bytes] = []
    while True:
        left = _BLOCK - position % _BLOCK
        if left < _FRAGMENT.size:  # padding
            position += left
            left = _BLOCK
        start = position + _FRAGMENT.size
        if start > len(data):
            return
        crc, length, kind = _FRAGMENT.unpack_from(data, position)
        position = start + length
        body = data[start:position]
        if position > len(data) or kind not in _TYPE_CRC or zlib.crc32(body, _TYPE_CRC[kind]) != crc:
            return
        if (kind in (_MIDDLE, _LAST)) != bool(parts):
            return
        parts.append(body)
        if kind in (_FULL, _LAST):
            yield b"".join(parts), position
            parts = []


def _edit(tree: dict[Keys, str | None], changes: Any) -> None:
    for item in changes.update:
        path = (item.key,) if item.key else tuple(item.nested_key)
        tree.pop(path, None)  # so that the order is that of the last writing: parents and parts overwrite each other
        tree[path] = item.value_json
    for item in changes.remove:
        path = (item.key,) if item.key else tuple(item.nested_key)
        tree.pop(path, None)
        tree[path] = None
