"""Code blocks of the documentation, and the commands in them as a shell reads them.

A fenced block may have a mark, an HTML comment on the line before it:

    <!-- not run: WHY -->                          nothing of it is run
    <!-- parsed only: WHY -->                      its commands are parsed, the files they name looked for
    <!-- parsed only where "A", "B": WHY -->       so are those lines that hold one of these words; the others are run
    <!-- output not compared: WHY -->              of a console block the commands are run, the numbers left alone
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..conftest import ROOT

RUN_LANGUAGES = ("sh", "console", "python", "yaml")
PLAIN_LANGUAGES = ("", "text", "json", "bibtex")
# What a block may call beside the commands themselves; each is only parsed.
TOOLS = ("make", "pip", "pytest", "accelerate", "git", "wandb", "kill", "sleep")
_FENCE = re.compile(r"^( *)```([\w-]*)\s*$")
_MARK = re.compile(r'^ *<!-- (not run|parsed only|output not compared)(?: where ((?:"[^"]+"(?:, )?)+))?: (\S.*) -->$')


@dataclass(frozen=True)
class Block:
    """One fenced block: where it stands, its language, its text, and its mark with the words it holds for."""

    path: Path
    line: int
    language: str
    text: str
    mark: str = ""
    mark_words: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"

    def only_parsed(self, command: str) -> bool:
        """Whether the mark keeps this command from being run."""
        return self.mark == "parsed only" and (not self.mark_words or any(word in command for word in self.mark_words))


@dataclass(frozen=True)
class Call:
    """A command's words after the shell has read them, and the folder it was called in."""

    words: tuple[str, ...]
    folder: Path

    def __str__(self) -> str:
        return " ".join(self.words)


def documents() -> list[Path]:
    """Every page whose blocks are held to be true."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def blocks_of(path: Path) -> Iterator[Block]:
    """The fenced blocks of a page. A comment that looks like a mark and is none is an error."""
    lines = path.read_text().splitlines()
    begun: tuple[int, str, str] | None = None
    for number, line in enumerate(lines, start=1):
        fence = _FENCE.match(line)
        if begun is None:
            assert not re.match(r" *<!-- *(not run|parsed only|output not)", line) or _MARK.match(line), (
                f"{path.name}:{number}: a mark is written <!-- not run: WHY -->, not {line.strip()}"
            )
            if fence:
                begun = number, fence[1], fence[2]
        elif line.strip() == "```":
            first, indent, language = begun
            body = [text.removeprefix(indent) for text in lines[first : number - 1]]
            mark = _MARK.match(lines[first - 2]) if first > 1 else None
            words = tuple(re.findall(r'"([^"]+)"', mark[2] or "")) if mark else ()
            yield Block(path, first, language, "\n".join(body), mark[1] if mark else "", words)
            begun = None
    assert begun is None, f"{path}: the block of line {begun and begun[0]} has no end"


def commands_and_output(block: Block) -> tuple[str, str]:
    """Of a console block what follows `$ ` with its continued lines, and what is printed below."""
    commands, output = [], []
    continued = False
    for line in block.text.splitlines():
        if line.startswith("$ ") or continued:
            commands.append(line.removeprefix("$ "))
            continued = line.endswith("\\")
        else:
            output.append(line)
    return "\n".join(commands), "\n".join(output)


def calls_of(script: str, folder: Path) -> list[Call]:
    """What a shell would call, in order: braces, quotes, loops, `cd` and `mkdir` are the shell's; nothing else is run.

    Any command but ours and `TOOLS` is unknown to this shell, and so an error.
    """
    calls = folder / ".calls"
    calls.unlink(missing_ok=True)
    names = " ".join(("python", "isoflop", *TOOLS))
    prelude = f"""
        recorded() {{ printf '%s\\0' "$PWD" "$#" "$@" >> {calls}; }}
        for name in {names}; do builtin eval "$name() {{ recorded $name \\"\\$@\\"; }}"; done
        mkdir() {{ /bin/mkdir "$@"; }}
        PATH=/nowhere; set -eu
    """
    told = subprocess.run(
        ["/bin/bash", "-c", f"{prelude}\n{script}\nwait"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, f"the shell says of\n{script}\n{told.stderr}"
    return list(_recorded(calls.read_text().split("\0")[:-1])) if calls.exists() else []


def _recorded(fields: list[str]) -> Iterator[Call]:
    while fields:
        folder, count, *rest = fields
        yield Call(tuple(rest[: int(count)]), Path(folder))
        fields = rest[int(count) :]
