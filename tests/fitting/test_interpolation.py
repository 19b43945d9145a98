"""Runs at chosen FLOPs, read off curves; and dense curves made shorter without losing what they say."""

import numpy as np
import pandas as pd
import pytest

from isoflop.fitting import CurveTable, FitError, InputError, Options, RunTable, analyse, curves_of, runs_at
from isoflop.fitting.readers.thinning import POINTS, last_rows, thinned

from .sweeps import SYMMETRIC

SIZES = np.geomspace(1e9, 2e11, 14)
BUDGETS = np.geomspace(2.5e20, 3.8e21, 5)


def curves(points=200, noise=0.0, phase: str | None = "hot", seed=0) -> CurveTable:
    """A run of each size at a constant rate, from 1/100 of its tokens on."""
    parts = []
    for i, n in enumerate(SIZES):
        d = np.geomspace(0.01, 1, points) * 4e21 / 6 / n
        loss = SYMMETRIC.loss(n, d) + noise * np.random.default_rng([seed, i]).standard_normal(points)
        columns = {"run": f"run{i}", "n_params": n, "n_params_non_embedding": 0.7 * n, "tokens": d, "loss": loss}
        parts.append(pd.DataFrame(columns | {"phase": phase}))
    return curves_of(RunTable(pd.concat(parts, ignore_index=True)))


def test_rows_at_a_flop_value_have_the_law_s_losses_and_tokens():
    table = runs_at(curves(), BUDGETS).fitted
    assert sorted(set(table["budget"])) == pytest.approx(sorted(BUDGETS))
    assert table["flops"].to_numpy() == pytest.approx(table["budget"].to_numpy())
    assert (6 * table["n_params"] * table["tokens"]).to_numpy() == pytest.approx(table["flops"].to_numpy(), rel=1e-4)
    exact = SYMMETRIC.loss(table["n_params"].to_numpy(), table["tokens"].to_numpy())
    assert table["loss"].to_numpy() == pytest.approx(exact, rel=2e-4)
    assert table["flops_6nd_non_embedding"].to_numpy() == pytest.approx(0.7 * table["flops"].to_numpy(), rel=1e-4)


def test_an_isoflop_fit_of_noisy_curves_finds_the_planted_exponent():
    fit = analyse(runs_at(curves(noise=0.01), BUDGETS), Options(methods=("isoflop",), resamples=200)).isoflop
    assert fit is not None
    assert fit.params_exponent.value == pytest.approx(0.5, abs=0.03)
    assert [minimum.status.value for minimum in fit.minima] == ["interior"] * len(BUDGETS)


def test_a_run_is_read_at_its_own_end_and_no_further():
    whole = curves(noise=0.0)
    ends = runs_at(whole, [4e21]).fitted
    assert len(ends) == len(SIZES)
    exact = SYMMETRIC.loss(ends["n_params"].to_numpy(), ends["tokens"].to_numpy())
    assert ends["loss"].to_numpy() == pytest.approx(exact, rel=5e-4)
    assert (6 * ends["n_params"] * ends["tokens"]).to_numpy() == pytest.approx(np.full(len(SIZES), 4e21), rel=1e-6)
    assert len(set(ends["run"])) == len(set(ends["curve"])) == len(SIZES)
    with pytest.raises(InputError, match="--at-flops"):
        runs_at(whole, [4.4e21])


def test_smoothing_and_decay_are_said():
    assert any("14 of 14 curves smoothed" in note for note in runs_at(curves(), [1e21]).notes)
    assert not any("smoothed" in note for note in runs_at(curves(points=10), [1e21]).notes)
    assert not any("decaying" in note for note in runs_at(curves(), [1e21]).notes)
    decaying = runs_at(curves(phase="cooled"), [1e21, 4e21])
    assert any("decaying schedule lie above" in note for note in decaying.notes)
    assert set(decaying.where("budget < 2e21").fitted["phase"]) == {"hot"}
    assert set(decaying.where("budget > 2e21").fitted["phase"]) == {"cooled"}  # there the runs end
    unknown = runs_at(curves(phase=None), [1e21])
    assert any("decaying schedule lie above" in note for note in unknown.notes)
    assert set(unknown.fitted["phase"].isna()) == {True}


@pytest.mark.parametrize("wanted", [[], [0.0], [float("nan")], [1e21, 1e30], [1e10]])
def test_what_no_curve_covers_is_refused(wanted):
    with pytest.raises(InputError, match="--at-flops"):
        runs_at(curves(points=30), wanted)


def test_curves_that_are_only_a_start_have_no_answer():
    with pytest.raises(FitError, match="after its start"):
        runs_at(curves(points=30), [1e21], skip=1.0)


def frame(points=1000, runs=3):
    tokens = np.tile(np.arange(1.0, points + 1) * 1e6, runs)
    n = np.repeat(np.geomspace(1e7, 1e8, runs), points)
    name = np.repeat([f"run{i}" for i in range(runs)], points)
    loss = SYMMETRIC.loss(n, tokens)
    return pd.DataFrame({"run": name, "n_params": n, "tokens": tokens, "loss": loss, "flops": 6 * n * tokens})


def test_a_thinned_curve_is_on_the_same_law_and_counts_every_row():
    long = frame()
    code = pd.factorize(long["run"])[0]
    short, dense = thinned(long, code, np.zeros(len(long), dtype=int))
    assert dense == 3
    assert max(short["run"].value_counts()) <= POINTS
    assert sum(short["points"]) == len(long)
    exact = SYMMETRIC.loss(short["n_params"].to_numpy(), short["tokens"].to_numpy())
    assert short["loss"].to_numpy() == pytest.approx(exact, rel=1e-4)
    assert short["flops"].to_numpy() == pytest.approx(6 * (short["n_params"] * short["tokens"]).to_numpy())
    assert min(short.loc[short["run"] == run, "tokens"].to_numpy().max() for run in ("run0", "run1", "run2")) > 0.95e9


def test_thinning_knows_no_row_order():
    long = frame()
    mixed = long.sample(frac=1.0, random_state=1)
    short, again = (
        thinned(each, pd.factorize(each["run"], sort=True)[0], np.zeros(len(each), dtype=int))[0]
        for each in (long, mixed)
    )
    for name in ("tokens", "loss", "flops", "points"):
        assert again[name].to_numpy() == pytest.approx(short[name].to_numpy())


def test_flagged_points_and_nan_losses_are_averaged_apart():
    long = frame(runs=1)
    long.loc[500:509, "loss"] = np.nan
    flag = (np.arange(len(long)) % 2).astype(int)
    short, _ = thinned(long, np.zeros(len(long), dtype=int), flag)
    assert sum(short["points"]) == len(long)
    assert short["points"].to_numpy()[np.isnan(short["loss"])].sum() == 10
    few, dense = thinned(long.iloc[:50], np.zeros(50, dtype=int), flag[:50])
    assert (dense, len(few), set(few["points"])) == (0, 50, {1})


def test_the_last_row_of_a_run_knows_the_least_loss_before_it():
    long = frame(points=10)
    long.loc[9, "loss"] = 99.0
    ends = last_rows(long.sample(frac=1.0, random_state=2)).sort_values("run")
    assert ends["tokens"].tolist() == [1e7, 1e7, 1e7]
    assert ends["loss"].tolist()[0] == 99.0
    assert ends["lowest_loss"].iloc[0] == pytest.approx(long["loss"][8])
