"""A table on the Hugging Face Hub."""

from __future__ import annotations

from ..errors import InputError
from .log import Log


def read_dataset(source: str) -> Log:
    """The rows of `hf:DATASET[:SPLIT]`."""
    raise InputError(f"{source}: datasets are not read yet")
