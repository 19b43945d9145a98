"""W&B projects read from their server. The login is the real wandb client's, the server one of this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isoflop.fitting.errors import InputError
from isoflop.fitting.readers import load_runs, wandb_listing
from isoflop.fitting.readers.wandb_api import read_project

from .wandb_server import KEY, PROJECT, FakeRun, Serve, curve, history, many, points


def test_the_ends_of_all_runs_come_with_the_list_and_nothing_else_is_asked(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wandb_listing, "PAGE", 3)
    runs = [
        *many(6),
        FakeRun("odd", {"n_params": 900, "tokens": 20_000, "opt": {"lr": 0.1}}, {"val_loss": "NaN"}, job_type="train"),
    ]
    server = serve([*runs, FakeRun("fit", job_type="fit")])
    table = load_runs(PROJECT)
    assert server.calls == {"Runs": 3}  # of eight runs
    assert list(table.frame["run"]) == ["r0", "r1", "r2", "r3", "r4", "r5", "odd"]
    assert list(table.fitted["loss"]) == pytest.approx([4 - 0.02 * i for i in range(6)])
    assert table.frame["config.opt.lr"].iloc[-1] == 0.1
    assert table.excluded == [{"run": "odd", "reason": "loss is nan", "source": "wandb:me/proj/odd"}]
    assert any("1 runs of job_type fit" in note for note in table.notes)


def test_runs_that_did_not_finish_are_rows_with_their_state(serve: Serve) -> None:
    states = ["finished", "running", "crashed", "failed", "killed"]
    serve([FakeRun(state, state=state) for state in states])
    frame = read_project(PROJECT).frame
    flags = dict(zip(frame["run"], frame["flag"], strict=True))
    assert flags["finished"] == ""
    assert all(state in flags[state] for state in states[1:])
    assert [url.partition("://")[2].split("/")[1:] for url in frame["url"]] == [
        ["me", "proj", "runs", x] for x in states
    ]


def test_filters_are_the_servers_to_apply(serve: Serve) -> None:
    server = serve(
        [
            FakeRun("a", group="g 1", tags=("x",)),
            FakeRun("b", group="g 1", tags=("y", "z")),
            FakeRun("c", group="g 1", tags=("x",), state="crashed"),
            FakeRun("d", group="g 1"),
            FakeRun("e", tags=("x",)),
        ]
    )
    log = read_project(f"{PROJECT}?group=g%201&tags=x,y&state=finished")
    assert list(log.frame["run"]) == ["a", "b"]
    assert json.loads(server.requests[0][1]["filters"]) == {
        "group": "g 1", "tags": {"$in": ["x", "y"]}, "state": "finished",
    }  # fmt: skip


def test_a_plus_in_an_address_is_one(serve: Serve) -> None:
    serve([FakeRun("a", tags=("C=1e+17",)), FakeRun("b", tags=("C=1e 17",))])
    assert list(read_project(f"{PROJECT}?tags=C=1e+17").frame["run"]) == ["a"]


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("wandb:me", "no entity and project"),
        ("wandb:me/", "no entity and project"),
        ("wandb:me/proj/run", "no entity and project"),
        ("wandb:me/proj?grup=a", "unknown key 'grup'"),
        ("wandb:me/proj?group=", "no value for group"),
        ("wandb:me/proj?tags=,", "no value for tags"),
        ("wandb:me/proj?group=a&group=b", "a key twice"),
        ("wandb:me/proj?state=crashed", "finished or any"),
    ],
)
def test_an_address_that_is_none_is_said_before_anything_is_asked(address: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read_project(address)
    assert str(caught.value).startswith(address)
    assert "\n" not in str(caught.value)


def test_a_project_that_is_not_there_or_is_empty_is_one_line(serve: Serve) -> None:
    serve([])
    with pytest.raises(InputError, match="no such project"):
        read_project("wandb:me/another")
    with pytest.raises(InputError, match="no training run among 0"):
        read_project(PROJECT)


@pytest.mark.parametrize("key", ["", "short", "w" * 40])
def test_no_key_or_a_bad_one_is_one_line_without_it(serve: Serve, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    serve(many(1))
    monkeypatch.setenv("WANDB_API_KEY", key)
    with pytest.raises(InputError, match="wandb login") as caught:
        read_project(PROJECT)
    assert "\n" not in str(caught.value)
    assert not key or key not in str(caught.value)


def test_histories_are_whole_fetched_on_demand_and_kept_until_their_run_changes(serve: Serve, tmp_path: Path) -> None:
    runs = [FakeRun("dense", history=curve(2300)), FakeRun("sparse", history=curve(300, every=5000)), FakeRun("none")]
    server = serve(runs)
    log = read_project(PROJECT)
    assert "HistoryPage" not in server.calls
    assert points(log, "dense") == [(i, 9.0 / (i + 1)) for i in range(2300)]
    assert points(log, "sparse") == [(5000 * i, 9.0 / (i + 1)) for i in range(300)]
    assert points(log, "none") == []
    assert server.calls["HistoryPage"] == 4  # of thousand steps each, and one of all the sparse ones
    again = read_project(PROJECT)
    assert any("2 of 3 runs are in the cache" in note for note in again.notes)
    assert len(history(again)) == 2600
    assert server.calls["HistoryPage"] == 4

    runs[1].history, runs[1].heartbeat = curve(301, every=5000), "2026-01-02T00:00:00"
    assert len(points(read_project(PROJECT), "sparse")) == 301
    assert server.calls["HistoryPage"] == 5
    files = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert len(files) == 2
    assert not any(KEY.encode() in path.read_bytes() for path in files)


def test_rows_crowded_into_a_part_of_the_steps_are_not_sampled(serve: Serve) -> None:
    crowded = [*curve(5000), {"_step": 1_000_000, "train/loss": 0.0}]
    serve([FakeRun("r", history=crowded, summary={"_step": 10})])  # and the summary names an early step
    found = points(read_project(PROJECT), "r")
    assert [step for step, _ in found] == [row["_step"] for row in crowded]


def test_what_is_read_is_what_the_wandb_client_reads(serve: Serve) -> None:
    import wandb

    runs = many(3)
    runs[1].history = curve(1500)
    serve(runs)
    log = read_project(PROJECT)
    theirs = list(wandb.Api(timeout=10).runs("me/proj", order="+created_at", per_page=2, lazy=False))
    assert [run.id for run in theirs] == list(log.frame["run"])
    assert [run.config["n_params"] for run in theirs] == list(log.frame["config.n_params"])
    assert [run.summary["val_loss"] for run in theirs] == list(log.frame["summary.val_loss"])
    rows = [(row["_step"], row["train/loss"]) for row in theirs[1].scan_history()]
    assert points(log, "r1") == rows


def test_runs_of_our_own_keep_their_histories_in_the_order_of_their_plan(serve: Serve) -> None:
    def mirrored(budget: float) -> FakeRun:
        config = {"isoflop_schema": 1, "run_id": f"cell{budget:g}", "budget": budget, "n_params": 100, "tokens": 2000}
        summary = {"status": "finished", "loss": 3.0, "flops": {"exact": budget}}
        return FakeRun(f"sweep-{budget:g}", config, summary, [{"_step": 5, "train/loss": budget}])

    serve([mirrored(4e9), mirrored(1e9)])
    log = read_project(PROJECT)
    assert list(log.frame["run"]) == ["cell1e+09", "cell4e+09"]
    assert points(log, "cell1e+09") == [(5, 1e9)]
    assert points(log, "cell4e+09") == [(5, 4e9)]


def test_a_history_with_fewer_rows_than_counted_is_noted_and_asked_for_again(serve: Serve) -> None:
    server = serve(many(2, counted=25))
    assert history(read_project(PROJECT)).attrs["notes"] == ["histories of 2 runs lack rows, as of r0"]
    for run in server.runs:
        run.history = curve(25)
    assert len(history(read_project(PROJECT))) == 50


def test_values_that_are_no_numbers_are_no_points(serve: Serve) -> None:
    rows: list[dict[str, Any]] = [
        {"_step": 2, "loss": "NaN", "eval": {"loss": 1.5}, "picture": {"_type": "image-file", "size": 3}},
        {"_step": 1, "loss": "Infinity", "step": 7, "ok": True},
    ]
    serve([FakeRun("r", history=rows)])
    found = history(read_project(PROJECT))
    assert sorted(found.columns) == ["eval.loss", "logged.step", "loss", "row", "step"]
    assert list(found["step"]) == [1, 2]
    assert np.array_equal(found["loss"], [np.inf, np.nan], equal_nan=True)
    assert found["eval.loss"].iloc[1] == 1.5
