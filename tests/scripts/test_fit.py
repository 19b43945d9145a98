"""`fit` and `compare` on tables, as a user with runs of their own meets them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isoflop.fitting.laws import ChinchillaLaw, DataConstrainedLaw

from .test_bad_input import GOOD, refused


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    path = tmp_path / "runs.csv"
    path.write_text(GOOD)
    return path


def test_fit_prints_tables_of_at_most_100_columns(command: Callable[..., Any], runs: Path) -> None:
    done = command("fit", runs)
    assert done.status == 0
    assert "Minima by budget" in done.out
    assert "alpha 0.34" in done.out
    tables = [line for line in done.out.splitlines() if not line.startswith(("note", "warning", "L = "))]
    assert max(map(len, tables)) <= 100
    assert "\x1b" not in done.out


def test_fit_writes_its_report_and_figures_where_told(command: Callable[..., Any], runs: Path, tmp_path: Path) -> None:
    style = tmp_path / "journal.mplstyle"
    style.write_text("figure.figsize: 6, 4\n")
    done = command("fit", runs, "--out", tmp_path / "fit", "--resamples", 50, "--style", style)
    assert done.status == 0
    report = json.loads((tmp_path / "fit" / "fit.json").read_text())
    assert report["source"] == [str(runs)]
    assert report["fits"]["parametric"]["alpha"] == pytest.approx(0.34, abs=1e-6)
    figures = sorted(path.name for path in (tmp_path / "fit" / "figures").iterdir())
    assert figures == [f"{name}.{kind}" for name in ("allocation", "isoflop_curves") for kind in ("pdf", "png", "svg")]
    assert 'width="432pt"' in (tmp_path / "fit" / "figures" / "isoflop_curves.svg").read_text()  # 6 inches


def test_a_fit_never_replaces_the_table_it_reads_or_one_of_somebody_else(
    command: Callable[..., Any], runs: Path, tmp_path: Path
) -> None:
    own = runs
    other = tmp_path / "other" / "runs.csv"
    other.parent.mkdir()
    other.write_text("mine\n")
    quick = ("--method", "parametric", "--resamples", "0")
    refused(command("fit", own, "--out", tmp_path, *quick), f"{own} is read, and would be replaced")
    refused(command("fit", own, "--out", other.parent, *quick), f"{other} is no table of a fit, and would be replaced")
    assert (own.read_text(), other.read_text()) == (GOOD, "mine\n")
    folder = tmp_path / "fits"
    for _ in range(2):  # its own it replaces
        assert command("fit", own, "--out", folder, *quick).status == 0
    refused(command("fit", folder / "runs.csv", "--out", folder, *quick), "is read, and would be replaced")


def test_fit_alone_writes_nothing(command: Callable[..., Any], runs: Path, tmp_path: Path) -> None:
    assert command("fit", runs, "--resamples", 0).status == 0
    assert [path.name for path in tmp_path.iterdir()] == ["runs.csv"]


def test_the_data_constrained_law_takes_its_unique_tokens_from_a_named_column(
    command: Callable[..., Any], tmp_path: Path
) -> None:
    law = DataConstrainedLaw(ChinchillaLaw(1.87, 521.0, 1488.0, 0.3527, 0.3527), 15.0, 5000.0)
    rows = ["n_params,tokens,fresh,loss"]
    for n in (1e8, 3e8, 1e9, 3e9):
        for unique in (1e9, 3e9, 1e10, 3e10):
            for epochs in (1, 2, 5, 20):
                rows.append(f"{n},{unique * epochs},{unique},{float(law.loss(n, unique * epochs, unique))}")
    path = tmp_path / "repeated.csv"
    path.write_text("\n".join(rows) + "\n")
    words = ("fit", path, "--columns", "unique_tokens=fresh", "--method", "data_constrained", "--resamples", 0)
    done = command(*words, "--json", "-")
    assert done.status == 0, done.err
    assert json.loads(done.out)["fits"]["data_constrained"]["R_D"] == pytest.approx(15, rel=0.05)


def test_groups_are_fitted_apart(command: Callable[..., Any], tmp_path: Path) -> None:
    header, *rows = GOOD.splitlines()
    doubled = [f"{row},{name}" for name in ("a", "b") for row in rows]
    path = tmp_path / "two.csv"
    path.write_text("\n".join([header + ",corpus", *doubled]) + "\n")
    done = command("fit", path, "--group-by", "corpus", "--json", "-", "--resamples", 0)
    report = json.loads(done.out)
    assert [group["key"] for group in report["groups"]] == ["a", "b"]
    assert {group["n_runs"] for group in report["groups"]} == {20}


def test_compare_takes_a_fit_a_folder_or_a_table(command: Callable[..., Any], runs: Path, tmp_path: Path) -> None:
    command("fit", runs, "--out", tmp_path / "fit")
    outputs = [command("compare", source) for source in (tmp_path / "fit" / "fit.json", tmp_path / "fit", runs)]
    assert {done.status for done in outputs} == {0}
    assert len({done.out for done in outputs}) == 1
    assert "Chinchilla, approach 2" in outputs[0].out
    lines = outputs[0].out.splitlines()
    assert max(len(line) for line in lines if not line.startswith("warning")) <= 100
    assert "runs fitted, 0 excluded" in outputs[0].out
    every = command("compare", runs, "--all", "--json", "-")
    assert len(json.loads(every.out)["sections"][0]["rows"]) > 10


def test_a_mapping_file_names_the_columns_and_flags_are_told_with_their_place(
    command: Callable[..., Any], tmp_path: Path
) -> None:
    rows = ["size,steps,bpb,finished"]
    law = ChinchillaLaw(1.69, 406.4, 410.7, 0.34, 0.28)
    for n in (1e7, 3e7, 1e8, 3e8):
        rows += [f"{n / 1e6:g}M,{d / 1e4:g},{float(law.loss(n, d))},yes" for d in (1e9, 3e9, 1e10, 3e10)]
    path, mapping = tmp_path / "theirs.csv", tmp_path / "theirs.yaml"
    path.write_text("\n".join([*rows, "10M,100,nan,no"]) + "\n")
    mapping.write_text("columns: {n_params: [params_total, size], tokens: 'steps * 1e4', loss: bpb}\n")
    words = ("fit", path, "--method", "parametric", "--resamples", 0)
    done = command(*words, "--mapping", mapping)
    assert done.status == 0
    assert "alpha 0.34 " in done.out
    assert f"note: {path}: a CSV table, 17 rows" in done.out
    assert f"  excluded row 17 ({path}:18): loss is nan" in done.out
    wrong = command(*words, "--mapping", mapping, "--columns", "loss=finished")
    assert (wrong.status, wrong.err.count("\n")) == (2, 1)
    assert "'finished' holds 'yes'" in wrong.err


def checkpoints(path: Path, law: ChinchillaLaw) -> Path:
    rows = ["run,params,tokens,loss,phase"]
    for i in range(12):
        n = 1e9 * 200 ** (i / 11)
        for j in range(60):
            d = 4e21 / 6 / n * 100 ** (j / 59 - 1)
            rows.append(f"run{i},{n},{d},{float(law.loss(n, d))},hot")
    path.write_text("\n".join(rows) + "\n")
    return path


def test_curves_are_fitted_at_flops_and_by_their_ends(command: Callable[..., Any], tmp_path: Path) -> None:
    path = checkpoints(tmp_path / "curves.csv", ChinchillaLaw(1.69, 406.4, 410.7, 0.31, 0.31))
    done = command("fit", path, "--at-flops", "3e20,6e20,1.2e21,2400e18", "--json", "-", "--resamples", 0)
    report = json.loads(done.out)
    assert report["fits"]["isoflop"]["params_exponent"]["value"] == pytest.approx(0.5, abs=0.01)
    assert [minimum["budget"] for minimum in report["fits"]["isoflop"]["minima"]] == [3e20, 6e20, 1.2e21, 2.4e21]
    assert any("12 of 12 curves smoothed" in note for note in report["notes"])
    ends = command("fit", path, "--ends", "--method", "parametric", "--json", "-", "--resamples", 0)
    assert json.loads(ends.out)["n_runs"] == 12
    for words, says in (
        (("--at-flops", "1e20,x"), "'x' is no number"),
        (("--at-flops", "1e9"), "no curve has points to both sides"),
        (("--at-flops", "1e21", "--curves"), "leave --curves and --ends out"),
        (("--mapping", tmp_path / "nowhere.yaml"), "cannot be read"),
    ):
        wrong = command("fit", path, *words)
        assert (wrong.status, wrong.err.count("\n")) == (2, 1)
        assert says in wrong.err


def test_compare_takes_the_options_that_say_what_is_read(
    command: Callable[..., Any], runs: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.csv"
    header, rest = GOOD.split("\n", 1)
    other.write_text(header.replace("loss", "nats") + "\n" + rest)
    named = command("compare", other, "--columns", "loss=nats", "--where", "nats > 0", "--json", "-")
    assert named.status == 0
    assert json.loads(named.out) == json.loads(command("compare", runs, "--json", "-").out)
    assert command("compare", other).status == 2
