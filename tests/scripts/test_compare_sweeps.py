"""`compare` of several sweeps: what each row is called, and what is refused before anything is fitted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isoflop.scripts.compare import names_of


@pytest.fixture
def sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    fit = {"params_exponent": {"value": 0.5, "low": 0.4, "high": 0.6}}
    report = {
        "conventions": {"n_params": "n_params", "flops": "6nd"},
        "fits": {"isoflop": fit},
        "by_convention": [],
        "warnings": [],
    }
    for name in ("lr.3_a", "lr.3_b", "more/lr.3_a"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "fit.json").write_text(json.dumps(report))
    monkeypatch.chdir(tmp_path / "lr.3_a")
    return tmp_path


def test_a_row_is_called_as_its_sweep_and_no_two_alike(sweeps: Path, command: Callable[..., Any]) -> None:
    assert names_of([".", f"{sweeps}/lr.3_b/fit.json", "hf:some/table"]) == ["lr.3_a", "lr.3_b", "hf:some/table"]
    alike = [str(sweeps / "lr.3_a"), str(sweeps / "more" / "lr.3_a")]
    assert names_of(alike) == alike
    rows = command("compare", sweeps / "lr.3_a" / "fit.json", sweeps / "lr.3_b" / "fit.json", "--json", "-").out
    assert [row["name"] for row in json.loads(rows)] == ["lr.3_a", "lr.3_b"]


@pytest.mark.parametrize("figure", ["x.doc", "no_folder/x.png"])
def test_a_figure_that_cannot_be_drawn_is_refused(sweeps: Path, command: Callable[..., Any], figure: str) -> None:
    ended = command("compare", sweeps / "lr.3_a", sweeps / "lr.3_b", "--figure", sweeps / figure)
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert "must end in .png, .pdf or .svg, in a folder that exists" in ended.err
