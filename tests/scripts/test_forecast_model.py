"""`forecast --model`: the ladder's nearest model, and a file that plans as it stands."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SMOKE = ROOT / "configs" / "smoke.yaml"
LAW = "published:hoffmann_approach3"


def forecast(command: Callable[..., Any], *words: str | Path) -> Any:
    return command("forecast", LAW, "--model", SMOKE, *words)


@pytest.fixture
def corpus(tmp_path: Path) -> list[str]:
    """A small corpus in place of the config's."""
    for i in range(60):
        (tmp_path / f"{i}.txt").write_text(f"{i} is a number. " * 2000)
    return ["--set", f"data.corpus={{kind: files, paths: ['{tmp_path}/*.txt']}}"]


def test_the_file_plans_as_it_stands(command: Callable[..., Any], tmp_path: Path, corpus: list[str]) -> None:
    file, plan_file = tmp_path / "one.yaml", tmp_path / "plan.json"
    done = forecast(command, "--params", "2500", "--tokens", "400k", "--write", file, *corpus, "--json", "-")
    assert done.status == 0, done.err
    model = json.loads(done.out)["model"]
    planned = command("plan", file, "--json", plan_file)
    assert planned.status == 0, planned.err
    cells = json.loads(plan_file.read_text())["cells"]
    assert [cell["shape"] for cell in cells] == [model["shape"]] * 2
    assert cells[1]["learning_rate"] == pytest.approx(model["learning_rate"])
    assert cells[1]["steps"] == model["steps"]
    assert cells[0]["flops"] < 0.1 * cells[1]["flops"]
    # The compute is the run's, 6 N D by the model's own N, whatever size the ladder has.
    assert 6 * model["n_params"] * model["tokens"] == pytest.approx(6 * 2500 * 400e3, rel=0.01)
    assert file.read_text().startswith("# N = 2.5k, as asked, at 6e9 FLOPs by Chinchilla, approach 3.")


def test_a_corpus_too_small_is_told_and_not_written(
    command: Callable[..., Any], tmp_path: Path, corpus: list[str]
) -> None:
    words = ["--params", "2500", "--tokens", "1B", *corpus]
    told = forecast(command, *words)
    assert told.status == 0, told.err
    assert "cannot be planned yet: data.corpus" in told.out
    refused = forecast(command, *words, "--write", tmp_path / "one.yaml")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "raise data.max_epochs" in refused.err
    assert not (tmp_path / "one.yaml").exists()
    # However much is asked, the bound that is named is the config's own.
    most = forecast(command, "--flops", "1e40", *corpus)
    assert most.status == 0, most.err
    assert "raise data.max_epochs (1)" in most.out


def a_line(folder: Path, flops: str, common: str = "runs") -> Path:
    """A fit.json of isoFLOP, whose C is counted as `flops`: N = .25 C^.5, D = C^.5."""
    line = {"params_coefficient": 0.25, "tokens_coefficient": 1.0, "common_flops": common}
    exponents = {name: {"value": 0.5} for name in ("params_exponent", "tokens_exponent")}
    conventions = {"n_params": "n_params_non_embedding", "flops": flops}
    path = folder / "fit.json"
    path.write_text(json.dumps({"conventions": conventions, "fits": {"isoflop": line | exponents}}))
    return path


def test_the_compute_is_counted_as_the_law_counts_it(
    command: Callable[..., Any], tmp_path: Path, corpus: list[str]
) -> None:
    words = ["--flops", "1e10", "--model", SMOKE, *corpus, "--json", "-"]
    known = json.loads(command("forecast", a_line(tmp_path, "flops_6nd_non_embedding"), *words).out)["model"]
    assert 6 * known["n_params_non_embedding"] * known["tokens"] == pytest.approx(1e10, rel=0.01)
    assert not any("counts C as" in note for note in known["notes"])
    other = json.loads(command("forecast", a_line(tmp_path, "flops"), *words).out)["model"]
    assert any("counts C as 'flops'" in note and "as 6 N D" in note for note in other["notes"])
    budgets = command("forecast", a_line(tmp_path, "flops_6nd_non_embedding", "budget"), *words)
    assert (budgets.status, budgets.out, budgets.err.count("\n")) == (2, "", 1), budgets
    assert "fit with --common-flops runs" in budgets.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--flops", "1e10,1e11"], "--model takes one answer"),
        (["--flops", "1e10", "--set", "model.depths=2"], "did you mean 'depth'"),
        (["--flops", "1e10", "--write", "/nowhere/x.yaml"], "--write /nowhere/x.yaml"),
    ],
)
def test_what_cannot_be_launched_is_one_line(
    command: Callable[..., Any], corpus: list[str], words: list[str], says: str
) -> None:
    done = forecast(command, *corpus, *words)
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1), done
    assert says in done.err


def test_a_law_without_parameters_names_no_size(command: Callable[..., Any], corpus: list[str]) -> None:
    done = command("forecast", "published:deepseek", "--model", SMOKE, "--flops", "1e10", *corpus)
    assert done.status == 2
    assert "flops per token" in done.err
