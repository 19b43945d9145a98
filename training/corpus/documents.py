"""Where documents come from. A document is the bytes of one text; its order never matters."""

from __future__ import annotations

import glob
import os
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ...fitting.errors import InputError
from ..config.data import FilesCorpus, HfCorpus, PythonCorpus
from .datasets import data_set_state, data_set_texts, table_texts
from .states import file_states

TextCorpus = PythonCorpus | FilesCorpus | HfCorpus

_INSTALLED = ("site-packages", "dist-packages")
_TABLES = {".jsonl": "json", ".ndjson": "json", ".json": "json", ".parquet": "parquet"}


def documents(corpus: TextCorpus, key: str) -> Iterator[bytes]:
    """The documents of `corpus`, empty ones among them; `key` is its place in the config.

    Raises:
        InputError: a source that cannot be found or read, a file that is empty or binary, a missing column.
    """
    if isinstance(corpus, HfCorpus):
        yield from data_set_texts(corpus, key)
    elif isinstance(corpus, PythonCorpus):
        for path in _python_files(corpus):
            yield path.read_bytes()
    else:
        for path in _matched(corpus, key):
            table = _TABLES.get(Path(path.name.lower().removesuffix(".gz")).suffix)
            yield from table_texts(path, table, corpus.text_column, key) if table else [_text(path)]


def source_state(corpus: TextCorpus, key: str) -> Any:
    """What differs when the source does, found without reading it; None where only reading tells."""
    if isinstance(corpus, HfCorpus):
        return data_set_state(corpus)
    return file_states(_python_files(corpus) if isinstance(corpus, PythonCorpus) else _matched(corpus, key))


def matching_files(patterns: Iterable[str], key: str) -> Iterator[Path]:
    """The files of each pattern in alphabetical order, each once whatever patterns and links lead to it.

    Raises InputError for a pattern that matches none.
    """
    seen: set[str] = set()
    for pattern in patterns:
        names = sorted(glob.glob(str(Path(pattern).expanduser()), recursive=True))
        files = [Path(name) for name in names if Path(name).is_file()]
        if not files:
            folder = f"; {pattern!r} is a folder: give {pattern.rstrip('/')}/**/*.txt" if names else ""
            raise InputError(f"{key}: no file matches {pattern!r}{folder}")
        for path in files:
            real = os.path.realpath(path)
            if real not in seen:
                seen.add(real)
                yield path


def _matched(corpus: FilesCorpus, key: str) -> Iterator[Path]:
    return matching_files(corpus.paths, f"{key}.paths")


def _python_files(corpus: PythonCorpus) -> Iterator[Path]:
    paths = sysconfig.get_paths()
    roots = {paths["stdlib"]} | ({paths["purelib"], paths["platlib"]} if corpus.site_packages else set())
    for root in sorted(roots):
        for folder, inside, names in os.walk(root):
            # The standard library's folder may hold site-packages; those are a root of their own.
            inside[:] = [name for name in inside if name not in _INSTALLED]
            for name in names:
                # A dangling link of an installed package is no document.
                if name.endswith(".py") and (path := Path(folder, name)).is_file():
                    yield path


def _text(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if not data.strip():
        raise InputError(f"{path}: is empty; a corpus is text, JSONL or Parquet")
    if b"\0" in data[:8192]:
        raise InputError(f"{path}: is binary (a NUL byte near its start); a corpus is text, JSONL or Parquet")
    return data
