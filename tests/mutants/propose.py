"""Faults by machine: operators of a syntax tree exchanged, one site a file drawn by a fixed seed.

    python tests/mutants/propose.py [--seed 9] [--each 1]

prints entries for by_machine.yaml. Sites in messages, annotations, defaults and module constants are left out: the
first two change no number, the others are choices. A fault that changes no result is replaced by the next draw.
"""

from __future__ import annotations

import argparse
import ast
import random
from collections.abc import Iterator
from pathlib import Path

import yaml

FITTING = Path(__file__).resolve().parents[2] / "fitting"

_OPERATORS: dict[type, tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.Pow: ("**", "*"),
    ast.BitAnd: ("&", "|"),
    ast.BitOr: ("|", "&"),
    ast.Lt: ("<", ">"),
    ast.Gt: (">", "<"),
    ast.LtE: ("<=", ">="),
    ast.GtE: (">=", "<="),
    ast.And: ("and", "or"),
    ast.Or: ("or", "and"),
}
_NAMES = {"min": "max", "argmin": "argmax", "minimum": "maximum", "any": "all", "mean": "sum", "log": "log10"}
_NAMES |= {new: old for old, new in _NAMES.items()}

# Where the text to exchange begins and ends in its line, and what it becomes.
Site = tuple[int, int, int, str]


def sites(text: str) -> list[Site]:
    """Every exchange that a module's functions offer, as (line, first, last, new text)."""
    lines = text.splitlines()
    return [
        site
        for node in ast.parse(text).body
        if isinstance(node, ast.ClassDef | ast.FunctionDef)
        for site in _sites(node, lines)
    ]


def _sites(node: ast.AST, lines: list[str]) -> Iterator[Site]:
    if isinstance(node, ast.Raise | ast.JoinedStr | ast.arguments | ast.AnnAssign):
        return
    if isinstance(node, ast.BinOp):
        yield from _between(node.left, node.right, node.op, lines)
    elif isinstance(node, ast.Compare):
        yield from _between(node.left, node.comparators[0], node.ops[0], lines)
    elif isinstance(node, ast.BoolOp):
        yield from _between(node.values[0], node.values[1], node.op, lines)
    elif isinstance(node, ast.Attribute) and node.attr in _NAMES:
        last = node.end_col_offset or 0
        yield (node.end_lineno or 0) - 1, last - len(node.attr), last, _NAMES[node.attr]
    for field, child in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list"):
            continue
        for part in child if isinstance(child, list) else [child]:
            if isinstance(part, ast.AST):
                yield from _sites(part, lines)


def _between(left: ast.expr, right: ast.expr, operator: ast.AST, lines: list[str]) -> Iterator[Site]:
    """The operator between two operands, where all stand in one line."""
    if type(operator) not in _OPERATORS or left.end_lineno != right.lineno:
        return
    old, new = _OPERATORS[type(operator)]
    first, last = left.end_col_offset or 0, right.col_offset
    at = lines[right.lineno - 1].find(old, first, last)
    if at >= 0:
        yield right.lineno - 1, at, at + len(old), new


def entry(text: str, site: Site) -> tuple[str, str] | None:
    """The old and the new text of an exchange, as much of the lines about it as occurs once in the file."""
    lines = text.splitlines()
    row, first, last, new = site
    changed = lines[row][:first] + new + lines[row][last:]
    for before in range(3):
        above = lines[max(row - before, 0) : row]
        old = "\n".join([*above, lines[row]]).strip()
        if text.count(old) == 1:
            return old, "\n".join([*above, changed]).strip()
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=9)
    parser.add_argument("--each", type=int, default=1, help="so many draws a file, in their order")
    asked = parser.parse_args()
    found = []
    for path in sorted((FITTING / "estimators").rglob("*.py")):
        name, text = path.relative_to(FITTING).as_posix(), path.read_text()
        if not (all_sites := sites(text)):
            continue
        draw = random.Random(f"{asked.seed} {name}")
        for site in draw.sample(all_sites, min(asked.each, len(all_sites))):
            if (change := entry(text, site)) is not None:
                found.append({"file": name, "old": change[0], "new": change[1]})
    print(yaml.safe_dump(found, sort_keys=False, width=200), end="")


if __name__ == "__main__":
    main()
