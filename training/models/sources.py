"""Which files a user's module consists of: its own, and in turn those it imports from beside it. Nothing is run."""

from __future__ import annotations

import ast
import functools
import importlib.util
from pathlib import Path

_INSTALLED = {"site-packages", "dist-packages"}


def source_files(module_name: str, file: Path) -> dict[str, Path]:
    """By module name, `file` and what it imports, in turn, from its package or from the folder that holds it.

    Of a module that is installed, `file` alone: a package there may hold thousands.
    """
    found = {module_name: file}
    if _INSTALLED & set(file.parts):
        return found
    is_package = file.stem == "__init__"
    above = file.parents
    root = above[min(module_name.count(".") + is_package, len(above) - 1)]
    waiting = [module_name]
    while waiting:
        name = waiting.pop()
        for other in _imports(found[name].read_bytes(), name, found[name].stem == "__init__"):
            here = _file_of(root, other) if other not in found else None
            if here is not None:
                found[other] = here
                waiting.append(other)
    return found


def _file_of(root: Path, name: str) -> Path | None:
    path = root.joinpath(*name.split("."))
    return next((file for file in (path / "__init__.py", path.with_name(f"{path.name}.py")) if file.is_file()), None)


@functools.lru_cache(maxsize=256)
def _imports(source: bytes, name: str, is_package: bool) -> tuple[str, ...]:
    """The modules that `source` may import: of `from a.b import c` a, a.b and a.b.c."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):  # compiled, or broken and imported only where it is needed
        return ()
    package = name if is_package else name.rpartition(".")[0]
    wanted = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            wanted |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            try:
                base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            except ImportError:  # beyond the top: it cannot be imported either
                continue
            wanted |= {f"{base}.{alias.name}" for alias in node.names}
    parts = [each.split(".") for each in wanted]
    return tuple(sorted({".".join(names[:end]) for names in parts for end in range(1, len(names) + 1)}))
