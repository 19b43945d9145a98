"""YAML in, plain mappings out: `1e18` is a number, a key given twice is an error, `--set a.b=c` overrides."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from ...fitting.errors import InputError
from ...fitting.yaml_keys import UniqueKeys


class _Loader(UniqueKeys):
    """A loader whose floats and booleans are those of YAML 1.2 (PyYAML reads `1e18` as text, and `on` as true)."""


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, regexp) for tag, regexp in resolvers if tag not in ("tag:yaml.org,2002:float", "tag:yaml.org,2002:bool")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(\d[\d_]*\.[\d_]*|\.\d[\d_]*|\d[\d_]*(?=[eE]))([eE][-+]?\d+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN)$"
    ),
    list("-+.0123456789"),
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^([Tt]rue|TRUE|[Ff]alse|FALSE)$"), list("tTfF"))


def parse_yaml(text: str, where: str) -> Any:
    """The value that `text` holds. Raises InputError naming `where` and the line for invalid YAML."""
    try:
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise InputError(f"{where}{line}: not valid YAML: {problem}") from None


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping in the YAML file `path`.

    Raises:
        InputError: no such file, empty, binary, invalid YAML, or not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not text; a config is a YAML file (see configs/)") from None
    data = parse_yaml(text, str(path))
    if data is None:
        raise InputError(f"{path}: is empty; a config is a YAML file (see configs/)")
    if not isinstance(data, dict):
        raise InputError(f"{path}: must be a mapping of keys to values, not a {type(data).__name__}")
    return data


def apply_override(data: dict[str, Any], override: str) -> None:
    """Set in `data` what `override`, as in `a.b=value`, says. Raises InputError for a malformed one."""
    key, equals, value = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise InputError(f"--set {override}: must look like key.subkey=value")
    target = data
    for part in parts[:-1]:
        if target.get(part) is None:
            target[part] = {}
        target = target[part]
        if not isinstance(target, dict):
            raise InputError(f"--set {override}: {part!r} is not a mapping in the config")
    target[parts[-1]] = parse_yaml(value, f"--set {override}")
