"""A W&B server in this process: the calls that the wandb client makes for runs and histories, and faults on demand."""

from __future__ import annotations

import base64
import gzip
import json
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from isoflop.fitting.readers import wandb_query
from isoflop.fitting.readers.log import Log

pytest.importorskip("wandb")

KEY = "k" * 40
PROJECT = "wandb:me/proj"


@dataclass
class FakeRun:
    """`listed` and `read` are what happens when its configuration is listed, its history read: "502", "garbage"."""

    id: str
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    state: str = "finished"
    group: str | None = None
    tags: tuple[str, ...] = ()
    job_type: str | None = None
    heartbeat: str = "2026-01-01T00:00:00"
    listed: str = ""
    read: str = ""
    counted: int | None = None  # rows of the history, where the server counts wrongly

    @property
    def last_step(self) -> int:
        return max((row["_step"] for row in self.history), default=-1)

    def node(self, heavy: bool) -> dict[str, Any]:
        light = {
            "id": base64.b64encode(self.id.encode()).decode(), "projectId": "7", "name": self.id, "commit": None,
            "displayName": f"run {self.id}", "state": self.state, "group": self.group, "jobType": self.job_type,
            "tags": list(self.tags), "createdAt": "2026-01-01T00:00:00", "heartbeatAt": self.heartbeat,
            "sweepName": None, "readOnly": True, "description": None, "notes": None,
            "historyLineCount": len(self.history) if self.counted is None else self.counted,
            "user": {"name": "me", "username": "me"},
        }  # fmt: skip
        config = {key: {"value": value, "desc": None} for key, value in self.config.items()}
        if not heavy:
            return light
        return light | {
            "config": json.dumps(config | {"_wandb": {"value": {"cli_version": "0.31"}}}),
            "summaryMetrics": json.dumps({"_step": self.last_step, "_wandb": {"runtime": 1}} | self.summary),
            "systemMetrics": "{}",
            "historyKeys": {"lastStep": self.last_step},
        }


class WandbServer:
    """`requests` has the operation and variables of every call; `faults` what happens to the next calls for runs and
    histories: a status, "garbage", "refused", "hang" or ("429", seconds of Retry-After)."""

    def __init__(self, runs: list[FakeRun], faults: tuple[Any, ...] = ()) -> None:
        self.runs = runs
        self.faults = deque(faults)
        self.down = ""  # a fault of every call from now on
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.too_early = 0  # requests before the time that Retry-After named
        self.most_at_once = 0
        self._at_once = 0
        self._not_before = 0.0
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._over.set()
        self._http.shutdown()
        self._http.server_close()

    @property
    def calls(self) -> Counter[str]:
        return Counter(name for name, _ in self.requests)

    def answer(self, query: str, variables: dict[str, Any], authorization: str | None) -> tuple[int, Any, float]:
        """Status, body and Retry-After."""
        name = query.replace("#graphql", "").split("(")[0].split("{")[0].split()[-1]
        if authorization != "Basic " + base64.b64encode(f"api:{KEY}".encode()).decode():
            return 401, {"errors": [{"message": "user is not logged in"}]}, 0
        if "project" not in variables:  # who is asking
            viewer = {"id": "1", "entity": "me", "username": "me", "email": "", "flags": "{}", "teams": {"edges": []}}
            return 200, {"data": {"viewer": viewer}}, 0
        with self._lock:
            self.requests.append((name, variables))
            self.too_early += time.monotonic() < self._not_before
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            fault = self.down or (self.faults.popleft() if self.faults else "")
        try:
            return self._faulty(fault) or self._data(name, query, variables)
        finally:
            with self._lock:
                self._at_once -= 1

    def _faulty(self, fault: Any) -> tuple[int, Any, float] | None:
        if not fault:
            return None
        if fault == "garbage":
            return 200, '{"data": {"proj', 0
        if fault == "refused":
            return 200, {"errors": [{"message": "permission denied,\nask your admin"}], "data": {"project": None}}, 0
        if fault == "hang":
            self._over.wait(60)
        if isinstance(fault, tuple):
            self._not_before = time.monotonic() + fault[1]
            return int(fault[0]), {}, fault[1]
        return (int(fault) if fault.isdigit() else 500), {}, 0

    def _data(self, name: str, query: str, variables: dict[str, Any]) -> tuple[int, Any, float]:
        if variables["project"] != "proj":
            return 200, {"data": {"project": None}}, 0
        if name == "Runs":
            return self._page("config" in query.partition("Runs")[2], variables)
        asked = variables.get("run") or variables.get("name") or variables["runName"]
        run = next((run for run in self.runs if run.id == asked), None)
        if run is None:
            return 200, {"data": {"project": {"run": None}}}, 0
        if run.read:
            return self._faulty(run.read) or (500, {}, 0)
        if name == "RunParquetHistory":
            found: dict[str, Any] = {"parquetHistory": {"parquetUrls": [], "liveData": [], "migrated": False}}
        else:
            found = {"historyKeys": {"lastStep": run.last_step}}
        if name == "HistoryPage":
            low, high, most = (variables[key] for key in ("minStep", "maxStep", "pageSize"))
            rows = [row for row in run.history if low <= row["_step"] < high]
            if len(rows) > most:  # what makes sampled histories unfit for fits
                rows = sorted(random.Random(0).sample(rows, most), key=lambda row: row["_step"])
            found["history"] = [json.dumps(row) for row in rows]
        return 200, {"data": {"project": {"run": found}}}, 0

    def _page(self, heavy: bool, variables: dict[str, Any]) -> tuple[int, Any, float]:
        filters = json.loads(variables["filters"])
        runs = [run for run in self.runs if _passes(run, filters)]
        first = int(variables.get("cursor") or 0)
        page = runs[first : first + variables["perPage"]]
        for run in page if heavy else []:
            if run.listed:
                return self._faulty(run.listed) or (500, {}, 0)
        edges = [{"node": run.node(heavy), "cursor": str(first + i + 1)} for i, run in enumerate(page)]
        info = {"endCursor": edges[-1]["cursor"] if edges else None, "hasNextPage": first + len(page) < len(runs)}
        found = {"internalId": "7", "runCount": len(runs), "readOnly": True, "runs": {"edges": edges, "pageInfo": info}}
        return 200, {"data": {"project": found}}, 0


