"""Approach 2: noise-free surfaces, invariances, statuses, what lies beyond the sizes, and the grid's centre."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isoflop.fitting import FitError, InputError, RunTable, fit_isoflop
from isoflop.fitting.estimators.isoflop.edges import NoInteriorMinimum
from isoflop.fitting.results import FitStatus, MinimumStatus

from .sweeps import ASYMMETRIC, HOFFMANN, SYMMETRIC, changed, interval, selected, size, sweep

FORECAST = 1e24
LAWS = {"chinchilla": HOFFMANN, "symmetric": SYMMETRIC, "asymmetric": ASYMMETRIC}
TEXTBOOK = {"minimum": "parabola", "window": None, "resamples": 0}


def tokens_error(tokens_law, law):
    """Error of D* at 1e24 FLOPs, in percent."""
    return 100 * (float(tokens_law(FORECAST)) / float(law.optimum(FORECAST)[1]) - 1)


# A parabola over the whole of a noise-free grid: arXiv:2603.22339 and the same computed for the other surfaces.
@pytest.mark.parametrize(
    ("name", "half_width", "a", "error"),
    [
        ("chinchilla", 2, 0.451613, -0.326938),
        ("chinchilla", 16, 0.451613, -5.100245),
        ("symmetric", 2, 0.5, 0.0),
        ("symmetric", 16, 0.5, 0.0),
        ("asymmetric", 2, 0.25, -1.674748),
        ("asymmetric", 16, 0.25, -23.116),
    ],
)
def test_the_known_bias_of_the_whole_parabola_on_centred_grids(name, half_width, a, error):
    fit = fit_isoflop(sweep(LAWS[name], half_width=half_width), **TEXTBOOK)
    assert fit.params_exponent.value == pytest.approx(a, abs=1e-6)
    assert tokens_error(fit.tokens_law, LAWS[name]) == pytest.approx(error, abs=5e-4)
    assert fit.with_edges is None


# Here the grids' centres are off by 3 in tokens: their sizes are a third of N*.
@pytest.mark.parametrize(
    ("name", "offset_error", "drift_a", "drift_error"),
    [
        ("chinchilla", 0.238, 0.445799, 3.048),
        ("symmetric", 1.510, 0.498528, 1.689),
        ("asymmetric", -2.425, 0.224088, 13.997),
    ],
)
def test_the_known_bias_of_the_whole_parabola_on_shifted_grids(name, offset_error, drift_a, drift_error):
    law = LAWS[name]
    offset = fit_isoflop(sweep(law, half_width=16, centre=1 / 3), **TEXTBOOK)
    assert offset.params_exponent.value == pytest.approx(law.params_exponent, abs=1e-6)
    assert tokens_error(offset.tokens_law, law) == pytest.approx(offset_error, abs=6e-4)
    drift = fit_isoflop(sweep(law, half_width=16, centre=3.0 ** -np.linspace(0, 1, 5)), **TEXTBOOK)
    assert drift.params_exponent.value == pytest.approx(drift_a, abs=1e-6)
    assert tokens_error(drift.tokens_law, law) == pytest.approx(drift_error, abs=6e-4)


# On narrow grids the shifted minima lie beyond the sizes: the published numbers are those of extrapolated vertices.
@pytest.mark.parametrize(
    ("name", "offset_error", "drift_a", "drift_error"),
    [
        ("chinchilla", 7.110, 0.443928, 11.614),
        ("symmetric", 3.974, 0.495921, 6.071),
        ("asymmetric", 19.221, 0.229058, 34.575),
    ],
)
def test_the_vertices_beyond_narrow_grids_are_told_but_not_fitted(name, offset_error, drift_a, drift_error):
    law = LAWS[name]
    with pytest.raises(NoInteriorMinimum, match=rf"0 of 5 budgets.*a = {law.params_exponent:.3f}") as caught:
        fit_isoflop(sweep(law, half_width=2, centre=1 / 3), **TEXTBOOK)
    offset = caught.value.with_edges
    assert offset is not None
    assert offset.n_edges == 5
    assert offset.params_law.exponent == pytest.approx(law.params_exponent, abs=1e-6)
    assert tokens_error(offset.tokens_law, law) == pytest.approx(offset_error, abs=6e-4)
    fit = fit_isoflop(sweep(law, half_width=2, centre=3.0 ** -np.linspace(0, 1, 5)), **TEXTBOOK)
    assert [found.status.value for found in fit.minima] == ["interior"] * 3 + ["edge"] * 2
    assert fit.with_edges is not None
    assert fit.with_edges.params_law.exponent == pytest.approx(drift_a, abs=1e-6)
    assert tokens_error(fit.with_edges.tokens_law, law) == pytest.approx(drift_error, abs=6e-4)
    top = fit.minima[-1]
    assert top.extrapolated_n_params is not None
    assert top.extrapolated_n_params == pytest.approx(float(law.optimum(top.flops)[0]), rel=0.35)
    assert top.extrapolated_tokens == pytest.approx(top.flops / 6 / top.extrapolated_n_params, rel=1e-9)
    assert fit.minima[0].extrapolated_n_params is None


@pytest.mark.parametrize("name", LAWS)
def test_the_default_window_lessens_that_bias(name):
    law = LAWS[name]
    table = sweep(law, half_width=16)
    whole = fit_isoflop(table, **TEXTBOOK)
    for minimum in ("parabola", "akima", "auto"):
        fit = fit_isoflop(table, minimum=minimum, resamples=0)
        assert fit.params_exponent.value == pytest.approx(law.params_exponent, abs=0.004)
        assert abs(tokens_error(fit.tokens_law, law)) <= abs(tokens_error(whole.tokens_law, law)) + 1e-6


@pytest.mark.parametrize("minimum", ["parabola", "akima"])
def test_tokens_are_exactly_c_over_six_n(minimum):
    fit = fit_isoflop(sweep(HOFFMANN, noise=0.01), minimum=minimum, resamples=50)
    for found in fit.minima:
        assert found.tokens == pytest.approx(found.flops / 6 / size(found), rel=1e-9)
    assert fit.params_exponent.value + fit.tokens_exponent.value == pytest.approx(1, abs=1e-9)
    assert fit.resamples is not None
    assert fit.resamples[:, 1] + fit.resamples[:, 3] == pytest.approx(1, abs=1e-9)


@settings(max_examples=6, deadline=None, derandomize=True)
@given(n_unit=st.floats(1e-9, 1e9), c_unit=st.floats(1e-9, 1e9), loss_unit=st.floats(0.1, 10), order=st.integers(0, 99))
def test_units_and_row_order_do_not_move_the_exponents(n_unit, c_unit, loss_unit, order):
    table = sweep(HOFFMANN, sizes=7, noise=0.01)
    frame = table.frame.sample(frac=1, random_state=order)
    other = RunTable(
        frame.assign(
            n_params=frame["n_params"] * n_unit,
            tokens=frame["tokens"] * c_unit / n_unit,
            flops=frame["flops"] * c_unit,
            budget=frame["budget"] * c_unit,
            loss=frame["loss"] * loss_unit,
        )
    )
    for minimum in ("parabola", "akima", "auto"):
        base, fit = (fit_isoflop(each, minimum=minimum, resamples=40) for each in (table, other))
        assert fit.minimum == base.minimum
        assert fit.params_exponent.value == pytest.approx(base.params_exponent.value, abs=1e-7)
        assert fit.tokens_exponent.value == pytest.approx(base.tokens_exponent.value, abs=1e-7)
        assert interval(fit.params_exponent) == pytest.approx(interval(base.params_exponent), abs=1e-6)


@settings(max_examples=3, deadline=None, derandomize=True)
@given(copies=st.integers(2, 4), seed=st.integers(0, 99))
def test_a_table_given_several_times_has_the_same_minima(copies, seed):
    table = sweep(HOFFMANN, sizes=7, noise=0.01, seed=seed)
    repeated = RunTable(pd.concat([table.frame] * copies))
    for replicates in ("all", "mean", "best"):
        for minimum in ("parabola", "akima"):
            one, more = (
                fit_isoflop(each, minimum=minimum, replicates=replicates, resamples=0) for each in (table, repeated)
            )
            assert [found.n_params for found in more.minima] == pytest.approx([size(found) for found in one.minima])
            assert [found.n_replicates for found in more.minima] == [7 * (copies - 1)] * 5


def test_minima_off_the_grid_are_refused_and_counted():
    # The two largest budgets are all left of their minimum: their sizes end below N*.
    centre = [1, 1, 1, 1, 1, 0.1, 0.1]
    table = sweep(HOFFMANN, budgets=np.geomspace(1e17, 1e21, 7), half_width=4, centre=centre)
    for minimum in ("parabola", "akima"):
        fit = fit_isoflop(table, minimum=minimum, window=None, resamples=0)
        assert [found.status for found in fit.minima] == [MinimumStatus.INTERIOR] * 5 + [MinimumStatus.EDGE] * 2
        assert fit.minima[-1].n_params is None
        assert fit.minima[-1].n_runs == 15
        assert fit.params_exponent.value == pytest.approx(HOFFMANN.params_exponent, abs=0.005)
        assert fit.with_edges is not None
        assert fit.with_edges.n_edges == 2


def test_a_budget_that_opens_downwards_is_concave_and_a_short_one_too_few():
    table = sweep(HOFFMANN, sizes=7)
    frame = table.frame
    first, second = frame["budget"].unique()[:2]
    frame = selected(frame, (frame["budget"] != second) | (frame.groupby("budget").cumcount() < 2))
    flipped = np.where(frame["budget"] == first, 8 - frame["loss"], frame["loss"])
    fit = fit_isoflop(changed(RunTable(frame), loss=flipped), resamples=20)
    assert [found.status.value for found in fit.minima] == ["concave", "too_few"] + ["interior"] * 3
    assert fit.minima[0].curvature is not None
    assert fit.minima[0].curvature < 0
    assert fit.minima[0].extrapolated_n_params is None
    assert fit.status is FitStatus.TOO_FEW
    assert fit.params_exponent.low is None
    assert fit.resampling is None
    assert fit.params_exponent.value == pytest.approx(HOFFMANN.params_exponent, abs=0.005)


def test_too_few_budgets():
    with pytest.raises(InputError, match=r"one budget only.*parametric"):
        fit_isoflop(sweep(HOFFMANN, budgets=[1e18]))
    with pytest.raises(FitError, match="0 of 5 budgets"):
        fit_isoflop(sweep(HOFFMANN, centre=30.0))
    two = fit_isoflop(sweep(HOFFMANN, budgets=[1e18, 1e20]), resamples=20)
    assert two.status is FitStatus.TOO_FEW
    assert two.params_exponent.value == pytest.approx(HOFFMANN.params_exponent, abs=0.005)


@pytest.mark.parametrize(
    "choice",
    [
        {"minimum": "spline"},
        {"window": 0.0},
        {"window": -1.0},
        {"replicates": "median"},
        {"common_flops": "6nd"},
        {"size_tolerance": -0.1},
        {"budget_tolerance": 1.5},
    ],
)
def test_unknown_choices(choice):
    with pytest.raises(InputError, match=next(iter(choice)).replace("_", "-")):
        fit_isoflop(sweep(HOFFMANN), **choice)


def test_each_minimum_says_what_it_rests_on():
    fit = fit_isoflop(sweep(HOFFMANN, sizes=9, half_width=4, noise=0.005), minimum="parabola", resamples=0)
    for found in fit.minima:
        law_curvature = loss_curvature(HOFFMANN, found.flops)
        assert found.curvature == pytest.approx(law_curvature, rel=0.25)
        assert found.curvature_snr is not None
        assert found.curvature_snr > 3
        assert found.centre_offset is not None
        assert found.log_n_params_se is not None
        # The grid is centred on N*, so the offset is the minimum's error.
        assert abs(found.centre_offset) < 4 * found.log_n_params_se
        assert (found.n_sizes, found.n_window) == (9, 9)


def loss_curvature(law, flops):
    """d2 L / d(ln N)2 at N* under C = 6 N D."""
    n, d = law.optimum(flops)
    return float(law.alpha**2 * law.A * n**-law.alpha + law.beta**2 * law.B * d**-law.beta)


@pytest.mark.parametrize(("end", "drifts"), [(1.0, False), (1 / 3, True)])
def test_a_drifting_centre_is_measured(end, drifts):
    centre = end ** np.linspace(0, 1, 5)
    fit = fit_isoflop(sweep(HOFFMANN, half_width=8, centre=centre, noise=0.001), resamples=0)
    drift = fit.centre_drift
    assert drift is not None
    assert drift.slope == pytest.approx(np.log(end) / np.log(1e4), abs=0.005)
    assert (drift.p_value < 0.01) == drifts
    assert (drift.first, drift.last) == pytest.approx((1, end), rel=0.06)


def test_a_and_b_may_be_made_to_sum_to_one():
    table = sweep(HOFFMANN, sizes=9, noise=0.003)
    # C grows faster than 6 N D: then the plain exponents sum to less than one.
    skewed = changed(table, flops=table.frame["flops"] ** 1.05, budget=table.frame["budget"] ** 1.05)
    plain = fit_isoflop(skewed, resamples=0)
    joint = fit_isoflop(skewed, resamples=60, sum_to_one=True)
    assert plain.params_exponent.value + plain.tokens_exponent.value == pytest.approx(1 / 1.05, abs=1e-6)
    assert joint.params_exponent.value + joint.tokens_exponent.value == pytest.approx(1, abs=1e-12)
    assert joint.resamples is not None
    assert joint.resamples[:, 1] + joint.resamples[:, 3] == pytest.approx(1, abs=1e-12)
    # Both exponents move by as much.
    moved = joint.params_exponent.value - plain.params_exponent.value
    assert moved == pytest.approx(joint.tokens_exponent.value - plain.tokens_exponent.value, abs=1e-9)


def test_a_vertex_absurdly_far_beyond_the_sizes_extrapolates_to_nothing():
    noisy = sweep(HOFFMANN, budgets=np.geomspace(1e18, 1e21, 6), sizes=8, half_width=2, noise=0.2, seed=3)
    with pytest.raises(FitError, match=r"two are needed: train smaller and larger sizes$") as error:
        fit_isoflop(noisy)
    assert getattr(error.value, "with_edges", "no field") is None
