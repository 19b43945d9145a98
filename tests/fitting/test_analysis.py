"""What `fit` says about a table: fit.json, other conventions, warnings, and which failures stop it."""

import json
import os

import numpy as np
import pytest

import isoflop.fitting.analysis as module
from isoflop.fitting import Estimate, FitError, InputError, Options, RunTable, analyse
from isoflop.fitting.diagnostics import disagreement, overlap
from isoflop.fitting.jsonio import to_strict, write_json_atomic

from .sweeps import HOFFMANN, changed, reference_data, sweep

QUICK = Options(resamples=100)


def codes(analysis):
    return [warning.code for warning in analysis.warnings]


def record_like(noise=0.005, **options):
    """A sweep with the columns that our records have: 3 counts of N, 7 of C that differ with size."""
    table = sweep(HOFFMANN, sizes=8, budgets=np.geomspace(1e18, 1e21, 6), noise=noise, **options)
    n, d = table.frame["n_params"], table.frame["tokens"]
    blocks = n / (1 + 20 * n**-0.25)
    head = (n + blocks) / 2
    factors = {
        "exact": blocks + head,
        "hoffmann": 2.1 * head,
        "palm": 2.2 * head,
        "porian": 2 * head,
        "deepseek": 2.3 * blocks,
    }
    return changed(
        table,
        n_params_non_embedding=blocks,
        n_params_blocks_and_head=head,
        flops_6nd_non_embedding=6 * blocks * d,
        **{f"flops_{name}": 3 * factor * d for name, factor in factors.items()},
    )


def test_fit_json_is_strict_and_has_the_contract_s_keys(tmp_path):
    analysis = analyse(record_like(), QUICK, sources=("runs/x",))
    path = tmp_path / "fit.json"
    write_json_atomic(path, analysis.to_json())
    report = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert report["schema_version"] == 1
    assert report["source"] == ["runs/x"]
    assert report["n_runs"] == 48
    assert report["excluded"] == []
    assert report["conventions"]["n_params"] == "n_params"
    assert report["conventions"]["flops"] == "flops"
    isoflop, parametric = report["fits"]["isoflop"], report["fits"]["parametric"]
    assert {"status", "minimum", "window", "params_coefficient", "tokens_coefficient", "minima", "resampling"} <= set(
        isoflop
    )
    assert {"status", "objective", "objective_value", "E", "A", "B", "alpha", "beta", "condition_number"} <= set(
        parametric
    )
    for fit in (isoflop, parametric):
        for name in ("params_exponent", "tokens_exponent"):
            assert set(fit[name]) == {"value", "low", "high", "level"}
            assert fit[name]["low"] < fit[name]["value"] < fit[name]["high"]
    assert {"budget", "flops", "n_params", "tokens", "loss", "n_runs", "status"} <= set(isoflop["minima"][0])
    assert isoflop["minima"][0]["status"] == "interior"
    difference = isoflop["params_exponent"]["value"] - parametric["params_exponent"]["value"]
    assert report["agreement"] == {"difference": pytest.approx(difference), "intervals_overlap": True}


def test_every_other_pair_of_conventions_is_fitted():
    table = record_like()
    analysis = analyse(table, Options(resamples=50))
    pairs = [(row["n_params"], row["flops"]) for row in analysis.by_convention]
    # `flops` is 6 N D here and named so: 3 x 7 pairs less the chosen one.
    assert len(pairs) == len(set(pairs)) == 20
    assert ("n_params", "6nd") not in pairs
    by_pair = dict(zip(pairs, analysis.by_convention, strict=True))
    kaplan = by_pair["n_params_non_embedding", "6nd_non_embedding"]
    assert analysis.isoflop is not None
    # The same runs under Kaplan's counts give a larger exponent of N: that is what the table is for.
    assert kaplan["isoflop"]["params_exponent"]["value"] > analysis.isoflop.params_exponent.value + 0.01
    again = analyse(table, Options(n_params="n_params_non_embedding", flops="6nd_non_embedding", resamples=0))
    assert again.isoflop is not None
    assert again.isoflop.params_exponent.value == pytest.approx(kaplan["isoflop"]["params_exponent"]["value"], abs=1e-9)
    for row in analysis.by_convention:
        for method in ("isoflop", "parametric"):
            assert "reason" in row[method] or row[method]["params_exponent"]["value"] > 0


def test_a_clean_sweep_has_no_warning():
    assert analyse(record_like(), QUICK).warnings == ()


def test_excluded_runs_are_listed_and_warned_of():
    table = record_like()
    loss = table.frame["loss"].mask(table.frame.index == 3)
    analysis = analyse(changed(table, loss=loss), QUICK)
    assert analysis.to_json()["excluded"] == [{"run": "row 4", "reason": "loss is nan"}]
    assert codes(analysis) == ["excluded_runs"]
    assert "1 of 48" in analysis.warnings[0].text


def test_what_takes_too_long_is_left_out_with_a_word(monkeypatch):
    monkeypatch.setattr(module, "_MOST_ROWS_HELD_OUT", 40)
    monkeypatch.setattr(module, "_MOST_POINTS", 40)
    analysis = analyse(record_like(), Options(resamples=0, by_convention=False))
    assert (analysis.holdout, analysis.profile) == (None, None)
    assert any("48 rows take long" in note and "held out" in note for note in analysis.notes)


