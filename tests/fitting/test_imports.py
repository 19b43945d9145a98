"""Imports go one way: scripts -> training -> fitting, and fitting needs no torch."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from isoflop import fitting

ROOT = Path(__file__).resolve().parents[2]
OURS = ("fitting", "training", "scripts")
MAY_IMPORT = {"fitting": {"fitting"}, "training": {"fitting", "training"}, "scripts": set(OURS)}
HEAVY = {"torch", "transformers", "wandb", "datasets", "accelerate", "tokenizers", "safetensors"}
LOGS = {"wandb", "datasets"}  # a reader may import them when a source of theirs is read


def modules(package):
    return sorted((ROOT / package).rglob("*.py"))


def imported(path, source=None):
    """Absolute dotted names of everything that the code at `path` imports, anywhere in it, each with its line."""
    package = ["isoflop", *path.relative_to(ROOT).parts[:-1]]  # of a module and of an __init__ alike
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8") if source is None else source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((f"{name}.{alias.name}", node.lineno) for alias in node.names)


def test_an_installed_isoflop_has_every_package():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {path.parent for package in OURS for path in modules(package) if path.name == "__init__.py"}
    assert set(listed) == {".".join(["isoflop", *folder.relative_to(ROOT).parts]) for folder in folders}


def test_an_installed_isoflop_has_every_file_that_is_no_module():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    there = {
        path
        for room in OURS
        for path in (ROOT / room).rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc") and "__pycache__" not in path.parts
    }
    packed = {
        path
        for package, patterns in listed.items()
        for pattern in patterns
        for path in ROOT.joinpath(*package.split(".")[1:]).glob(pattern)
    }
    assert there
    assert packed == there


@pytest.mark.parametrize("package", OURS)
def test_packages_import_only_what_lies_below_them(package):
    wrong = []
    for path in modules(package):
        for name, line in imported(path):
            top, *rest = name.split(".")
            outside = top in OURS or (top == "isoflop" and (not rest or rest[0] not in MAY_IMPORT[package]))
            if outside:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    assert modules(package)
    assert wrong == []


def test_fitting_imports_nothing_heavy():
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules("fitting")
        for name, line in imported(path)
        if name.split(".")[0] in HEAVY - (LOGS if path.parent.name == "readers" and not at_top(path, line) else set())
    ]
    assert wrong == []


def at_top(path, line):
    """Whether the line is code of the module itself, run when it is imported."""
    return not path.read_text(encoding="utf-8").splitlines()[line - 1].startswith(" ")


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("from ...training import plan", "isoflop.training.plan"),
        ("from ... import scripts", "isoflop.scripts"),
        ("def f():\n    import torch.nn", "torch.nn"),
        ("from . import minima", "isoflop.fitting.estimators.minima"),
        ("from ..runs import RunTable", "isoflop.fitting.runs.RunTable"),
    ],
)
def test_the_walk_sees_relative_and_late_imports(source, name):
    path = ROOT / "fitting" / "estimators" / "isoflop.py"
    assert [found for found, _ in imported(path, source)] == [name]


def test_public_names_are_never_the_modules_that_hold_them():
    for name in fitting.__all__:
        getattr(fitting, name)
    assert [name for name in fitting.__all__ if isinstance(getattr(fitting, name), ModuleType)] == []


def test_fitting_works_where_torch_does_not():
    code = (
        "import sys\n"
        "for name in ('torch', 'transformers', 'wandb'): sys.modules[name] = None\n"
        "import isoflop.fitting as fitting\n"
        "assert all(hasattr(fitting, name) for name in fitting.__all__)\n"
        "import numpy as np, pandas as pd\n"
        "c = np.repeat(np.geomspace(1e17, 1e20, 4), 5)\n"
        "n = np.sqrt(c / 120) * np.tile(np.geomspace(0.25, 4, 5), 4)\n"
        "loss = fitting.ChinchillaLaw(1.7, 400.0, 400.0, 0.3, 0.3).loss(n, c / 6 / n)\n"
        "table = fitting.RunTable(pd.DataFrame({'n_params': n, 'tokens': c / 6 / n, 'loss': loss}))\n"
        "for minimum in ('parabola', 'akima'):\n"
        "    fitting.analyse(table, fitting.Options(minimum=minimum, resamples=20)).to_json()\n"
        "loaded = [name for name in sys.modules if sys.modules[name] is not None]\n"
        "heavy = [n for n in loaded if n.split('.')[0] in ('torch', 'transformers', 'wandb', 'datasets')]\n"
        "assert not heavy, heavy\n"
        "assert not [n for n in loaded if n.startswith(('isoflop.training', 'isoflop.scripts'))]\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
