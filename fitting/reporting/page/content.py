"""What a page says, before any HTML: sections of words, tables, pictures and commands, and a slider of budgets.

All texts are plain: the builder escapes them, so names from logs may hold anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..pictures.picture import Picture

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Link:
    """Words that lead to an http(s) address."""

    text: str
    url: str


Cell = str | Link


@dataclass(frozen=True)
class PageTable:
    """Rows of cells under `headers`. `right` are columns of numbers; `faint` rows are greyed, `headings` span it.

    With more than `shown` rows the rest is folded away behind a control.
    """

    headers: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    title: str = ""
    notes: tuple[str, ...] = ()
    right: frozenset[int] = frozenset()
    faint: frozenset[int] = frozenset()
    headings: frozenset[int] = frozenset()
    shown: int = 40


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of words."""

    text: str


@dataclass(frozen=True)
class Notice:
    """Something that makes the numbers doubtful, or was assumed: its code, and what it says with its remedy."""

    kind: Literal["warning", "note"]
    code: str
    text: str


@dataclass(frozen=True)
class Commands:
    """Shell commands, or the lines of a file, shown as they are typed; `folded` away behind the title."""

    lines: tuple[str, ...]
    title: str = ""
    folded: bool = False


Part = Picture | PageTable | Paragraph | Notice | Commands


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading; `anchor` is its place in the table of contents and in addresses."""

    anchor: str
    title: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Predicted:
    """A quantity at each budget of the slider, shape (k,), with its interval where one is known."""

    value: Array
    low: Array | None = None
    high: Array | None = None


@dataclass(frozen=True)
class SliderLaw:
    """One law's answers over the slider's budgets; None is what the law does not say. `counts` says how it counts."""

    label: str
    counts: str
    n_params: Predicted | None
    tokens: Predicted | None
    loss: Predicted | None
    ours: bool = True


@dataclass(frozen=True)
class Slider:
    """Budgets `flops` (k,), rising evenly in log C, and what laws answer there; between them log-log interpolation.

    `measured` bounds the compute of the runs (FLOPs): outside it the page says how far it extrapolates. Cost is
    C / `flops_per_second` in device-hours times `price_per_hour` (dollars; None: not known), both editable in the page;
    `rate_words` and `price_words` say where the defaults come from. `start` is the budget first shown. `level` is the
    intervals'.
    """

    flops: Array
    laws: tuple[SliderLaw, ...]
    measured: tuple[float, float] | None
    start: float
    level: float
    loss_unit: str
    flops_per_second: float
    price_per_hour: float | None
    rate_words: str
    price_words: str


@dataclass(frozen=True)
class Page:
    """A whole report. `verdict` is the answer in two sentences; `facts` are the few numbers beside it, by name."""

    title: str
    subtitle: str
    verdict: tuple[str, ...]
    facts: Mapping[str, str]
    sections: tuple[Section, ...]
    slider: Slider | None = None
