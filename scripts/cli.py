"""What every command shares: one-line errors, exit codes, and the `isoflop NAME` form of `python scripts/NAME.py`."""

from __future__ import annotations

import functools
import importlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any

import typer

from isoflop.fitting.errors import InputError
from isoflop.scripts.output import answering, note

COMMANDS = {
    "plan": "show what a sweep would train, before a FLOP is spent",
    "tune": "bracket a sweep's learning rate at a few sizes, and write its recipe",
    "sweep": "train a sweep, or what is left of it, and fit it",
    "status": "show how a sweep stands: what is done, at work, left and failed",
    "cancel": "end what is at work on a sweep; the same command goes on with it",
    "run": "train single cells of a planned sweep",
    "export": "write a finished run as a folder that transformers loads",
    "fit": "fit scaling laws to a sweep, or to runs you already have",
    "report": "write a fit as one page that opens offline, and its figures for a paper",
    "compare": "hold a fit beside published estimates, convention by convention",
    "forecast": "say what to train with so much compute, by published and fitted laws",
    "downstream": "fit benchmark scores to losses and to compute, and predict a model's",
    "sync_wandb": "upload a sweep to W&B that was mirrored offline",
    "bench": "measure the ratios the README quotes",
}
RESUMED = ("sweep", "tune", "run")  # those that go on from where they were interrupted
FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="A sweep's YAML file.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key, as in --set grid.seeds=2; may be repeated."),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def run(function: Callable[..., int | None], args: Sequence[str] | None = None, name: str | None = None) -> None:
    """Parse `args` (default: the command line) for `function`, call it, and exit: 0, 1 failed, 2 bad input.

    `name` is how the command was called, where that is not as a script; help and its example say so.
    """
    called = name or f"python {sys.argv[0]}"
    command_name = Path(called.split()[-1]).stem
    words = list(sys.argv[1:] if args is None else args)
    debug = "--debug" in words
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    told = (function.__doc__ or "").replace(f"python scripts/{command_name}.py", called)
    app.command(help=told)(_interruptible(function, command_name in RESUMED))
    command = typer.main.get_command(app)
    try:
        status = command.main(words, prog_name=called, standalone_mode=False)
    except Exception as error:
        if debug and not hasattr(error, "format_message"):
            raise
        sys.exit(_say(*_told(error)))
    sys.exit(status if isinstance(status, int) else 0)


def _interruptible(function: Callable[..., int | None], resumes: bool) -> Callable[..., int | None]:
    """`function`, ending with a line and a status on Ctrl-C: the parser would leave without a word."""
    remedy = "the same command goes on from where it stopped" if resumes else "run it again"

    @functools.wraps(function)
    def wrapped(*args: Any, **words: Any) -> int | None:
        try:
            with answering(words.get("json_file")):
                return function(*args, **words)
        except KeyboardInterrupt as stop:
            return _say(f"{str(stop) or 'interrupted'}; {remedy}", INTERRUPTED)

    return wrapped


def _told(error: Exception) -> tuple[str, int]:
    if hasattr(error, "format_message"):  # the parser's own errors
        return f"{error.format_message()} (see --help)".replace("\n", " "), BAD_INPUT  # type: ignore[attr-defined]
    if isinstance(error, InputError):
        return str(error), BAD_INPUT
    text = " ".join(str(error).split())
    kind = "" if type(error).__module__.startswith("isoflop") else f"{type(error).__name__}: "
    return f"{kind}{text}", FAILED


def _say(message: str, status: int) -> int:
    if os.environ.get("RANK", "0") == "0":  # of several processes of a launch, one tells
        note(f"error: {message}")
    return status


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Begin the errors of the block with `path`, where they do not name a file themselves."""
    try:
        yield
    except InputError as error:
        text = str(error)
        raise InputError(text if text.startswith(str(path)) else f"{path}: {text}") from None


def _without_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """One line for Ctrl-C while a command still imports: nothing is begun yet."""
    if issubclass(kind, KeyboardInterrupt):
        _say("interrupted; run it again", INTERRUPTED)
    else:
        sys.__excepthook__(kind, error, trace)


def main() -> None:
    """`isoflop NAME ...`: the same commands once installed."""
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help"):
        width = max(map(len, COMMANDS))
        print("Usage: isoflop COMMAND ...   (each has --help)\n")
        print("\n".join(f"  {name:<{width}}  {purpose}" for name, purpose in COMMANDS.items()))
        sys.exit(0)
    if words[0] == "--version":
        print(f"isoflop {metadata.version('isoflop')}")
        sys.exit(0)
    if words[0] not in COMMANDS:
        sys.exit(_say(f"no command {words[0]!r}; there are {', '.join(COMMANDS)}", BAD_INPUT))
    module: Any = importlib.import_module(f"isoflop.scripts.{words[0]}")
    run(module.main, words[1:], name=f"isoflop {words[0]}")


sys.excepthook = _without_traceback  # commands import this first
