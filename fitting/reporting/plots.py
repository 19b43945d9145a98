"""Results drawn from Python: one picture of a report as a matplotlib figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from ..analysis import Analysis
from ..diagnostics.agreement import Fits
from ..errors import InputError
from ..options import Options
from ..runs import RunTable
from .pictures.allocation import allocation_picture
from .pictures.envelope import envelope_picture
from .pictures.every import pictures_of
from .pictures.isoflop import isoflop_picture
from .pictures.paper import draw

if TYPE_CHECKING:
    from ..curves import CurveTable
    from ..results import EnvelopeFit, IsoflopFit, ParametricFit
    from .pictures.picture import Picture


def plot_analysis(analysis: Analysis, name: str | None) -> Figure:
    """The picture called `name` of those that a report of `analysis` shows; the first of them for None.

    Raises:
        InputError: there is none of that name, or none at all; the message lists those there are.
    """
    return draw(_named(pictures_of(analysis), name))


def plot_isoflop(fit: IsoflopFit, table: RunTable | None, n_params: str, flops: str) -> Figure:
    """The isoFLOP curves of `table`, or N*(C) and D*(C) without one; the counts are named for the labels."""
    if table is None:
        return draw(allocation_picture(fit, n_params, flops))
    return draw(isoflop_picture(table, fit, n_params))


def plot_envelope(fit: EnvelopeFit, curves: CurveTable, n_params: str, flops: str) -> Figure:
    """The curves with their envelope; the counts are named for the labels."""
    return draw(envelope_picture(curves, fit, n_params, flops))


def plot_parametric(fit: ParametricFit, table: RunTable, name: str, n_params: str) -> Figure:
    """A picture of approach 3 over the runs of `table`, which it was fitted to and which counts `n_params` as N.

    Raises:
        InputError: there is none of that name.
    """
    return draw(_named(pictures_of(Analysis(table, Options(n_params=n_params), Fits(parametric=fit))), name))


def _named(pictures: Sequence[Picture], name: str | None) -> Picture:
    found = next((picture for picture in pictures if name in (None, picture.name)), None)
    if found is None:
        names = ", ".join(picture.name for picture in pictures) or "none: no fit has an answer to draw"
        raise InputError(f"plot: no picture {name!r} of these results; there are {names}")
    return found
