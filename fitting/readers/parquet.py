"""A Parquet file as a DataFrame, a column at a time: of ten million rows only one is there twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..errors import InputError


def read_parquet(path: Path) -> pd.DataFrame:
    """The table in `path`. Equal texts are one object; objects become columns joined by dots, lists are arrays.

    Raises OSError where the file cannot be opened, InputError where it is no whole Parquet file.
    """
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
            if repeated:
                raise InputError(f"{path}: column {repeated[0]!r} occurs twice: name each column once")
            rows = file.metadata.num_rows
            columns: dict[str, pd.Series] = {}
            for name in names:
                part = _unnested(cast("Any", file).read(columns=[name]).select([name]))
                columns |= {inner: _values(part.column(inner)) for inner in part.column_names if inner not in columns}
    except (OSError, InputError):
        raise
    except Exception as error:  # pyarrow has errors of its own for each way a file can be torn
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{path}: not a Parquet file that can be read: {reason}") from error
    return pd.DataFrame(columns, index=pd.RangeIndex(rows), copy=False)


def _unnested(table: pa.Table) -> pa.Table:
    while any(pa.types.is_struct(kind) for kind in table.schema.types):
        table = table.flatten()
    return table


def _values(column: Any) -> pd.Series:
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _shared(column.dictionary_encode())
    if pa.types.is_dictionary(kind):
        return _shared(column)
    values = column.to_pandas()
    pa.default_memory_pool().release_unused()
    return values


def _shared(column: Any) -> pd.Series:
    """Texts as objects, one for all that are equal, None where missing."""
    parts: list[NDArray[np.object_]] = []
    for chunk in column.chunks:
        known = np.array([*chunk.dictionary.to_pylist(), None], dtype=object)
        codes = chunk.indices.fill_null(len(known) - 1).to_numpy(zero_copy_only=False)
        parts.append(known[codes])
    return pd.Series(np.concatenate(parts) if parts else [], dtype=object)
