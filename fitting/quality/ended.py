"""Runs that did not reach their end, by their state and by their schedule."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from .rows import NOTHING, Found, Mask, Rows, words_of

# The words of W&B, Slurm, Ray, MLflow and of people's own scripts.
_NOT_ENDED = frozenset({
    "running", "crashed", "failed", "failure", "killed", "preempted", "preempting", "unfinished", "incomplete", "error",
    "errored", "aborted", "cancelled", "canceled", "interrupted", "diverged", "pending", "queued", "timeout", "oom",
    "out_of_memory", "node_fail", "terminated",
})  # fmt: skip
_ENDED = frozenset({"finished", "completed", "complete", "success", "successful", "succeeded", "done", "ok", "ended"})
# Logs that write every 50th part of a run, steps counted from 0, end so far below a plan they fulfilled.
SHORT = 0.02
_LEAST_SHARE = 1e-6  # no log is so seldom written


def unfinished(rows: Rows, free: Mask) -> Found:
    """Rows whose `state` says that their run did not end; none where most states are words unknown here."""
    if "state" not in rows.frame:
        return NOTHING
    codes, words = words_of(pd.Series(rows.frame["state"]))
    counts = np.bincount(codes[codes >= 0], minlength=len(words))
    # The first word says it, as in Slurm's "CANCELLED by 1000".
    firsts = [re.split(r"[\s:;,(+]", word.casefold())[0].replace("-", "_") for word in words]
    bad = np.array([first in _NOT_ENDED for first in firsts], dtype=bool)
    known = bad | np.array([first in _ENDED for first in firsts], dtype=bool)
    if not bad.any() or counts[~known].sum() > counts[known].sum():
        return NOTHING
    (found,) = np.nonzero(free & (codes >= 0) & bad[codes])
    return found, [f"the run's state is {words[code]}" for code in codes[found]]


def short(rows: Rows, free: Mask) -> Found:
    """Rows of runs whose last step (or token) is more than `SHORT` below the planned one."""
    found = [_short(rows, free, *names) for names in (("step", "planned_steps"), ("tokens", "planned_tokens"))]
    where = np.concatenate([part[0] for part in found])
    reasons = [reason for part in found for reason in part[1]]
    where, first = np.unique(where, return_index=True)
    return where, [reasons[i] for i in first]


def _short(rows: Rows, free: Mask, done: str, planned: str) -> Found:
    reached, plan = rows.numbers(done), rows.numbers(planned)
    if reached is None or plan is None:
        return NOTHING
    # -1 is Trainer's word for no plan.
    values = np.where(free, reached, np.nan), np.where(plan > 0, plan, np.nan)
    ends, plans = (np.asarray(pd.Series(each).groupby(rows.run).max(), dtype=float) for each in values)
    with np.errstate(all="ignore"):
        share = ends / plans
    below = share < 1 - SHORT
    if not below.any() or (done == "step" and _counts_logs(share[np.isfinite(share)])):
        return NOTHING
    (found,) = np.nonzero(free & below[rows.run])
    what = "step" if done == "step" else "token"
    texts = {run: f"ended at {what} {_whole(ends[run])} of {_whole(plans[run])}" for run in np.unique(rows.run[found])}
    return found, [texts[run] for run in rows.run[found]]


def _counts_logs(share: np.ndarray) -> bool:
    """Whether steps are calls of log, as W&B counts them: no run fulfils its plan, and most end at one k-th of it."""
    typical = float(np.median(share))
    if typical < _LEAST_SHARE or (share >= 1 - SHORT).any():
        return False
    near = np.abs(share / typical - 1) <= SHORT
    return bool(near.mean() >= 0.5 and abs(typical * round(1 / typical) - 1) <= SHORT)


def _whole(value: Any) -> str:
    return f"{value:.0f}" if value < 1e7 else f"{value:.6g}"
