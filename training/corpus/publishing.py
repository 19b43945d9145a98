"""From a folder at work to a corpus in the cache, at once; which sources have become which corpus."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...fitting.cache import cache_folder
from ...fitting.errors import InputError
from ...fitting.jsonio import to_strict, write_json_atomic
from .store import CorpusInfo, is_prepared


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder of the cache to prepare a corpus in, removed at the end; by the next one if this process is killed.

    Raises InputError where the cache cannot be written; a full disk is an OSError that names the folder.
    """
    parent = cache_folder() / "preparing"
    folder = parent / secrets.token_hex(8)
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _clear(parent)
        folder.with_suffix(".lock").touch()
    except OSError as error:
        raise InputError(
            f"{parent}: cannot be written: {error.strerror}; set ISOFLOP_CACHE to a folder that can"
        ) from None
    with open(f"{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder.mkdir()
        try:
            yield folder
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            # What cannot be written any more says no name.
            remedy = "corpora are prepared there; make room, or set ISOFLOP_CACHE to a folder elsewhere"
            raise OSError(error.errno, f"{error.strerror} ({remedy})", str(parent)) from None
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            Path(lock.name).unlink(missing_ok=True)


def publish(folder: Path, info: CorpusInfo) -> None:
    """Make the prepared `folder` the corpus of its fingerprint, at once and whole."""
    write_json_atomic(folder / "info.json", asdict(info))
    target = cache_folder() / info.fingerprint
    # Another process may have prepared the same corpus meanwhile.
    with contextlib.suppress(OSError):
        os.rename(folder, target)
    if not is_prepared(info.fingerprint):
        shutil.rmtree(target)
        os.rename(folder, target)


def digest(obj: Any) -> str:
    """The name of what `obj`, in JSON, holds."""
    return hashlib.sha256(json.dumps(to_strict(obj), sort_keys=True).encode()).hexdigest()[:16]


def recall(key: str) -> str | None:
    """The fingerprint that was remembered under `key`, of a corpus that is still there."""
    with contextlib.suppress(OSError, ValueError):
        fingerprint = json.loads((cache_folder() / "seen" / f"{key}.json").read_text())["fingerprint"]
        return fingerprint if is_prepared(fingerprint) else None
    return None


def remember(key: str, fingerprint: str) -> None:
    """Let `recall(key)` find that corpus."""
    folder = cache_folder() / "seen"
    folder.mkdir(exist_ok=True)
    write_json_atomic(folder / f"{key}.json", {"fingerprint": fingerprint})


def _clear(parent: Path) -> None:
    """Remove what killed processes have left: a living one holds its lock."""
    for lock in parent.glob("*.lock"):
        with contextlib.suppress(OSError), open(lock) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            lock.unlink()
