"""Runs from wherever they are kept, as one `RunTable`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import InputError
from ..quality import flagged
from ..run_columns import PARAMS_COLUMNS
from ..runs import RunTable
from .columns import name_columns, with_columns
from .log import Log
from .mapping import ColumnMap, read_mapping
from .sources import KINDS, read_log
from .thinning import last_rows

__all__ = ["load_runs"]

_OWN_LOSS = re.compile(r"loss(_\w+)?")
_OF_BYTES = re.compile(r"(^|[_./])(bits_per_byte|bpb)($|[_./])")


def load_runs(
    *sources: str | Path,
    columns: Mapping[str, str] | None = None,
    mapping: str | Path | None = None,
    ends: bool = False,
    where: str | None = None,
    apart: str | None = None,
    keep_flagged: bool = False,
) -> RunTable:
    """The runs of all `sources` in one table: sweep folders, tables, W&B projects and .wandb files, Trainer's logs,
    datasets; the kind of each is told by its name and said in the notes.

    `columns` maps our column names to a source's own ({"loss": "final_nats"}, or a formula of columns); a loss so named
    brings its own standard error along (`loss_se_code` of `loss_code`), never that of another. `mapping` is a YAML file
    that does so; without either common names are recognised and the guess is said in the notes. A
    source's own columns stay beside the canonical ones, so that queries may use either. A row without a run is a run
    of its own, and so is each seed of a run. Beside sources with FLOPs one without has C = 6 N D. `ends` keeps
    of each run the row of most tokens alone, where a table has its checkpoints; `where` keeps the rows for which it
    holds (see `RunTable.where`). Runs that `quality` doubts are flagged, those of each value of the column `apart`
    among themselves, and not fitted unless `keep_flagged`. Raises InputError, one line, for a source that cannot be
    used.
    """
    names = column_map(columns, mapping)
    frames: list[pd.DataFrame] = []
    notes: list[str] = []
    several = len(require(sources)) > 1
    for source in sources:
        frame, more = run_frame(read_log(source), names)
        if ends and not frame.empty:
            frame, more = _ends(frame, more, source)
        if several and "flops" not in frame:  # beside a source that has them
            size = next(name for name in PARAMS_COLUMNS if name in frame)
            frame = frame.assign(flops=6.0 * frame[size] * frame["tokens"])
            more = [*more, f"{source}: no FLOP column: C = 6 N D is assumed"]
        frames.append(frame.assign(run=from_source(pd.Series(frame["run"]), str(source))) if several else frame)
        notes += more
    frame = pd.concat(frames, ignore_index=True) if several else frames.pop()
    try:
        if where is not None:  # before quality control: what is not asked for is no measure of what is
            chosen = RunTable(frame, keep_flagged=True).where(where)
            frame, notes = chosen.frame, [*notes, *chosen.notes]
        frame, more = _checked(frame, apart)
        return RunTable(frame, tuple(dict.fromkeys([*notes, *more])), keep_flagged)
    except InputError as error:
        text, first = str(error), str(sources[0])
        if several or text.startswith((first, "--where")):
            raise
        raise InputError(f"{first}: {text}") from error


def from_source(names: pd.Series, source: str) -> pd.Series:
    """`names` with their source: a run of one is another run than its namesake of the next."""
    codes, known = pd.factorize(names)
    texts = np.array([f"{source}:{name}" for name in known], dtype=object)
    return pd.Series(texts[codes], index=names.index, dtype=object)


def _ends(frame: pd.DataFrame, notes: list[str], source: str | Path) -> tuple[pd.DataFrame, list[str]]:
    if frame["run"].iloc[0] == "row 1":  # which is our own name for a row without one
        said = "no column says which rows are of one run: each is taken for an end; name it with --columns run=COL"
        return frame, [*notes, f"{source}: {said}"]
    short = last_rows(frame)
    return short, [*notes, f"{source}: of {len(frame)} rows the last of each run: {len(short)}"]


def _checked(frame: pd.DataFrame, apart: str | None) -> tuple[pd.DataFrame, list[str]]:
    if apart is None or apart not in frame:
        return flagged(frame)
    parts = [flagged(part.reset_index(drop=True)) for _, part in frame.groupby(apart, sort=False, dropna=False)]
    return pd.concat([part for part, _ in parts], ignore_index=True), [note for _, notes in parts for note in notes]


def require(sources: tuple[str | Path, ...]) -> tuple[str | Path, ...]:
    """The `sources`; InputError where there are none, and for one that is no path or address."""
    if not sources:
        raise InputError(f"no source given: name {KINDS}")
    for source in sources:
        _require_path(source)
    return sources


def _require_path(source: object) -> None:
    if not isinstance(source, str | Path):
        remedy = "RunTable(frame)" if isinstance(source, pd.DataFrame) else "load_runs(*paths) takes several"
        raise InputError(f"a source is a path or an address, not {type(source).__name__}: {remedy}")


def column_map(columns: Mapping[str, str] | None, mapping: str | Path | None) -> ColumnMap:
    """What the user says of columns, by hand and in a file."""
    return ColumnMap(exact=columns or {}) if mapping is None else read_mapping(mapping, columns)


def run_frame(log: Log, names: ColumnMap) -> tuple[pd.DataFrame, list[str]]:
    """The rows of `log` with our columns beside its own, and notes: its kind, what was guessed."""
    found, guesses = name_columns(log, names)
    frame = with_columns(log, found, names)
    if "loss_unit" not in frame and (unit := _unit_of(found.get("loss", "loss"), log.ours)):
        frame = frame.assign(loss_unit=unit)
    if "loss_unit" not in frame:
        guesses = [*guesses, "no loss_unit: losses are taken for nats per token"]
    nameless = frame["run"].isna().to_numpy() if "run" in frame else np.ones(len(frame), dtype=bool)
    if nameless.any():  # each is a run of its own
        runs = frame["run"].to_numpy(dtype=object).copy() if "run" in frame else np.empty(len(frame), dtype=object)
        runs[nameless] = [f"row {number + 1}" for number in np.flatnonzero(nameless)]
        frame = frame.assign(run=runs)
    frame = _apart_by_seed(frame)
    if log.lowest is not None and found.get("loss") in log.lowest and "lowest_loss" not in frame:
        frame = frame.assign(lowest_loss=log.lowest[found["loss"]].to_numpy(dtype=float))
    return frame, [f"{log.source}: {log.kind}, {len(frame)} rows", *log.notes, *guesses]


def _unit_of(loss: str, ours: bool) -> str:
    """What the column `loss` is in by its name, "" where that does not say."""
    if _OF_BYTES.search(loss):
        return "bits_per_byte"
    return "nats_per_token" if ours and _OWN_LOSS.fullmatch(loss) else ""


def _apart_by_seed(frame: pd.DataFrame) -> pd.DataFrame:
    """A name that runs of several seeds share, with the seed in it: they are as many runs."""
    if "seed" not in frame:
        return frame
    (run, runs), (seed, seeds) = (pd.factorize(frame[name], use_na_sentinel=False) for name in ("run", "seed"))
    pair, pairs = pd.factorize(run * len(seeds) + seed)
    if len(pairs) == len(runs):
        return frame
    shared = np.bincount(pairs // len(seeds))[pairs // len(seeds)] > 1
    codes: list[int] = pairs.tolist()
    names = [
        f"{runs[code // len(seeds)]}, seed {seeds[code % len(seeds)]}" if several else runs[code // len(seeds)]
        for code, several in zip(codes, shared, strict=True)
    ]
    return frame.assign(run=np.array(names, dtype=object)[pair])
