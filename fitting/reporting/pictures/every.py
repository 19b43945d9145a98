"""Every picture that one analysis can show, in the order of the report."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ...analysis import Analysis
from ...comparison.published_rows import Comparison
from ...curves import CurveKind, CurveTable
from ...errors import InputError
from .allocation import allocation_picture
from .compute import compute_picture
from .envelope import envelope_picture
from .forest import forest_picture
from .holdout import holdout_picture
from .isoflop import isoflop_picture
from .picture import Picture
from .profile import profile_picture
from .residuals import residuals_picture
from .surface import surface_picture
from .training_curves import training_curves_picture

_Build = Callable[[], Picture]


def pictures_of(
    analysis: Analysis, curves: CurveTable | None = None, comparison: Comparison | None = None
) -> tuple[Picture, ...]:
    """What `analysis` has to show; a picture without content is left out.

    `curves` are the training curves, where they are not those of the analysis; `comparison` makes the forest plot.
    """
    options = analysis.options
    builds: list[_Build] = []
    if analysis.isoflop is not None:
        builds.append(partial(isoflop_picture, analysis.table, analysis.isoflop, options.n_params))
        builds.append(partial(allocation_picture, analysis.isoflop, options.n_params, options.flops))
    builds.append(partial(compute_picture, analysis))
    builds += _of_curves(analysis, curves)
    builds += [partial(build, analysis) for build in (surface_picture, residuals_picture, profile_picture)]
    if comparison is not None and any(row.params_exponent for row in comparison.rows):
        builds.append(partial(forest_picture, comparison))
    builds.append(partial(holdout_picture, analysis))
    return tuple(picture for picture in map(_shown, builds) if picture is not None)


def _shown(build: _Build) -> Picture | None:
    try:
        return build()
    except InputError:  # how a picture says that there is nothing to show
        return None


def _of_curves(analysis: Analysis, curves: CurveTable | None) -> list[_Build]:
    """The envelope of approach 1's fit, and the training curves where that does not show them already."""
    builds: list[_Build] = []
    fitted, options = analysis.curves, analysis.options
    counts = (options.n_params, options.flops)
    if analysis.envelope is not None and fitted is not None:
        builds.append(partial(envelope_picture, fitted, analysis.envelope, *counts))
    drawn = fitted if curves is None else curves
    if drawn is None or drawn.kind is CurveKind.END_POINTS:
        return builds
    try:
        drawn = drawn.with_conventions(*counts)
    except InputError:  # logs know fewer counts than the runs' table; the axes say which they have
        counts = ("n_params", "flops")
    if not builds or fitted is None or not _alike(drawn, fitted):
        builds.append(partial(training_curves_picture, drawn, *counts))
    return builds


def _alike(one: CurveTable, other: CurveTable) -> bool:
    """Whether both have the same points."""
    mine, theirs = (table.fitted[["flops", "loss"]].to_numpy(dtype=float) for table in (one, other))
    return np.array_equal(mine, theirs)
