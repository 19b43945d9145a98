"""The runs of a W&B project: configuration and summary of all of them, a page a request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..errors import InputError
from .wandb_query import Server, Unread

PAGE = 50  # runs a request
_FEW = 2  # tries of a page that is smaller because the larger one failed
_HEAVY = "config summaryMetrics"
_DOCUMENT = """
query Runs($project: String!, $entity: String!, $cursor: String, $perPage: Int = 50, $order: String,
           $filters: JSONString) {
  project(name: $project, entityName: $entity) {
    runCount(filters: $filters)
    runs(filters: $filters, after: $cursor, first: $perPage, order: $order) {
      edges {
        node { name displayName state group jobType tags heartbeatAt historyLineCount HEAVY }
        cursor
      }
      pageInfo { hasNextPage }
    }
  }
}
"""


class _Page(NamedTuple):
    nodes: list[dict[str, Any]]
    cursor: str | None
    more: bool
    total: int  # of the runs on all pages


def list_runs(
    server: Server, source: str, project: Mapping[str, str], filters: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Every run of `project` (entity, project) that the server's `filters` (MongoDB's language) let through, as the
    server gives it, and notes.

    A page that fails is asked again in smaller ones, until the run that makes it fail is alone: it is listed without
    its configuration and summary, and noted. Raises InputError where there is no such project or even that fails.
    """
    nodes: list[dict[str, Any]] = []
    notes: list[str] = []
    asked = {**project, "order": "+created_at", "filters": json.dumps(filters), "cursor": None}
    size, more, total = PAGE, True, 0
    while more:
        try:
            page = _page(server, {**asked, "perPage": size}, _HEAVY, None if size == PAGE else _FEW)
            size = min(PAGE, size * 2)
        except Unread as error:
            if size > 1:
                size //= 2
                continue
            try:
                page = _page(server, {**asked, "perPage": 1}, "", None)
            except Unread as again:
                raise InputError(
                    f"{source}: W&B does not list its runs beyond {len(nodes)}: {again}: try again later"
                ) from again
            notes += [f"configuration of run {node['name']} not read: {error}" for node in (page.nodes if page else [])]
        if page is None:
            raise InputError(f"{source}: W&B has no such project, or this login may not see it")
        nodes += page.nodes
        more, total, asked["cursor"] = page.more, page.total, page.cursor
    if len(nodes) < total:
        notes.append(f"W&B counts {total} runs and lists {len(nodes)} of them")
    return nodes, notes


def _page(server: Server, asked: Mapping[str, Any], heavy: str, tries: int | None) -> _Page | None:
    return server.ask(_DOCUMENT.replace("HEAVY", heavy), asked, _taken, tries)


def _taken(data: Any) -> _Page | None:
    """The page in an answer; None where there is no project."""
    if data["project"] is None:
        return None
    runs = data["project"]["runs"]
    nodes = [edge["node"] for edge in runs["edges"]]
    if not all(isinstance(node["name"], str) for node in nodes):
        raise TypeError("a run has no name")
    cursor = runs["edges"][-1]["cursor"] if nodes else None
    return _Page(nodes, cursor, bool(nodes) and bool(runs["pageInfo"]["hasNextPage"]), int(data["project"]["runCount"]))
