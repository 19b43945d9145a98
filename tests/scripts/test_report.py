"""`report` as a user calls it: on a sweep, on the folder of a fit, on a table; and what it refuses."""

from __future__ import annotations

import html
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .test_bad_input import GOOD, refused

QUICK = ("--resamples", 60, "--method", "isoflop", "--no-holdout")
ALONE = ("--figures", "none")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    path = tmp_path / "runs.csv"
    path.write_text(GOOD)
    return path


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("once")


@pytest.fixture
def fitted(command: Callable[..., Any], once: Path, tmp_path: Path) -> Path:
    """What `fit --out` leaves, its source gone."""
    if not (once / "fit").exists():
        fit_once(command, once)
    return Path(shutil.copytree(once / "fit", tmp_path / "fit"))


def fit_once(command: Callable[..., Any], folder: Path) -> None:
    runs = folder / "runs.csv"
    header, rows = GOOD.split("\n", 1)
    runs.write_text(f"{header.replace('loss', 'nats')}\n{rows}1e7,1e9,nan,1e17\n")
    words = ("--columns", "loss=nats", "--where", "n_params > 1", "--seed", 3)
    done = command("fit", runs, *words, *QUICK, "--out", folder / "fit")
    assert done.status == 0, done.err
    runs.unlink()


def sweep_folder(folder: Path) -> Path:
    """A sweep's plan and records, without training."""
    cells = []
    for i, row in enumerate(GOOD.splitlines()[1:]):
        n, d, loss, budget = map(float, row.split(","))
        record = {
            "schema_version": 1,
            "run_id": f"c{i}",
            "status": "finished",
            "budget": budget,
            "planned_flops": "6nd",
        }
        record |= {"n_params": n, "tokens": d, "flops": {"6nd": 6 * n * d}, "loss": loss}
        (folder / f"c{i}").mkdir(parents=True)
        (folder / f"c{i}" / "record.json").write_text(json.dumps(record))
        cells.append({"run_id": f"c{i}", "budget": budget})
    fit = {"resamples": 20, "minimum": "parabola"}
    plan = {"schema_version": 1, "name": "tiny", "config": {"name": "tiny", "fit": fit}, "cells": cells}
    plan["config"]["grid"] = {"flops": "6nd"}
    (folder / "plan.json").write_text(json.dumps(plan))
    return folder


def text_of(page: Path) -> str:
    """What a reader sees, without tags."""
    body = re.sub(r"(?s)<(script|style).*?</\1>", " ", page.read_text())
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def test_a_sweep_becomes_a_page_in_its_folder(command: Callable[..., Any], tmp_path: Path) -> None:
    folder = sweep_folder(tmp_path / "tiny")
    done = command("report", folder, "--gpu-hour", 2, "--title", "A <b>tiny</b> sweep", *ALONE, "--json", "-")
    assert done.status == 0, done.err
    said = json.loads(done.out)
    page = folder / "report.html"
    text = text_of(page)
    assert said["report"] == str(page)
    assert all(sentence.split(" (")[0] in text for sentence in said["verdict"])
    assert "<b>tiny</b>" not in page.read_text()
    assert f"isoflop fit {folder} --minimum parabola --resamples 20" in text
    assert f"isoflop report {folder}" in text
    assert said["figures"] == []
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == ["plan.json", "report.html"]


def test_a_fits_folder_is_enough_to_report_it_again(command: Callable[..., Any], fitted: Path) -> None:
    done = command("report", fitted, *ALONE, "--json", "-")
    assert done.status == 0, done.err
    said = json.loads(done.out)
    assert "differs_from_fit" not in {warning["code"] for warning in said["warnings"]}
    text = text_of(fitted / "report.html")
    report = json.loads((fitted / "fit.json").read_text())
    assert all(f"{minimum['loss']:.4f}" in text for minimum in report["fits"]["isoflop"]["minima"])
    assert "--columns loss=nats --where 'n_params > 1' --method isoflop" in text
    assert "--seed 3" in text
    assert "loss is nan" in text
    assert "runs.csv:22" in text
    again = command("report", fitted / "fit.json", "--figures", fitted / "paper", "--style", "grayscale")
    assert again.status == 0, again.err
    drawn = {path.name for path in (fitted / "paper").iterdir()}
    assert {f"allocation{suffix}" for suffix in (".png", ".pdf", ".svg")} <= drawn
    assert f"wrote {len(drawn)} files in" in again.out


def test_other_numbers_than_the_fits_are_a_warning(command: Callable[..., Any], fitted: Path) -> None:
    report = json.loads((fitted / "fit.json").read_text())
    report["fits"]["isoflop"]["params_exponent"]["value"] = 0.4
    report["isoflop_version"] = "0.0.1"
    (fitted / "fit.json").write_text(json.dumps(report))
    done = command("report", fitted, *ALONE)
    assert done.status == 0
    assert "warning [differs_from_fit]" in done.err
    assert "isoflop a 0.4, now" in done.err
    assert "isoflop 0.0.1 then" in done.err
    assert "differs_from_fit" in (fitted / "report.html").read_text()


def test_a_table_is_reported_where_one_stands(
    command: Callable[..., Any], runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs.parent)
    done = command("report", "runs.csv", "--where", "budget > 1e17", *ALONE, "--device", "H100", "--mfu", 0.5)
    assert done.status == 0, done.err
    assert "wrote report.html (" in done.out
    text = text_of(runs.parent / "report.html")
    assert "isoflop fit runs.csv --where 'budget > 1e17'" in text
    assert "assumed: 50% of the 9.89e14 FLOP/s of H100" in text
    assert sorted(path.name for path in runs.parent.iterdir()) == ["report.html", "runs.csv"]


def test_what_cannot_be_reported_is_one_line(command: Callable[..., Any], runs: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "fit.json").write_text('{"fits": {}, "source": ["mine.csv"]}')
    for words, says in (
        ((tmp_path / "nowhere",), "nowhere: no such file or folder"),
        (
            (bare,),
            f"has fit.json but no runs.csv, the runs it fitted: give them again: isoflop fit mine.csv --out {bare}",
        ),
        ((runs, "--out", tmp_path / "page.pdf"), "name a file that ends in .html"),
        ((runs, "--out", runs / "report.html"), "cannot be written"),
        ((runs, "--figures", runs), "--figures"),
        ((runs, "--style", "seaborn"), "--style seaborn: matplotlib has none of that name"),
        ((runs, "--style", "ggplot", "--figures", "none"), "--style ggplot"),
        ((runs, "--mfu", 0.4), "--mfu 0.4: is a share of a device's peak; give --device too"),
        ((runs, "--device", "abacus"), "abacus"),
        ((runs, "--gpu-hour", -1), "--gpu-hour"),
        ((runs, "--where", "loss <"), "--where"),
    ):
        refused(command("report", *words), says)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bare", "runs.csv"]


def test_a_fits_folder_takes_no_names_of_columns(command: Callable[..., Any], fitted: Path) -> None:
    refused(command("report", fitted, "--columns", "loss=x"), "--columns", "read already")


def test_runs_without_an_answer_fail_in_one_line(command: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "few.csv"
    path.write_text("n_params,tokens,loss\n1e6,1e8,3\n1e7,1e8,2.5\n")
    done = command("report", path, "--out", tmp_path / "r.html")
    assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)
    assert not (tmp_path / "r.html").exists()
