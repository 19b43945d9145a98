"""How a result shows itself where it is printed or is the last line of a notebook's cell."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, ClassVar, cast

if TYPE_CHECKING:
    from .reporting.reprs.summary import Summary


class Shown:
    """Text of a few lines, and the same as a table in a notebook.

    `class Fit(Shown, says="fits.isoflop")` takes its words from `reporting/reprs/fits.py`, which is imported when they
    are first wanted. A dataclass also needs `repr=False`.
    """

    _says: ClassVar[str]

    def __init_subclass__(cls, *, says: str) -> None:
        super().__init_subclass__()
        cls._says = says

    @property
    def _summary(self) -> Summary:
        room, _, name = self._says.partition(".")
        words = importlib.import_module(f".reporting.reprs.{room}", __package__)
        return cast("Summary", getattr(words, name)(self))

    def __repr__(self) -> str:
        return self._summary.text()

    def _repr_html_(self) -> str:
        return self._summary.html()
