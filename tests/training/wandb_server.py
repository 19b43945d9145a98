"""A server that answers W&B's client as far as a run needs it, and keeps what arrives."""

from __future__ import annotations

import gzip
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import wandb

from isoflop.training import wandb_session


class Server(http.server.ThreadingHTTPServer):
    """Keeps the lines of each run's history, and its last summary."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        self.histories: dict[str, list[dict[str, Any]]] = {}
        self.summaries: dict[str, dict[str, Any]] = {}

    def query(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """The data that answers a GraphQL query; empty where this server does not know it."""
        project = {"id": "p", "name": "isoflop", "entity": {"id": "e", "name": "me"}}
        name = variables.get("name", "")
        if "viewer" in query:
            return {"viewer": {"id": "u", "username": "me", "entity": "me", "flags": "{}", "teams": {"edges": []}}}
        if "RunResumeStatus" in query:
            return {"model": project | {"bucket": self.bucket(name) if name in self.histories else None}}
        if "upsertBucket" in query:
            self.histories.setdefault(name, [])
            bucket = {"id": name, "name": name, "displayName": name, "config": "{}", "project": project}
            return {"upsertBucket": {"bucket": bucket | {"historyLineCount": 0}, "inserted": True}}
        if "createRunFiles" in query:
            files = [{"name": file, "uploadUrl": f"{self.address}/upload"} for file in variables["files"]]
            return {"createRunFiles": {"runID": name, "uploadHeaders": [], "files": files}}
        return {}

    def bucket(self, name: str) -> dict[str, Any]:
        """The state of a run for a client that resumes it."""
        history = self.histories[name]
        return {
            "id": name,
            "name": name,
            "historyLineCount": len(history),
            "historyTail": json.dumps([json.dumps(history[-1])]),
            "eventsLineCount": 0,
            "eventsTail": "[]",
            "logLineCount": 0,
            "config": "{}",
            "wandbConfig": '{"t": 1}',
            "summaryMetrics": "{}",
            "tags": [],
        }

    def stream(self, run: str, files: dict[str, Any]) -> None:
        """Take new lines of a run's history at their offset, and its summary."""
        history = self.histories[run]
        for name, part in files.items():
            lines = [json.loads(line) for line in part["content"]]
            if name == "wandb-history.jsonl":
                history[part["offset"] :] = lines
            elif name == "wandb-summary.json":
                self.summaries[run] = lines[-1]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        assert isinstance(self.server, Server)
        body = self.rfile.read(int(self.headers["content-length"] or 0))
        if self.headers["content-encoding"] == "gzip":
            body = gzip.decompress(body)
        answer: dict[str, Any] = {}
        if self.path == "/graphql":
            asked = json.loads(body)
            answer = {"data": self.server.query(asked["query"], asked.get("variables") or {})}
        elif self.path.endswith("/file_stream"):
            self.server.stream(self.path.split("/")[-2], json.loads(body).get("files") or {})
        text = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_PUT = do_POST

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def logged_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that this process is logged in to."""
    with Server() as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        monkeypatch.delenv("WANDB_MODE", raising=False)
        monkeypatch.setenv("WANDB_BASE_URL", found.address)
        monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
        wandb.teardown()  # it reads its environment once
        yield found
        wandb.teardown()
        found.shutdown()


def without_settings(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """W&B as in a new process, on a machine where nobody has set anything or is logged in."""
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_DIR", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(folder / "none"))
    monkeypatch.setattr(wandb_session, "_given_up", [])
    wandb.teardown()  # it reads its environment once
