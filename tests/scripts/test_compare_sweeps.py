"""`compare` of several sweeps: what it prints and writes, and what is refused before anything is fitted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from isoflop.scripts.compare_sweeps import names_of

LADDER = Path(__file__).resolve().parents[2] / "docs" / "results" / "ladder"


@pytest.fixture
def sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders as `fit --out` leaves them, of an older version: without resamples, ranges or minima."""
    exponents = {
        "params_exponent": {"value": 0.5, "low": 0.4, "high": 0.6},
        "tokens_exponent": {"value": 0.5, "low": 0.4, "high": 0.6},
    }
    report = {
        "conventions": {"n_params": "n_params", "flops": "6nd"},
        "fits": {"isoflop": exponents | {"params_coefficient": 0.1, "tokens_coefficient": 1.7}},
        "by_convention": [],
        "warnings": [{"code": "few", "text": "too few runs"}],
    }
    for name in ("lr.3_a", "lr.3_b", "more/lr.3_a"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "fit.json").write_text(json.dumps(report))
    monkeypatch.chdir(tmp_path / "lr.3_a")
    return tmp_path


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One table of two settings; b's loss is .1 higher throughout."""
    flops = np.repeat(np.geomspace(1e18, 1e20, 4), 6)
    n_params = 0.1 * flops**0.5 * np.tile(np.geomspace(0.3, 3, 6), 4)
    loss = 2 + 30 * flops**-0.1 + 0.05 * np.log(n_params / (0.1 * flops**0.5)) ** 2
    rows = {"n_params": n_params, "tokens": flops / 6 / n_params, "loss": loss, "flops": flops, "budget": flops}
    rng = np.random.default_rng(0)
    parts = [
        pd.DataFrame(rows).assign(setting=name, loss=loss + add + 1e-3 * rng.standard_normal(len(loss)))
        for name, add in (("a", 0.0), ("b", 0.1))
    ]
    path = tmp_path_factory.mktemp("table") / "runs.csv"
    pd.concat(parts).to_csv(path, index=False)
    return path


def test_a_row_is_called_as_its_sweep_and_no_two_alike(sweeps: Path, command: Callable[..., Any]) -> None:
    assert names_of([".", f"{sweeps}/lr.3_b/fit.json", "hf:some/table"]) == ["lr.3_a", "lr.3_b", "hf:some/table"]
    alike = [str(sweeps / "lr.3_a"), str(sweeps / "more" / "lr.3_a")]
    assert names_of(alike) == alike
    found = json.loads(command("compare", sweeps / "lr.3_a", sweeps / "lr.3_b" / "fit.json", "--json", "-").out)
    assert [row["name"] for row in found["sweeps"]] == ["lr.3_a", "lr.3_b"]
    move = found["pair"]["exponents"][0]["params_difference"]
    assert (move["method"], move["verdict"]) == ("intervals", "not told apart")
    assert move["high"] == pytest.approx(0.1 * np.sqrt(2))


def test_the_ladder_stands_beside_porians_rungs_unasked(tmp_path: Path, command: Callable[..., Any]) -> None:
    # The five sweeps of configs/ladder.
    names = ["1_kaplan", "2_head", "3_warmup", "4_decay", "5_tuned"]
    figure, markdown = tmp_path / "rungs.png", tmp_path / "rungs.md"
    ended = command("compare", *(LADDER / f"{name}.json" for name in names), "--figure", figure, "--markdown", markdown)
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.startswith(
        "from 1_kaplan to 5_tuned a moves by -.30 [-.58, -.01] 95 %; the published move is -.34"
    )
    assert "5_tuned: rate and batch are tuned for size and tokens: a moves by -.07 [-.13, -.02] 95 %" in ended.out
    assert "What counting alone does to 5_tuned: a from .26 to .48, .22" in ended.out
    assert "* combines two intervals" not in ended.out  # these files hold resamples
    assert "…" not in ended.out  # nothing is cut off
    assert max(map(len, ended.out.partition("What counting")[0].splitlines())) <= 100
    assert figure.stat().st_size > 10_000
    written = markdown.read_text()
    assert "| 2_head | blocks+head | Porian | .59 [.35, .87] 95 % | -.08 [-.44, +.30] | .40 [.13, .64] |" in written


