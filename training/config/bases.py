"""Configs that build on others: `extends` names files whose keys hold where the file itself says nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...fitting.errors import InputError
from .yaml_input import read_mapping


def read_config(path: Path, resolve: Callable[[dict[str, Any], Path], None], above: tuple[Path, ...] = ()) -> Any:
    """The mapping in `path`, over those that its `extends` names (one path or a list, relative to it, the last wins).

    Mappings are merged key by key; one that chooses another `kind` or `rule` replaces the whole. `resolve` is called
    with each file's own mapping and path, before it is merged.

    Raises:
        InputError: as `read_mapping` does; a file that extends itself; `extends` that is no path.
    """
    if path.resolve() in above:
        raise InputError(f"{path}: extends itself, by {' -> '.join(file.name for file in above)}")
    data = read_mapping(path)
    resolve(data, path)
    bases = data.pop("extends", [])
    bases = [bases] if isinstance(bases, str) else bases
    if not isinstance(bases, list) or not all(isinstance(base, str) for base in bases):
        raise InputError(f"{path}: extends: must be the path of a config or a list of them, got {bases!r}")
    merged: dict[str, Any] = {}
    for base in bases:
        merged = _merged(merged, read_config(path.parent / base, resolve, (*above, path.resolve())))
    return _merged(merged, data)


def _merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    if any(key in over and over[key] != under.get(key) for key in ("kind", "rule")):
        return over
    both = {key: _merged(under[key], over[key]) for key in over if _mappings(under.get(key), over[key])}
    return under | over | both


def _mappings(*values: Any) -> bool:
    return all(isinstance(value, dict) for value in values)