def test_flagged_runs_are_fitted_on_request():
    table = changed(record_like(), flag=["diverged"] + [""] * 47)
    assert len(analyse(table, Options(resamples=0, by_convention=False)).table.fitted) == 47
    assert len(analyse(table, Options(resamples=0, keep_flagged=True, by_convention=False)).table.fitted) == 48


@pytest.mark.parametrize(
    ("code", "make"),
    [
        ("edge_minima", lambda: sweep(HOFFMANN, centre=[1, 1, 1, 1, 9.0], noise=0.001)),
        ("few_budgets", lambda: sweep(HOFFMANN, budgets=[1e18, 1e19, 1e20], noise=0.001)),
        ("drifting_centre", lambda: sweep(HOFFMANN, half_width=8, centre=3.0 ** np.linspace(0, 1, 5), noise=0.001)),
        (
            "clustered_budgets",
            lambda: RunTable(sweep(HOFFMANN, noise=0.001).frame.drop(columns="budget")),
        ),
        ("mixed_phases", lambda: changed(sweep(HOFFMANN, noise=0.001), phase=["hot", "cooled", "cooled"] * 25)),
    ],
)
def test_what_makes_a_fit_doubtful_is_said(code, make):
    analysis = analyse(make(), QUICK)
    assert code in codes(analysis)
    text = next(warning.text for warning in analysis.warnings if warning.code == code)
    assert "\n" not in text


def test_exponents_that_do_not_sum_to_one_are_said():
    table = sweep(HOFFMANN, noise=0.001)
    extra = 1 + 30 * table.frame["n_params"] ** -0.2
    analysis = analyse(changed(table, flops=table.frame["flops"] * extra), QUICK)
    assert "sum_of_exponents" in codes(analysis)


def test_estimators_that_exclude_each_other_are_said():
    one, near, far = Estimate(0.5, 0.48, 0.52), Estimate(0.53, 0.51, 0.55), Estimate(0.6, 0.58, 0.62)
    assert disagreement(one, near) is None
    assert disagreement(one, Estimate(0.6)) is None
    warning = disagreement(one, far)
    assert warning is not None
    assert warning.code == "disagreement"
    assert "0.500 (0.480 to 0.520)" in warning.text
    assert [overlap(one, each) for each in (near, far, Estimate(0.6))] == [True, False, None]


def test_one_budget_is_refused_unless_isoflop_is_not_asked_for():
    table = sweep(HOFFMANN, budgets=[1e19], noise=0.001)
    with pytest.raises(InputError, match="one budget only"):
        analyse(table, QUICK)
    assert analyse(table, Options(methods=("parametric",), resamples=0)).isoflop is None


def test_a_method_without_an_answer_warns_or_raises_when_asked_for_alone():
    table = sweep(HOFFMANN, centre=30.0, noise=0.001)
    analysis = analyse(table, QUICK)
    assert analysis.isoflop is None
    assert analysis.agreement is None
    assert "no_isoflop" in codes(analysis)
    assert "isoflop" not in analysis.to_json()["fits"]
    with pytest.raises(FitError, match="budgets have a minimum"):
        analyse(table, Options(methods=("isoflop",)))
    few = RunTable(sweep(HOFFMANN, sizes=3, budgets=[1e18, 1e19]).frame.iloc[:5])
    with pytest.raises(FitError, match="5 usable runs"):
        analyse(few, Options(methods=("parametric",)))


@pytest.mark.parametrize(
    "choice",
    [
        {"methods": ()},
        {"methods": ("kaplan2",)},
        {"objective": "lad"},
        {"minimum": "cubic"},
        {"resamples": -1},
        {"level": 1.0},
        {"window": 0.0},
    ],
)
def test_unknown_options_are_refused(choice):
    with pytest.raises(InputError):
        Options(**choice)


def test_unknown_conventions_are_refused():
    for options in (Options(n_params="n_params_non_embedding"), Options(flops="palm")):
        with pytest.raises(InputError, match="choose"):
            analyse(sweep(HOFFMANN), options)


def test_epochs_table_end_to_end():
    data = reference_data("epoch_chinchilla.csv")
    analysis = analyse(RunTable(data).where("dropped_by_epoch == False"), QUICK)
    fit = analysis.to_json()["fits"]["parametric"]
    assert fit["objective_value"] == pytest.approx(0.0010182740178006, rel=1e-9)
    assert fit["params_exponent"]["value"] == pytest.approx(0.5139, abs=5e-5)
    assert {"clustered_budgets", "edge_minima"} <= set(codes(analysis))


def test_strict_json():
    assert to_strict(
        {"a": np.float32(0.5), "b": [np.nan, np.inf, np.int64(3)], 3: np.arange(2), "t": np.bool_(True)}
    ) == {
        "a": 0.5,
        "b": [None, None, 3],
        "3": [0, 1],
        "t": True,
    }
    with pytest.raises(TypeError):
        to_strict({"a": object()})


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "fit.json"
    write_json_atomic(path, {"a": 1})
    old = path.read_text()
    assert old.endswith("\n")

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        write_json_atomic(path, {"a": 2})
    with pytest.raises(TypeError):
        write_json_atomic(path, {"a": object()})
    assert path.read_text() == old
    assert [each.name for each in tmp_path.iterdir()] == ["fit.json"]
