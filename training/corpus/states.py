"""What tells that a source has changed since it was read, found without reading it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def file_states(paths: Iterable[Path]) -> list[list[Any]]:
    """Path, size and times of each file: what changes when its content is written anew."""
    states = []
    for path in paths:
        status = path.stat()
        states.append([str(path.absolute()), status.st_size, status.st_mtime_ns, status.st_ctime_ns])
    return sorted(states)


def hub_commit(name: str, revision: str | None, kind: str) -> str | None:
    """The commit that `revision` of a repository on the Hub stands for; None where the Hub does not say."""
    if revision and re.fullmatch(r"[0-9a-f]{40}", revision):
        return revision
    from huggingface_hub import HfApi

    try:
        return HfApi().repo_info(name, revision=revision, repo_type=kind, timeout=10).sha
    except Exception:  # no network, no such repository, no access: reading it will say which
        return None
