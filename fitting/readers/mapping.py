"""A mapping file: the columns of one project's logs, named once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..errors import InputError
from ..json_shapes import is_list, is_object
from ..query import check_formula
from ..run_columns import COLUMNS


@dataclass(frozen=True)
class ColumnMap:
    """Which column of a log is which of ours.

    `columns`: our name -> their names, of which the first that is there is taken; each may be a formula of columns
    ("`config.batch` * step"). `values`: our name -> what it is in every row ("hot"). `exact` are names the user gave
    for this very source: they must be there, and win. `file` is where `columns` and `values` stand.
    """

    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    values: Mapping[str, str | float] = field(default_factory=dict[str, str | float])
    exact: Mapping[str, str] = field(default_factory=dict[str, str])
    file: str = ""

    def __post_init__(self) -> None:
        for ours in (*self.columns, *self.values):
            _check_name(ours, f"{self.file}: {ours}")
        for ours, theirs in self.exact.items():
            _check_name(ours, f"--columns {ours}={theirs}")


def _check_name(ours: str, place: str) -> None:
    if ours not in COLUMNS:
        raise InputError(f"{place}: {ours!r} is none of ours: {', '.join(COLUMNS)}")


def read_mapping(path: str | Path, columns: Mapping[str, str] | None = None) -> ColumnMap:
    """The mapping in the YAML file `path`, with the user's own `columns` before it.

    The file has `columns:` (our name: their name, a list of alternatives, or a formula) and may have `values:` (our
    name: a constant). Raises InputError, one line, for a file that is not that.
    """
    try:
        data = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise InputError(f"{path}: is not YAML: {' '.join(str(error).split())[:160]}") from error
    if not is_object(data) or not data or set(data) - {"columns", "values"}:
        raise InputError(f"{path}: a mapping has the keys columns and values, as in 'columns: {{loss: val_bpb}}'")
    return ColumnMap(
        {ours: _names(theirs, f"{path}: columns.{ours}") for ours, theirs in _part(data, "columns", path).items()},
        {ours: _value(value, f"{path}: values.{ours}") for ours, value in _part(data, "values", path).items()},
        columns or {},
        str(path),
    )


def _part(data: dict[str, Any], key: str, path: str | Path) -> dict[str, Any]:
    part: Any = data.get(key) or {}
    if not is_object(part) or not all(isinstance(name, str) for name in part):  # pyright: ignore[reportUnnecessaryIsInstance]: YAML has other keys
        raise InputError(f"{path}: {key}: must map our names to theirs, as in 'loss: val_bpb'")
    return part


def _names(theirs: Any, place: str) -> tuple[str, ...]:
    names: list[Any] = theirs if is_list(theirs) else [theirs]
    if not names or not all(isinstance(name, str) and name.strip() for name in names):
        raise InputError(f"{place}: {theirs!r} is no column name, nor a list of them")
    for name in names:
        if "`" in name or "*" in name:
            check_formula(name, place)
    return tuple(names)


def _value(value: Any, place: str) -> str | float:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise InputError(f"{place}: {value!r} is neither a text nor a number")
    return value
