"""What the commands print: whole cells at any width, lines that can be grepped, colour where it is wanted."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable

import pytest
from rich import box
from rich.table import Table

from isoflop.scripts.output import show

HEADERS = ("budget", "width", "n_params", "tokens", "batch", "steps", "rate", "loss", "verdict")
CELLS = ("1.2e+18", "512", "38,123,456", "5,246,000,000", "65,536", "80,050", "0.0023", "2.8731", "not bracketed below")
REASON = "its loss was not finite at step 1200, and the runs of its trunk end there too"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def table(*, reason: bool = False) -> Table:
    found = Table(title="Cells", box=box.SIMPLE_HEAD)
    headers, cells = (("run", "reason"), ("3f2a", REASON)) if reason else (HEADERS, CELLS)
    for header in headers:
        found.add_column(header)
    for row in range(3):
        found.add_row(f"{row}{cells[0]}", *cells[1:])
    return found


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What `show` prints on a terminal so wide, or into a pipe."""

    def call(shown: Table, columns: int | None = None, **environment: str) -> str:
        for name in ("NO_COLOR", "FORCE_COLOR"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {"TERM": "xterm-256color", "COLUMNS": str(columns or 300), **environment}.items():
            monkeypatch.setenv(name, value)
        out = Terminal() if columns else io.StringIO()
        monkeypatch.setattr(sys, "stdout", out)
        show(shown)
        return out.getvalue()

    return call


@pytest.mark.parametrize("columns", [40, 60, 80, 100])
def test_on_a_narrow_terminal_every_cell_is_whole_under_its_header(printed: Callable[..., str], columns: int) -> None:
    text = printed(table(), columns, NO_COLOR="1", TERM="dumb")
    assert max(map(len, text.splitlines())) <= columns
    assert "…" not in text
    for header, cell in zip(HEADERS, CELLS, strict=True):
        assert text.count(cell) >= 3, cell
        assert header in text
    assert text.count("Cells") == 1, "the title is said once"
    parts = text.count("budget")
    assert [text.count(f"{row}1.2e+18") for row in range(3)] == [parts] * 3, "each part names its rows"


def test_long_text_goes_on_in_its_own_column(printed: Callable[..., str]) -> None:
    lines = printed(table(reason=True), 60, NO_COLOR="1", TERM="dumb").splitlines()
    assert max(map(len, lines)) <= 60
    assert " ".join(" ".join(lines).split()).count(REASON) == 3


def test_in_a_pipe_a_row_is_a_line_without_rules_or_colour(printed: Callable[..., str]) -> None:
    text = printed(table())
    rows = [line for line in text.splitlines() if "1.2e+18" in line]
    assert text.isascii(), "no rules are drawn"
    assert "\x1b" not in text
    assert [row.split()[0] for row in rows] == ["01.2e+18", "11.2e+18", "21.2e+18"]
    assert all(cell in row for row in rows for cell in CELLS)


def test_colour_is_for_terminals_unless_it_is_forced_or_unwanted(printed: Callable[..., str]) -> None:
    shown = table()
    shown.add_row("[x]", style="red")
    red = "\x1b[31m"
    assert red in printed(shown, 100)
    assert red not in printed(shown, 100, NO_COLOR="1")
    assert red in printed(shown, FORCE_COLOR="1")
    assert "[x]" in printed(shown), "brackets are text"


def test_help_is_told_without_what_draws_and_trains() -> None:
    heavy = ("torch", "transformers", "matplotlib", "plotly", "wandb", "datasets")
    code = (
        "import sys, importlib\n"
        "from isoflop.scripts.cli import COMMANDS\n"
        "for name in COMMANDS:\n"
        "    importlib.import_module(f'isoflop.scripts.{name}')\n"
        f"    found = [heavy for heavy in {heavy} if heavy in sys.modules]\n"
        "    assert not found, (name, found)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
