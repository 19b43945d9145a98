"""Offline W&B runs, made by W&B itself, as tables of runs."""

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from isoflop.fitting import ChinchillaLaw, InputError, analyse, load_runs
from isoflop.fitting.options import Options
from isoflop.fitting.readers.sources import read_log

from .sweeps import sweep
from .wandb_logs import read, settle, start, wandb, written

LAW = ChinchillaLaw(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28)


@pytest.fixture(scope="module")
def rich(tmp_path_factory):
    """One run with something of everything that W&B logs."""
    folder = tmp_path_factory.mktemp("rich")
    run = start(
        folder,
        id="rich",
        name="a name",
        group="g",
        job_type="train",
        tags=["C1e17", "small"],
        config={"n_params": 2**53 + 1, "optimizer": {"lr": 0.1, "betas": [0.9, 0.95]}, "model": "llama"},
    )
    run.config.update({"added": 1, "optimizer": {"lr": 0.2}}, allow_val_change=True)
    for i in range(4):
        row = {"tokens": 100 * i, "train": {"loss": 3 - 0.1 * i, "deep": {"er": i}}, "note": "text", "ok": True}
        row |= {"diverging": float("nan") if i == 3 else i, "endless": float("inf"), "grads": wandb.Histogram([1, 2])}
        run.log(row, step=10 * i)
    run.log({"eval/loss": 2.5, "cells": wandb.Table(columns=["a"], data=[[1]])}, step=40)
    run.summary.update({"flops": {"exact": 1e20, "6nd": 3}, "gone": 1, "count": 2**53 + 1, "part": {"a": 1, "b": 2}})
    del run.summary["gone"]
    run.summary["flops"]["6nd"] = 5
    run.finish()
    settle(folder, 1)
    return folder


def test_a_sweep_logged_offline_is_fitted_as_it_was_planted(tmp_path):
    cells = sweep(LAW, budgets=np.geomspace(1e18, 1e20, 3), sizes=7).frame
    for number, cell in enumerate(cells.to_dict("records")):
        run = start(tmp_path, id=f"cell{number:02d}", config={"model": {"n_params": cell["n_params"]}})
        for share in (0.5, 1.0):
            tokens = cell["tokens"] * share
            run.log({"tokens": tokens, "val": {"loss": float(LAW.loss(cell["n_params"], tokens))}})
        run.finish()
    settle(tmp_path, len(cells))
    table = load_runs(tmp_path, columns={"n_params": "config.model.n_params"})
    assert len(table) == len(cells)
    assert table.excluded == []
    np.testing.assert_array_equal(table.frame["loss"], LAW.loss(cells["n_params"], cells["tokens"]))
    report = analyse(table, Options(methods=("parametric",)))
    assert report.parametric is not None
    assert report.parametric.params_exponent.value == pytest.approx(LAW.beta / (LAW.alpha + LAW.beta), abs=1e-4)
    _, points, _ = read(tmp_path)
    assert points["step"].tolist() == [0, 1] * len(cells)
    assert points["row"].tolist() == sorted([*range(len(cells))] * 2)


def test_what_a_run_says_of_itself(rich):
    row = read_log(rich).frame.iloc[0]
    assert row["run"] == "rich"
    assert row["flag"] == ""
    assert row["source"].endswith("-rich/run-rich.wandb")
    told = {"name": "a name", "group": "g", "job_type": "train", "tags": '["C1e17", "small"]', "state": "finished"}
    assert {key: row[f"run.{key}"] for key in told} == told
    assert row["config.n_params"] == 2**53 + 1  # which no float holds
    assert (row["config.model"], row["config.added"], row["config.optimizer.lr"]) == ("llama", 1, 0.2)
    assert "config.optimizer.betas" not in row  # W&B's update replaces a nested key as a whole
    assert (row["summary.flops.exact"], row["summary.flops.6nd"]) == (1e20, 5)
    assert row["summary.count"] == 2**53 + 1
    assert (row["summary.part.a"], row["summary.part.b"]) == (1, 2)
    assert row["summary.note"] == "text"
    assert not {"summary.gone", "config._wandb", "summary._wandb.runtime"} & set(row.index)
    assert not [name for name in row.index if "grads" in name or "cells" in name]


