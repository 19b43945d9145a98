"""Where what can be made again is kept: prepared corpora, histories from W&B."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """ISOFLOP_CACHE, or isoflop/ in the user's cache folder."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "isoflop"
    return Path(os.environ.get("ISOFLOP_CACHE") or default)
