"""`fit --form power`, as a user with labels, prices and targets meets it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .test_bad_input import GOOD, refused

SIZES = (500, 1000, 2000, 4000, 8000, 16000, 32000)


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Errors of three seeds at seven numbers of labels; two corpora; one measurement that is not there."""
    rng = np.random.default_rng(5)
    rows = ["labels,error,seed,corpus"]
    for corpus, floor in (("a", 0.06), ("b", 0.02)):
        for n in SIZES:
            rows += [
                f"{n},{(floor + 3 * n**-0.45) * (1 + 0.02 * rng.standard_normal())},{s},{corpus}" for s in range(3)
            ]
    path = tmp_path / "labels.csv"
    path.write_text("\n".join([*rows, "64000,,0,a"]) + "\n")
    return path


def words(path: Path, *more: Any) -> tuple[Any, ...]:
    return ("fit", path, "--form", "power", "--x", "labels", "--y", "error", *more)


ONE = ("--where", "corpus == 'a'")


def test_labels_their_price_and_a_target(command: Callable[..., Any], labels: Path, tmp_path: Path) -> None:
    asked = (*ONE, "--price-per-unit", 0.12, "--target", 0.07, "--at", "64k")
    done = command(*words(labels, *asked, "--out", tmp_path / "out"))
    assert done.status == 0, done.err
    lines = done.out.splitlines()
    assert lines[0].startswith("EXTRAPOLATED: --at 64k 0.3 decades, --target 0.07 ")
    assert lines[1].startswith("error falls with labels: error = floor + coefficient * labels^-exponent")
    assert "7 points from 21 rows" in lines[1]
    assert f"  excluded row 22 ({labels}:44): error is missing" in lines
    assert any(line.startswith("  error 0.07 needs labels ") and "$" in line for line in lines)
    assert sorted(path.name for path in (tmp_path / "out" / "figures").iterdir()) == [
        f"power.{kind}" for kind in ("pdf", "png", "svg")
    ]
    report = json.loads((tmp_path / "out" / "power.json").read_text())
    assert report["exponent"]["low"] < 0.45 < report["exponent"]["high"]
    assert report["offset"]["low"] < 0.06 < report["offset"]["high"]
    target = report["target"]
    assert target["price"]["value"] == pytest.approx(0.12 * target["x"]["value"])
    assert report["last"]["gain_per_dollar"]["value"] == pytest.approx(report["last"]["gain_per_unit"]["value"] / 0.12)
    assert json.loads(command(*words(labels, *asked, "--json", "-")).out) == report


def test_within_the_points_nothing_is_said_to_be_extrapolated(command: Callable[..., Any], labels: Path) -> None:
    done = command(*words(labels, *ONE, "--at", "3000"))
    assert done.out.startswith("error falls with labels")
    assert command(*words(labels, *ONE, "--target", "0.001")).out.count("not reachable: the fitted floor is 0.0") == 1


def test_a_share_is_a_formula_and_its_ceiling_has_a_bound(command: Callable[..., Any], labels: Path) -> None:
    asked = ("fit", labels, "--form", "power", "--x", "labels / 1000", "--y", "1 - error", *ONE, "--json", "-")
    free, held = (json.loads(command(*asked, *more).out) for more in ((), ("--bound", "upper=1")))
    assert free["direction"] == held["direction"] == "rising"
    assert held["offset_limit"] == 1.0
    assert held["offset"]["value"] == pytest.approx(0.94, abs=0.03)
    given = json.loads(command(*asked, "--offset", "0.94").out)
    assert (given["offset"]["value"], given["offset"]["low"]) == (0.94, None)
    assert given["exponent"]["high"] - given["exponent"]["low"] < held["exponent"]["high"] - held["exponent"]["low"]


def test_groups_are_fitted_apart(command: Callable[..., Any], labels: Path) -> None:
    done = command(*words(labels, "--group-by", "corpus", "--json", "-"))
    groups = json.loads(done.out)["groups"]
    assert [group["key"] for group in groups] == ["a", "b"]
    assert groups[0]["offset"]["value"] > groups[1]["offset"]["value"]
    said = command(*words(labels, "--group-by", "corpus")).out
    assert said.count("error falls with labels") == 2


