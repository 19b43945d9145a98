"""The columns of a table of runs: their names, what is derived from them, and the rows whose numbers are none."""

from __future__ import annotations

import difflib

import numpy as np
import pandas as pd

from .cells import bad_numbers, numbers_of, reasons_of, texts_of
from .counting import FLOP_CONVENTIONS
from .errors import InputError

REQUIRED = ("n_params", "tokens", "loss")
PARAMS_COLUMNS = ("n_params", "n_params_non_embedding", "n_params_blocks_and_head")
# What training one token costs under each convention; a column is "flops_" and the name.
FLOPS_CONVENTIONS = tuple(FLOP_CONVENTIONS)
FLOPS_COLUMNS = ("flops", *(f"flops_{name}" for name in FLOPS_CONVENTIONS))
NUMBERS = (
    *PARAMS_COLUMNS,
    "tokens",
    "loss",
    *FLOPS_COLUMNS,
    "budget",
    "loss_se",
    "bits_per_byte",
    "unique_tokens",
    "epochs",
    "step",
    "planned_steps",
    "planned_tokens",
    "lowest_loss",
)
COLUMNS = ("run", "source", *NUMBERS, "seed", "phase", "loss_unit", "state", "flag")
# In these a text may be a count with a suffix, as 60M.
COUNTS = (*PARAMS_COLUMNS, "tokens", *FLOPS_COLUMNS, "budget", "unique_tokens", "planned_tokens")
# Where `with_conventions` keeps the table's own counts, and says which column stands in their place.
GIVEN = {"n_params": "given_n_params", "flops": "given_flops"}
COUNTED = {"n_params": "counted_n_params", "flops": "counted_flops"}
# Counts of FLOPs at a row's tokens, which all grow alike along a run.
FLOPS_SPENT = (*FLOPS_COLUMNS, GIVEN["flops"])
# One flag a row: what keeps it from being fitted. The order is that of the reasons given.
_FITTED_NUMBERS = ("n_params", "tokens", "loss", "flops")


def completed(given: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """A checked copy of `given` with every derived column, and what was assumed in making it."""
    if not isinstance(given, pd.DataFrame):  # pyright: ignore[reportUnnecessaryIsInstance]: callers may have no types
        remedy = "RunTable.from_arrays(**columns) takes arrays, load_runs(path) files"
        raise InputError(f"a RunTable is made of a DataFrame, not of {type(given).__name__}: {remedy}")
    frame = given.reset_index(drop=True)  # which pandas copies where it is written to
    frame.columns = [str(name) for name in frame.columns]
    repeated = frame.columns[frame.columns.duplicated()]
    if len(repeated):
        raise InputError(f"column {repeated[0]!r} occurs twice: name each column once")
    counted = next((name for name in PARAMS_COLUMNS[1:] if name in frame), None)
    for name in REQUIRED:
        if name not in frame and not (name == "n_params" and counted):
            raise InputError(f"no column {name!r} among {', '.join(frame.columns)}: name it with --columns {name}=COL")
    for name in NUMBERS:
        if name in frame:
            frame[name] = numbers_of(frame, name, suffixes=name in COUNTS)
    notes = [] if counted is None else _stand_in(frame, counted)
    notes += _derive_flops(frame)
    for name in ("run", "source"):
        if name not in frame:
            frame[name] = [f"row {i + 1}" for i in range(len(frame))] if name == "run" else ""
        frame[name] = texts_of(pd.Series(frame[name]))
    flags = number_flags(frame)
    if "flag" in frame:
        own = reasons_of(pd.Series(frame["flag"]))
        flags = own.where(own != "", flags)
    frame["flag"] = flags.astype(object)
    return frame, notes


def own_count(frame: pd.DataFrame) -> str:
    """What the table's own `n_params` counts: all parameters, or another count where the table has no total."""
    without = COUNTED["n_params"] in frame and GIVEN["n_params"] not in frame
    return str(frame[COUNTED["n_params"]].iloc[0]) if without and len(frame) else "n_params"


def _stand_in(frame: pd.DataFrame, counted: str) -> list[str]:
    """Where a table has no total, its other count is what it counts by."""
    if "n_params" in frame:
        return []
    frame["n_params"] = frame[counted]
    frame[COUNTED["n_params"]] = counted
    return [f"no total parameter count: N is {counted}"]


def _derive_flops(frame: pd.DataFrame) -> list[str]:
    """Fill in the two counts that follow from N and D, and `flops` itself where the table has none."""
    own = GIVEN["n_params"] if GIVEN["n_params"] in frame else "n_params"
    total = own_count(frame) == "n_params"
    for name, params in (("flops_6nd", own), ("flops_6nd_non_embedding", "n_params_non_embedding")):
        if params in frame and (total or params != own):
            derived = 6.0 * frame[params] * frame["tokens"]
            frame[name] = frame[name].where(frame[name].notna(), derived) if name in frame else derived
    if "flops" in frame:
        return []
    frame["flops"] = 6.0 * frame[own] * frame["tokens"]
    return ["no FLOP column: C = 6 N D is assumed"]


def number_flags(frame: pd.DataFrame) -> pd.Series:
    flags = np.full(len(frame), "", dtype=object)
    for name in reversed(_FITTED_NUMBERS):
        for row, reason in bad_numbers(frame[name].to_numpy(dtype=float)).items():
            flags[row] = f"{name} {reason}"
    return pd.Series(flags, index=frame.index, dtype=object)


def mistyped(column: str) -> str:
    """What to say of a column that has no meaning here but is named much as one that has; "" of others."""
    near = [] if column in COLUMNS else difflib.get_close_matches(column, COLUMNS, n=1, cutoff=0.85)
    return f"column {column!r} has no meaning here: did you mean {near[0]!r}?" if near else ""
