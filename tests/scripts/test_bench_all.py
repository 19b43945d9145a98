"""`bench.py all`: every figure of every part reaches the page with its spread, and what is missing is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from isoflop.scripts.bench_all import PARTS, Outcome, Part, machine_facts, measured, page_text, pooled
from isoflop.scripts.bench_figures import FASTER, Figure, of_coverage, of_fit, of_precision, of_read, of_train

ROOT = Path(__file__).resolve().parents[2]


def test_a_peer_s_ratio_is_its_seconds_over_ours_turn_by_turn() -> None:
    fits = [
        {"name": "isoflop", "objective": "mse", "seconds": 0.1, "value": 2.0, "share": 1.0, "times_ours": []},
        {"name": "peer", "objective": "mse", "seconds": 0.4, "value": 2.1, "share": 0.01, "times_ours": [3.0, 5.0]},
    ]
    content = {
        "n_runs": 240,
        "fits": fits,
        "resampling": {"mse": {"isoflop": [2.0, 4.0], "peer": [40.0]}},
        "growth": {"slopes": {"rows": 0.9}},
    }
    found = {figure.what: figure for figure in of_fit(content) if figure.beside}
    assert found["one fit of 240 runs, mse"].values == (3.0, 5.0)
    assert "1.0% of its starts, scaled" in found["one fit of 240 runs, mse"].beside
    assert found["one fit of 240 runs, mse: its optimum above ours"].values == pytest.approx((5.0,))
    assert found["4000 resamples with intervals, mse"].values == (20.0, 10.0)


def test_reading_is_held_against_the_notebook_s_loop_at_the_size_that_both_read() -> None:
    def reading(what: str, n_runs: int, seconds: float) -> dict[str, object]:
        return {"what": what, "n_runs": n_runs, "seconds": seconds}

    ours = ("sweep folder, curves", "sweep folder, ends", "Parquet, all rows")
    theirs = (
        "json.loads + pandas.read_json, curves",
        "json.loads + json_normalize, ends",
        "pandas.read_parquet, all rows",
    )
    readings = [reading(what, n, n / 100) for n in (100, 1000) for what in ours]
    readings += [reading(f"  {what}", 100, 5.0) for what in theirs]
    found = of_read({"points": 10, "readings": readings, "growth": {"x": None}})
    assert [figure.values for figure in found if figure.unit == FASTER] == [(5.0,)] * 3
    assert {figure.values for figure in found if figure.unit == "s"} == {(10.0,)}


def test_training_s_ratios_are_by_rounds() -> None:
    rows = {
        "Trainer": {"rates": [1.0, 2.0]},
        "plain PyTorch": {"error": "out of memory"},
        "ours": {"rates": [3.0, 4.0]},
    }
    content = {"sizes": [{"n_params": 4000, "contenders": rows}], "stacked": [], "shared": []}
    (figure,) = of_train(content)
    assert figure.values == (3.0, 2.0)
    assert figure.beside == "Trainer"


def test_coverage_and_precision_are_over_their_cases() -> None:
    (figure,) = of_coverage({"rows": [{"method": "m", "covered": 0.94}, {"method": "m", "covered": 0.97}]})
    assert figure.values == pytest.approx((94, 97))
    rows = [{"method": "m", "prior": "p", "ratio": ratio} for ratio in (0.9, None, 1.2)]
    assert of_precision({"rows": rows})[0].values == (0.9, 1.2)


def test_runs_of_a_command_are_pooled() -> None:
    one, two = (Figure("w", "b", "s", (value,), "runs") for value in (1.0, 2.0))
    assert pooled([[one], [two]])[0].values == (1.0, 2.0)


def test_the_page_has_least_median_and_most_the_machine_and_what_is_missing() -> None:
    machine = machine_facts() | {"load_after": 0.0}
    figure = Figure("reading", "a loop", FASTER, (2.0, 3.0, 9.0), "rounds")
    outcomes = [
        Outcome("python scripts/bench.py read", (figure,), 12.0),
        Outcome("python scripts/bench.py train", (), 0.0, ("no CUDA device on this machine",)),
    ]
    text = page_text(machine, outcomes, quick=True)
    assert "| reading | a loop | 2 | 3 | 9 | times as fast | 3 rounds |" in text
    assert "Not measured: no CUDA device on this machine." in text
    assert "quick run" in text
    assert str(machine["processor"]) in text
    assert "numpy" in text


def test_a_command_that_fails_is_told_with_its_reason_and_a_gpu_that_is_missing_is_no_failure() -> None:
    broken = measured(Part("fit nowhere.csv", "fit nowhere.csv", of_fit), quick=True, gpu=None)
    assert broken.failed
    assert "nowhere.csv" in broken.missing[0]
    without = measured(Part("train", "train", of_train, gpu=True), quick=True, gpu=None)
    assert not without.failed
    assert without.missing


def test_every_kind_of_benchmark_has_its_part() -> None:
    from isoflop.scripts.bench import What

    assert {part.words.split()[0] for part in PARTS} == {str(kind) for kind in What} - {"all"}
