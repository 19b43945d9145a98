"""Natural mistakes in Python: one line that says what is wanted, and never an interval of another level."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from isoflop.fitting import (
    InputError,
    RunTable,
    analyse,
    compare_with_published,
    curves_of,
    exponent_profile,
    fit_custom,
    fit_data_constrained,
    fit_envelope,
    fit_error,
    fit_isoflop,
    fit_kaplan,
    fit_overtraining,
    fit_parametric,
    fit_power,
    fit_saturating,
    hold_out,
    load_curves,
    load_runs,
    predictors_of,
    save_figures,
)
from isoflop.fitting.estimators.parametric import fit_law

from .sweeps import HOFFMANN

BOUNDS = {"E": (0, None), "A": (0, None)}


def form(n_params, *, E, A):
    return E + A / n_params**0.3


ESTIMATORS = {
    "isoflop": fit_isoflop,
    "parametric": fit_parametric,
    "kaplan": fit_kaplan,
    "saturating": fit_saturating,
    "data_constrained": fit_data_constrained,
    "overtraining": fit_overtraining,
    "error": lambda table, **words: fit_error(table, "loss", **words),
    "custom": lambda table, **words: fit_custom(form, table, bounds=BOUNDS, **words),
    "holdout": hold_out,
}


@pytest.fixture(scope="module")
def table():
    n, c = (each.ravel() for each in np.meshgrid(np.geomspace(5e7, 2e9, 8), np.geomspace(1e18, 1e20, 5)))
    return RunTable.from_arrays(n, c / 6 / n, HOFFMANN.loss(n, c / 6 / n), budget=c)


@pytest.fixture
def law(table):
    return fit_law(*(table.fitted[name].to_numpy() for name in ("n_params", "tokens", "loss")))


@pytest.mark.parametrize("level", [95, 0, 1, -0.5, float("nan")])
def test_a_level_that_is_no_fraction_is_refused_by_all(table, law, level):
    calls = [*ESTIMATORS.values(), lambda _, level: fit_power([1, 2, 4, 8], [4, 3, 2.5, 2.2], level=level)]
    calls += [lambda _, level: fit_envelope(curves_of(table), level=level)]
    calls += [lambda _, level: exponent_profile(law, level=level)]
    for call in calls:
        with pytest.raises(InputError, match=r"^--level \S+ must lie between 0 and 1$"):
            call(table, level=level)


def test_fewer_than_no_resamples_are_refused_by_all(table):
    for name, call in ESTIMATORS.items():
        if name in ("saturating", "holdout"):  # which do not resample
            continue
        with pytest.raises(InputError, match="--resamples -3 must be 0 or more"):
            call(table, resamples=-3)


@pytest.mark.parametrize("given", [pd.DataFrame({"n_params": [1e6]}), "runs.csv", Path("runs.csv"), None])
def test_what_is_no_table_is_told_how_to_become_one(given):
    for call in (*ESTIMATORS.values(), analyse, curves_of):
        with pytest.raises(InputError, match=rf"a RunTable is wanted, not {type(given).__name__}: .*load_runs\(path\)"):
            call(given)


def test_other_things_in_the_wrong_place_are_named(table, tmp_path):
    fit: Any = fit_parametric(table, resamples=0)
    columns: Any = {"n_params": [1.0]}
    paths: Any = ["a.csv", "b.csv"]
    frame: Any = pd.DataFrame()
    for call, words in (
        (lambda: fit_envelope(table), "a CurveTable is wanted, not RunTable: curves_of"),
        (lambda: exponent_profile(table), r"a LawFit is wanted, not RunTable; analyse\(table\).profile"),
        (lambda: RunTable(columns), r"made of a DataFrame, not of dict: RunTable.from_arrays"),
        (lambda: load_runs(paths), r"not list: load_runs\(\*paths\)"),
        (lambda: load_curves(frame), r"not DataFrame: RunTable\(frame\)"),
        (lambda: predictors_of(fit), r"not ParametricFit: analyse\(table\)"),
        (lambda: compare_with_published(fit), r"not ParametricFit: analyse\(table\)"),
        (lambda: compare_with_published(str(tmp_path)), "is no fit.json"),
        (lambda: save_figures(fit, {}), "is a path, not ParametricFit: the folder comes first"),
        (lambda: save_figures(tmp_path, fit), r"not ParametricFit: pictures_of\(analysis\)"),
        (fit.plot, r"plot needs the table that was fitted: fit.plot\(table\)"),
        (fit_envelope(curves_of(table), resamples=0).plot, r"needs the curves that were fitted: fit.plot\(curves\)"),
    ):
        with pytest.raises(InputError, match=words):
            call()


def test_a_path_of_a_fit_serves_as_its_text_does(table, tmp_path):
    from isoflop.fitting import Options
    from isoflop.fitting.jsonio import write_json_atomic

    found = analyse(table, Options(methods=("parametric",), resamples=0, by_convention=False))
    write_json_atomic(tmp_path / "fit.json", found.to_json())
    assert predictors_of(tmp_path) == predictors_of(str(tmp_path))
    assert compare_with_published(tmp_path) == compare_with_published(found)


def test_fits_without_resamples_enough_say_that_there_are_no_intervals(table):
    assert repr(fit_parametric(table, resamples=1)).endswith("no intervals (1 resample, 0 failed)")
    text = repr(fit_kaplan(table, resamples=0))
    assert "95 %" in text
    assert text.endswith("no intervals of the joint law; those of a single law that is shown are its own line's")


def test_a_unit_that_nobody_gave_is_said_to_be_assumed(tmp_path):
    frame = pd.DataFrame({"n_params": [1e6, 2e6], "tokens": [1e8, 1e8], "loss": [3.0, 2.9]})
    frame.to_csv(tmp_path / "runs.csv", index=False)
    frame.assign(loss_unit="nats_per_token").to_csv(tmp_path / "named.csv", index=False)
    bare, named = load_runs(tmp_path / "runs.csv"), load_runs(tmp_path / "named.csv")
    assert "nats per token, assumed (no loss_unit)" in repr(bare)
    assert "no loss_unit: losses are taken for nats per token" in bare.notes
    assert "assumed" not in repr(named).partition("counts")[0]
    assert not any("loss_unit" in note for note in named.notes)


def test_a_column_that_is_all_but_one_of_ours_is_told():
    arrays = {"n_params": [1e6, 2e6], "tokens": [1e8, 1e8], "loss": [3.0, 2.9]}
    assert (
        "column 'budgets' has no meaning here: did you mean 'budget'?"
        in RunTable.from_arrays(**arrays, budgets=1e15).notes
    )
    assert not any("no meaning" in note for note in RunTable.from_arrays(**arrays, lr=0.1, budget=1e15).notes)
