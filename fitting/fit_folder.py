"""A folder that holds a fit whole: fit.json, and the rows that were fitted in runs.csv, so that it can be fitted again.

A sweep folder has its records; what `fit --out` writes has these.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .curves import CurveKind, CurveTable
from .errors import InputError
from .json_shapes import is_object
from .jsonio import write_text_atomic
from .options import Options
from .runs import RunTable

FIT_NAME, RUNS_NAME, CURVES_NAME = "fit.json", "runs.csv", "curves.csv"
_FILES = {RUNS_NAME: "runs_file", CURVES_NAME: "curves_file"}  # and the key of fit.json that says how each is read
MOST_ROWS = 1_000_000  # of a table that is written again beside its fit


@dataclass(frozen=True)
class FitFolder:
    """What such a folder holds: the parsed fit.json, the runs as they were read, and the curves of approach 1."""

    report: Mapping[str, Any]
    table: RunTable
    curves: CurveTable | None

    @property
    def options(self) -> Options:
        """What the fit was asked."""
        return options_in(self.report) or Options()


def check_replaceable(folder: Path, sources: Sequence[str]) -> None:
    """Raises InputError where writing rows into `folder` would replace a table that is read now, or is not a fit's."""
    path = folder / FIT_NAME
    try:
        said = read_fit(path) if path.is_file() else {}
    except InputError:
        said = {}
    for name, key in _FILES.items():
        file = folder / name
        if not file.exists():
            continue
        if any(Path(source).exists() and file.samefile(source) for source in sources):
            raise InputError(f"--out {folder}: {file} is read, and would be replaced; name another folder")
        if not is_object(said.get(key)):
            raise InputError(f"--out {folder}: {file} is no table of a fit, and would be replaced; name another folder")


def write_rows(folder: Path, table: RunTable, curves: CurveTable | None = None) -> dict[str, Any]:
    """Write runs.csv, and curves.csv where there are `curves`, into `folder`; returns what fit.json says of them.

    `table` is what was read, before a convention is chosen. Nothing is written of more than a million rows, and what an
    earlier fit wrote there goes.
    """
    said: dict[str, Any] = dict.fromkeys(_FILES.values())
    if len(table) <= MOST_ROWS:
        said["runs_file"] = _written(folder / RUNS_NAME, table)
    if curves is not None and len(curves) <= MOST_ROWS:
        said["curves_file"] = _written(folder / CURVES_NAME, curves.table) | {"kind": str(curves.kind)}
    for name, key in _FILES.items():
        if said[key] is None:
            (folder / name).unlink(missing_ok=True)
    return said


def read_fit_folder(folder: Path) -> FitFolder:
    """The fit in `folder` with its rows. Raises InputError for a file that is missing, torn or not ours."""
    report = read_fit(folder / FIT_NAME)
    said = report.get("runs_file")
    if not (folder / RUNS_NAME).is_file():
        remedy = f"isoflop fit {' '.join(report.get('source') or ['SOURCE'])} --out {folder}"
        raise InputError(f"{folder}: has {FIT_NAME} but no {RUNS_NAME}, the runs it fitted: give them again: {remedy}")
    if not is_object(said):
        raise InputError(f"{folder / FIT_NAME}: does not say how {RUNS_NAME} is read: fit its source again with --out")
    table = _table(folder / RUNS_NAME, said)
    of_curves = report.get("curves_file")
    curves = None
    if is_object(of_curves) and (folder / CURVES_NAME).is_file():
        curves = CurveTable(_table(folder / CURVES_NAME, of_curves), CurveKind(of_curves["kind"]))
    return FitFolder(report, table, curves)


def read_fit(path: Path) -> dict[str, Any]:
    """The content of one fit.json. Raises InputError where it cannot be read, or is none."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is not JSON: fit its source again") from error
    if not is_object(report) or not is_object(report.get("fits")):
        raise InputError(f"{path}: is no {FIT_NAME}: it has no fits; write it with `fit --out`")
    return report


def options_in(report: Mapping[str, Any]) -> Options | None:
    """The options of a parsed fit.json; None where it does not have them. Raises InputError for impossible ones."""
    given = report.get("options")
    if not is_object(given):
        return None
    known = {field.name for field in fields(Options)}
    words = {name: value for name, value in given.items() if name in known}
    if words.get("methods") is not None:
        words["methods"] = tuple(words["methods"])
    return Options(**words)


def _written(path: Path, table: RunTable) -> dict[str, Any]:
    frame = table.frame
    write_text_atomic(path, frame.to_csv(index=False))
    return {
        "name": path.name,
        "rows": len(frame),
        "types": {str(name): str(kind) for name, kind in frame.dtypes.items()},
        "notes": list(table.notes),
        "keep_flagged": table.keep_flagged,
    }


def _table(path: Path, said: Mapping[str, Any]) -> RunTable:
    types = said.get("types", {})
    try:
        texts = pd.read_csv(path, dtype=object, keep_default_na=False, na_filter=False)
        frame = pd.DataFrame({name: _column(pd.Series(texts[name]), str(types.get(name, "object"))) for name in texts})
    except (OSError, ValueError, OverflowError) as error:
        why = " ".join(str(error).split())[:160]
        raise InputError(f"{path}: cannot be read ({why}): fit its source again with --out") from error
    return RunTable(frame, tuple(said.get("notes", ())), bool(said.get("keep_flagged")))


def _column(texts: pd.Series, kind: str) -> pd.Series:
    """A column of texts in the type that it was written from; a number's text is the number to the last bit."""
    if kind == "bool":
        return texts.eq("True")
    if kind.startswith(("int", "uint")):
        return texts.astype(np.dtype(kind))
    if kind.startswith("float"):
        return texts.where(texts != "", "nan").astype(np.dtype(kind))
    return texts.where(texts != "", None).astype(object)
