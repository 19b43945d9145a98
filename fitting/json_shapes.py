"""What a value read from JSON or YAML is, in a way that type checkers follow: `isinstance` leaves its parts unknown."""

from __future__ import annotations

from typing import Any, TypeGuard


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether it is an object. Of YAML, whose keys may be anything, its keys are still to be looked at."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether it is a list."""
    return isinstance(value, list)
