"""W&B projects read from a server that has bad days."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from isoflop.fitting.errors import InputError
from isoflop.fitting.readers import load_runs, wandb_history, wandb_query
from isoflop.fitting.readers.wandb_api import read_project

from .wandb_server import PROJECT, Serve, history, many, points


def test_a_damaged_entry_of_the_cache_is_fetched_again(serve: Serve, tmp_path: Path) -> None:
    server = serve(many(3))
    whole = history(read_project(PROJECT))
    first, second, _ = sorted((tmp_path / "cache").rglob("*.history"))
    first.write_bytes(first.read_bytes()[:-100])
    damaged = bytearray(second.read_bytes())
    damaged[40] ^= 0xFF  # in the values
    second.write_bytes(damaged)
    assert history(read_project(PROJECT)).equals(whole)
    assert server.calls["HistoryPage"] == 5


def test_on_a_bad_day_all_arrive_but_the_poisoned_which_is_named(serve: Serve) -> None:
    runs = many(12)
    runs[4].read, runs[7].read = "502", "garbage"
    server = serve(runs, "502", ("429", 0.2), "garbage", "")
    log = read_project(PROJECT)
    assert server.too_early == 0  # Retry-After is kept to
    server.faults.extend(["503", "hang", ("429", 0.3), "", "500"])
    found = history(log)
    assert sorted(set(found["row"])) == [i for i in range(12) if i not in (4, 7)]
    assert all(len(points(log, f"r{i}")) == 20 for i in (0, 3, 11))
    flags = dict(zip(log.frame["run"], log.frame["flag"], strict=True))
    assert "history could not be read: HTTP 502" in flags.pop("r4")
    assert "history could not be read: an answer that is no JSON" in flags.pop("r7")
    assert set(flags.values()) == {""}
    assert server.too_early <= wandb_history.READERS  # what was under way already
    assert 1 < server.most_at_once <= wandb_history.READERS


def test_a_login_refused_later_is_one_line_and_not_asked_again(serve: Serve) -> None:
    server = serve(many(40))
    log = read_project(PROJECT)
    server.down = "401"
    with pytest.raises(InputError, match="the login is refused") as caught:
        history(log)
    assert "\n" not in str(caught.value)
    assert len(server.requests) <= 1 + 4 * wandb_history.READERS


def test_a_run_that_always_fails_costs_its_tries_and_no_more(serve: Serve) -> None:
    runs = many(5)
    runs[2].read = "502"
    server = serve(runs)
    history(read_project(PROJECT))
    assert server.calls["HistoryPage"] == 4 + wandb_query.PATIENCE.tries
    server.requests.clear()
    history(read_project(PROJECT))  # what was read goes on from the cache
    assert server.calls["HistoryPage"] == wandb_query.PATIENCE.tries


def test_a_run_deleted_meanwhile_is_named_and_not_asked_for_again(serve: Serve) -> None:
    server = serve(many(3))
    log = read_project(PROJECT)
    del server.runs[1]
    assert len(history(log)) == 40
    assert list(log.frame["flag"]) == ["", "its history could not be read: W&B has no such run any more", ""]
    assert server.calls["HistoryPage"] == 3


def test_a_server_that_went_down_is_left_alone_after_a_while(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wandb_query, "PATIENCE", wandb_query.Patience(first_wait_s=0.0, failures=30))
    server = serve(many(60))
    log = read_project(PROJECT)
    server.requests.clear()
    server.down = "502"
    assert history(log).empty
    assert 30 <= len(server.requests) <= 30 + wandb_history.READERS
    assert log.frame["flag"].str.contains("could not be read").all()
    assert log.frame["flag"].str.contains("given up after 3[0-9] failed requests").any()


@pytest.mark.parametrize("fault", ["502", "garbage"])
def test_a_run_that_breaks_its_page_of_the_list_is_alone_left_without_configuration(serve: Serve, fault: str) -> None:
    runs = many(120)
    runs[70].listed = fault
    server = serve(runs)
    log = read_project(PROJECT)
    assert list(log.frame["run"]) == [run.id for run in runs]
    assert log.frame.loc[log.frame["config.n_params"].isna(), "run"].tolist() == ["r70"]
    flags = dict(zip(log.frame["run"], log.frame["flag"], strict=True))
    assert "could not be read" in flags.pop("r70")
    assert set(flags.values()) == {""}
    assert any("run r70" in note for note in log.notes)
    assert len(server.requests) < 40
    assert len(load_runs(PROJECT).fitted) == 119


def test_what_the_server_says_against_a_question_is_passed_on_and_not_asked_twice(serve: Serve) -> None:
    server = serve(many(3))
    server.down = "refused"
    with pytest.raises(InputError, match="permission denied, ask your admin: try again later"):
        read_project(PROJECT)
    assert len({json.dumps(asked) for asked in server.requests}) == len(server.requests) - 1  # 1 run, without and with


def test_a_server_that_lists_nothing_is_one_line(serve: Serve) -> None:
    server = serve(many(3))
    server.down = "503"
    with pytest.raises(InputError, match="does not list its runs beyond 0: HTTP 503") as caught:
        read_project(PROJECT)
    assert "\n" not in str(caught.value)
    assert len(server.requests) < 30


def test_a_server_that_cannot_be_reached_is_one_line(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    serve([])
    with socket.socket() as taken:  # bound and not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("WANDB_BASE_URL", address)
        with pytest.raises(InputError) as caught:
            read_project(PROJECT)
    assert str(caught.value).startswith(f"{PROJECT}: no login at W&B (Failed to verify credentials with {address}): ")


def test_control_c_leaves_at_once(serve: Serve) -> None:
    server = serve(many(8))
    server.faults.extend(["", *["hang"] * 8])
    code = (
        "from isoflop.fitting.readers import wandb_query as q; q.PATIENCE = q.Patience(timeout_s=300)\n"
        f"from isoflop.fitting.readers.wandb_api import read_project as r; r('{PROJECT}').history()"
    )
    heeding = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # what a shell runs in the background ignores it
    process = subprocess.Popen(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, env=os.environ, text=True, preexec_fn=heeding
    )
    until = time.monotonic() + 60
    while server.calls["HistoryPage"] < 4 and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)  # the server would hang for 60 s, the reader wait 300 s
    assert "KeyboardInterrupt" in said
    assert process.returncode != 0