def test_runs_at_one_token_count(command: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "family.csv"
    rows = [f"{n},3e11,{1.9 + 400 * n**-0.34}" for n in (7e7, 1.6e8, 4.1e8, 1e9, 2.8e9, 6.9e9)]
    path.write_text("\n".join(["params,tokens,val_loss", *rows, "1e9,3e11,nan"]) + "\n")
    done = command("fit", path, "--form", "power", "--x", "n_params", "--y", "loss", "--at", "70B")
    assert done.status == 0, done.err
    assert "exponent .34" in done.out
    assert "note: at 300B tokens throughout" in done.out
    assert "loss is nan" in done.out


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--y", "corpus"], "labels.csv:2: column 'corpus' holds 'a', which is no number"),
        (["--x", "error"], "must be two columns"),
        (["--x", "label"], "--x label: no column 'label'; columns: labels, error"),
        (["--x", "labels/seed"], "; a formula has spaces around"),
        (["--x", "corpus"], "--x corpus: "),
        (["--x", "labels - 500"], "--x labels - 500 is 0, and must be more than 0"),
        (["--where", "labels < 3000"], "3 distinct x: a one-dimensional law needs at least 4"),
        (["--price-per-unit", "-1"], "--price-per-unit -1 must be a positive number"),
        (["--price-per-unit", "nan"], "--price-per-unit nan must be a positive number"),
        (["--price-per-unit", "0"], "--price-per-unit 0 must be a positive number"),
        (["--target", "0.9"], "--target 0.9: y falls and its worst point is"),
        (["--target", "inf"], "--target inf must be a finite number"),
        (["--at", "1k,-5"], "--at 1k,-5: must be a finite number above 0"),
        (["--at", "1e400"], "must be a finite number above 0"),
        (["--offset", "0.5"], "y falls, so its floor must be below the least"),
        (["--offset", "low"], "--offset 'low': must be fitted, or a number as 0"),
        (["--bound", "upper"], "give --bound lower or none"),
        (["--bound", "lower=x"], "must be a number behind =, as upper=1"),
        (["--bound", "sideways"], "--bound 'sideways': give lower or upper"),
        (["--error", "log"], "--error 'log' is unknown: choose relative, absolute"),
        (["--level", "1"], "--level 1 must lie between 0 and 1"),
        (["--form", "cubic"], "--form 'cubic' is unknown: choose power"),
        (["--resamples", "100"], "--resamples does not go with --form power: its intervals are profiles"),
        (["--method", "isoflop"], "--method does not go with --form power"),
        (["--group-by", "nope"], "--group-by 'nope': no such column"),
        (["--ends"], "--ends is for tables of runs"),
        (["--json", "/nowhere/fit.json"], "--json /nowhere/fit.json"),
    ],
)
def test_bad_input_is_one_line(command: Callable[..., Any], labels: Path, more: list[str], says: str) -> None:
    where = () if "--where" in more or "--group-by" in more else ONE
    refused(command(*words(labels, *where, *more)), says)


def test_options_of_the_form_alone_and_isoflop_rows_are_refused(command: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text(GOOD)
    refused(command("fit", path, "--target", "3"), "--target is for --form power")
    refused(command("fit", path, "--form", "power", "--y", "loss"), "--form power needs --x COL: the resource")
    asked = ("fit", path, "--form", "power", "--y", "loss", "--x")
    refused(command(*asked, "n_params"), str(path), "tokens varies from", "--method parametric")
    refused(command(*asked, "budget"), "L(C) is a law along one path", "--method saturating")


def test_a_metric_that_does_not_move_ends_with_status_1(command: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "flat.csv"
    path.write_text("x,y\n" + "".join(f"{x},{y}\n" for x, y in zip(SIZES, (3, 2, 3, 4, 3, 2, 3), strict=True)))
    done = command("fit", path, "--form", "power", "--x", "x", "--y", "y")
    assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)
    assert "does not move with x" in done.err
