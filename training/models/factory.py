"""A user's own functions, named in a config as `my_package.module:name`: found, called, and told apart. No torch."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from ...fitting.errors import InputError
from .sources import source_files


def load(named: str, key: str) -> Callable[..., Any]:
    """The function that the config names as `model.<key>`. Raises InputError where it cannot be had, in one line."""
    module_name, _, name = named.partition(":")
    module = _imported(module_name, key, named)
    function = getattr(module, name, None)
    if function is None:
        raise InputError(f"model.{key}: {named}: {module_name} has no {name!r}; it stands in {module.__file__}")
    if not callable(function):
        raise InputError(f"model.{key}: {named}: is a {type(function).__name__}, where a function is due")
    return function


def source_hash(named: str) -> str:
    """A hash of the named module's file and of those of its package or folder that it imports, in turn."""
    module = _imported(named.partition(":")[0], "factory", named)
    if module.__file__ is None:
        raise InputError(f"model.factory: {named}: is no file; name a module that is one")
    files = source_files(module.__name__, Path(module.__file__))
    hashes = {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items()}
    return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()


def called(function: Callable[..., Any], key: str, named: str, *args: Any, **options: Any) -> Any:
    """What the user's function returns; whatever it raises, in one line (`--debug` shows where)."""
    try:
        return function(*args, **options)
    except (Exception, SystemExit) as error:
        raise InputError(f"model.{key}: {named} failed: {one_line(error)}") from error


def one_line(error: BaseException) -> str:
    """An exception's kind and first line."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__


def _imported(module_name: str, key: str, named: str) -> ModuleType:
    here = os.getcwd()
    if here not in sys.path:  # scripts are run by path, and a user's module lies where the command is given
        sys.path.insert(0, here)
    try:
        return importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # a script that parses the command line when it is imported
        raise InputError(
            f"model.{key}: {named}: {module_name} cannot be imported, from {here} or what is installed: "
            f"{one_line(error)}"
        ) from error
