"""The lines of a picture's legend, each with a small drawing of its marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ..pictures.interactive import legend_groups
from ..pictures.picture import Band, Field, Line, Mark, Picture, Points, Rule
from ..style import BLACK

_WIDTH, _HEIGHT = 26, 14
_DASHES = {"solid": "", "dash": "6 3", "dot": "2 3"}
_SHAPES = {
    "circle": '<circle cx="13" cy="7" r="4.2"/>',
    "square": '<rect x="9" y="3" width="8" height="8"/>',
    "diamond": '<path d="M13 1.8 18.2 7 13 12.2 7.8 7Z"/>',
    "triangle": '<path d="M13 2.2 18 11H8Z"/>',
    "cross": '<path d="M9 3l8 8M9 11l8-8"/>',
}


@dataclass(frozen=True)
class LegendLine:
    """`group` is the traces' legendgroup; those of a line that can be hidden are `traces`, rules are none."""

    group: int
    label: str
    drawing: Markup
    traces: bool


def legend_lines(picture: Picture) -> list[LegendLine]:
    """A line for each label of `picture`, in the order of first appearance."""
    return [
        LegendLine(group, label, _drawing(marks), any(not isinstance(mark, Rule) for mark in marks))
        for group, (label, marks) in enumerate(legend_groups(picture).items())
    ]


def _drawing(marks: Sequence[Mark]) -> Markup:
    """The first mark of each kind, points on top."""
    first = {type(mark): mark for mark in reversed(marks)}
    order = (Band, Field, Line, Rule, Points)
    inside = Markup("").join(_symbol(first[kind]) for kind in order if kind in first)
    return Markup('<svg width="{}" height="{}" aria-hidden="true">{}</svg>').format(_WIDTH, _HEIGHT, inside)


def _symbol(mark: Mark) -> Markup:
    match mark:
        case Points():
            bare = mark.symbol == "cross"
            fill = "none" if bare else "white" if mark.hollow else mark.color
            edge = mark.edge or mark.color
            width = 1.6 if bare or mark.hollow else 1
            look = Markup('<g fill="{}" stroke="{}" stroke-width="{}">{}</g>')
            return look.format(fill, edge, width, Markup(_SHAPES[mark.symbol]))
        case Band():
            return Markup('<rect y="2" width="26" height="10" fill="{}" opacity="0.2"/>').format(mark.color)
        case Line() | Rule():
            dash = _DASHES[mark.dash]
            return Markup('<path d="M0 7H26" stroke="{}" stroke-width="2" stroke-dasharray="{}"/>').format(
                mark.color, dash
            )
        case _:
            return Markup('<path d="M0 7H26" stroke="{}" stroke-width="1.4"/>').format(BLACK)
