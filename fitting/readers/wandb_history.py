"""The whole history of W&B runs, never the server's sample of it."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ..json_shapes import is_object
from .tracked import flat
from .wandb_cache import HistoryCache
from .wandb_query import Server, Unread

READERS = 4
PAGE = 1000  # rows a request: W&B's own
_DOCUMENT = """
query HistoryPage($entity: String!, $project: String!, $run: String!, $minStep: Int64!, $maxStep: Int64!,
                  $pageSize: Int!) {
  project(name: $project, entityName: $entity) {
    run(name: $run) {
      historyKeys
      history(minStep: $minStep, maxStep: $maxStep, samples: $pageSize)
    }
  }
}
"""
_NO_NUMBERS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_NAMES = {"_step": "step", "step": "logged.step", "row": "logged.row"}  # a Log's history has a step and row of its own


@dataclass(frozen=True)
class Logged:
    """What is known of a run's history before it is read: its rows, its last step (-1: not known), and a text that
    changes when the run does."""

    id: str
    rows: int
    last_step: int
    version: str


def read_histories(
    server: Server, cache: HistoryCache, project: Mapping[str, str], runs: Sequence[Logged]
) -> tuple[dict[str, pd.DataFrame], dict[str, str]]:
    """The history of each run that has one, by its id, and the reason for each that cannot be read.

    Columns are `step` and a float column a key, sorted by step. Each is kept in the cache once it is whole, so that
    what is interrupted goes on from there.
    """
    server.stop = threading.Event()
    found = {run.id: kept for run in runs if (kept := cache.get(run.id, run.version)) is not None}
    failed: dict[str, str] = {}
    left = [run for run in runs if run.id not in found and run.rows]
    for run, rows in _in_parallel(server.stop, lambda run: _rows(server, project, run), left):
        if isinstance(rows, Unread) or not rows:
            failed[run.id] = str(rows or "W&B gives no row of it")
        else:
            found[run.id] = _frame(rows)
            if len(rows) >= run.rows:  # else the server may have the others next time
                cache.put(run.id, run.version, found[run.id])
    return found, failed


def number(value: Any) -> Any:
    """W&B writes as text what JSON has no number for."""
    return _NO_NUMBERS.get(value, value) if isinstance(value, str) else value


def _rows(server: Server, project: Mapping[str, str], run: Logged) -> list[dict[str, float]]:
    """Every row of the run.

    The server takes a sample where a range of steps has more rows than asked for: ranges are as wide as to hold half
    as many, and one that comes back full is asked for in halves.
    """
    end = run.last_step + 1
    ranges = _ranges(0, end or PAGE, run.rows)
    rows: list[dict[str, float]] = []
    while ranges:
        low, high = ranges.pop()
        asked = {**project, "run": run.id, "minStep": low, "maxStep": high, "pageSize": PAGE}
        page, last = server.ask(_DOCUMENT, asked, _taken)
        if last >= end:  # more than the summary says: the run goes on, or the summary was edited
            ranges += _ranges(max(end, high), last + 1, run.rows)
            end = last + 1
        if len(page) >= 0.9 * PAGE and high - low > PAGE:
            ranges += [(low, (low + high) // 2), ((low + high) // 2, high)]
        else:
            rows += page
    return rows


def _ranges(low: int, high: int, rows: int) -> list[tuple[int, int]]:
    width = max(PAGE, int(high * PAGE / (2 * max(rows, 1))))
    return [(start, min(start + width, high)) for start in range(low, high, width)]


def _taken(data: Any) -> tuple[list[dict[str, float]], int]:
    run = data["project"]["run"]
    if run is None:
        raise Unread("W&B has no such run any more")
    keys: Mapping[str, Any] = run["historyKeys"] or {}
    return [_numbers(json.loads(row)) for row in run["history"]], int(keys.get("lastStep", -1))


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a row; texts, tables and pictures (objects with a _type) are no curves."""
    found: dict[str, float] = {}
    for key, value in row.items():
        if is_object(value):
            found |= {} if "_type" in value else _numbers(flat(value, f"{key}."))
        elif type(plain := number(value)) in (int, float):
            found[_NAMES.get(key, key)] = float(plain)
    return found


def _frame(rows: Sequence[Mapping[str, float]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, dtype=float)
    names = ["step", *frame.columns.drop("step", errors="ignore")]
    return frame.reindex(columns=names).sort_values("step", kind="stable", ignore_index=True)


def _in_parallel(
    stop: threading.Event, work: Callable[[Logged], list[dict[str, float]]], runs: Sequence[Logged]
) -> Iterator[tuple[Logged, list[dict[str, float]] | Unread]]:
    """What `work` gives for each of `runs`, or why it cannot be read, as it comes.

    The threads are daemons, unlike an executor's: Ctrl-C does not wait for a server that does not answer.
    """
    todo: queue.SimpleQueue[Logged] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[Logged, Any]] = queue.SimpleQueue()
    for run in runs:
        todo.put(run)

    def serve() -> None:
        while not stop.is_set():
            try:
                run = todo.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((run, work(run)))
            except Exception as error:
                done.put((run, error))

    for _ in range(min(READERS, len(runs))):
        threading.Thread(target=serve, daemon=True).start()
    try:
        for _ in runs:
            run, result = done.get()
            if isinstance(result, Exception) and not isinstance(result, Unread):
                raise result
            yield run, result
    finally:
        stop.set()
