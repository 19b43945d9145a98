"""Histories read before, on this disk. Whatever is wrong with an entry, it is not there."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from ..cache import cache_folder

_DIGEST = 32  # bytes before the Parquet file, whose own checksums leave out its footer


class HistoryCache:
    """The histories of one project: a file a run, named after the run and after what it was when it was read."""

    def __init__(self, server: str, entity: str, project: str) -> None:
        self._folder = (
            cache_folder() / "wandb" / quote(server, safe="") / quote(entity, safe="") / quote(project, safe="")
        )

    def has(self, run: str, version: str) -> bool:
        """Whether there is an entry, sound or not."""
        return self._path(run, version).is_file()

    def get(self, run: str, version: str) -> pd.DataFrame | None:
        """The history of `run` as it was put for that `version`; None where it is not there or is damaged."""
        try:
            data = self._path(run, version).read_bytes()
        except OSError:
            return None
        if hashlib.sha256(data[_DIGEST:]).digest() != data[:_DIGEST]:
            return None
        return pd.read_parquet(io.BytesIO(data[_DIGEST:]))

    def put(self, run: str, version: str, history: pd.DataFrame) -> None:
        """Keep it, in place of older versions. A disk that says no only means that it is fetched again."""
        path, data = self._path(run, version), history.to_parquet(index=False)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
                try:
                    file.write(hashlib.sha256(data).digest() + data)
                    file.flush()
                    os.fsync(file.fileno())
                    os.replace(file.name, path)
                except BaseException:
                    Path(file.name).unlink(missing_ok=True)
                    raise
            for other in path.parent.glob(f"{_stem(run)}=*.history"):
                if other != path:
                    other.unlink(missing_ok=True)
        except OSError:
            return

    def _path(self, run: str, version: str) -> Path:
        return self._folder / f"{_stem(run)}={hashlib.sha256(version.encode()).hexdigest()[:16]}.history"


def _stem(run: str) -> str:
    return quote(run, safe="")  # leaves no = and nothing that a pattern would match
