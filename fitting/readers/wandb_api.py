"""A W&B project by the public API."""

from __future__ import annotations

from ..errors import InputError
from .log import Log


def read_project(source: str) -> Log:
    """The runs of `wandb:ENTITY/PROJECT[?group=...&tags=...&state=...]`, a row each."""
    raise InputError(f"{source}: W&B projects are not read yet")
