"""`forecast`, as a user meets it: the first line, JSON alone on stdout, laws side by side, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isoflop.fitting import ChinchillaLaw
from isoflop.scripts import forecast_laws

LAW = ChinchillaLaw(E=1.7, A=400.0, B=900.0, alpha=0.34, beta=0.31)
GOPHER = "5.76e23"  # FLOPs


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of a planted law's runs, 1e18 to 1e21 FLOPs, with noise."""
    rng = np.random.default_rng(3)
    lines = ["n_params,tokens,loss,flops,budget"]
    for budget in np.geomspace(1e18, 1e21, 4):
        for n in LAW.optimum(budget)[0] * np.geomspace(0.25, 4, 6):
            d = budget / 6 / n
            loss = float(LAW.loss(n, d)) + 0.003 * rng.standard_normal()
            lines.append(f"{n},{d},{loss},{budget},{budget}")
    path = tmp_path_factory.mktemp("runs") / "runs.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def fit_json(runs: Path) -> Path:
    """Its fits, written."""
    chosen: dict[str, Any] = {"columns": {}, "mapping": None, "where": None, "keep_flagged": False}
    path = runs.parent / "fit.json"
    path.write_text(json.dumps(forecast_laws.report_of(str(runs), chosen)))
    return path


def answered(command: Callable[..., Any], *words: str | Path) -> Any:
    done = command("forecast", *words, "--json", "-")
    assert done.status == 0, done.err
    return json.loads(done.out)


def refused(command: Callable[..., Any], *words: str | Path) -> str:
    done = command("forecast", *words)
    assert (done.status, done.out) == (2, ""), done
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1, done.err
    return done.err


def test_json_holds_the_four_numbers_and_nothing_else_is_printed(command: Callable[..., Any]) -> None:
    done = command("forecast", "published:besiroglu", "--flops", GOPHER, "--json", "-")
    found = json.loads(done.out)
    # Closed form of arXiv:2404.10102's constants at C = 6 N D.
    assert found["n_params"]["value"] == pytest.approx(72.3e9, rel=2e-3)
    assert found["tokens_per_param"]["value"] == pytest.approx(18.4, rel=2e-3)
    assert found["loss"]["value"] == pytest.approx(1.974, abs=6e-4)
    assert found["tokens"]["value"] == pytest.approx(5.76e23 / 6 / found["n_params"]["value"])
    assert all(line.startswith("warning [") for line in done.err.splitlines())


def test_the_first_line_is_the_answer_and_how_far_it_extrapolates(command: Callable[..., Any]) -> None:
    done = command("forecast", "published:besiroglu", "published:llama3", "--flops", GOPHER)
    first = done.out.splitlines()[0]
    assert first.startswith("EXTRAPOLATION: ")
    assert "decades above the runs" in first
    assert "N* = 72.2B" in first
    within = command("forecast", "published:llama3", "--flops", "1e21").out.splitlines()[0]
    assert within.startswith("At 1e21 FLOPs: N* ")
    below = command("forecast", "published:llama3", "--flops", "6e16").out.splitlines()[0]
    assert below.startswith("EXTRAPOLATION: 2.0 decades below the runs: ")


def test_fits_of_a_fit_json_stand_side_by_side_with_their_intervals(
    command: Callable[..., Any], fit_json: Path
) -> None:
    found = answered(command, fit_json, "--flops", "1e22")["forecasts"]
    assert found[0]["label"] == "ours, parametric"
    truth = float(LAW.optimum(1e22)[0])
    for each in found[:2]:
        assert each["n_params"]["low"] < truth < each["n_params"]["high"]
        assert each["n_params"]["level"] == 0.95
        assert each["beyond_decades"] == pytest.approx(1)
    alone = answered(command, fit_json, "--method", "isoflop", "--flops", "1e22")
    assert alone["law"].endswith("isoflop")
    assert alone["loss"] is None
    text = command("forecast", fit_json, "--method", "parametric", "--loss", "2.2", "--inference-tokens", "1T").out
    assert "95 % intervals from resampled runs" in text


