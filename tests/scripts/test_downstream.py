"""`isoflop downstream` as a user meets it: predictions, what is said of them, and bad input in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

HEADER = "model,length,task,n_params,tokens,task_loss,accuracy\n"


def rows(task: str = "quiz", middle: float = 3.0, percent: bool = False) -> str:
    lines = []
    for n in (1e7, 2e7, 4e7, 8e7):
        for times in (5, 10, 20, 40):
            for share in (0.5, 1.0):
                d = n * times * share
                loss = 1.7 + 400 / n**0.34 + 400 / d**0.28
                score = 0.25 + 0.75 / (1 + np.exp(2 * (loss - middle)))
                lines.append(f"{n:g},{times},{task},{n},{d},{loss},{100 * score if percent else score}\n")
    return "".join(lines)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "runs.csv"
    path.write_text(HEADER + rows() + rows("riddle", 3.4))
    return path


OPTIONS = ("--score", "accuracy", "--loss", "task_loss", "--task", "task", "--run", "model,length")


def test_predicts_each_task_and_says_first_that_it_extrapolates(command: Callable[..., Any], table: Path) -> None:
    out = table.parent / "out"
    where = ("--at-params", "1B", "--at-tokens", "20B", "--chance", "quiz=.25", "--ceiling", "1")
    done = command(
        "downstream", table, *OPTIONS, *where, "--resamples", 40, "--out", out, "--json", table.parent / "r.json"
    )
    assert done.status == 0, done.err
    assert done.out.splitlines()[0].startswith("EXTRAPOLATION: quiz, 1B, 20B tokens: ")
    report = json.loads((out / "downstream.json").read_text())
    assert report == json.loads((table.parent / "r.json").read_text())
    assert (out / "figures" / "downstream.png").stat().st_size > 10_000
    loss = 1.7 + 400 / 1e9**0.34 + 400 / 2e10**0.28
    for task, middle in (("quiz", 3.0), ("riddle", 3.4)):
        found = report["tasks"][task]
        truth = 0.25 + 0.75 / (1 + np.exp(2 * (loss - middle)))
        (prediction,) = found["predictions"]
        assert prediction["score"]["value"] == pytest.approx(truth, abs=0.01)
        assert prediction["score"]["low"] <= prediction["score"]["high"]
        assert found["n_runs"] == 16
        assert found["smoothness"]["verdict"] == "smooth"
        assert found["link"]["name"] == "sigmoid"  # by its held-out error
    assert report["tasks"]["quiz"]["known"] == {"chance": 0.25, "ceiling": 1.0, "anchor": None}


def test_rows_held_out_take_no_part_and_are_predicted(command: Callable[..., Any], table: Path) -> None:
    done = command("downstream", table, *OPTIONS, "--holdout-where", "n_params > 7e7", "--resamples", 0, "--json", "-")
    found = json.loads(done.out)["tasks"]["quiz"]
    assert found["n_runs"] == 12
    assert len(found["predictions"]) == 4  # the ends of the runs held out
    for prediction in found["predictions"]:
        assert prediction["from_loss"]["value"] == pytest.approx(prediction["measured_score"], abs=1e-3)
        assert prediction["from_loss"]["low"] is None


def test_compute_alone_is_enough(command: Callable[..., Any], table: Path) -> None:
    words = (
        *OPTIONS,
        "--where",
        "task == 'quiz'",
        "--at-flops",
        "1e18",
        "--link",
        "linear",
        "--resamples",
        40,
        "--json",
        "-",
    )
    (prediction,) = json.loads(command("downstream", table, *words).out)["tasks"]["quiz"]["predictions"]
    assert 0.25 < prediction["score"]["value"] < 1
    assert prediction["one_step"]["low"] <= prediction["one_step"]["value"] <= prediction["one_step"]["high"]


def test_a_column_or_a_formula_a_task(command: Callable[..., Any], table: Path) -> None:
    words = ("--loss", "task_loss", "--where", "task == 'quiz'", "--resamples", 0, "--json", "-")
    report = json.loads(command("downstream", table, "--score", "accuracy,1 - accuracy", *words).out)
    assert list(report["tasks"]) == ["accuracy", "1 - accuracy"]
    assert report["tasks"]["1 - accuracy"]["smoothness"]["verdict"] == "rises with loss"
    assert "name its columns with --run" in " ".join(report["tasks"]["accuracy"]["notes"])


def test_two_tasks_of_one_run_are_not_pooled(command: Callable[..., Any], table: Path) -> None:
    words = ("--score", "accuracy", "--loss", "task_loss", "--run", "model,length", "--resamples", 0)
    done = command("downstream", table, *words)
    assert (done.status, done.out) == (2, "")
    assert "several scores" in done.err
    assert "name the task column with --task" in done.err


def test_percentages_are_told_once_for_all_rows_of_a_score(command: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text(HEADER + rows(percent=True) + rows("riddle", 3.4, percent=True))
    words = (*OPTIONS, "--resamples", 0)
    assert "note: riddle: scores are percentages" in command("downstream", path, *words).out
    # Of a hard task in per cent every score may lie under 1: read as shares it would be a hundred times as good.
    low = [line.split(",") for line in rows("riddle", 3.4, percent=True).splitlines()]
    hard = "".join(",".join([*cells[:-1], str(float(cells[-1]) / 80)]) + "\n" for cells in low)
    path.write_text(HEADER + rows(percent=True) + hard)
    done = command("downstream", path, *words)
    assert done.status == 2
    assert "task riddle scores at most 0.78" in done.err
    assert "shares and percentages in one column" in done.err
    divided = command("downstream", path, *words, "--score", "accuracy / 100", "--json", "-")
    assert json.loads(divided.out)["tasks"]["riddle"]["score_range"][1] < 0.01
    path.write_text(HEADER.replace("accuracy", "em_percent") + hard)
    named = command("downstream", path, "--score", "em_percent", *words[2:], "--json", "-")
    (found,) = json.loads(named.out)["tasks"].values()
    assert found["percent"]
    assert found["score_range"][1] < 0.01
    assert "by the name 'em_percent'" in " ".join(found["notes"])


def test_rows_held_out_are_read_in_the_unit_of_the_others(command: Callable[..., Any], tmp_path: Path) -> None:
    """The smallest models score under 1 %: alone they would look like shares."""
    path = tmp_path / "runs.csv"
    lines = [line.split(",") for line in rows(percent=True).splitlines()]
    path.write_text(HEADER + "".join(",".join([*c[:-1], "0.6" if c[0] == "1e+07" else c[-1]]) + "\n" for c in lines))
    done = command("downstream", path, *OPTIONS, "--holdout-where", "model == 1e7", "--resamples", 0, "--json", "-")
    assert done.status == 0, done.err
    assert {p["measured_score"] for p in json.loads(done.out)["tasks"]["quiz"]["predictions"]} == {0.006}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--score", "nope"], "nope"),
        (["--task", "nope"], "--task nope: no such column; there are model, length, task"),
        (["--run", "nope"], "--run nope: no such column"),
        (["--score", "accuracy,tokens"], "goes with one --score"),
        (["--score", "tokens"], "outside 0 to 100"),
        (["--chance", "quizz=.25"], "no task 'quizz'; there are quiz, riddle"),
        (["--chance", "25"], "--chance 25: must be a share from 0 to 1"),
        (["--chance", "nan"], "must be a share from 0 to 1"),
        (["--chance", ".99"], "--chance 0.99: task quiz scores at most"),
        (["--ceiling", ".1"], "--ceiling 0.1: task quiz scores up to"),
        (["--link", "cubic"], "--link cubic: choose one of auto, sigmoid, linear, exponential"),
        (["--at-params", "7B"], "--at-params and --at-tokens go together"),
        (
            ["--at-params", "7B", "--at-tokens", "4T", "--at-flops", "1e20"],
            "--at-flops 1e20: --at-params 7B and --at-tokens 4T take 1.68e+23 FLOPs by 6ND",
        ),
        (["--score", "1 + accuracy"], "neither shares (0 to 1) nor clearly percentages; divide them"),
        (["--score", "1 - quiz-acc"], "; a formula has spaces around"),
        (["--score", "accuracy-lengths"], "a formula has spaces around"),
        (["--holdout-where", "tokens > 3e8"], "rows of 80000000.0 5 are on both sides: what is left in the fit"),
        (["--at-flops", "-1e20"], "--at-flops -1e20: must be a finite number above 0"),
        (["--at-flops", "inf"], "--at-flops inf: 'inf' is no number"),
        (["--where", "n_params < 1.5e7"], "all runs have one size"),
        (["--holdout-where", "n_params > 1e12"], "--holdout-where 'n_params > 1e12' selects none of 64 rows"),
        (["--holdout-where", "tokens <"], "--holdout-where 'tokens <'"),
        (["--level", "95"], "--level 95: must be between 0 and 1"),
        (["--seed", "-1"], "--seed -1 must be 0 or more"),
        (["--json", "/nowhere/x.json"], "--json /nowhere/x.json"),
    ],
)
def test_bad_input_is_one_line(command: Callable[..., Any], table: Path, words: list[str], says: str) -> None:
    done = command("downstream", table, *OPTIONS, *words)
    assert done.status == 2, done
    assert done.out == ""
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1, done.err
    assert says in done.err
