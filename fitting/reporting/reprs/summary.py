"""The form of what a result says of itself: a heading, a small table, lines; as text or as HTML."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from html import escape

_WIDTH = 110
_MOST_ROWS = 14  # as text
_LEFT = "text-align: left"


@dataclass(frozen=True)
class Summary:
    """`rows` are cells under `headers` (or under none), `lines` sentences below them.

    Only HTML has `head` (the first rows of a table, under its column names) and `details`, sentences in a list.
    """

    title: str
    headers: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    lines: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    head: tuple[tuple[str, ...], ...] = ()

    def text(self) -> str:
        """Plain text of at most 110 columns, as far as its cells allow."""
        grid = [row for row in (self.headers, *self.rows[:_MOST_ROWS]) if row]
        widths = [max(len(row[i]) for row in grid if i < len(row)) for i in range(max(map(len, grid), default=0))]
        table = ["  " + "  ".join(cell.ljust(widths[i]) for i, cell in enumerate(row)).rstrip() for row in grid]
        more = len(self.rows) - _MOST_ROWS
        table += [f"  and {more} more rows"] if more > 0 else []
        lines = [part for line in self.lines for part in _wrapped(line, "  ")]
        return "\n".join([*_wrapped(self.title, ""), *table, *lines])

    def html(self) -> str:
        """A table with its heading and lines; every text escaped."""
        parts = [f"<strong>{escape(self.title)}</strong>" if self.rows or self.lines else escape(self.title)]
        parts += [_table(self.headers, self.rows)] if self.rows else []
        parts += [f"<div>{escape(line)}</div>" for line in self.lines]
        parts += [_table(self.head[0], self.head[1:])] if self.head else []
        if self.details:
            parts.append("<ul>" + "".join(f"<li>{escape(each)}</li>" for each in self.details) + "</ul>")
        return f"<div>{''.join(parts)}</div>"


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=indent + "  ", break_on_hyphens=False)


def _table(headers: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> str:
    head = "".join(f'<th style="{_LEFT}">{escape(cell)}</th>' for cell in headers)
    body = "".join(
        "<tr>" + "".join(f'<td style="{_LEFT}">{escape(cell)}</td>' for cell in row) + "</tr>" for row in rows
    )
    return f"<table>{f'<thead><tr>{head}</tr></thead>' if head else ''}<tbody>{body}</tbody></table>"
