"""Strict JSON on disk: no NaN, no half-written file."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import secrets
from collections.abc import Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, cast

import numpy as np

_NUMBERS = re.compile(r"\[\n\s*(?:-?[0-9][0-9.eE+-]*|null)(?:,\n\s*(?:-?[0-9][0-9.eE+-]*|null))*\n\s*\]")


def to_strict(obj: Any) -> Any:
    """`obj` in the types strict JSON knows: NaN and infinities become None, NumPy values Python's own.

    Mappings, sequences, sets (sorted), arrays, dataclasses, enumerations and paths are converted; anything
    else raises TypeError.
    """
    if isinstance(obj, Enum):
        return to_strict(obj.value)
    if obj is None or isinstance(obj, (bool, str)):
        return obj
    if isinstance(obj, np.generic):
        return to_strict(obj.item())
    if isinstance(obj, int):
        return obj
    if isinstance(obj, float):
        return obj if math.isfinite(obj) else None
    if isinstance(obj, np.ndarray):
        return to_strict(obj.tolist())
    if isinstance(obj, Mapping):
        return {_key(key): to_strict(value) for key, value in cast("Mapping[Any, Any]", obj).items()}
    if isinstance(obj, Set):
        return [to_strict(value) for value in sorted(cast("Set[Any]", obj))]
    if isinstance(obj, (list, tuple)):
        return [to_strict(value) for value in cast("Sequence[Any]", obj)]
    if isinstance(obj, Path):
        return str(obj)
    if is_dataclass(obj) and not isinstance(obj, type):
        return {field.name: to_strict(getattr(obj, field.name)) for field in fields(obj)}
    raise TypeError(f"{type(obj).__name__} has no JSON form: {obj!r}")


def json_text(obj: Any) -> str:
    """`obj` as strict JSON, a key a line and a list of numbers a line; raises TypeError as `to_strict` does."""
    text = json.dumps(to_strict(obj), indent=1, allow_nan=False)
    # Within a string a line's end is escaped, so what spans lines is no part of one.
    return _NUMBERS.sub(lambda found: " ".join(found[0].split()).replace("[ ", "[").replace(" ]", "]"), text) + "\n"


def write_json_atomic(path: Path, obj: Any) -> None:
    """Write `obj` to `path` as strict JSON so that a reader sees the old file or the whole new one.

    The text goes to a temporary file of the same folder, is flushed to the disk and renamed over `path`; on any
    failure the temporary file is removed. Raises TypeError as `to_strict` does, and the OSError of the disk.
    """
    write_text_atomic(Path(path), json_text(obj))


def write_text_atomic(path: Path, text: str) -> None:
    """Write `text` to `path` in UTF-8, as `write_json_atomic` does. Raises the OSError of the disk."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "x", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _key(key: Any) -> str:
    if isinstance(key, Enum):
        key = key.value
    return key if isinstance(key, str) else str(to_strict(key))
