"""Hugging Face Trainer's logs: trainer_state.json, with the model's config.json beside it for the counts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError
from .log import Log


def trainer_states(folder: Path) -> list[Path]:
    """The trainer_state.json of each run below `folder`, the latest of a run's checkpoints; empty for none."""
    return []


def read_trainer(source: Path, states: Sequence[Path]) -> Log:
    """The runs logged in `states`, a row each."""
    raise InputError(f"{source}: Trainer logs are not read yet")