def test_the_settings_of_one_table_are_compared_as_sweeps(both: Path, command: Callable[..., Any]) -> None:
    path = both.with_name("found.json")
    words = ("--counting", "blocks_and_head:porian,blocks_and_head:porian", "--json", path)
    words = (*words, "--flops", "1e22", "--beside", "porian_kaplan_setting,porian_tuned")
    ended = command("compare", both, "--group-by", "setting", *words)
    assert ended.status == 0, ended.err
    pair = json.loads(path.read_text())["pair"]
    assert (pair["first"], pair["second"], pair["losses_comparable"]) == ("a", "b", None)
    assert {(each["n_params"], each["flops"]) for each in pair["exponents"]} == {("blocks_and_head", "porian")}
    isoflop = pair["exponents"][0]["params_difference"]
    assert (isoflop["method"], isoflop["verdict"]) == ("resamples", "not told apart")
    minima = [row for row in pair["losses"] if row["source"] == "minima"]
    assert len(minima) == 4
    for row in minima:
        assert row["difference"]["value"] == pytest.approx(0.1, abs=0.002)
        assert 0.09 < row["difference"]["low"] < row["difference"]["high"] < 0.11
    assert ended.out.startswith("extrapolated at 1e22 FLOPs: 2.0 decades above what a measured")
    assert "IF both are of one validation set" in ended.out
    assert ".835 -> .7065 -> .602 -> .5715 -> .4969" in ended.out


@pytest.mark.parametrize("figure", ["x.doc", "no_folder/x.png"])
def test_a_figure_that_cannot_be_drawn_is_refused(sweeps: Path, command: Callable[..., Any], figure: str) -> None:
    ended = command("compare", sweeps / "lr.3_a", sweeps / "lr.3_b", "--figure", sweeps / figure)
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert "must end in .png, .pdf or .svg, in a folder that exists" in ended.err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--counting", "total:6nd"], "--counting total:6nd: 1 counts for 2 sweeps; give N:C for each"),
        (["--counting", "total:6nd,all:6nd"], "--counting all:6nd: must be N:C, as total:6nd, with N one of total,"),
        (["--counting", "total:6nd,total"], "--counting total: must be N:C"),
        (["--beside", "porian_tuned"], "--beside names 1 published estimates for 2 sources"),
        (["--beside", "porian_tuned,porian_tund"], "no published estimate is called 'porian_tund'"),
        (["--flops", "-1e20"], "--flops"),
        (["--group-by", "setting"], "--group-by setting: splits one source into sweeps; 2 are given"),
    ],
)
def test_bad_options_are_one_line(sweeps: Path, command: Callable[..., Any], options: list[str], says: str) -> None:
    ended = command("compare", sweeps / "lr.3_a", sweeps / "lr.3_b", *options)
    assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert says in ended.err


def test_losses_of_three_sweeps_are_asked_for_in_vain(command: Callable[..., Any]) -> None:
    ended = command(
        "compare", *(LADDER / f"{name}.json" for name in ("4_decay", "5_tuned", "3_warmup")), "--flops", "1e11"
    )
    assert (ended.status, ended.out) == (2, "")
    assert "--flops 1e11: losses are compared of two sweeps at a time; 3 are given" in ended.err


def test_what_combines_two_intervals_is_explained(sweeps: Path, command: Callable[..., Any]) -> None:
    ended = command("compare", sweeps / "lr.3_a", sweeps / "lr.3_b", sweeps / "more" / "lr.3_a")
    assert "* combines two intervals" in ended.out
    assert "Kaplan's law keeps none" in ended.out
    assert ended.out.count("N is taken for total and C for 6ND") == 3


def test_a_column_that_does_not_split_is_refused(both: Path, command: Callable[..., Any]) -> None:
    ended = command("compare", both, "--group-by", "setting", "--where", "setting == 'a'")
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert "has one value of it only, a" in ended.err
    ended = command("compare", both, "--group-by", "corpus")
    assert "--group-by 'corpus': no such column" in ended.err
