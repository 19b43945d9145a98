"""Saving figures for papers: PNG, PDF and SVG, whole or not at all, the same bytes for the same figure."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves the **kwargs of its methods untyped.

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..errors import InputError
from .pictures.picture import Picture
from .style import figure_style, use_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

SUFFIXES = ("png", "pdf", "svg")
_AIR = 0.05  # inches about words that run out
_UNDATED = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}


def save_figures(
    folder: Path | str, figures: Mapping[str, Figure] | Iterable[Picture], style: str | Path | None = None
) -> list[Path]:
    """Write each figure as NAME.png (160 dots per inch), NAME.pdf and NAME.svg into `folder`, made if absent.

    Pictures are drawn here, under their own names, with a matplotlib `style` on top of ours (`use_style`). A figure by
    name is as it was drawn: draw it in a block of `use_style`. Returns the paths.

    Raises:
        InputError: no such style, a folder that is no path, or figures that are neither pictures nor figures by name.
    """
    if not isinstance(folder, str | Path):  # pyright: ignore[reportUnnecessaryIsInstance]: callers may have no types
        raise InputError(f"the folder of save_figures is a path, not {type(folder).__name__}: the folder comes first")
    if not isinstance(figures, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]: callers may have no types
        raise InputError(f"figures to save are pictures, not {type(figures).__name__}: pictures_of(analysis)")
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
            extent = _whole(figure)
            for suffix in SUFFIXES:
                paths.append(folder / f"{name}.{suffix}")
                _save(paths[-1], figure, extent)
    return paths


def _whole(figure: Figure) -> Bbox | None:
    """What holds every word where a style's letters run out of the figure; None where they do not."""
    from matplotlib.transforms import Bbox

    with figure_style():
        figure.draw_without_rendering()  # which lays it out
    page, drawn = figure.bbox_inches, figure.get_tightbbox()
    inside = page.x0 <= drawn.x0 and page.y0 <= drawn.y0 and drawn.x1 <= page.x1 and drawn.y1 <= page.y1
    return None if inside else Bbox.union([page, drawn.padded(_AIR)])


def save_figure(path: Path, figure: Figure) -> None:
    """Write `figure` to `path`, in the format that its suffix names, under another name first and then renamed."""
    _save(path, figure, _whole(figure))


def _save(path: Path, figure: Figure, extent: Bbox | None) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with figure_style():
            look: dict[str, Any] = {"dpi": 160, "metadata": _UNDATED.get(path.suffix), "bbox_inches": extent}
            figure.savefig(temporary, format=path.suffix[1:], **look)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise
