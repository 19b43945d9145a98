"""Doubts about the runs themselves, before any of them is fitted."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd

from ..runs import RunTable
from .warn import Warn, listed

# Columns whose values should agree within one fit: the code's ending, the column's names, and what a mixture does.
_MIXTURES = (
    ("phases", ("phase",), "a run still at a high learning rate has a higher loss"),
    ("corpora", ("corpus", "dataset"), "each corpus has a law of its own"),
    ("tokenizers", ("tokenizer",), "nats per token of different tokens cannot be compared"),
    ("units", ("loss_unit", "unit"), "the law's terms scale with the unit"),
    ("conventions", ("planned_flops", "flops_convention", "params_convention"), "N and C must be counted one way"),
    ("experiments", ("experiment", "architecture", "condition"), "each experiment has a law of its own"),
)
_MOST_KINDS = 20  # a column with more values than this names runs, it does not class them
MOST_EPOCHS = 4.0  # Muennighoff 2023 (arXiv:2305.16264): data repeated up to 4 times is nearly as good as new
_COPIED = 0.05  # of the rows: fewer that are equal to the last digit may be chance
_NEAR = 0.01  # sizes closer than this, relative, may well be one
_NEARER = 0.003  # closer than this they hardly are by chance, as 1 % is where the grids of budgets happen to line up
_CROWDED = 2.0  # distinct sizes for each that is left when near ones are one


def table_warnings(table: RunTable) -> list[Warn]:
    """Doubts about the fitted rows of `table`: what is missing, mixed, repeated or nearly the same."""
    frame = table.fitted
    found = [_excluded(table), *_mixtures(frame), _copies(frame), _repeated(frame), _near_duplicates(frame)]
    return [warning for warning in [*found, _checkpoints(frame)] if warning is not None]


def _excluded(table: RunTable) -> Warn | None:
    excluded = table.excluded
    if not excluded:
        return None
    first = excluded[0]
    return Warn(
        "excluded_runs",
        f"{len(excluded)} of {len(table)} runs are not fitted (first: {first['run']}, {first['reason']}): repair or "
        "rerun them",
    )


def _mixtures(frame: pd.DataFrame) -> list[Warn]:
    out: list[Warn] = []
    for name, columns, why in _MIXTURES:
        for column in columns:
            if column not in frame:
                continue
            counts = Counter(str(value) for value in frame[column].dropna() if str(value))
            if 1 < len(counts) <= _MOST_KINDS:
                parts = listed([f"{kind} ({count} runs)" for kind, count in counts.most_common()])
                first = counts.most_common(1)[0][0]
                choice = f"{column} == {first if pd.api.types.is_numeric_dtype(frame[column]) else repr(first)}"
                out.append(
                    Warn(
                        f"mixed_{name}",
                        f"runs of {len(counts)} values of {column} are fitted together: {parts}; {why}: choose with "
                        f'--where "{choice}" or fit each with --group-by {column}',
                    )
                )
                break  # one column says it
    return out


def _copies(frame: pd.DataFrame) -> Warn | None:
    copied = frame.duplicated(["n_params", "tokens", "loss"]).to_numpy()
    if copied.sum() < max(3, _COPIED * len(frame)):
        return None
    first = frame["run"].to_numpy()[copied][0]
    return Warn(
        "duplicate_rows",
        f"{int(copied.sum())} of {len(frame)} rows have N, D and loss of a row before them (first: {first}): a table "
        "given twice passes for seeds that agree and makes intervals too narrow; keep one of each, or give losses "
        "with more digits",
    )


def _repeated(frame: pd.DataFrame) -> Warn | None:
    if "epochs" in frame and pd.api.types.is_numeric_dtype(frame["epochs"]):
        epochs = frame["epochs"].to_numpy(dtype=float)
    elif "unique_tokens" in frame and pd.api.types.is_numeric_dtype(frame["unique_tokens"]):
        unique = frame["unique_tokens"].to_numpy(dtype=float)
        epochs = np.divide(frame["tokens"].to_numpy(dtype=float), unique, where=unique > 0, out=np.ones(len(unique)))
    else:
        return None
    many = epochs > MOST_EPOCHS * (1 + 1e-9)
    if not many.any():
        return None
    return Warn(
        "repeated_data",
        f"{int(many.sum())} of {len(frame)} runs see their data more than {MOST_EPOCHS:.0f} times (up to "
        f"{np.nanmax(epochs):.1f}): their loss is above that of as many fresh tokens; leave them out with --where, use "
        "more data, or fit the data-constrained law",
    )


def _near_duplicates(frame: pd.DataFrame) -> Warn | None:
    sizes = np.unique(frame["n_params"].to_numpy(dtype=float))
    gaps = np.diff(np.log(sizes))
    distinct, apart = len(sizes), 1 + int((gaps > _NEAR).sum())
    if distinct < _CROWDED * (1 + int((gaps > _NEARER).sum())) or distinct < 10:
        return None
    return Warn(
        "near_duplicates",
        f"{distinct} distinct sizes are {apart} where sizes within {_NEAR:.0%} of each other are one: sizes read off a "
        "figure? those of one budget count as replicates within --size-tolerance",
    )


def _checkpoints(frame: pd.DataFrame) -> Warn | None:
    rows, distinct = frame.groupby("run")["tokens"].agg(["size", "nunique"]).to_numpy().T
    several = rows[distinct > 1]
    if not len(several):
        return None
    return Warn(
        "checkpoints",
        f"{several.sum()} rows are checkpoints of {len(several)} runs: before its schedule ends a run's loss is "
        "above what that many tokens can reach; fit each run's end (--ends), or use --method envelope",
    )
