"""A command of the documentation, run in this process or parsed by its own parser."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import tomllib
from pathlib import Path
from typing import Any

import typer

from isoflop.scripts import cli
from isoflop.training.config import load_config

from ..conftest import ROOT
from .doc_blocks import Call

OPEN_TO_ALL = ("git", "wandb", "kill", "sleep")  # nothing of ours to be wrong in them
# As printed but for how often something is drawn or left out, where the page does not say it.
FEWER = {
    "fit": (("--resamples", "20"), ("--no-holdout",)),
    "plan": (("--sims", "20"), ("--methods", "isoflop")),
    "downstream": (("--resamples", "20"),),
    "report": (("--figures", "none"),),
}
OUR_FOLDERS = ("configs/", "docs/", "scripts/", "tests/")


def run(call: Call) -> str:
    """Run a command of ours where it was called; what it printed. It has to end with status 0."""
    name, words = ours(call)
    if "--form" not in words:
        words += [word for fewer in FEWER.get(name, ()) if fewer[0] not in words for word in fewer]
    check_files(call)
    main = importlib.import_module(f"isoflop.scripts.{name}").main
    said, complained = io.StringIO(), io.StringIO()
    status: object = None
    with (
        contextlib.chdir(call.folder),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(complained),
    ):
        try:
            cli.run(main, words, name=f"isoflop {name}")
        except SystemExit as ended:
            status = ended.code
    assert not status, f"`{call}` ended with status {status}: {complained.getvalue()}"
    return said.getvalue()


def parse(call: Call) -> None:
    """Hold a command to its parser, to the configs that it overrides and to the files of ours that it names."""
    check_files(call)
    tool = call.words[0]
    if tool in OPEN_TO_ALL:
        return
    if tool == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
        assert set(call.words[1:]) <= set(targets), f"`{call}`: the Makefile has {targets}"
    elif tool == "pip":
        _parse_pip(call)
    elif tool == "pytest":
        assert all((ROOT / word).exists() for word in call.words[1:] if word.startswith("tests")), f"`{call}`"
    elif tool == "accelerate":
        where = next(i for i, word in enumerate(call.words) if word.endswith(".py"))
        parse(Call(("python", *call.words[where:]), call.folder))
    elif call.words[:2] == ("python", "-m"):
        assert (ROOT / call.words[2].replace(".", "/")).with_suffix(".py").exists(), f"`{call}`: no such module"
    else:
        _parse_ours(call)


def ours(call: Call) -> tuple[str, list[str]]:
    """The command's name and its words. Anything else but `isoflop X` and `python scripts/X.py` is an error."""
    if call.words[0] == "isoflop":
        name, words = call.words[1], list(call.words[2:])
    else:
        assert call.words[0] == "python", f"`{call}` can only be parsed: mark its block so, with the reason"
        name, words = Path(call.words[1]).stem, list(call.words[2:])
        assert (call.folder / call.words[1]).resolve() == ROOT / "scripts" / f"{name}.py", f"`{call}`: no such script"
    assert name in cli.COMMANDS, f"`{call}`: there are {', '.join(cli.COMMANDS)}"
    return name, words


def parser_of(name: str) -> Any:
    """The parser of a command of ours."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(importlib.import_module(f"isoflop.scripts.{name}").main)
    return typer.main.get_command(app)


def check_files(call: Call) -> None:
    """Files below our own folders have to be there, but for what an option writes."""
    for before, word in zip(call.words, call.words[1:], strict=False):
        if word.startswith(OUR_FOLDERS) and before not in ("--json", "--write", "--figure", "--out"):
            assert (call.folder / word).exists() or (ROOT / word).exists(), f"`{call}`: {word} is not there"


def _parse_ours(call: Call) -> None:
    name, words = ours(call)
    try:
        given = parser_of(name).make_context(name, words).params
    except Exception as error:
        raise AssertionError(f"`{call}`: {error}") from error
    if isinstance(given.get("config"), Path):
        load_config(call.folder / given["config"], given.get("overrides") or [])


def _parse_pip(call: Call) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for word in call.words:
        named = re.fullmatch(r"[.\w]*\[([\w,]+)\]", word)
        if named:
            assert set(named[1].split(",")) <= set(extras), f"`{call}`: the extras are {', '.join(extras)}"


def numbers(text: str) -> set[str]:
    """The numbers that a text shows, each as it is written."""
    return set(re.findall(r"\d*\.?\d+(?:e[+-]?\d+)?", text))
