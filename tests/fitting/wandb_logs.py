"""W&B's offline logs: real ones by wandb itself, and written ones whose every byte the test knows."""

from __future__ import annotations

import json
import struct
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from isoflop.fitting.readers.log import Log
from isoflop.fitting.readers.sources import read_log
from isoflop.fitting.readers.wandb_files import wandb_files
from isoflop.fitting.readers.wandb_records import read_segment

wandb = pytest.importorskip("wandb")
BLOCK = 32768


def start(folder: Path, **words: Any) -> Any:
    """A real offline run below `folder`."""
    settings = wandb.Settings(console="off", silent=True, x_disable_stats=True, x_save_requirements=False)
    return wandb.init(
        project="ladder", mode="offline", dir=str(folder), reinit="create_new", settings=settings, **words
    )


def settle(folder: Path, runs: int) -> None:
    """Wait until the logs below `folder` have their exit records: W&B may write them after `finish` returned."""
    for _ in range(200):
        if sum(read_segment(path).exit_code is not None for path in wandb_files(folder)) >= runs:
            return
        time.sleep(0.05)
    raise AssertionError(f"{folder}: W&B wrote no {runs} exit records in 10 s")


def read(source: Path) -> tuple[pd.DataFrame, pd.DataFrame, Log]:
    """The rows, the points and the log itself of what `source` holds."""
    log = read_log(source)
    assert log.history is not None
    return log.frame, log.history(), log


def record(**parts: Any) -> bytes:
    from wandb.proto import wandb_internal_pb2

    return vars(wandb_internal_pb2)["Record"](**parts).SerializeToString()


def items(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"nested_key": key.split("|"), "value_json": json.dumps(value)} for key, value in values.items()]


def written(
    path: Path,
    rows: Sequence[Mapping[str, Any]] = (),
    *,
    run: str = "a",
    began: int = 1,
    config: Mapping[str, Any] | None = None,
    summary: Mapping[str, Any] | None = None,
    ended: int | None = 0,
) -> list[int]:
    """Write a log with a history record a row (its `_step` is the step); gives the offset at which each record ends."""
    told = {"run_id": run, "project": "p", "start_time": {"seconds": began}, "config": {"update": items(config or {})}}
    records = [record(run=told)]
    for row in rows:
        step = {"num": row["_step"]} if "_step" in row else None
        records.append(record(history={"item": items(row), "step": step}))
    if summary is not None:
        records.append(record(summary={"update": items(summary)}))
    if ended is not None:
        records.append(record(exit={"exit_code": ended}))
    path.parent.mkdir(parents=True, exist_ok=True)
    data, ends = framed(records)
    path.write_bytes(data)
    return ends


def framed(records: Sequence[bytes]) -> tuple[bytes, list[int]]:
    """LevelDB's framing as W&B has it, and where each record ends."""
    out, ends = bytearray(b":W&B" + struct.pack("<HB", 0xBEE1, 0)), []
    for payload in records:
        first = True
        while True:
            left = BLOCK - len(out) % BLOCK
            if left < 7:
                out += bytes(left)
                left = BLOCK
            part, payload = payload[: left - 7], payload[left - 7 :]
            kind = {(True, True): 1, (True, False): 2, (False, False): 3, (False, True): 4}[first, not payload]
            out += struct.pack("<IHB", zlib.crc32(part, zlib.crc32(bytes([kind]))), len(part), kind) + part
            first = False
            if not payload:
                break
        ends.append(len(out))
    return bytes(out), ends
