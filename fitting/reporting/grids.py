"""Rows under headers that are printed to a terminal or written as Markdown, the same text in both."""

from __future__ import annotations

from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from .markdown import markdown_table
from .tables import plain_table


@dataclass(frozen=True)
class Grid:
    """A table of text: `rows` of as many cells as `headers`; `wrapping` names the columns that may break lines."""

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    wrapping: tuple[str, ...] = ()

    def rich(self) -> Table:
        """For a terminal."""
        table = plain_table(self.title)
        for header in self.headers:
            wraps = header in self.wrapping
            table.add_column(header, no_wrap=not wraps, overflow="fold" if wraps else "ellipsis")
        for row in self.rows:
            table.add_row(*map(Text, row))
        return table

    def markdown(self) -> str:
        """Under a bold title."""
        return f"**{self.title}**\n\n{markdown_table(self.headers, self.rows)}"
