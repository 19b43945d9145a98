"""Tables as researchers have them: what is odd about them is said, or refused in a line, and changes nothing else."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isoflop.fitting import FitError, InputError, Options, RunTable, analyse, fit_isoflop, fit_kaplan, hold_out
from isoflop.fitting.diagnostics import minima
from isoflop.fitting.holdout import MOST_HELD_OUT

from .sweeps import HOFFMANN, changed, sweep

QUICK = Options(resamples=60, by_convention=False)
BUDGETS = np.geomspace(1e18, 1e21, 5)


def runs(**options):
    return sweep(HOFFMANN, **{"budgets": BUDGETS, "sizes": 7, "noise": 0.005, **options})


def codes(analysis):
    return [warning.code for warning in analysis.warnings]


def grid():
    """Sizes times token counts a factor 1.08 apart: no budgets."""
    n, d = (part.reshape(-1) for part in np.meshgrid(np.geomspace(1e7, 1e8, 7), np.geomspace(1e9, 1e11, 60)))
    return RunTable(pd.DataFrame({"n_params": n, "tokens": d, "loss": HOFFMANN.loss(n, d)}))


@pytest.mark.parametrize("bad", [0.0, -1e18, np.nan, np.inf])
def test_a_budget_that_is_none_is_named_and_budgets_are_guessed(bad):
    table = runs()
    budget = table.frame["budget"].where(table.frame.index != 3, bad)
    analysis = analyse(changed(table, budget=budget), QUICK)
    assert analysis.isoflop is not None
    assert len(analysis.isoflop.minima) == 5
    assert codes(analysis) == ["clustered_budgets"]
    assert "1 of 35 runs have no budget (first: row 4" in analysis.warnings[0].text


def test_a_grid_without_budgets_is_fitted_by_the_methods_that_need_none():
    analysis = analyse(grid(), QUICK)
    assert analysis.isoflop is None
    assert analysis.parametric is not None
    assert analysis.parametric.params_exponent.value == pytest.approx(HOFFMANN.params_exponent, abs=1e-6)
    assert "no_isoflop" in codes(analysis)
    with pytest.raises(FitError, match=r"chain from .* without a gap"):
        fit_isoflop(grid())


@pytest.mark.parametrize(
    "losses",
    [lambda n: np.full(len(n), 3.0), lambda n: 2 + 0.1 * np.log(n / 1e6), lambda n: 3 + 1e-9 * np.log(n)],
    ids=["equal", "rising with N", "hardly changing"],
)
def test_losses_without_a_law_of_kaplans_have_none(losses):
    table = changed(runs(), loss=losses(runs().frame["n_params"].to_numpy()))
    with pytest.raises(FitError, match="Kaplan's law has no finite constants"):
        fit_kaplan(table, resamples=0)
    report = analyse(table, QUICK).to_json()
    assert report["fits"]["parametric"]["status"] == "bound_hit"
    assert "no_isoflop" in [warning["code"] for warning in report["warnings"]]
    json.dumps(report, allow_nan=False)


def test_numbers_beyond_reason_are_flagged():
    loss = runs().frame["loss"].mask(runs().frame.index == 2, 1e150)
    table = changed(runs(), loss=loss)
    assert table.excluded == [{"run": "row 3", "reason": "loss is beyond 1e-100 to 1e100"}]


@pytest.mark.parametrize(
    ("tokens", "says"), [(["1e9", "1_000", "1e9"], "row 2: .* holds '1_000'"), ([True] * 3, "row 1: .* holds True")]
)
def test_what_only_python_takes_for_a_number_is_refused(tokens, says):
    with pytest.raises(InputError, match=says):
        RunTable(pd.DataFrame({"n_params": [1e6, 2e6, 3e6], "tokens": tokens, "loss": [4, 3, 2]}))


def test_a_negative_seed_is_refused():
    with pytest.raises(InputError, match="--seed -1 must be 0 or more"):
        analyse(runs(), Options(seed=-1))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"methods": ("isoflop",), "hull": True}, "--hull is for --method envelope"),
        ({"methods": ("parametric",), "window": 0.2}, "--window is for --method isoflop"),
        ({"methods": ("isoflop",), "fixed_E": 1.0}, "--fixed-e is for --method parametric or saturating"),
        ({"methods": ("envelope",), "objective": "mse"}, "--objective is for --method"),
        ({"budget_tolerance": 0.0}, "--budget-tolerance 0.0 must be above 0"),
    ],
)
def test_options_that_nothing_would_heed_are_refused(words, says):
    with pytest.raises(InputError, match=says):
        Options(**words)


def test_one_resample_has_no_interval_and_none_is_said_to_have_failed():
    analysis = analyse(runs(), Options(resamples=1, by_convention=False, holdout=False))
    assert analysis.isoflop is not None
    assert analysis.isoflop.params_exponent.low is None
    assert analysis.warnings == ()


def test_checkpoints_of_a_run_are_no_seeds():
    # Off the law by as much as the curves bend; were they seeds, that would be lack of fit.
    frame = runs(noise=0.0).frame
    parts = [frame.assign(tokens=frame["tokens"] * share) for share in (0.25, 0.5, 1.0)]
    table = pd.concat(parts, ignore_index=True).drop(columns=["flops", "flops_6nd", "run"])
    loss = HOFFMANN.loss(table["n_params"], table["tokens"]) * (1 + 0.01 * np.sin(np.log(table["n_params"])))
    table = RunTable(table.assign(run=np.tile(np.arange(35), 3), loss=loss))
    found = codes(analyse(table, Options(resamples=60, by_convention=False, holdout=False)))
    assert "checkpoints" in found
    assert "lack_of_fit" not in found


def test_many_budgets_are_held_out_by_a_few_that_span_them():
    table = sweep(HOFFMANN, budgets=np.geomspace(1e18, 1e21, 40), sizes=3, noise=0.002)
    held = hold_out(table)
    left_out = [each.budget for each in held.each["chinchilla"]]
    assert len(left_out) == held.n_budgets == MOST_HELD_OUT
    assert (left_out[0], left_out[-1]) == (pytest.approx(1e18), pytest.approx(1e21))


def test_of_many_budgets_the_one_that_decides_is_still_found():
    table = sweep(HOFFMANN, budgets=np.geomspace(1e18, 1e20, 30), sizes=7, noise=0.002)
    fit = fit_isoflop(table, resamples=200)
    asked = []
    minima.influential_budget(fit, lambda budget: float(asked.append(budget) or 0.9))
    log_n = np.log([found.n_params for found in fit.minima if found.n_params is not None])
    log_c = np.log([found.flops for found in fit.minima])
    slopes = [np.polyfit(np.delete(log_c, i), np.delete(log_n, i), 1)[0] for i in range(30)]
    strongest = int(np.argmax(np.abs(np.array(slopes) - np.polyfit(log_c, log_n, 1)[0])))
    assert len(asked) < 30
    assert fit.minima[strongest].budget in asked


@settings(max_examples=4, deadline=None, derandomize=True)
@given(n_unit=st.floats(1e-9, 1e3), d_unit=st.floats(1e-9, 1e3), loss_unit=st.floats(0.1, 10), order=st.integers(0, 99))
def test_units_row_order_and_a_factor_of_the_loss_leave_every_exponent_and_warning(n_unit, d_unit, loss_unit, order):
    table = runs(noise=0.01, seed=2)
    frame = table.frame.sample(frac=1, random_state=order)
    other = frame.assign(
        n_params=frame["n_params"] * n_unit,
        tokens=frame["tokens"] * d_unit,
        loss=frame["loss"] * loss_unit,
        flops=frame["flops"] * n_unit * d_unit,
        budget=frame["budget"] * n_unit * d_unit,
        flops_6nd=frame["flops_6nd"] * n_unit * d_unit,
    )
    one, two = (analyse(each, QUICK) for each in (table, RunTable(other)))
    assert codes(one) == codes(two)
    for name, estimate in one.fits.params_exponents.items():
        same = two.fits.params_exponents[name]
        assert [same.value, same.low, same.high] == pytest.approx(
            [estimate.value, estimate.low, estimate.high], abs=1e-6
        )


def test_a_table_given_twice_is_said_and_its_cells_are_still_resampled_as_one():
    table = runs(noise=0.01, seed=3)
    twice = RunTable(pd.concat([table.frame, table.frame.assign(run=table.frame["run"] + "b")]))
    one, two = (analyse(each, QUICK) for each in (table, twice))
    assert "duplicate_rows" not in codes(one)
    assert "35 of 70 rows" in next(warning.text for warning in two.warnings if warning.code == "duplicate_rows")
    assert one.parametric is not None
    assert two.parametric is not None
    first, second = one.parametric.params_exponent, two.parametric.params_exponent
    assert [second.value, second.low, second.high] == pytest.approx([first.value, first.low, first.high], abs=1e-6)
