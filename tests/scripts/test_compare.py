"""`compare` of one source beside published estimates, as a user meets it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "docs" / "results" / "demo" / "fit.json"


def test_everything_at_once(command: Callable[..., Any], tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("forest.png", "c.json", "c.md")}
    written = ["--figure", files["forest.png"], "--json", files["c.json"], "--markdown", files["c.md"]]
    done = command("compare", DEMO, "--flops", "1e13,1e21", *written)
    assert done.status == 0, done.err
    assert done.out.startswith("extrapolated beyond the compute these runs measured: 1e13 by +1.5 decades, 1e21 by")
    said = [line for line in done.out.splitlines() if not line.startswith("warning")]
    assert max(map(len, said)) <= 100
    found = json.loads(files["c.json"].read_text())
    assert set(found) == {"training", "sections", "remarks", "predictions", "tenfold"}
    rows = {row["name"]: row for section in found["sections"] for row in section["rows"] if not row["ours"]}
    assert set(rows["besiroglu"]["difference"]) == {"value", "standard_error", "lower_bound", "z", "verdict"}
    assert rows["besiroglu"]["params_exponent"]["interval"] == "1 SE"
    assert (rows["kaplan"]["comparable"], rows["kaplan"]["difference"]) == (False, None)
    assert {row["at_flops"] for row in found["predictions"]} == {1e13, 1e21}
    assert "### N: total" in files["c.md"].read_text()
    assert files["forest.png"].read_bytes().startswith(b"\x89PNG")


def test_what_goes_to_standard_output_goes_alone(command: Callable[..., Any]) -> None:
    assert "sections" in json.loads(command("compare", DEMO, "--json", "-").out)
    assert command("compare", DEMO, "--markdown", "-").out.startswith("## Compute-optimal exponents")


def test_a_sweep_trained_as_kaplans_is_held_against_kaplans(command: Callable[..., Any]) -> None:
    rows = json.loads(command("compare", DEMO, "--training", "untuned", "--json", "-").out)["sections"][1]["rows"]
    (setting,) = [row for row in rows if row["name"] == "porian_kaplan_setting"]
    assert setting["beside"] == "ours, isoFLOP, C as 6nd_non_embedding"
    assert "standard errors" in setting["words"]


def test_a_table_that_names_no_count_is_held_against_what_it_is_said_to_count(
    command: Callable[..., Any], tmp_path: Path
) -> None:
    exponents = {"params_exponent": {"value": 0.85, "low": 0.83, "high": 0.87}, "tokens_exponent": {"value": 0.15}}
    fit = exponents | {"params_coefficient": 1e-8, "tokens_coefficient": 1e7}
    report = {"conventions": {"n_params": "n_params", "flops": "6nd"}, "fits": {"isoflop": fit}}
    (tmp_path / "fit.json").write_text(
        json.dumps(report | {"by_convention": [], "warnings": [], "n_runs": 9, "excluded": []})
    )
    assert "N is taken for total and C for 6ND" in command("compare", tmp_path).out
    words = ("--counting", "non_embedding:6nd_non_embedding", "--training", "untuned", "--flops", "1e20", "--json", "-")
    found = json.loads(command("compare", tmp_path, *words).out)
    (section,) = found["sections"]
    rows = {row["name"]: row for row in section["rows"]}
    assert (section["n_params"], rows["porian_kaplan_setting"]["comparable"]) == ("non_embedding", True)
    assert found["predictions"][0]["n_convention"] == "non_embedding"


def test_beyond_the_runs_is_said_first(command: Callable[..., Any], tmp_path: Path) -> None:
    report = json.loads(DEMO.read_text()) | {"ranges": {"flops": [1e10, 1e12]}}
    (tmp_path / "fit.json").write_text(json.dumps(report))
    done = command("compare", tmp_path, "--flops", "1e11,1e15")
    assert done.out.splitlines()[0] == "extrapolated beyond the compute these runs measured: 1e15 by +3.0 decades"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--training", "long"], "--training long: must be one of matched"),
        (["--flops", "1e21,lots"], "--flops 1e21,lots: 'lots' is no number"),
        (["--flops", "0"], "--flops 0: must be a finite number above 0"),
        (["--flops", "-1e21"], "--flops -1e21: must be a finite number above 0"),
        (["--flops", "nan"], "--flops nan: "),
        (["--json", "-", "--markdown", "-"], "only one can go to standard output"),
        (["--markdown", "/nowhere/c.md"], "--markdown /nowhere/c.md: no file in a folder that exists"),
        (["--figure", "/nowhere/c.png"], "must end in .png, .pdf or .svg, in a folder that exists"),
        (["--style", "ggplot"], "--style ggplot: nothing is drawn; say where with --figure FILE"),
        (
            ["--figure", "c.png", "--style", "ggplto"],
            "--style ggplto: matplotlib has none of that name; nearby: ggplot",
        ),
        (["--beside", "kaplan"], "--beside kaplan: is for several sources"),
        (["--counting", "total:6nd"], "--counting: demo's table says itself how it counts"),
        (["--counting", "total:6nd,total:6nd"], "2 counts for 1 sweep; give N:C for each"),
        (["--json", "/tmp"], "--json /tmp: is a folder"),
    ],
)
def test_options_that_make_no_sense(command: Callable[..., Any], words: list[str], says: str) -> None:
    done = command("compare", DEMO, *words)
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1), done
    assert says in done.err


@pytest.mark.parametrize("words", [["--all"], ["--training", "matched"]])
def test_what_is_for_one_source_is_refused_for_two(command: Callable[..., Any], words: list[str]) -> None:
    done = command("compare", DEMO, DEMO, *words)
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert f"{words[0]}: is for one source" in done.err
