"""Saving figures for papers: PNG, PDF and SVG, whole or not at all, the same bytes for the same figure."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves the **kwargs of its methods untyped.

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from .pictures.picture import Picture
from .style import figure_style, use_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = ("png", "pdf", "svg")
_UNDATED = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}


def save_figures(
    folder: Path | str, figures: Mapping[str, Figure] | Iterable[Picture], style: str | Path | None = None
) -> list[Path]:
    """Write each figure as NAME.png (160 dots per inch), NAME.pdf and NAME.svg into `folder`, made if absent.

    Pictures are drawn here, under their own names, with a matplotlib `style` on top of ours (`use_style`). A figure by
    name is as it was drawn: draw it in a block of `use_style`. Returns the paths.

    Raises:
        InputError: no such style.
    """
    from .pictures.paper import draw  # matplotlib, where something is drawn

    folder = Path(folder)
    paths: list[Path] = []
    with use_style(style):
        named: Iterable[tuple[str, Figure]] = (
            cast("Mapping[str, Figure]", figures).items()
            if isinstance(figures, Mapping)
            else ((each.name, draw(each)) for each in figures)
        )
        for name, figure in named:
            folder.mkdir(parents=True, exist_ok=True)
            for suffix in SUFFIXES:
                paths.append(folder / f"{name}.{suffix}")
                save_figure(paths[-1], figure)
    return paths


def save_figure(path: Path, figure: Figure) -> None:
    """Write `figure` to `path`, in the format that its suffix names, under another name first and then renamed."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with figure_style():
            figure.savefig(temporary, format=path.suffix[1:], dpi=160, metadata=_UNDATED.get(path.suffix))
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise
