"""What the commands that draw share: the option `--style`, and where a figure may be written."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from isoflop.fitting.errors import InputError
from isoflop.fitting.reporting.figures import SUFFIXES
from isoflop.fitting.reporting.style import use_style

Style = Annotated[
    str | None,
    typer.Option(metavar="NAME|FILE", help="Draw in a matplotlib style on top of ours: a name, or an .mplstyle file."),
]
FigureFile = Annotated[
    Path | None, typer.Option("--figure", metavar="FILE", help="Draw the exponents there (.png, .pdf, .svg).")
]


def check_figure(figure: Path | None) -> None:
    """Raises InputError where a figure could not be written: better now than after the fit."""
    if figure is not None and (figure.suffix[1:] not in SUFFIXES or not figure.parent.is_dir()):
        raise InputError(f"--figure {figure}: must end in .png, .pdf or .svg, in a folder that exists")


def wrote(paths: Iterable[Path]) -> list[str]:
    """A line for each file written, of a figure's three only the PNG."""
    return [f"wrote {path}" for path in paths if path.suffix not in (".pdf", ".svg")]


def draw_in(context: typer.Context, style: str | None, drawn: bool, where: str) -> None:
    """Use `style` until the command of `context` ends; `where` is the option that has something `drawn`.

    Raises InputError for a style that matplotlib does not know or cannot read, and where nothing is drawn.
    """
    if style is not None and not drawn:
        raise InputError(f"--style {style}: nothing is drawn; say where with {where}")
    context.with_resource(use_style(style))
