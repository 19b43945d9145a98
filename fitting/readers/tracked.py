"""Runs as a tracker keeps them: a configuration, a summary and a history, of W&B as of Trainer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import pandas as pd

from ..errors import InputError
from .log import Log
from .sweep import own_row, plan_order

_FIT = "fit"  # the job_type of what is no training run
# The training's own step, best first, where the tracker's only counts calls of log, as under Trainer and Lightning.
_GLOBAL_STEPS = ("trainer/global_step", "train/global_step", "global_step", "logged.step")


@dataclass(frozen=True)
class TrackedRun:
    """One run: `source` is its file or address, `flag` why it is not to be fitted ("" for nothing).

    `facts` is what the tracker knows of it (name, group, job_type, tags, state). `history` has a row a step: `step`
    and a float column a key, NaN where not logged; None where it was not read. `ends` has the last value of each key,
    which may be a NaN that was logged; without it the last number in `history` is taken.
    """

    id: str
    source: str
    flag: str = ""
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    summary: Mapping[str, Any] = field(default_factory=dict[str, Any])
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    history: pd.DataFrame | None = None
    ends: Mapping[str, float] | None = None


def log_of(
    source: str,
    kind: str,
    runs: Sequence[TrackedRun],
    notes: Sequence[str] = (),
    history: Callable[[], pd.DataFrame] | None = None,
) -> Log:
    """The training runs among `runs` as a Log; fits are left out and counted in a note.

    `history` fetches the points (see `Log`) where the runs came without. Runs of our own sweeps have the columns that
    their records have in the sweep folder, in the same order. Raises InputError where there is no training run.
    """
    fits = [run for run in runs if run.facts.get("job_type") == _FIT]
    training = [run for run in runs if run.facts.get("job_type") != _FIT]
    said = [*notes, *([f"{len(fits)} runs of job_type fit are no training runs"] if fits else [])]
    if not training:
        raise InputError(f"{source}: no training run among {len(runs)} runs")
    own = [own_row(run.id, run.config, run.summary, run.source, run.flag) for run in training]
    told = [row for row, run in zip(own, training, strict=True) if run.config]  # a torn log may tell nothing
    if told and all(row is not None for row in told):
        all_rows = [row or _known(run) for row, run in zip(own, training, strict=True)]
        order = sorted(range(len(own)), key=lambda i: plan_order(all_rows[i]))
        rows, training, ours = [all_rows[i] for i in order], [training[i] for i in order], True
    else:
        rows, ours = [_row(run) for run in training], False
    frame = pd.DataFrame(rows)
    if history is None and any(run.history is not None for run in training):
        history = partial(_points, training)
    lowest = None if ours else pd.DataFrame([_lowest(run.history) for run in training], index=frame.index)
    return Log(source, kind, frame, tuple(said), history, lowest, ours)


def flat(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Nested mappings as one, keys joined by dots; a list is kept as its JSON, all else as it is."""
    out: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            out |= flat(cast("Mapping[str, Any]", value), f"{name}.")
        elif isinstance(value, (list, tuple)):
            out[name] = json.dumps(value, default=str)
        else:
            out[name] = value
    return out


def _known(run: TrackedRun) -> dict[str, Any]:
    return {"run": run.id, "source": run.source, "flag": run.flag}


def _row(run: TrackedRun) -> dict[str, Any]:
    known = _known(run)
    named = flat(run.config, "config.") | flat(run.summary, "summary.") | flat(run.facts, "run.")
    return named | {key: value for key, value in _ends(run).items() if key not in known} | known


def _ends(run: TrackedRun) -> dict[str, float]:
    """The last value of each key; `step` is the training's where that was logged."""
    if run.history is None or run.history.empty:
        return {}
    ends = {str(key): float(value) for key, value in run.history.ffill().iloc[-1].items()} | dict(run.ends or {})
    step = next((ends[key] for key in _GLOBAL_STEPS if key in ends), ends["step"])
    return ends | {"step": step}


def _lowest(history: pd.DataFrame | None) -> dict[str, float]:
    return {} if history is None else {str(key): float(value) for key, value in history.min().items()}


def _points(runs: Sequence[TrackedRun]) -> pd.DataFrame:
    parts = [run.history.assign(row=row) for row, run in enumerate(runs) if run.history is not None]
    return pd.concat(parts, ignore_index=True)
