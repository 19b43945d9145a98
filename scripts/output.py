"""How the commands speak: tables and text on stdout, progress and remarks on stderr, and `--json -` alone on stdout."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from isoflop.fitting.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

WIDTH = 100
WHOLE = 20  # columns of text up to here are not broken into lines
LEAST = 24  # of those beyond it, as many characters stay side by side
_WIDE = 10_000

JsonFile = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE|-", help="Write the same as JSON there; -: on standard output, alone."),
]

_for_json: list[TextIO] = []  # standard output, while nothing but JSON may go there


def console() -> Console:
    """Standard output: as wide as the terminal up to 100 columns, and 100 columns where it is piped.

    rich itself keeps colour and bold to terminals, and to NO_COLOR, FORCE_COLOR and TERM.
    """
    from rich.console import Console  # here, as in the other functions: the list of commands does without

    size = shutil.get_terminal_size()
    # Both, as rich asks a terminal that is called dumb for neither.
    return Console(width=min(WIDTH, size.columns) if sys.stdout.isatty() else WIDTH, height=size.lines)


def show(*items: RenderableType) -> None:
    """Print tables and text, numbers and paths left as they are; nothing while standard output is for JSON."""
    if _for_json or not items:
        return
    out = console()
    for item in laid_out(items, out):
        out.print(item, highlight=False, markup=False, soft_wrap=isinstance(item, str))


def write_text(file: str | None, text: str) -> bool:
    """Write `text` into the file, or for `-` to standard output; whether it went there, so that no table may."""
    if file == "-":
        sys.stdout.write(text)
    elif file is not None:
        Path(file).write_text(text)
    return file == "-"


def note(*lines: str) -> None:
    """Print remarks, doubts and errors on stderr."""
    for line in lines:
        print(line, file=sys.stderr, flush=True)


def laid_out(items: Sequence[RenderableType], out: Console) -> Iterator[RenderableType]:
    """`items`, their tables as they fit `out` with no cell cut.

    Where they are piped no rule is drawn, and titles and captions are lines of their own, however narrow the table.
    """
    from rich.table import Table

    piped = not sys.stdout.isatty()
    for item in items:
        if not isinstance(item, Table):
            yield item
            continue
        table, caption = copy(item), item.caption
        if piped:
            if item.title is not None:
                yield str(item.title)
            table.box, table.title, table.caption = None, None, None
        yield from _fitting(table, out)
        if piped and caption is not None:
            yield str(caption)


def _fitting(table: Table, out: Console) -> Iterator[Table]:
    """The table, or where it is too wide its columns in turn, each time behind the first one."""
    for column in table.columns:
        column.overflow = "fold"
        column.no_wrap = column.no_wrap or _width(table, [column], out)[1] <= WHOLE
    if not table.columns or _needs(table, table.columns, out) <= out.width:
        yield table
        return
    first, *others = table.columns
    title = table.title
    while others:
        count = 1
        while count < len(others) and _needs(table, [first, *others[: count + 1]], out) <= out.width:
            count += 1
        part, others = _part(table, [first, *others[:count]]), others[count:]
        part.title, title = title, None  # said once
        part.caption = None if others else table.caption
        yield part


def _needs(table: Table, columns: list[Any], out: Console) -> int:
    """The width at which these columns of the table can be read."""
    return sum(
        most if column.no_wrap else max(least, min(most, LEAST))
        for column in columns
        for least, most in [_width(table, [column], out)]
    )


def _width(table: Table, columns: list[Any], out: Console) -> tuple[int, int]:
    from rich.measure import Measurement

    found = Measurement.get(out, out.options.update_width(_WIDE), _part(table, columns))
    return found.minimum, found.maximum


def _part(table: Table, columns: list[Any]) -> Table:
    part = copy(table)
    part.columns = columns
    return part


def check_writable(json_file: str | None, out: Path | None = None) -> None:
    """Raises InputError where a report could not be written: better now than after the work."""
    if json_file not in (None, "-"):
        path = Path(json_file)
        if path.is_dir():
            raise InputError(f"--json {json_file}: is a folder; name a file in it, or give -")
        if not path.parent.is_dir():
            raise InputError(
                f"--json {json_file}: no file in a folder that exists; make {path.parent} first, or give -"
            )
        if (path.exists() and not path.is_file()) or path.absolute().is_relative_to("/dev"):
            raise InputError(f"--json {json_file}: is a device or a pipe; give - for standard output")
    if out is not None and not next(path for path in (out, *out.absolute().parents) if path.exists()).is_dir():
        raise InputError(f"--out {out}: a file is in the way; name a folder")


@contextmanager
def answering(json_file: str | None) -> Iterator[None]:
    """A command's whole work. With `-`, what it and libraries print goes to stderr, so that stdout is JSON alone.

    Raises InputError as `check_writable`.
    """
    check_writable(json_file)
    if json_file != "-":
        yield
        return
    _for_json.append(sys.stdout)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _for_json.pop()


def write_json(json_file: str | None, content: Any) -> None:
    """Write `content` where --json says, strict and whole or not at all. InputError: the disk says no."""
    from isoflop.fitting.jsonio import json_text, write_json_atomic

    if json_file == "-":
        out = _for_json[-1] if _for_json else sys.stdout
        out.write(json_text(content))
        out.flush()
    elif json_file is not None:
        try:
            write_json_atomic(Path(json_file), content)
        except OSError as error:
            raise InputError(f"--json {json_file}: cannot be written ({error.strerror})") from None
