"""Results drawn from Python: one picture of a report as a matplotlib figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from ..analysis import Analysis
from ..arguments import require_table
from ..curves import require_curves
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


def plot_isoflop(fit: IsoflopFit, table: RunTable | None, n_params: str | None, flops: str | None) -> Figure:
    """The isoFLOP curves of `table`, or N*(C) and D*(C) without one; None labels the counts as the fit knows them."""
    size = n_params or fit.counted_n_params
    if table is None:
        return draw(allocation_picture(fit, size, flops or fit.counted_flops))
    require_table(table)
    _check_counts(fit, table)
    return draw(isoflop_picture(table, fit, size))


def plot_envelope(fit: EnvelopeFit, curves: CurveTable | None, n_params: str | None, flops: str | None) -> Figure:
    """The curves with their envelope; None labels the counts as the fit knows them.

    Raises:
        InputError: there are no curves, or they count otherwise than the fit.
    """
    if curves is None:
        raise InputError("plot needs the curves that were fitted: fit.plot(curves)")
    require_curves(curves)
    _check_counts(fit, curves.table)
    return draw(envelope_picture(curves, fit, n_params or fit.counted_n_params, flops or fit.counted_flops))


def plot_parametric(fit: ParametricFit, table: RunTable | None, name: str, n_params: str | None) -> Figure:
    """A picture of approach 3 over the runs of `table`, which it was fitted to; None labels N as the fit knows it.

    Raises:
        InputError: there is no table, one that counts otherwise than the fit, or no picture of that name.
    """
    if table is None:
        raise InputError("plot needs the table that was fitted: fit.plot(table)")
    require_table(table)
    _check_counts(fit, table)
    options = Options(n_params=n_params or fit.counted_n_params, flops=fit.counted_flops)
    return draw(_named(pictures_of(Analysis(table, options, Fits(parametric=fit))), name))


def _check_counts(fit: IsoflopFit | EnvelopeFit | ParametricFit, table: RunTable) -> None:
    fitted, given = (f"N as {each.counted_n_params} and C as {each.counted_flops}" for each in (fit, table))
    if fitted != given:
        raise InputError(f"plot: this table counts {given}, the fit {fitted}: give the table that was fitted")


def _named(pictures: Sequence[Picture], name: str | None) -> Picture:
    found = next((picture for picture in pictures if name in (None, picture.name)), None)
    if found is None:
        names = ", ".join(picture.name for picture in pictures) or "none: no fit has an answer to draw"
        raise InputError(f"plot: no picture {name!r} of these results; there are {names}")
    return found
