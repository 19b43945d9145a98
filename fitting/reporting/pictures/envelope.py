"""Loss against compute along every curve, the envelope beneath them, and the sizes that hold it: approach 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...curves import CurveTable
from ...errors import InputError
from ...results import EnvelopeFit, EnvelopePoint, MinimumStatus
from ..marks import exponent_title, flops_label, n_params_label
from ..style import BLACK, BLUE, GREY, count_text, flops_text
from .captions import loss_label, size_words
from .picture import Array, Axis, Band, Line, Mark, Panel, Picture, Points
from .sizes import size_classes

_MOST_POINTS = 400  # drawn of one curve: more do not show
_LEFT_OUT = "left out of the line"


def envelope_picture(
    curves: CurveTable, envelope: EnvelopeFit, n_params_convention: str = "n_params", flops_convention: str = "flops"
) -> Picture:
    """First, loss against C along each of `curves`, coloured by size, and their envelope; second, its sizes and N*(C).

    `envelope` is the fit of the same `curves`, counted by the conventions named. Where N*(C) lies at or
    beyond the sizes there the envelope is grey and dashed, its sizes hollow: they do not shape the line.

    Raises:
        InputError: the fit has no point.
    """
    if not envelope.points:
        raise InputError("the envelope picture needs points of the envelope; the fit has none")
    compute, losses = (np.array([getattr(point, name) for point in envelope.points]) for name in ("flops", "loss"))
    margin = 0.08 * float(np.ptp(losses) or 1.0)
    flops = flops_label(flops_convention)
    left = Panel(
        Axis(flops, log=True, written="flops", limits=(float(compute.min()) / 3, float(compute.max()) * 3)),
        # Starts of training reach far above: what matters lies near the envelope.
        Axis(loss_label(curves.table), limits=(float(losses.min()) - margin, float(losses.max()) + 4 * margin)),
        (*_curves(curves), *_envelope(envelope.points, compute, losses)),
    )
    right = Panel(
        Axis(flops, log=True, written="flops"),
        Axis(n_params_label(n_params_convention), log=True, written="count"),
        tuple(_sizes(envelope, compute)),
        exponent_title("params", envelope.params_exponent),
    )
    caption = _caption(envelope, n_params_convention)
    return Picture("envelope", "The envelope of the curves", caption, (left, right))


def _curves(curves: CurveTable) -> list[Mark]:
    frame = curves.fitted.sort_values(["flops", "loss"]).reset_index(drop=True)
    classes = size_classes(frame["n_params"])
    marks: list[Mark] = []
    for curve, rows in frame.assign(size=classes.of).groupby("curve"):
        rows = rows.iloc[:: -(-len(rows) // _MOST_POINTS)]
        size = int(rows["size"].iloc[0])
        flops, loss = (rows[name].to_numpy(dtype=float) for name in ("flops", "loss"))
        name = f"{curve}\nN {count_text(float(rows['n_params'].iloc[0]))}"
        color, label = classes.colors[size], classes.labels[size]
        marks.append(Line(flops, loss, color, width=0.8, opacity=0.8, label=label, hover=name))
    return sorted(marks, key=lambda mark: classes.labels.index(getattr(mark, "label", "")))


def _envelope(points: Sequence[EnvelopePoint], flops: Array, loss: Array) -> list[Mark]:
    inside = _inside(points)
    marks: list[Mark] = []
    if not inside.all():
        marks.append(Line(flops, loss, GREY, dash="dash", label=_LEFT_OUT, hover=_LEFT_OUT))
    return [*marks, Line(flops, np.where(inside, loss, np.nan), BLACK, width=1.8, label="envelope", hover="envelope")]


def _sizes(envelope: EnvelopeFit, flops: Array) -> list[Mark]:
    inside = _inside(envelope.points)
    sizes = np.array([point.n_params for point in envelope.points])
    hover = np.array(
        [f"{flops_text(p.flops)} FLOPs\nN {count_text(p.n_params)}\nloss {p.loss:.4f}" for p in envelope.points]
    )

    def points(chosen: NDArray[np.bool_], color: str, label: str, hollow: bool) -> list[Mark]:
        texts = tuple(map(str, hover[chosen]))
        look: dict[str, Any] = {"size": 3.0, "hollow": hollow, "label": label, "hover": texts}
        drawn = Points(flops[chosen], sizes[chosen], color, **look)
        return [drawn] if chosen.any() else []

    exponent = envelope.params_exponent
    band = envelope.params_band(flops, exponent.level)
    label = "N*(C)" if band is None else f"N*(C) and {100 * exponent.level:g} % band"
    bands: list[Mark] = [] if band is None else [Band(flops, *band, color=BLUE, label=label)]
    return [
        *points(~inside, GREY, _LEFT_OUT, hollow=True),
        *points(inside, BLACK, "size of least loss", hollow=False),
        *bands,
        Line(flops, envelope.params_law(flops), BLUE, label=label, hover="N*(C)"),
    ]


def _inside(points: Sequence[EnvelopePoint]) -> NDArray[np.bool_]:
    return np.array([point.status is MinimumStatus.INTERIOR for point in points])


def _caption(envelope: EnvelopeFit, n_params_convention: str) -> str:
    said = [
        f"First: loss along {envelope.n_curves} curves against the compute spent, coloured by size "
        f"(N: {size_words(n_params_convention)}), and the envelope beneath them. Second: the size on the envelope, and "
        "the power law N*(C) through it"
    ]
    if envelope.resamples is not None:
        said.append(f" with its {100 * envelope.params_exponent.level:g} % band")
    said.append(".")
    if not _inside(envelope.points).all():
        said.append(" Where the size lies at or beyond those trained it is hollow, and shapes no line.")
    if envelope.decaying_schedule:
        said.append(" The curves are read in the middle of decaying schedules, which biases their envelope.")
    return "".join(said)
