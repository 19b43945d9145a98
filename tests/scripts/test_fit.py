"""`fit` and `compare` on tables, as a user with runs of their own meets them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isoflop.fitting.laws import ChinchillaLaw, DataConstrainedLaw

from .test_bad_input import GOOD


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
    done = command("fit", runs, "--out", tmp_path / "fit", "--resamples", 50)
    assert done.status == 0
    report = json.loads((tmp_path / "fit" / "fit.json").read_text())
    assert report["source"] == [str(runs)]
    assert report["fits"]["parametric"]["alpha"] == pytest.approx(0.34, abs=1e-6)
    figures = sorted(path.name for path in (tmp_path / "fit" / "figures").iterdir())
    assert figures == ["allocation.pdf", "allocation.png", "isoflop_curves.pdf", "isoflop_curves.png"]


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
    assert max(map(len, outputs[0].out.splitlines())) <= 100
    every = command("compare", runs, "--all", "--json", "-")
    assert len(json.loads(every.out)["sections"][0]["rows"]) > 10
