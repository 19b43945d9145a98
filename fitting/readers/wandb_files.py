"""W&B runs on this disk: .wandb files, and folders of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError
from .log import Log


def wandb_files(folder: Path) -> list[Path]:
    """Every run-*.wandb file in or below `folder`, as W&B lays them; empty for none."""
    return []


def read_offline(source: Path, logs: Sequence[Path]) -> Log:
    """The runs in `logs`, a row each, segments of one run id merged by step."""
    raise InputError(f"{source}: .wandb files are not read yet")
