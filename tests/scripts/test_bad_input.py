"""Bad input: one line that says what and where, status 2, nothing written. By the commands, as a user meets it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SMOKE = ROOT / "configs" / "smoke.yaml"
GOOD = "n_params,tokens,loss,budget\n" + "".join(
    f"{n},{c / (6 * n)},{2 + 400 / n**0.34 + 400 / (c / (6 * n)) ** 0.28},{c}\n"
    for c in (1e17, 3e17, 1e18, 3e18)
    for n in (c**0.5 * f for f in (0.02, 0.04, 0.08, 0.16, 0.32))
)


def refused(done: Any, *says: str) -> None:
    assert done.status == 2, done
    assert done.out == ""
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1, done.err
    for words in says:
        assert words in done.err


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("grid.budget=[1e9,2e9]", "did you mean 'budgets'"),
        ("grid.budgets=[1e1O,1e9]", "must be a number, got '1e1O'"),
        ("grid.budgets=[-1,1e9]", "must be greater than 0, got -1"),
        ("grid.budgets=[0,1e9]", "must be greater than 0, got 0"),
        ("grid.budgets=[1e9]", "1 given; an exponent needs at least 2"),
        ("grid.budgets=[1e4,1e9]", "are below one batch of 32"),
        ("grid.budgets=[1e9,1e18]", "raise data.max_epochs"),
        ("data.corpus={kind: files, paths: [/nowhere/*.txt]}", "no file matches '/nowhere/*.txt'"),
    ],
)
@pytest.mark.parametrize("name", ["plan", "sweep"])
def test_a_sweep_that_cannot_be(
    command: Callable[..., Any], tmp_path: Path, name: str, override: str, says: str
) -> None:
    more = ["--out", tmp_path / "out"] if name == "sweep" else ["--json", tmp_path / "plan.json"]
    refused(command(name, SMOKE, "--set", override, *more), says, str(SMOKE))
    assert list(tmp_path.iterdir()) == []


def test_a_corpus_too_small_for_its_budget(command: Callable[..., Any], tmp_path: Path) -> None:
    for i in range(40):
        (tmp_path / f"{i}.txt").write_text(f"{i} " * 300)
    corpus = f"data.corpus={{kind: files, paths: ['{tmp_path}/*.txt']}}"
    refused(
        command("sweep", SMOKE, "--set", corpus, "--out", tmp_path / "o"), "the corpus has", "raise data.max_epochs"
    )
    assert not (tmp_path / "o").exists()
    allowed = command("sweep", SMOKE, "--set", corpus, "--set", "data.max_epochs=100", "--dry-run")
    assert allowed.status == 0, allowed.err


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("absent.csv", None, "absent.csv"),
        ("empty.csv", b"", "empty.csv"),
        ("binary.csv", b"\x00\x01\xff" * 50, "binary.csv"),
        ("header.csv", b"n_params,tokens,loss\n", "header.csv"),
        ("words.csv", b"n_params,tokens,loss\n1e6,1e8,3\n1e7,1e8,low\n", "words.csv:3"),
        ("bad.jsonl", b'{"n_params": 1}\n{oops\n', "bad.jsonl"),
        ("noloss.csv", b"n_params,tokens,speed\n1e6,1e8,3\n", "--columns loss=COL"),
        ("runs.xyz", b"1", "runs.xyz"),
    ],
)
def test_a_table_that_cannot_be_read(
    command: Callable[..., Any], tmp_path: Path, name: str, content: bytes | None, says: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    refused(command("fit", path, "--out", tmp_path / "out"), says)
    assert not (tmp_path / "out").exists()


def test_a_table_without_a_loss_names_what_it_has(command: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text(GOOD.replace("loss", "final_nll"))
    done = command("fit", path)
    refused(done, "n_params", "tokens", "final_nll")
    mapped = command("fit", path, "--columns", "loss=final_nll", "--resamples", 0)
    assert mapped.status == 0, mapped.err


def test_one_budget_only(command: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text("".join(GOOD.splitlines(keepends=True)[:6]))
    refused(command("fit", path, "--out", tmp_path / "out"), "one budget")
    assert not (tmp_path / "out").exists()


def test_losses_that_are_no_number_are_kept_flagged_counted_and_not_fitted(
    command: Callable[..., Any], tmp_path: Path
) -> None:
    path, clean = tmp_path / "runs.csv", tmp_path / "clean.csv"
    clean.write_text(GOOD)
    path.write_text(GOOD + "1e7,1e9,nan,1e17\n2e7,1e9,inf,3e17\n")
    done, without = (command("fit", p, "--json", "-", "--resamples", 50) for p in (path, clean))
    assert done.status == 0, done.err
    report, expected = json.loads(done.out), json.loads(without.out)
    assert [out["reason"] for out in report["excluded"]] == ["loss is nan", "loss is inf"]
    assert report["n_runs"] == expected["n_runs"] == 20
    assert report["fits"] == expected["fits"]
    assert "excluded_runs" in {warning["code"] for warning in report["warnings"]}
    assert "2 excluded" in command("fit", path, "--resamples", 0).out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--method", "isoflops"], "isoflops"),
        (["--objective", "l2"], "l2"),
        (["--minimum", "cubic"], "cubic"),
        (["--window", "wide"], "--window 'wide': must be a positive number"),
        (["--window", "-1"], "window"),
        (["--n-params", "size"], "'size'"),
        (["--flops", "7nd"], "'7nd'"),
        (["--style", "ggplot"], "--style ggplot: nothing is drawn; say where with --out DIR"),
        (["--columns", "loss"], "must look like loss=COLUMN"),
        (["--columns", "loss=nope"], "nope"),
        (["--where", "loss <"], "--where"),
        (["--where", "__import__('os').system('true')"], "--where"),
        (["--where", "@pd.eval('1')"], "--where"),
        (["--group-by", "nope"], "'nope': no such column"),
        (["--seed", "-1"], "--seed -1 must be 0 or more"),
        (["--hull", "--method", "isoflop"], "--hull is for --method envelope"),
        (["--curves", "--method", "isoflop"], "--curves is for --method envelope"),
        (["--json", "/nowhere/fit.json"], "--json /nowhere/fit.json"),
        (["--out", __file__], "a file is in the way"),
        (["--resamples", "many"], "'--resamples': Input should be a valid integer"),
        (["--frobnicate"], "No such option"),
    ],
)
def test_options_that_make_no_sense(command: Callable[..., Any], tmp_path: Path, words: list[str], says: str) -> None:
    path = tmp_path / "runs.csv"
    path.write_text(GOOD)
    refused(command("fit", path, *words), says)


@pytest.mark.parametrize(
    "name", ["plan", "sweep", "status", "cancel", "run", "fit", "report", "compare", "forecast", "downstream", "bench"]
)
def test_every_command_has_help_with_an_example(command: Callable[..., Any], name: str) -> None:
    done = command(name, "--help")
    assert done.status == 0
    assert "Example: " in done.out
    assert max(map(len, done.out.splitlines())) <= 100


def test_unknown_commands_and_missing_arguments(command: Callable[..., Any], tmp_path: Path) -> None:
    known = "plan, tune, sweep, status, cancel, run, export, fit, report, compare"
    refused(command("fitt"), f"no command 'fitt'; there are {known}")
    refused(command("plan"), "Missing argument 'CONFIG'")
    refused(command("plan", tmp_path / "no.yaml"), "no.yaml: cannot be read: no such file")
    a_file = tmp_path / "file"
    a_file.write_text("")
    for words in (["run", "0123456789ab"], ["status"], ["cancel"]):
        for where in (tmp_path, a_file, tmp_path / "absent"):
            refused(command(words[0], where, *words[1:]), "is no sweep folder")
    refused(command("compare", tmp_path / "no.json"), "no.json")
    assert "sweep" in command().out


@pytest.mark.parametrize(
    ("text", "says"),
    [("[1, 2", "is not JSON"), ('{"fits": 3}', "is no fit.json"), ('{"fits": {"isoflop": 1}}', "is no fit.json")],
)
def test_a_fit_that_is_none(command: Callable[..., Any], tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "fit.json"
    path.write_text(text)
    refused(command("compare", path), str(path), says)


def test_a_folder_of_something_else_is_not_written_into(command: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    refused(command("sweep", SMOKE, "--out", tmp_path), "exists and is no sweep folder; choose another --out")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
