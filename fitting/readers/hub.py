"""A table on the Hugging Face Hub, or on this disk, by way of the datasets library."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pandas as pd

from ..errors import InputError
from .log import Log

_PREFIX = "hf:"
_SPLIT = re.compile(r"(.*?):([^:/[\]]*(?:\[[^/\]]*\])?)")  # NAME:SPLIT, where SPLIT may be cut: train[:100]
_FORM = "write hf:OWNER/NAME, hf:OWNER/NAME:SPLIT or hf:OWNER/NAME@CONFIG:SPLIT"


def read_dataset(source: str) -> Log:
    """The rows of `hf:DATASET[@CONFIG][:SPLIT]`; DATASET may be a folder that load_dataset reads.

    Without SPLIT all splits are read, with a column `split` where there are several. Nested features are columns
    joined by dots; lists, images and the like are left out and named in a note. Raises InputError, one line, where
    datasets is not installed, for a dataset, config or split that is not there and for one that cannot be read.
    """
    dataset, config, split = _parts(source)
    loaded = _load(source, dataset, config, split)
    splits = dict(loaded) if split is None else {split: loaded}
    several = len(splits) > 1
    notes: list[str] = []
    frames: list[pd.DataFrame] = []
    for name, rows in splits.items():
        frame, left_out = _frame(rows)
        notes += [f"left out, no single values: {', '.join(left_out)}"] if left_out else []
        frame = frame.assign(split=name) if several and "split" not in frame else frame
        place = f"{source}:{name}" if several else source
        column = "source" if "source" not in frame else "source_path"
        frames.append(frame.assign(**{column: place, "source_line": range(1, len(frame) + 1)}))
    table = pd.concat(frames, ignore_index=True)
    if several:
        notes.append(
            f"all splits are read ({', '.join(splits)}): add one to the source, as {source}:{next(iter(splits))}"
        )
    return Log(source, f"dataset, split {', '.join(splits)}", table, tuple(dict.fromkeys(notes)))


def _parts(source: str) -> tuple[str, str | None, str | None]:
    """The dataset, its config and the split; what lies on this disk under the whole name is that."""
    name, config, split = source.removeprefix(_PREFIX), None, None
    if not Path(name).exists() and (match := _SPLIT.fullmatch(name)):
        name, split = match.groups()
    if not Path(name).exists() and "@" in name:
        name, _, config = name.rpartition("@")
    if not name or config == "" or split == "":
        raise InputError(f"{source}: no dataset is named so: {_FORM}")
    if Path(name).is_file():
        raise InputError(f"{source}: {name} is a file on this disk: name it without {_PREFIX}")
    return name, config, split


def _load(source: str, dataset: str, config: str | None, split: str | None) -> Any:
    try:
        import datasets  # pyright: ignore[reportMissingTypeStubs]
        from datasets.exceptions import DatasetNotFoundError  # pyright: ignore[reportMissingTypeStubs]
    except ImportError as error:
        raise InputError(f"{source}: datasets is not installed: pip install 'isoflop[logs]'") from error
    try:
        with _no_progress_bars(datasets):
            return cast("Any", datasets).load_dataset(dataset, config, split=split)
    except DatasetNotFoundError as error:
        remedy = "a gated or private one needs `hf auth login`" if "/" in dataset else _FORM
        raise InputError(f"{source}: no such dataset, or no access to it; {remedy}") from error
    except OSError as error:  # ConnectionError among them
        raise InputError(f"{source}: cannot be read: {_line(error)}") from error
    except Exception as error:  # a builder fails in its own ways: an unknown split or config, files of two kinds, ...
        raise InputError(f"{source}: {_line(error)}") from error


@contextmanager
def _no_progress_bars(datasets: Any) -> Generator[None]:
    hidden = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not hidden:
            datasets.enable_progress_bars()


def _frame(rows: Any) -> tuple[pd.DataFrame, list[str]]:
    """The rows, and the names of the columns that do not hold one value a row."""
    import datasets  # pyright: ignore[reportMissingTypeStubs]

    flat = rows.flatten()
    single = (datasets.Value, datasets.ClassLabel)
    others = [name for name, feature in flat.features.items() if not isinstance(feature, single)]
    return flat.remove_columns(others).to_pandas(), others


def _line(error: Exception) -> str:
    """What went wrong, and why where the library says so."""
    said = [str(error), *([f"({error.__cause__})"] if error.__cause__ else [])]
    return " ".join(" ".join(said).split())[:250] or type(error).__name__
