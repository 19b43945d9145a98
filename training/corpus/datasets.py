"""Texts of data sets that `datasets.load_dataset` reads, on the Hub or on this machine."""

from __future__ import annotations

import glob
import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...fitting.errors import InputError
from ..config.data import FORMATS, HfCorpus
from .states import file_states, hub_commit

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 1000  # decoded at a time


def data_set_texts(corpus: HfCorpus, key: str) -> Iterator[bytes]:
    """The texts of `corpus`; `key` is its place in the config. Raises InputError as `documents` does."""
    folder = Path(corpus.name).expanduser()
    given = _data_files(corpus)
    arguments = {
        "path": str(folder) if folder.is_dir() else corpus.name,
        "name": corpus.config,
        "split": corpus.split,
        "revision": corpus.revision,
        "data_files": given or None,
        "streaming": corpus.streaming,
    }
    left = corpus.max_documents
    for texts in _batches(arguments, corpus.text_column, key, f"{key}: {corpus.name}"):
        yield from texts[:left]
        if left is not None:
            left -= len(texts)
            if left <= 0:
                return


def table_texts(path: Path, form: str, column: str, key: str) -> Iterator[bytes]:
    """The texts of one JSONL or Parquet file, by the call that reads a data set from the Hub."""
    arguments = {"path": form, "data_files": glob.escape(str(path)), "split": "train", "streaming": True}
    for texts in _batches(arguments, column, key, str(path)):
        yield from texts


def data_set_state(corpus: HfCorpus) -> Any:
    """Files' sizes and times on this machine, else the commit on the Hub; None where neither is known."""
    folder = Path(corpus.name).expanduser()
    if folder.is_dir():
        return file_states(path for path in folder.rglob("*") if path.is_file())
    if corpus.name not in FORMATS:  # data_files are then of the repository
        return hub_commit(corpus.name, corpus.revision, "dataset")
    found = [glob.glob(pattern, recursive=True) for pattern in _data_files(corpus)]
    if not all(found):  # an address
        return None
    return file_states(path for path in map(Path, chain(*found)) if path.is_file())


def _data_files(corpus: HfCorpus) -> list[str]:
    given = [corpus.data_files] if isinstance(corpus.data_files, str) else corpus.data_files or []
    return [os.path.expanduser(pattern) for pattern in given]


def _batches(arguments: dict[str, Any], column: str, key: str, where: str) -> Iterator[list[bytes]]:
    import pyarrow as pa
    from datasets import load_dataset

    with _quiet() as said:
        try:
            # No trust_remote_code: a data set that needs a script is refused by `datasets` itself.
            tables = load_dataset(**arguments).with_format("arrow").iter(batch_size=_ROWS)
            for table in tables:
                yield [text or b"" for text in _column(table, column, key, where).cast(pa.large_binary()).to_pylist()]
        except InputError:
            raise
        # What goes wrong is a parser's, a file system's or a server's own kind of error.
        except Exception as error:
            raise InputError(_why(error, said, where, key)) from None


def _column(table: pa.Table, column: str, key: str, where: str) -> pa.ChunkedArray:
    import pyarrow as pa

    if column not in table.column_names:
        known = ", ".join(map(repr, table.column_names))
        raise InputError(f"{where}: has no column {column!r}; set {key}.text_column to one of {known}")
    values = table.column(column)
    if pa.types.is_null(values.type):
        return values
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        raise InputError(f"{where}: column {column!r} holds {values.type}, not text; set {key}.text_column to another")
    return values


def _why(error: Exception, said: list[str], where: str, key: str) -> str:
    """One line: which shard where the reader named one, and the first line of what it said."""
    named = [match[1] for message in said if (match := re.search(r"file '([^']+)'", message))]
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    reason = next(iter(str(cause).strip().splitlines()), "") or type(cause).__name__
    if type(error).__name__ in ("DatasetNotFoundError", "ConnectionError", "OfflineModeIsEnabled"):
        reason += "; give an id on the Hub, a local folder, or json, parquet, csv or text with data_files"
    shard = os.path.relpath(named[-1]) if named and not named[-1].startswith(("http", "hf:")) else "".join(named[-1:])
    there = where if not named or shard in where or named[-1] in where else f"{where}: {shard}"
    return f"{there}: cannot be read: {reason}"


@contextmanager
def _quiet() -> Iterator[list[str]]:
    """What `datasets` logs meanwhile, which names a shard that cannot be read: kept from the screen."""
    from datasets import disable_progress_bars

    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    if not sys.stderr.isatty():
        disable_progress_bars()
    logger = logging.getLogger("datasets")
    before, logger.handlers = logger.handlers, [handler]
    try:
        yield said
    finally:
        logger.handlers = before
