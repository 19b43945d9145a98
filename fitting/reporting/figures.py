"""Figures of a fit, and saving them. Each is a matplotlib `Figure` of its own, without state or display."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from .allocation import allocation_figure
from .envelope import envelope_figure
from .isoflop import isoflop_figure
from .style import figure_style

__all__ = ["allocation_figure", "envelope_figure", "isoflop_figure", "save_figures"]


def save_figures(folder: Path | str, figures: Mapping[str, Figure]) -> list[Path]:
    """Write each figure as NAME.png (160 dots per inch) and NAME.pdf into `folder`, made if absent.

    A file appears whole or not at all: it is written under a temporary name and renamed. Returns the paths.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in figures.items():
        for suffix in ("png", "pdf"):
            paths.append(folder / f"{name}.{suffix}")
            _save_whole(figure, paths[-1])
    return paths


def _save_whole(figure: Figure, path: Path) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    # Without a date in it, the same figure is the same file.
    metadata = {"CreationDate": None} if path.suffix == ".pdf" else None
    try:
        with figure_style():
            figure.savefig(temporary, format=path.suffix[1:], dpi=160, metadata=metadata)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise
