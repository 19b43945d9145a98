"""Which method finds a table's minima: the one that better predicts sizes left out near them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import Akima1DInterpolator

from ...isoflop_evidence import MinimumChoice
from .budgets import Group
from .minima import AKIMA_SIZES, spline_knots, windowed_parabola

Array = NDArray[np.float64]

NEAR = 0.05  # sizes whose loss is within this fraction of the budget's least are near its minimum
_MIN_LEFT_OUT = 8  # fewer sizes left out choose by chance: then the parabola
_MOST_LEFT_OUT = 400  # of all budgets, evenly over the sizes of each: more take time and tell no more
_SURE = 1.645  # standard errors by which the spline must predict better: one-sided 95 %


def chosen_minimum(groups: list[Group], window: float | None) -> tuple[str, MinimumChoice | None]:
    """ "parabola" or "akima", whichever predicts better; None beside it with too few sizes to tell.

    Every size near the minimum that lies between others is left out in turn, with all its runs, and its mean loss
    predicted from the budget's other runs, the window chosen anew. An error is that of ln loss; only sizes that both
    methods predict count. The parabola, whose minima scatter less, stands unless the spline's squared errors are
    surely smaller (a paired test): that is where curves are wide, smooth and no parabolas. A `window` of None asks
    for the textbook's parabola.
    """
    if window is None:
        return "parabola", None
    most = max(1, _MOST_LEFT_OUT // len(groups))
    errors = [error for group in groups if not group.wide for error in _errors(group, window, most)]
    if len(errors) < _MIN_LEFT_OUT:
        return "parabola", None
    squares = np.square(errors)
    parabola, akima = np.sqrt(squares.mean(axis=0))
    gain = squares[:, 0] - squares[:, 1]
    sure = gain.mean() > _SURE * gain.std(ddof=1) / np.sqrt(len(gain))
    return ("akima" if sure else "parabola"), MinimumChoice(float(parabola), float(akima), len(errors))


def _errors(group: Group, window: float | None, most: int) -> list[tuple[float, float]]:
    """Errors of both methods at sizes near the minimum that they can predict, about `most` of them."""
    if group.n_sizes <= AKIMA_SIZES:
        return []
    knots, mean = spline_knots(group)
    losses = group.loss @ mean
    near = np.flatnonzero(losses[1:-1] <= losses.min() * (1 + NEAR)) + 1
    near = near[:: -(-len(near) // most) or 1]
    errors: list[tuple[float, float]] = []
    for size in near:
        rest = _without(group, int(size))
        parabola = windowed_parabola(rest, window)
        if parabola is None:
            continue
        u = knots[size] - parabola.centre
        c = parabola.solver @ rest.loss[parabola.used]
        predicted = c[0] + c[1] * u + c[2] * u * u
        others = np.arange(group.n_sizes) != size
        spline = Akima1DInterpolator(knots[others], np.log(losses[others]))
        if predicted > 0:
            true = np.log(losses[size])
            errors.append((float(np.log(predicted) - true), float(spline(knots[size]) - true)))
    return errors


def _without(group: Group, size: int) -> Group:
    kept = group.sizes != size
    sizes = group.sizes[kept]
    return replace(
        group,
        log_n=group.log_n[kept],
        log_d=group.log_d[kept],
        loss=group.loss[kept],
        sizes=sizes - (sizes > size),
        counts=group.counts[kept],
    )
