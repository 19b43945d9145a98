"""Loss against compute along the training curves, and the lower envelope of them, fitted or not."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...curves import CurveTable
from ...errors import FitError, InputError
from ...estimators.envelope.fit import FLOP_POINTS, SKIP, SMOOTHING
from ...estimators.envelope.grid import make_grid
from ..marks import flops_label
from ..style import BLACK, count_text
from .captions import loss_label, size_words
from .picture import Array, Axis, Dash, Line, Mark, Panel, Picture
from .sizes import size_classes

_COLUMNS = ("curve", "run", "n_params", "tokens", "flops", "loss", "loss_unit", "phase", "flag")
_MOST_POINTS = 400  # drawn of one curve: more do not show
_MOST_OF_ALL = 40_000  # and of all of them, so that a page stays small
_FEWEST = 30
_MOST_SMOOTHED = 1000  # curves up to which they are smoothed and their envelope drawn: each takes some milliseconds
_ENVELOPE = "least loss of all sizes"
_TOP = 0.6  # what is shown above the highest end of a curve, as a part of the ends' range


def training_curves_picture(
    curves: CurveTable, n_params_convention: str = "n_params", flops_convention: str = "flops"
) -> Picture:
    """Loss against C along each of `curves`, counted by the conventions named, coloured by size, and their envelope.

    The envelope is drawn whether or not approach 1 is fitted to it; the caption says when it is biased.

    Raises:
        InputError: no point to draw.
    """
    curves = _narrow(curves)
    drawn, envelope, why = _smoothed(curves)
    if envelope is None:
        drawn = _as_logged(curves)
    if not drawn:
        raise InputError("the training curves have no point to draw")
    ends = np.array([curve.loss[-1] for curve in drawn])
    low, high = float(min(curve.loss.min() for curve in drawn)), float(ends.max())
    top = high + _TOP * ((high - low) or high)
    shown = np.concatenate([curve.flops[curve.loss <= top] for curve in drawn])
    marks = _lines(drawn)
    if envelope is not None:
        dash: Dash = "dash" if curves.decaying else "solid"
        marks.append(Line(*envelope, BLACK, 1.6, dash, label=_ENVELOPE, hover=_ENVELOPE))
    x = Axis(flops_label(flops_convention), True, "flops", (float(shown.min()) / 1.1, float(shown.max()) * 1.2))
    y = Axis(loss_label(curves.table), limits=(low - 0.04 * (top - low), top))
    caption = _caption(curves, len(drawn), n_params_convention, envelope is not None)
    notes = tuple(note for note in (why, _left_out(curves)) if note)
    return Picture("training_curves", "Training curves", caption, (Panel(x, y, tuple(marks)),), notes=notes)


def _narrow(curves: CurveTable) -> CurveTable:
    """The same curves without the columns that nothing here reads: wide tables take long to take apart."""
    frame = curves.table.frame
    kept = [name for name in _COLUMNS if name in frame]
    return replace(curves, table=replace(curves.table, frame=frame[kept]))


@dataclass(frozen=True)
class _Drawn:
    """One curve as it is drawn: its name and size, FLOPs and losses (n,) in rising order of FLOPs."""

    name: str
    n_params: float
    flops: Array
    loss: Array


def _smoothed(curves: CurveTable) -> tuple[list[_Drawn], tuple[Array, Array] | None, str]:
    """The curves as approach 1 reads them, and the least of them, (flops, loss); without it, why there is none."""
    count = len(set(curves.fitted["curve"]))
    if count > _MOST_SMOOTHED:
        return [], None, f"no envelope is drawn under {count} curves: --method envelope fits it"
    try:
        grid = make_grid(curves, flop_points=FLOP_POINTS, smoothing=SMOOTHING, skip=SKIP, hull=False)[0]
    except FitError as error:
        return [], None, f"no envelope is drawn: {error}"
    flops = np.exp(grid.log_flops)
    covered = np.isfinite(grid.loss).any(axis=0)
    drawn = [
        _Drawn(curve.name, float(np.exp(curve.log_n)), flops[there], curve.loss[there])
        for curve in grid.curves
        if (there := np.isfinite(curve.loss)).any()
    ]
    return drawn, (flops[covered], np.nanmin(grid.loss[:, covered], axis=0)), ""


def _as_logged(curves: CurveTable) -> list[_Drawn]:
    groups = list(curves.fitted.sort_values("flops", kind="stable").groupby("curve"))
    most = max(_FEWEST, min(_MOST_POINTS, _MOST_OF_ALL // max(len(groups), 1)))
    drawn: list[_Drawn] = []
    for name, rows in groups:
        rows = rows.iloc[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), most)).round().astype(int))]
        n, flops, loss = (rows[column].to_numpy(dtype=float) for column in ("n_params", "flops", "loss"))
        drawn.append(_Drawn(str(name), float(np.exp(np.log(n).mean())), flops, loss))
    return drawn


def _lines(drawn: list[_Drawn]) -> list[Mark]:
    """In order of size, so that the legend rises."""
    drawn = sorted(drawn, key=lambda curve: curve.n_params)
    classes = size_classes([curve.n_params for curve in drawn])
    places: list[int] = classes.of.tolist()
    return [
        Line(
            curve.flops,
            curve.loss,
            classes.colors[place],
            width=0.8,
            opacity=0.85,
            label=classes.labels[place],
            hover=f"{curve.name}\nN {count_text(curve.n_params)}\nloss {curve.loss[-1]:.4f} at its end",
        )
        for curve, place in zip(drawn, places, strict=True)
    ]


def _left_out(curves: CurveTable) -> str:
    points = sum(int(row["points"]) for row in curves.excluded)
    return f"{points} points of the curves are left out, as those of the warm-up" if points else ""


def _caption(curves: CurveTable, count: int, n_params_convention: str, enveloped: bool) -> str:
    parts = [
        f"Loss against compute along {count} training curves, coloured by size (N: {size_words(n_params_convention)})."
    ]
    if enveloped:
        parts.append(
            f"Dense curves are smoothed by local lines within ±{SMOOTHING:g} in ln tokens, without the first "
            f"{100 * SKIP:g} % of each, as approach 1 reads them; the black line is the least of all sizes there."
        )
    if enveloped and curves.decaying:
        parts.append(
            "It is dashed since it is biased: the learning rate decays towards each run's end, so that a loss in the "
            "middle of a run lies above that of a run which ends there. It steps up where runs end, and no exponent is "
            "taken from it unless asked for."
        )
    elif enveloped and curves.decaying is None:
        parts.append("Whether the rates decay is not known; if they do, it lies too high between the runs' ends.")
    return " ".join(parts)