def test_the_numbers_of_a_history_and_nothing_else(rich):
    frame, points, log = read(rich)
    assert log.lowest is not None
    assert points["step"].tolist() == [0, 10, 20, 30, 40]
    assert points["train.loss"].tolist()[:4] == pytest.approx([3.0, 2.9, 2.8, 2.7])
    assert points["train.deep.er"].tolist()[:4] == [0, 1, 2, 3]
    assert points["eval/loss"].isna().tolist() == [True] * 4 + [False]
    assert np.isposinf(points["endless"][:4]).all()
    assert set(points.dtypes) == {np.dtype(float), np.dtype(int)}  # int is that of the rows
    assert not {"note", "ok", "grads.bins", "cells.nrows"} & set(points)
    end, lowest = frame.iloc[0], log.lowest.iloc[0]
    assert np.isnan(end["diverging"])  # its last value, not its last number
    assert lowest["diverging"] == 0
    assert (end["train.loss"], end["tokens"], end["eval/loss"]) == (pytest.approx(2.7), 300, 2.5)


def test_a_killed_and_a_failed_run_are_flagged_beside_a_good_one(tmp_path):
    script = """
        import os, signal, sys, wandb
        run = wandb.init(project="p", id="killed", mode="offline", dir=sys.argv[1], config={"n_params": 1e6})
        for i in range(3000):
            run.log({"tokens": 100 * i, "loss": 4 - i / 3000})
        os.killpg(os.getpid(), signal.SIGKILL)  # its own group: W&B's writer dies with it
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)]
    dead = subprocess.run(command, start_new_session=True, capture_output=True, env=os.environ | {"WANDB_SILENT": "1"})
    assert dead.returncode == -signal.SIGKILL
    for name, code in (("failed", 3), ("good", 0)):
        run = start(tmp_path, id=name, config={"n_params": 1e6})
        run.log({"tokens": 100, "loss": 4.0})
        run.finish(exit_code=code)
    settle(tmp_path, 2)
    table = load_runs(tmp_path)
    reasons = {row["run"]: row["reason"] for row in table.excluded}
    assert table.fitted["run"].tolist() == ["good"]
    assert reasons["failed"] == "failed: exit code 3"
    assert reasons["killed"].startswith("unfinished: the log ")
    states = dict(zip(table.frame["run"], table.frame["state"], strict=True))
    assert states == {"failed": "failed", "good": "finished", "killed": "unfinished"}
    _, points, _ = read(tmp_path)
    killed = points["row"] == table.frame["run"].tolist().index("killed")
    assert points["step"][killed].tolist() == [*range(np.count_nonzero(killed))]


def test_a_resumed_run_goes_on_where_its_tokens_do(tmp_path):
    for number, first in enumerate((0, 3)):  # stopped after 5 steps, resumed from its checkpoint at 3
        run = start(tmp_path / str(number), id="long", resume="allow", config={"n_params": 1e6, f"of{number}": number})
        for i in range(first, first + 5):
            run.log({"tokens": 100 * (i + 1), "loss": 4 - i / 10 - number / 100})
        run.finish(exit_code=0 if number else 1)
        settle(tmp_path / str(number), 1)
    frame, points, log = read(tmp_path)
    assert points["tokens"].tolist() == [100, 200, 300, 400, 500, 600, 700, 800]
    assert points["step"].tolist() == list(range(8))
    assert points["loss"].tolist() == pytest.approx([4.0, 3.9, 3.8, 3.69, 3.59, 3.49, 3.39, 3.29])
    assert frame[["run", "flag", "config.of0", "config.of1", "tokens"]].to_numpy().tolist() == [["long", "", 0, 1, 800]]
    assert "1 of 1 runs were resumed: their logs are joined by step, a later log wins" in log.notes
    assert (
        "1 of them count steps from 0 again: moved (first: long by 3 steps, to where its tokens goes on)" in log.notes
    )


def test_every_folder_that_holds_runs_will_do_and_links_double_none(rich):
    logs = rich / "wandb"
    (folder,) = (path for path in logs.iterdir() if path.name.startswith("offline-run-"))
    assert (logs / "latest-run").is_symlink()
    for source in (rich.parent, rich, logs, logs / "latest-run", folder, folder / "run-rich.wandb"):
        frame = read_log(source).frame
        assert frame.loc[frame["run"] == "rich", "config.added"].tolist() == [1]


def test_a_folder_is_searched_a_few_levels_deep(tmp_path):
    written(tmp_path / "a/b/wandb/offline-run-20260101_000000-x/run-x.wandb", [{"loss": 1.0}])
    assert len(read_log(tmp_path).frame) == 1
    assert len(read_log(tmp_path / "a").frame) == 1
    written(tmp_path / "z/a/b/c/wandb/offline-run-20260101_000000-x/run-x.wandb", [{"loss": 1.0}])
    with pytest.raises(InputError, match=r"holds no plan.json, \.wandb file or trainer_state.json"):
        read_log(tmp_path / "z")


def test_without_wandb_the_way_to_get_it_is_named(rich, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb.proto", None)
    with pytest.raises(InputError, match=r"pip install 'isoflop\[logs\]'"):
        load_runs(rich)
