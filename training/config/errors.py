"""A validation error in one line: the key, the value, the bound; a misspelt key names the nearest known one."""

from __future__ import annotations

import difflib
import re
import typing
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

_TAGS = ("kind", "rule")  # keys that choose among forms
_PLAINER = {
    "input should be": "must be",
    "a valid number": "a number",
    "a valid string": "text",
    "a valid integer": "a whole number",
    "a valid list": "a list",
}


def first_problem(error: ValidationError, root: type[BaseModel]) -> str:
    """What is wrong with a `root`: the key, the value and what would be right."""
    problems = error.errors(include_url=False, include_context=True)
    # A misspelt key also makes the right one missing, so it comes first.
    problem = next((p for p in problems if p["type"] == "extra_forbidden"), problems[0])
    loc = _keys_of(problem["loc"], root)
    key = _key(loc)
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 and problem["type"] != "extra_forbidden" else ""
    if problem["type"] == "extra_forbidden":
        known = _known_keys(problem["loc"][:-1], root)
        near = difflib.get_close_matches(str(loc[-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(sorted(known))}"
        return f"{key}: unknown key; {hint}"
    if problem["type"] == "missing":
        return f"{key}: is missing{more}"
    if problem["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return f"{key}.{_wrong_tag(problem, root)}"
    if problem["type"] == "value_error":
        reason = str(problem.get("ctx", {}).get("error"))
        return f"{key}: {reason}" if key else reason
    shown = repr(problem["input"])
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    text = problem["msg"][0].lower() + problem["msg"][1:]
    for said, plainer in _PLAINER.items():
        text = text.replace(said, plainer)
    text = re.sub(r"a valid dictionary or .*", "a mapping of keys", text) + _choices(problem, root)
    return f"{key}: {text}, got {shown}{more}"


def _choices(problem: Any, root: type[BaseModel]) -> str:
    """What a mapping would have to choose, where something else stands in its place."""
    if isinstance(problem["input"], dict) or "attributes" not in problem["type"]:
        return ""
    name, known = _forms(problem, root)
    return f" with a {name} ({', '.join(known)})" if known else ""


def _forms(problem: Any, root: type[BaseModel]) -> tuple[str, list[str]]:
    """The key by which a form is chosen at the problem's place, and what it may be."""
    current: Any = root
    for part in problem["loc"]:
        current, _ = _into(current, part)
    models = _models(current)
    name = next((name for model in models for name in _TAGS if name in model.model_fields), "")
    return name, list(dict.fromkeys(tag for model in models for tag in _tags(model)))


def _wrong_tag(problem: Any, root: type[BaseModel]) -> str:
    """What is wrong with the `kind` or `rule` by which a form is chosen, and what there is."""
    name, known = _forms(problem, root)
    if problem["type"] == "union_tag_not_found" or problem["input"].get(name) is None:
        return f"{name}: is missing; choose {', '.join(known)}"
    near = difflib.get_close_matches(str(problem["input"][name]), known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"choose {', '.join(known)}"
    return f"{name}: there is no {problem['input'][name]!r}; {hint}"


def _key(loc: Sequence[int | str]) -> str:
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _keys_of(loc: Sequence[int | str], root: type[BaseModel]) -> list[int | str]:
    """`loc` without what the file does not spell: the member of a union that was tried."""
    current: Any = root
    kept: list[int | str] = []
    for part in loc:
        current, spelt = _into(current, part)
        if spelt:
            kept.append(part)
    return kept


def _known_keys(loc: Sequence[int | str], root: type[BaseModel]) -> list[str]:
    """Keys known at `loc`, whose parts are fields, places in lists, or the member of a union that was tried."""
    current: Any = root
    for part in loc:
        current, _ = _into(current, part)
    return sorted({name for model in _models(current) for name in model.model_fields})


def _into(annotation: Any, part: int | str) -> tuple[Any, bool]:
    """What `part` of an error's place leads to, and whether the file spells it."""
    if isinstance(part, int):
        return annotation, True
    if typing.get_origin(annotation) is dict:
        return typing.get_args(annotation)[1], True
    models = _models(annotation)
    # A tag or the name of a member comes first: a member may have a field of that name.
    members = [model for model in models if part in (*_tags(model), model.__name__)]
    if members and len(models) > 1:
        return members[0], False
    fields = [model.model_fields[part].annotation for model in models if part in model.model_fields]
    return (fields[0], True) if fields else (annotation, len(models) == 1)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in typing.get_args(annotation) for model in _models(argument)]


def _tags(model: type[BaseModel]) -> tuple[str, ...]:
    """The values of `kind` or `rule` that `model` is the form of."""
    fields = [model.model_fields[name] for name in _TAGS if name in model.model_fields]
    return typing.get_args(fields[0].annotation) if fields else ()