def test_a_law_without_intervals_says_why(command: Callable[..., Any], fit_json: Path) -> None:
    laws = answered(command, fit_json, "--flops", "1e22")["forecasts"]
    for each in laws:
        kaplan, bare = "kaplan" in each["law"], each["n_params"]["level"] is None
        assert any("none of its resamples" in note for note in each["notes"]) == kaplan
        assert bare == any("no intervals" in note for note in each["notes"])
        assert not any("fit it again for them" in note for note in each["notes"])
    assert any("kaplan" in each["law"] for each in laws)


def test_runs_are_fitted_on_the_spot(command: Callable[..., Any], runs: Path) -> None:
    found = answered(command, runs, "--where", "budget < 5e20", "--method", "parametric", "--flops", "1e21")
    assert found["n_params"]["value"] == pytest.approx(float(LAW.optimum(1e21)[0]), rel=0.25)
    assert found["flops_range"][1] < 5e20


def test_a_share_of_a_fleet_for_a_year(command: Callable[..., Any]) -> None:
    laws = ["published:hoffmann_approach1", "published:besiroglu"]
    found = answered(command, *laws, "--stock", "4e21", "--share", ".25", "--days", "365", "--use", ".5")["forecasts"]
    # .25 x 4e21 x .5 x 31.536e6 s; at about 20 tokens a parameter (1.58e28 / 120)^.5 = 11.5e12.
    assert found[0]["flops"] == pytest.approx(1.5768e28)
    assert found[0]["n_params"]["value"] == pytest.approx(11.4e12, rel=0.03)
    served = found[0]["stock"]["serves_tokens_per_second"]
    assert served == pytest.approx(0.25 * 4e21 * 0.5 / 2 / found[0]["n_params"]["value"])
    assert found[1]["n_params"]["value"] != pytest.approx(found[0]["n_params"]["value"], rel=0.1)


def test_what_stands_beside_an_optimum(command: Callable[..., Any]) -> None:
    words = ["--inference-tokens", "1T,10T", "--unique-tokens", "1T", "--wrong-exponent", ".73", "--device", "H100"]
    found = answered(command, "published:besiroglu", "--flops", "1e25", *words, "--gpu-hour", "2", "--devices", "1000")
    small, large = (one["n_params"]["value"] for one in found["inference"])
    assert large < small < found["n_params"]["value"]
    repeats = found["data_constrained"][0]
    assert repeats["epochs"]["value"] > 1
    assert repeats["loss"]["value"] > found["loss"]["value"]
    assert "assumed" in repeats["source"]
    assert found["wrong_exponent"][0]["extra_compute"]["value"] > 0
    hours = found["cost"]["device_hours"]["value"]
    assert found["cost"]["price"]["value"] == pytest.approx(2 * hours)
    assert found["cost"]["days"]["value"] == pytest.approx(hours / 24 / 1000)
    own = answered(command, "published:besiroglu", "--flops", "1e25", "--wrong-exponent", "0.51261")
    assert own["wrong_exponent"][0]["extra_compute"]["value"] == pytest.approx(0, abs=1e-6)


