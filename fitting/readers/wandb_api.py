"""A W&B project by its server."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

import pandas as pd

from ..errors import InputError
from ..json_shapes import is_object
from . import wandb_query
from .log import Log
from .tracked import TrackedRun, log_of
from .wandb_cache import HistoryCache
from .wandb_history import Logged, number, read_histories
from .wandb_listing import list_runs
from .wandb_query import Server, sign_in

_SHAPE = "wandb:ENTITY/PROJECT[?group=G&tags=A,B&state=finished|any]"
_FORMAT = 1  # of the histories in the cache
_INTERNAL = ("_wandb", "wandb_version")  # keys of a configuration that are W&B's own


def read_project(source: str) -> Log:
    """The runs of `wandb:ENTITY/PROJECT[?group=G&tags=A,B&state=finished|any]`, a row each.

    `group`, `tags` (any of them) and `state` are asked of the server. A run that is not finished is a row with its
    state as `flag`; so is one whose configuration or summary cannot be read. Configuration and summary of all runs
    come with the list; histories are fetched by `history`, whole, and kept in ISOFLOP_CACHE until their run changes.
    A history that cannot be read is said in its run's `flag`, which `history` writes into `frame`; that some have
    fewer rows than W&B counts, in the `attrs["notes"]` of what it gives.

    Raises InputError for another address, a login that is missing or refused, and a project that is not there.
    """
    address = _parsed(source)
    server = sign_in(source, wandb_query.PATIENCE)
    nodes, notes = list_runs(server, source, address.project, address.filters)
    runs = [_run(node, f"wandb:{address.project['entity']}/{address.project['project']}") for node in nodes]
    logged = {run.source: _logged(node, run) for node, run in zip(nodes, runs, strict=True)}
    cache = HistoryCache(server.url, **address.project)
    kept = sum(cache.has(run.id, run.version) for run in logged.values())
    notes += [f"histories of {kept} of {len(runs)} runs are in the cache"] if kept else []
    log = log_of(source, "a W&B project", runs, notes, lambda: _points(log, server, cache, address.project, logged))
    log.frame["url"] = [_page(server.url, str(run)) for run in log.frame["source"]]
    return log


def _page(server: str, run: str) -> str:
    """The web address of the run `wandb:ENTITY/PROJECT/ID`, as W&B's own client makes it of its server's."""
    entity, project, run_id = (quote(part, safe="") for part in run.removeprefix("wandb:").split("/", 2))
    host = server.replace("://api.wandb.", "://wandb.").rstrip("/")
    return f"{host}/{entity}/{project}/runs/{run_id}"


@dataclass(frozen=True)
class _Address:
    project: dict[str, str]
    filters: dict[str, Any] = field(default_factory=dict[str, Any])


def _parsed(source: str) -> _Address:
    path, _, query = source.removeprefix("wandb:").partition("?")
    parts = [unquote(part) for part in path.split("/")]
    if len(parts) != 2 or not all(part.strip() for part in parts):
        raise InputError(f"{source}: names no entity and project: write {_SHAPE}")
    pairs = parse_qsl(query.replace("+", "%2B"), keep_blank_values=True)  # a tag of ours is C=1e+17
    asked = dict(pairs)
    unknown = [key for key in asked if key not in ("group", "tags", "state")]
    empty = [key for key, value in asked.items() if not value.strip(", ")]
    if unknown or empty or len(asked) != len(pairs) or bool(query) != bool(pairs):
        wrong = f"unknown key {unknown[0]!r}" if unknown else f"no value for {empty[0]}" if empty else "a key twice"
        raise InputError(f"{source}: {wrong if pairs else 'no key'} after the ?: write {_SHAPE}")
    state = asked.pop("state", "any")
    if state not in ("finished", "any"):
        raise InputError(f"{source}: state={state}: is finished or any")
    filters: dict[str, Any] = {"state": state} if state != "any" else {}
    if "group" in asked:
        filters["group"] = asked["group"]
    if "tags" in asked:
        filters["tags"] = {"$in": [tag.strip() for tag in asked["tags"].split(",") if tag.strip()]}
    return _Address({"entity": parts[0], "project": parts[1]}, filters)


def _run(node: Mapping[str, Any], place: str) -> TrackedRun:
    state = str(node.get("state"))
    flag = "" if state == "finished" else f"its state in W&B is {state}"
    config, summary = _object(node.get("config")), _object(node.get("summaryMetrics"))
    if config is None or summary is None:
        flag = "its configuration or summary could not be read"
    plain = {
        key: value["value"] if is_object(value) and "value" in value else value
        for key, value in (config or {}).items()
        if key not in _INTERNAL
    }
    named = {"name": "displayName", "group": "group", "job_type": "jobType", "tags": "tags", "state": "state"}
    return TrackedRun(
        id=str(node["name"]),
        source=f"{place}/{node['name']}",
        flag=flag,
        config=plain,
        summary={key: number(value) for key, value in (summary or {}).items() if key not in _INTERNAL},
        facts={ours: node.get(theirs) for ours, theirs in named.items()},
    )


def _object(text: Any) -> dict[str, Any] | None:
    """The object in a JSON text, None where it is none."""
    try:
        value = json.loads(text, strict=False)
    except (TypeError, ValueError, RecursionError):
        return None
    return value if is_object(value) else None


def _logged(node: Mapping[str, Any], run: TrackedRun) -> Logged:
    rows, last = node.get("historyLineCount"), run.summary.get("_step")
    changed = json.dumps(
        [_FORMAT, *(node.get(key) for key in ("heartbeatAt", "historyLineCount", "state"))], default=str
    )
    # A server that does not count the rows is asked for them.
    return Logged(run.id, rows if isinstance(rows, int) else 1, last if isinstance(last, int) else -1, changed)


def _points(
    log: Log, server: Server, cache: HistoryCache, project: Mapping[str, str], logged: Mapping[str, Logged]
) -> pd.DataFrame:
    """Every logged point of the rows of `log`, whose flags then say which could not be read."""
    sources: Sequence[str] = [str(source) for source in log.frame["source"]]
    found, failed = read_histories(server, cache, project, [logged[source] for source in sources])
    parts: list[pd.DataFrame] = []
    short: list[str] = []
    for row, (index, source) in enumerate(zip(log.frame.index, sources, strict=True)):
        run = logged[source]
        if run.id in found:
            parts.append(found[run.id].assign(row=row))
            short += [run.id] if len(found[run.id]) < run.rows else []
        elif run.id in failed and not log.frame["flag"].iloc[row]:
            log.frame.loc[index, "flag"] = f"its history could not be read: {failed[run.id]}"
    points = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"row": [], "step": []})
    points.attrs["notes"] = [f"histories of {len(short)} runs lack rows, as of {short[0]}"] if short else []
    return points
