"""A report takes every option of the fit it is of, and its commands make the same again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isoflop.scripts.reading import Reading
from isoflop.scripts.report_differences import differences
from isoflop.scripts.report_source import take

from ..fitting.report_subjects import planted
from .test_bad_input import GOOD, refused
from .test_report import ALONE, sweep_folder, text_of

QUICK = ("--method", "parametric", "--resamples", 0, "--no-holdout")


def flagged(path: Path) -> Path:
    """`GOOD` with two runs that failed."""
    header, *rows = GOOD.splitlines()
    states = ["failed" if i in (3, 9) else "finished" for i in range(len(rows))]
    path.write_text(
        "\n".join([f"{header},status", *(f"{row},{state}" for row, state in zip(rows, states, strict=True))])
    )
    return path


def test_a_fits_folder_is_reported_with_its_flagged_runs_where_that_is_asked(
    command: Callable[..., Any], tmp_path: Path
) -> None:
    done = command("fit", flagged(tmp_path / "runs.csv"), *QUICK, "--out", tmp_path / "fit")
    assert done.status == 0, done.err
    counts = [
        len(take([str(tmp_path / "fit")], Reading(keep_flagged=kept)).analysis.table.fitted) for kept in (False, True)
    ]
    assert counts == [18, 20]


def test_rows_of_a_sweep_are_fitted_by_the_options_of_its_fit(command: Callable[..., Any], tmp_path: Path) -> None:
    folder = sweep_folder(tmp_path / "tiny")
    done = command("fit", folder, "--where", "n_params > 1", *QUICK)
    assert done.status == 0, done.err
    taken = take([str(folder)], Reading(where="budget > 1e17 or budget < 1"))
    assert taken.analysis.options.resamples == 0
    assert taken.analysis.options.methods == ("parametric",)
    assert taken.where == "(n_params > 1) and (budget > 1e17 or budget < 1)"
    assert len(taken.analysis.table.fitted) == 15
    # What fits the folder as it stands: the rows asked for here are the report's own.
    assert taken.fit_words == ("--where 'n_params > 1'", "--method parametric", "--resamples 0", "--no-holdout")


def test_the_commands_repeat_every_option_that_shaped_the_page(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my runs.csv").write_text(GOOD)
    words = ("--where", "budget > 1e17", "--keep-flagged", "--gpu-hour", 2.5, "--device", "H100", "--mfu", 0.3)
    done = command("report", "my runs.csv", *words, "--title", "Mine & yours", *ALONE, "--json", "-")
    assert done.status == 0, done.err
    text = text_of(tmp_path / "report.html")
    assert (
        "isoflop report 'my runs.csv' --figures none --title 'Mine & yours' --gpu-hour 2.5 --device H100 --mfu 0.3 "
        "--where 'budget > 1e17' --keep-flagged"
    ) in text
    assert "--json" not in text


def test_a_column_of_two_words_is_one_word_of_the_fits_command(command: Callable[..., Any], tmp_path: Path) -> None:
    header, *rows = GOOD.splitlines()
    path = tmp_path / "runs.csv"
    path.write_text("\n".join([f"{header},my weight", *(f"{row},1" for row in rows)]))
    done = command("fit", path, *QUICK, "--weights", "my weight", "--out", tmp_path / "f")
    assert done.status == 0, done.err
    assert "--weights 'my weight'" in take([str(tmp_path / "f")], Reading()).fit_words


def test_a_fit_that_says_any_other_number_is_stale() -> None:
    analysis = planted(resamples=0)
    report = json.loads(json.dumps(analysis.to_json()))
    assert differences(report, analysis, Path("fit.json")) == ()
    for place, value, says in (
        (("parametric", "E"), 9.0, "parametric E 9, now 1."),
        (("isoflop", "params_exponent", "value"), None, "isoflop a None, now 0.4"),
        (("isoflop", "minima", 2, "loss"), 1.0, "isoflop minima.2.loss 1, now"),
        (("isoflop", "status"), "too_few", "isoflop status too_few, now converged"),
    ):
        stale = json.loads(json.dumps(report))
        at = stale["fits"]
        for key in place[:-1]:
            at = at[key]
        at[place[-1]] = value
        (warning,) = differences(stale, analysis, Path("fit.json"))
        assert says in warning.text
    del report["fits"]["isoflop"]["scatter"]  # as a version wrote it that did not know the field
    assert differences(report, analysis, Path("fit.json")) == ()


def test_one_budget_and_a_page_without_a_place_are_one_line(command: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("\n".join(GOOD.splitlines()[:6]))
    refused(command("report", path), f"isoflop fit {path} --method parametric --out DIR, then isoflop report DIR")
    good = tmp_path / "good.csv"
    good.write_text(GOOD)
    refused(command("report", good, "--out", "/proc/nowhere/report.html", *ALONE), "--out", "cannot be written")
