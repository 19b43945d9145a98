"""A table counted by `with_conventions`: whatever is made of it says what its N and C count."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from isoflop.fitting import (
    InputError,
    Options,
    RunTable,
    analyse,
    compare_with_published,
    curves_of,
    fit_envelope,
    fit_isoflop,
    fit_parametric,
    hold_out,
    load_runs,
    predictors_of,
    runs_at,
)

from .sweeps import HOFFMANN

NAMES = ("n_params_non_embedding", "6nd_non_embedding")
QUICK = Options(resamples=20, methods=("isoflop", "parametric"), by_convention=False, holdout=False)


@pytest.fixture(scope="module")
def table():
    """5 budgets by total N, whose sizes have embeddings of their own: counts without them are other exponents."""
    ladder, budgets = np.geomspace(5e7, 4e9, 12), np.geomspace(1e18, 1e21, 5)
    n, c = (each.ravel() for each in np.meshgrid(ladder, budgets))
    best = HOFFMANN.optimum(c)[0]
    near = (n < 5 * best) & (n > best / 5)
    n, c = n[near], c[near]
    loss = HOFFMANN.loss(n, c / 6 / n) + 0.003 * np.random.default_rng(0).standard_normal(len(n))
    without = n - 2e4 * n ** (1 / 3)
    return RunTable.from_arrays(n, c / 6 / n, loss, budget=c, n_params_non_embedding=without)


@pytest.fixture(scope="module")
def bare(table):
    return table.with_conventions(*NAMES)


def labels(figure):
    return " ".join(axes.get_xlabel() + axes.get_ylabel() for axes in figure.axes)


def test_an_analysis_of_it_is_what_the_options_would_have_made(table, bare):
    options = replace(QUICK, by_convention=True)
    named = analyse(table, replace(options, n_params=NAMES[0], flops=NAMES[1]))
    found = analyse(bare, options)
    assert repr(found) == repr(named)
    assert "(N: no embed., C: Kaplan)" in repr(found)
    assert found.to_json() == named.to_json()
    assert {row["n_params"] for row in found.by_convention} == {"n_params", NAMES[0]}


def test_predictors_and_comparisons_of_it_count_without_embeddings(bare):
    found = analyse(bare, QUICK)
    assert {law.n_params for law in predictors_of(found)} == {"non_embedding"}
    ours = [row for row in compare_with_published(found).rows if row.ours]
    assert {(row.n_params, row.flops) for row in ours} == {("non_embedding", "6nd_non_embedding")}


def test_figures_of_it_name_its_counts(bare):
    fit, curves = fit_isoflop(bare, resamples=0), curves_of(bare)
    figures = [
        fit.plot(bare),
        fit.plot(),
        fit_parametric(bare, resamples=0).plot(bare),
        fit_envelope(curves, resamples=0).plot(curves),
        bare.plot(),
    ]
    for figure in figures:
        assert "without embeddings" in labels(figure)
        assert "total" not in labels(figure)
    assert "6ND, no embeddings" in labels(fit.plot())
    assert "6ND, no embeddings" in labels(curves.plot())


def test_the_table_and_fits_say_it_and_the_budgets_own_count_does_not_come_back(table, bare):
    said = "counted by N = n_params_non_embedding, C = 6nd_non_embedding"
    fit = fit_isoflop(bare, resamples=0)
    assert said in repr(bare)
    assert said in repr(fit)
    assert "counted by" not in repr(table) + repr(fit_isoflop(table, resamples=0))
    assert fit.common_flops == "runs"
    found = analyse(bare, QUICK).isoflop
    assert found is not None
    assert fit.params_exponent.value == found.params_exponent.value


def test_a_fit_is_not_drawn_over_runs_counted_otherwise(table, bare):
    with pytest.raises(InputError, match="this table counts N as n_params and C as flops, the fit N as n_params_non"):
        fit_isoflop(bare, resamples=0).plot(table)
    with pytest.raises(InputError, match="give the table that was fitted"):
        fit_parametric(table, resamples=0).plot(bare)


def test_the_counts_travel_with_the_rows(table, bare):
    half = bare.where("budget < 1e20")
    for each in (half, RunTable(bare.frame), curves_of(bare).table):
        assert (each.counted_n_params, each.counted_flops) == NAMES
    assert hold_out(bare).n_budgets == 5
    mixed = RunTable(pd.concat([bare.frame, table.frame]))
    with pytest.raises(InputError, match="runs count n_params in several ways, n_params_non_embedding and n_params"):
        analyse(mixed, QUICK)


def test_counts_are_chosen_from_the_columns_as_they_were_given(table, bare):
    assert bare.conventions == table.conventions
    assert bare.with_conventions().frame.equals(table.frame)
    assert bare.as_given.frame.equals(table.frame)
    again = bare.with_conventions("n_params", "6nd_non_embedding")
    np.testing.assert_array_equal(again.fitted["n_params"], table.fitted["n_params"])
    np.testing.assert_array_equal(again.fitted["flops"], bare.fitted["flops"])
    assert (again.counted_n_params, again.counted_flops) == ("n_params", "6nd_non_embedding")


def test_runs_read_off_recounted_curves_are_counted_alike(bare):
    frame = bare.frame.assign(run=[f"size {n:.6g}" for n in bare.frame["n_params"]])
    rows = runs_at(curves_of(RunTable(frame)), [3e19], smoothing=0)
    assert (rows.counted_n_params, rows.counted_flops) == NAMES
    own = rows.as_given.fitted
    np.testing.assert_allclose(own["flops"], 6 * own["n_params"] * own["tokens"])


def test_a_size_without_its_total_gets_no_total_count_of_flops():
    """6 N D of total N is not made up from N without embeddings."""
    frame = pd.DataFrame(
        {"n_params": [1e6, np.nan], "tokens": 1e8, "loss": 3.0, "n_params_non_embedding": [5e5, 9e5], "flops": 1e15}
    )
    bare = RunTable(frame).with_conventions("n_params_non_embedding")
    assert len(bare.fitted) == 2
    assert bare.conventions["flops"] == ["flops", "6nd_non_embedding"]


def test_a_table_without_a_total_counts_by_what_it_has(table, tmp_path):
    path = tmp_path / "sizes.csv"
    named = table.frame[["n_params_non_embedding", "tokens", "loss", "budget"]]
    named.rename(columns={"n_params_non_embedding": "size"}).to_csv(path, index=False)
    columns = {"n_params_non_embedding": "size"}
    for found in (load_runs(path, columns=columns), load_runs(path, columns=columns, where="loss > 0")):
        assert (found.counted_n_params, found.flops_convention) == ("n_params_non_embedding", "6nd_non_embedding")
        assert found.conventions == {"n_params": [NAMES[0]], "flops": ["flops", NAMES[1]]}
        assert {"no total parameter count: N is n_params_non_embedding", "no FLOP column: C = 6 N D is assumed"} <= {
            *found.notes
        }
    bare = table.with_conventions(*NAMES)
    ours, theirs = (analyse(each, QUICK).to_json() for each in (found, bare))
    assert ours["conventions"]["n_params"] == NAMES[0]
    assert ours["fits"]["parametric"]["params_exponent"] == theirs["fits"]["parametric"]["params_exponent"]
    assert {row.n_params for row in compare_with_published(ours).rows if row.ours} == {"non_embedding"}
    again = RunTable(found.frame).with_conventions()
    assert (again.counted_n_params, again.conventions) == (found.counted_n_params, found.conventions)
