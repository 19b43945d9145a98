"""A resumed run's several logs as the one run they tell of."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..json_shapes import is_object
from .wandb_records import Keys, Segment, value_of, without_media

# What counts a run's progress and goes on where a run is resumed; W&B's own step does not.
_COUNTER = re.compile(r"tokens|samples|examples|sequences|step|epoch|flops|flos", re.IGNORECASE)
_NO_COUNTER = re.compile(r"per_|_per|/s\b|speed|rate|time|throughput", re.IGNORECASE)
_STEP = "step"  # in a history the tracker's own step
_USERS_STEP = "logged.step"

Series = tuple[NDArray[np.float64], NDArray[np.float64]]  # steps and values


@dataclass(frozen=True)
class History:
    """The numbers of all segments by step: `frame` has `step` and a column a key, `ends` the last value of each key.

    `shifted` says by how many steps which later log was moved, and by which counter; `replaced` from which step on a
    later log took the place of an earlier one. Empty where nothing of the kind was needed.
    """

    frame: pd.DataFrame
    ends: Mapping[str, float]
    shifted: str = ""
    replaced: str = ""


def in_order(segments: Sequence[Segment]) -> list[Segment]:
    """By the time they began; by their folders' names, which W&B begins with the time, where a log does not tell it."""
    if all(segment.start is not None for segment in segments):
        return sorted(segments, key=lambda segment: (segment.start or 0.0, segment.path))
    return sorted(segments, key=lambda segment: (segment.path.parent.name.removeprefix("offline-"), segment.path))


def merged(trees: Sequence[Mapping[Keys, str | None]]) -> dict[str, Any]:
    """What all of them say in the order they were written: a later value wins, a key removed is gone."""
    out: dict[str, Any] = {}
    for tree in trees:
        for keys, text in tree.items():
            _place(out, keys, text)
    out.pop("_wandb", None)
    return out


def summary_of(segments: Sequence[Segment]) -> dict[str, Any]:
    """The summary without images, tables and histograms."""
    return without_media(merged([segment.summary for segment in segments]))


def history_of(segments: Sequence[Segment]) -> History:
    """One history of all segments, in their order.

    A later segment's values replace what earlier ones logged of the same key from its first step on: that was trained
    again, or given up. Where W&B's step began at 0 again while a counter of the run's own (tokens, global_step) went
    on, its steps are moved to where that counter was.
    """
    known: dict[str, Series] = {}
    shifted = replaced = ""
    for segment in segments:
        series = _series(segment)
        if known and series:
            offset, counter = _offset(known, series)
            if offset:
                series = {name: (steps + offset, values) for name, (steps, values) in series.items()}
                shifted = shifted or f"by {offset:g} steps, to where its {counter} goes on"
            elif _first(series) <= _last(known):
                replaced = replaced or f"from step {_first(series):g} on"
        for name, (steps, values) in series.items():
            if name in known:
                before = known[name][0] < steps.min()
                old = (known[name][0][before], known[name][1][before])
                steps, values = np.concatenate([old[0], steps]), np.concatenate([old[1], values])
            known[name] = (steps, values)
    return History(_frame(known), {name: _end(*series) for name, series in known.items()}, shifted, replaced)


def _place(tree: dict[str, Any], keys: Keys, text: str | None) -> None:
    for key in keys[:-1]:
        child = tree.get(key)
        if not is_object(child):
            child = tree[key] = dict[str, Any]()
        tree = child
    for last in keys[-1:]:
        if text is None:
            tree.pop(last, None)
        else:
            tree[last] = value_of(text)


def _series(segment: Segment) -> dict[str, Series]:
    steps = np.asarray(segment.steps)
    return {
        _USERS_STEP if name == _STEP else name: (steps[np.asarray(rows)], np.asarray(values))
        for name, (rows, values) in segment.columns.items()
    }


def _offset(known: Mapping[str, Series], later: Mapping[str, Series]) -> tuple[float, str]:
    """By how much the later steps are too low, and the counter that says so; 0 where they are not or none does."""
    if _first(later) > _last(known):
        return 0.0, ""
    for name in _counters(known, later):
        (steps, counts), (at, begins) = known[name], later[name]
        counts, firsts = np.unique(counts, return_index=True)
        steps = steps[firsts]
        behind = int(np.searchsorted(counts, float(begins[0])))  # the first point that is there or beyond
        if behind == len(counts):
            where, interval = known[name][0][-1] + 1, 1.0
        else:
            where = float(np.interp(float(begins[0]), counts, steps))
            interval = steps[behind] - steps[max(behind - 1, 0)]
        # Within one interval of the log, both may be at the same step: the counter need not be linear between.
        if where - at[0] >= max(interval, 1.0):
            return float(np.ceil(where - at[0])), name
    return 0.0, ""


def _counters(known: Mapping[str, Series], later: Mapping[str, Series]) -> list[str]:
    """The counters that both have, the finest first."""
    names = [name for name in later if name in known and _COUNTER.search(name) and not _NO_COUNTER.search(name)]
    both = [name for name in names if _counts(known[name][1]) and _counts(later[name][1])]
    return sorted(both, key=lambda name: (-len(np.unique(known[name][1])), name))


def _counts(values: NDArray[np.float64]) -> bool:
    return bool(np.isfinite(values).all() and (np.diff(values) >= 0).all() and (len(values) == 1 or np.ptp(values) > 0))


def _first(series: Mapping[str, Series]) -> float:
    return min(float(steps.min()) for steps, _ in series.values())


def _last(series: Mapping[str, Series]) -> float:
    return max(float(steps.max()) for steps, _ in series.values())


def _end(steps: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    return float(values[len(steps) - 1 - int(np.argmax(steps[::-1]))])


def _frame(series: Mapping[str, Series]) -> pd.DataFrame:
    every = np.unique(np.concatenate([np.empty(0), *(steps for steps, _ in series.values())]))
    columns = {_STEP: every}
    for name, (steps, values) in series.items():
        column = np.full(len(every), np.nan)
        column[np.searchsorted(every, steps)] = values  # of one step the last value
        columns[name] = column
    return pd.DataFrame(columns)