Serve = Callable[..., WandbServer]


@contextmanager
def servers(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[Callable[..., WandbServer]]:
    """Starts servers with the given runs and faults, which the wandb client is set to; the cache is in `folder`."""
    started: list[WandbServer] = []

    def start(runs: list[FakeRun], *faults: Any) -> WandbServer:
        started.append(WandbServer(runs, faults))
        monkeypatch.setenv("WANDB_BASE_URL", started[-1].url)
        return started[-1]

    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("NETRC", str(folder / "no.netrc"))
    monkeypatch.setenv("ISOFLOP_CACHE", str(folder / "cache"))
    monkeypatch.setattr(wandb_query, "PATIENCE", wandb_query.Patience(timeout_s=2, first_wait_s=0.001))
    yield start
    for server in started:
        server.close()


def curve(rows: int, every: int = 1) -> list[dict[str, Any]]:
    return [{"_step": i * every, "_runtime": i, "train/loss": 9.0 / (i + 1), "note": "text"} for i in range(rows)]


def many(count: int, **words: Any) -> list[FakeRun]:
    """Runs with what a fit needs, and short histories."""
    return [
        FakeRun(f"r{i}", {"n_params": 1000 * (i + 1), "tokens": 20_000}, {"val_loss": 4 - 0.02 * i}, curve(20), **words)
        for i in range(count)
    ]


def history(log: Log) -> pd.DataFrame:
    assert log.history is not None
    return log.history()


def points(log: Log, run: str) -> list[tuple[float, float]]:
    """Step and training loss of every logged row of `run`."""
    found = history(log)
    mine = found["row"] == list(log.frame["run"]).index(run)
    return list(found.loc[mine, ["step", "train/loss"]].itertuples(index=False, name=None))


def _passes(run: FakeRun, filters: dict[str, Any]) -> bool:
    tags = filters.get("tags", {}).get("$in")
    known = {"group": run.group, "state": run.state}
    return all(known[key] == value for key, value in filters.items() if key in known) and (
        tags is None or bool(set(tags) & set(run.tags))
    )


def _handler(server: WandbServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer is one packet: two would wait for each other

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path != "/graphql":  # the client's reports on itself
                return self._send(404, b"{}", 0)
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            asked = json.loads(body)
            status, answer, retry = server.answer(
                asked["query"], asked.get("variables") or {}, self.headers["Authorization"]
            )
            return self._send(status, (answer if isinstance(answer, str) else json.dumps(answer)).encode(), retry)

        def _send(self, status: int, body: bytes, retry_after: float) -> None:
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                if retry_after:
                    self.send_header("Retry-After", str(retry_after))
                self.end_headers()
                self.wfile.write(body)
            except OSError:  # whoever asked has left
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
