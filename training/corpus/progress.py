"""How far a long preparation is, on stderr where that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

T = TypeVar("T")


@contextmanager
def stage(title: str, total: int | None = None) -> Iterator[Callable[[], None]]:
    """A bar that what is yielded moves on by one; it goes when the stage is over."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(title, total=total)
        yield lambda: bar.advance(task)


def counted(title: str, items: Iterable[T]) -> Iterator[T]:
    """The same `items`, with a bar that counts them."""
    with stage(title) as done:
        for item in items:
            yield item
            done()