def test_laws_that_do_not_say_it_are_named_beside_those_that_do(command: Callable[..., Any]) -> None:
    found = answered(command, "published:besiroglu", "published:hoffmann_approach1", "--loss", "2")
    assert [one["law"] for one in found["forecasts"]] == ["published:besiroglu"]
    assert found["unanswered"][0].startswith("published:hoffmann_approach1: does not say L(C)")
    text = command("forecast", "published:besiroglu", "published:hoffmann_approach1", "--loss", "2").out
    assert "no answer: published:hoffmann_approach1" in text


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--flops", "1e24"], "no LAW is given"),
        (["published:besiroglu"], "nothing is asked"),
        (["published:besirogli", "--flops", "1e24"], "nearest: besiroglu"),
        (["published:besiroglu", "--flops", "1e24x"], "--flops 1e24x: '1e24x' is no number"),
        (["published:besiroglu", "--flops", "-1"], "--flops"),
        (["published:besiroglu", "--flops", "1e24", "--loss", "2"], "--flops and --loss contradict"),
        (["published:besiroglu", "--flops", "1e24", "--stock", "1e21"], "--flops contradicts --stock"),
        (["published:besiroglu", "--loss", "1.5"], "goes down to E = 1.817"),
        (["published:hoffmann_approach1", "--loss", "2"], "does not say L(C)"),
        (["published:minicpm", "--flops", "1e24"], "it gives its exponents only"),
        (["published:besiroglu", "--flops", "1e24", "--price-per-flop", "-1"], "--price-per-flop -1"),
        (["published:besiroglu", "--flops", "1e24", "--gpu-hour", "0"], "--gpu-hour 0"),
        (["published:besiroglu", "--flops", "1e24", "--device", "H1000"], "'H1000'"),
        (["published:besiroglu", "--stock", "nvidia"], "'nvidia'"),
        (["published:besiroglu", "--stock", "1e21", "--share", "1.5"], "share"),
        (["published:besiroglu", "--dollars", "-5"], "-5"),
        (["/nowhere/runs.csv", "--flops", "1e24", "--method", "isoflops"], "--method 'isoflops'"),
        (["published:besiroglu", "--flops", "1e24", "--write", "x.yaml"], "--write x.yaml: is about --model"),
        (["published:besiroglu", "--flops", "1e24", "--share", ".5"], "--share 0.5: is about --stock"),
        (["published:besiroglu", "--dollars", "1e6", "--days", "5"], "--dollars buy compute"),
        (["published:besiroglu", "--flops", "1e24", "--json", "/nowhere/x.json"], "--json /nowhere/x.json"),
        (["published:besiroglu", "--flops", "1e24", "--params", "1e9", "--inference-tokens", "1T"], "leave one"),
        (
            ["published:besiroglu", "--flops", "1e24", "--inference-tokens", "-1"],
            "--inference-tokens -1: must be a finite number above 0",
        ),
        (
            ["published:besiroglu", "--flops", "1e24", "--unique-tokens", "0"],
            "--unique-tokens 0: must be a finite number above 0",
        ),
        (["/nowhere/runs.csv", "--flops", "1e24"], "/nowhere/runs.csv"),
    ],
)
def test_what_cannot_be_asked_is_one_line(command: Callable[..., Any], words: list[str], says: str) -> None:
    assert says in refused(command, *words)


def test_the_list_shows_every_name_with_its_interval_and_what_it_says(command: Callable[..., Any]) -> None:
    text = command("forecast", "--list").out
    assert ".49 [.46, .53] 80 %" in text
    assert "secondary" in text
    rows = json.loads(command("forecast", "--list", "--json", "-").out)["published"]
    says = {row["name"]: row["says"] for row in rows}
    assert says["besiroglu"] == "N*(C), D*(C), L(N, D), L(C)"
    assert all(name in text for name in says)


@pytest.mark.parametrize("name", ["kaplan", "kaplan_fixed_batch", "kaplan_joint"])
def test_kaplans_laws_extrapolate_beyond_the_budgets_of_their_runs(command: Callable[..., Any], name: str) -> None:
    # arXiv:2001.08361: budgets up to about 1e20 FLOPs; no source gives the least.
    lines = command("forecast", f"published:{name}", "--flops", "1e30").out.splitlines()
    assert lines[0].startswith("EXTRAPOLATION: 10.0 decades above the runs: at 1e30 FLOPs: ")
    within = command("forecast", f"published:{name}", "--flops", "1e18").out
    assert within.startswith("At 1e18 FLOPs: ")
    assert "runs end at 1e20" in within


def test_a_law_whose_range_nobody_knows_says_so_first(command: Callable[..., Any]) -> None:
    assert command("forecast", "published:sardana", "--flops", "1e30").out.startswith("RANGE UNKNOWN: at 1e30 FLOPs: ")
