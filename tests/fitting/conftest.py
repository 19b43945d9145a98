from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Starts a W&B server of this process that has the runs given; who reads is logged in to it."""
    from .wandb_server import servers  # skips where there is no wandb

    with servers(monkeypatch, tmp_path) as start:
        yield start
