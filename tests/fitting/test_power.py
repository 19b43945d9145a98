"""One-dimensional laws: planted ones found, intervals that cover, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from isoflop.fitting.errors import FitError, InputError
from isoflop.fitting.estimators.power import fit_power
from isoflop.fitting.estimators.power.law import OffsetPowerLaw
from isoflop.fitting.laws import SaturatingLaw
from isoflop.fitting.marginal import largest_left_out, marginal, target_cost
from isoflop.fitting.one_dimensional import PowerQuestion, analyse_power
from isoflop.fitting.reporting.power import power_figure
from isoflop.fitting.results import FitStatus

from .sweeps import interval, reference_data, selected

X = np.geomspace(500, 32000, 7)
FALLING = OffsetPowerLaw(0.05, np.log(3.0), 0.45)
RISING = OffsetPowerLaw(0.94, np.log(3.0), 0.45, rising=True)


def noisy(law, x, noise, seed):
    rng = np.random.default_rng(seed)
    return law.value(x) * (1 + noise * rng.standard_normal(len(x)))


@pytest.mark.parametrize("unit", [1.0, 1e15])
@pytest.mark.parametrize("law", [FALLING, RISING], ids=["falling", "rising"])
def test_a_planted_law_is_found_whatever_the_unit_of_the_resource(law, unit):
    fit = fit_power(X * unit, law.value(X))
    assert fit.law.rising == law.rising
    assert (fit.offset.value, fit.exponent.value) == pytest.approx((law.offset, 0.45), rel=1e-5)
    assert fit.coefficient.value == pytest.approx(3.0 * unit**0.45, rel=1e-4)
    assert fit.error == ("absolute" if law.rising else "relative")


def test_the_fit_is_the_least_of_all_starts():
    """Brute force over a grid of offsets and exponents comes no lower, on noise that has a second valley."""
    for seed in range(4):
        y = noisy(FALLING, X, 0.06, seed)
        fit = fit_power(X, y, error="absolute")
        offsets, exponents = np.meshgrid(np.linspace(0, y.min(), 200), np.geomspace(0.01, 6, 200))
        power = X[:, None, None] ** -exponents / X[0] ** -exponents
        left = y[:, None, None] - offsets
        coefficient = np.maximum((left * power).sum(axis=0) / (power**2).sum(axis=0), 0)
        squares = ((left - coefficient * power) ** 2).sum(axis=0)
        assert fit.scatter**2 * fit.freedom <= squares.min() * (1 + 1e-9)
        assert fit.scatter**2 * fit.freedom >= squares.min() * 0.98


def test_intervals_cover_at_their_level_over_simulated_tables():
    """200 tables: at a true coverage of 95 %, fewer than 90 % or more than 99.5 % comes up less than once in 400."""
    last, beyond = X[-1], X[-1] * 10
    hits = np.zeros(5)
    for seed in range(200):
        fit = fit_power(X, noisy(FALLING, X, 0.02, seed))
        found = (
            (fit.offset, 0.05),
            (fit.exponent, 0.45),
            (marginal(fit, last).gain_per_unit, float(FALLING.gain(last))),
            (marginal(fit, beyond).y, float(FALLING.value(beyond))),
            (target_cost(fit, float(FALLING.value(beyond))).x or fit.offset, beyond),
        )
        hits += [(e.low or 0) <= truth <= (np.inf if e.high is None else e.high) for e, truth in found]
    assert (hits >= 180).all(), hits
    assert (hits <= 199).all(), hits


def test_the_region_is_the_profile_interval():
    """The ends of the exponent's interval and of a prediction's agree with a search that holds the quantity fixed."""
    from scipy.optimize import minimize
    from scipy.special import fdtri

    y = noisy(FALLING, X, 0.03, 3)
    fit = fit_power(X, y, error="absolute")
    at = 1e5
    predicted = fit.estimate(lambda law: law.value(at))
    limit = fit.scatter**2 * (fit.freedom + float(fdtri(1, fit.freedom, 0.95)))

    def least(value):
        def squares(p):
            offset, exponent = value * p[0] ** 2 / (1 + p[0] ** 2), np.exp(p[1])
            power = (X / at) ** -exponent
            return float(np.sum((y - offset - (value - offset) * power) ** 2))

        starts = ([1.0, -1.0], [3.0, -0.5], [0.3, -1.5])
        ends = [minimize(squares, p, method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-14}) for p in starts]
        return min(end.fun for end in ends)

    low, high = interval(predicted)
    assert least(low) == pytest.approx(limit, rel=0.02)
    assert least(high) == pytest.approx(limit, rel=0.02)


def test_an_offset_that_is_not_there_lies_on_its_bound_with_its_upper_end():
    fit = fit_power(X, noisy(OffsetPowerLaw(0.0, 0.0, 0.3), X, 0.01, 1))
    assert fit.offset.value == 0.0
    assert fit.status is FitStatus.BOUND_HIT
    low, high = interval(fit.offset)
    assert low == 0.0
    assert 0 < high < 0.05
    assert interval(fit.exponent)[0] <= 0.3 <= interval(fit.exponent)[1] * 1.05


def test_a_bound_on_the_ceiling_is_kept_and_narrows_the_interval():
    x = np.geomspace(500, 8000, 6)
    y = RISING.value(x) + 0.008 * np.random.default_rng(0).standard_normal(6)
    free, held = fit_power(x, y), fit_power(x, y, limit=1.0)
    assert held.offset.value <= 1.0
    assert interval(held.offset)[1] == pytest.approx(1.0)
    assert free.offset.high is None or free.offset.high > 1.0


def test_a_straight_line_in_ln_x_has_no_ceiling():
    fit = fit_power(X, 1 + 0.1 * np.log(X) + 1e-3 * np.cos(X))
    assert fit.exponent.low == 0.0
    assert fit.offset.high is None


def test_replicates_are_one_point_and_disagreement_beyond_theirs_is_told():
    rng = np.random.default_rng(1)
    x = np.repeat(X, 3)
    y = FALLING.value(x) * (1 + 0.01 * rng.standard_normal(21))
    fit = fit_power(x, y)
    assert (len(fit.points.x), fit.freedom) == (7, 4)
    assert fit.replicates is not None
    assert fit.replicates.freedom == 14
    assert fit.replicates.deviation == pytest.approx(0.01, rel=0.5)
    assert fit.replicates.lack_of_fit_p is not None
    assert fit.replicates.lack_of_fit_p > 0.01
    bent = fit_power(x, y * np.repeat(1 + 0.1 * (-1.0) ** np.arange(7), 3))
    assert bent.replicates is not None
    assert bent.replicates.lack_of_fit_p is not None
    assert bent.replicates.lack_of_fit_p < 1e-6
    # Copies of a row are no new points: intervals stay as wide.
    copies = fit_power(np.repeat(X, 5), np.repeat(fit.points.y, 5))
    assert interval(copies.exponent) == pytest.approx(interval(fit_power(X, fit.points.y).exponent))


def test_what_does_not_move_is_refused_at_about_its_level():
    refused = 0
    for seed in range(100):
        try:
            fit_power(X, 2 + 0.1 * np.random.default_rng(seed).standard_normal(7))
        except FitError:
            refused += 1
    assert refused >= 88
    with pytest.raises(FitError, match="does not move"):
        fit_power(X, np.full(7, 2.0))


def test_points_of_one_curve_and_too_few_points_have_no_interval():
    y = noisy(FALLING, X, 0.01, 0)
    curve = fit_power(X, y, runs=["a"] * 7)
    assert (curve.offset.low, curve.exponent.low) == (None, None)
    assert "7 points are of 1 runs" in curve.no_interval
    assert fit_power(X, y, runs=[""] * 7).exponent.low is not None
    few = fit_power(X[:4], y[:4])
    assert few.status in (FitStatus.TOO_FEW, FitStatus.BOUND_HIT)
    assert few.exponent.low is None
    assert fit_power(X[:4], y[:4], offset=0.05).exponent.low is not None


def test_gains_are_the_derivative_and_a_dollar_s_share_of_it():
    fit = fit_power(X, FALLING.value(X))
    at = marginal(fit, 1e5, price=0.12)
    step = float(fit.law.value(1e5) - fit.law.value(1e5 + 1))
    assert at.gain_per_unit.value == pytest.approx(step, rel=1e-4)
    assert at.gain_per_dollar is not None
    assert at.gain_per_dollar.value == pytest.approx(step / 0.12, rel=1e-4)
    assert at.gain_of_doubling.value == pytest.approx(float(FALLING.value(1e5) - FALLING.value(2e5)), rel=1e-4)
    assert at.cost_of_doubling == pytest.approx(12000)
    assert at.decades_beyond == pytest.approx(np.log10(1e5 / 32000))


def test_a_target_costs_what_the_law_says_and_one_beyond_the_offset_is_not_reachable():
    fit = fit_power(X, noisy(FALLING, X, 0.01, 4))
    cost = target_cost(fit, 0.075, price=2.0)
    assert cost.x is not None
    assert cost.price is not None
    assert cost.further_price is not None
    assert float(fit.law.value(cost.x.value)) == pytest.approx(0.075)
    assert cost.price.value == pytest.approx(2 * cost.x.value)
    assert cost.further_price.value == pytest.approx(2 * (cost.x.value - 32000))
    met = target_cost(fit, 0.12, price=2.0)
    assert met.further_price is not None
    assert met.further_price.value == 0
    below = target_cost(fit, 0.01)
    assert (below.reachable, below.x) == (False, None)
    assert below.words.startswith("not reachable: the fitted floor is 0.0")
    near = target_cost(fit, fit.offset.value * 0.98)
    assert not near.reachable
    assert near.least_x is not None  # laws that the points allow do reach it
    assert target_cost(fit, fit.offset.value * 1.02).x is not None
    assert target_cost(fit, fit.offset.value * 1.02).x.high is None  # type: ignore[union-attr]
    with pytest.raises(InputError, match="y falls and its worst point is"):
        target_cost(fit, 0.9)


def test_the_largest_left_out_is_predicted_and_a_bend_is_seen():
    held = largest_left_out(fit_power(X, noisy(FALLING, X, 0.01, 5)))
    assert held is not None
    assert held.x == 32000
    assert abs(held.relative_error) < 0.06
    assert held.inside
    y = noisy(FALLING, X, 0.002, 6)
    y[-1] *= 1.2
    bent = largest_left_out(fit_power(X, y))
    assert bent is not None
    assert bent.inside is False


def test_at_one_path_it_agrees_with_the_saturating_law():
    law = SaturatingLaw(1.7, 1e12, 0.15)
    flops = np.geomspace(1e17, 1e22, 8)
    fit = fit_power(flops, law.loss(flops))
    assert (fit.offset.value, fit.exponent.value) == pytest.approx((1.7, 0.15), rel=1e-5)


def table(**columns):
    return pd.DataFrame(columns)


def test_isoflop_rows_do_not_identify_one_law():
    n = np.tile(np.geomspace(1e7, 1e8, 5), 3)
    c = np.repeat([1e18, 1e19, 1e20], 5)
    frame = table(n_params=n, tokens=c / (6 * n), flops=c, loss=2 + n**-0.3 + 1e3 * (c / n) ** -0.3)
    for x, says in (("n_params", "tokens varies"), ("tokens", "n_params varies"), ("flops", "one path of sizes")):
        with pytest.raises(InputError, match=says) as caught:
            analyse_power(frame, PowerQuestion(x, "loss"))
        assert "--method" in str(caught.value)


def test_the_bar_of_a_target_without_an_upper_end_goes_to_the_edge():
    found = analyse_power(
        table(labels=X, error=noisy(FALLING, X, 0.02, 1)), PowerQuestion("labels", "error", target=0.06)
    )
    assert found.target is not None
    assert found.target.x is not None
    assert found.target.x.high is None
    (axes,) = power_figure(found).axes
    bar = next(line for line in axes.lines if line.get_linewidth() == 4)
    assert np.max(np.asarray(bar.get_xdata())) == pytest.approx(axes.get_xlim()[1])
    assert axes.get_xlim()[1] > found.target.x.value


def test_a_grid_names_the_slice_that_is_a_law():
    n, d = (each.ravel() for each in np.meshgrid([1e7, 3e7, 1e8, 3e8, 1e9], [1e9, 1e10]))
    frame = table(size=n, n_params=n, tokens=d, loss=2 + 300 * n**-0.3 + 900 * d**-0.3)
    with pytest.raises(InputError, match=r"--where \"tokens == 1000000000.0\" \(5 points\)"):
        analyse_power(frame, PowerQuestion("size", "loss"))
    found = analyse_power(selected(frame, frame["tokens"] == 1e9), PowerQuestion("size", "loss"))
    assert found.fit.exponent.value == pytest.approx(0.3, rel=1e-4)
    assert "at 1B tokens throughout" in found.notes
    assert found.warnings == ()


def test_other_resources_that_move_along_are_warned_of():
    size = np.array([1e6, 2e6, 3e6, 7e6, 9e6, 1e7, 5e7])
    frame = table(labels=X, error=noisy(FALLING, X, 0.01, 0), hours=X / 40, model_cost=size, luck=[3, 1, 2, 9, 4, 5, 1])
    codes = {warning.code: warning.text for warning in analyse_power(frame, PowerQuestion("labels", "error")).warnings}
    assert codes["moves_together"].startswith("model_cost (+1.00) moves with labels")
    twice = pd.concat([frame.assign(epochs=1), frame.assign(epochs=4)], ignore_index=True)
    codes = {warning.code: warning.text for warning in analyse_power(twice, PowerQuestion("labels", "error")).warnings}
    assert codes["varies_beside"].startswith("epochs")


def test_published_runs_at_one_size_and_along_one_ratio():
    """Gadre 2024: L(D) of the 411M model, and their L(C) at 20 tokens per parameter, whose 6.9B run is predicted."""
    frame = reference_data("gadre_overtraining.csv")
    frame = selected(frame, frame["experiment"] == "gadre_rpj")
    one_size = analyse_power(selected(frame, frame["n_params"] == 411616256), PowerQuestion("tokens", "loss"))
    assert one_size.left_out is not None
    assert one_size.left_out.inside
    assert 2.3 < one_size.fit.offset.value < 2.77  # below the least loss, above the 7B models'
    ladder = analyse_power(selected(frame, frame["tokens_per_param"] == 20), PowerQuestion("flops", "loss"))
    assert ladder.left_out is not None
    assert abs(ladder.left_out.relative_error) < 0.015
    assert 0.1 < ladder.fit.exponent.value < 0.2
