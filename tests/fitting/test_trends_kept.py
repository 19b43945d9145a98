"""What the single-variable laws must keep whoever edits them: textbook intervals, by other ways of computing them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import f as fisher
from scipy.stats import linregress
from scipy.stats import t as student

from isoflop.fitting import InputError, RunTable
from isoflop.fitting.estimators.kaplan import fit_kaplan
from isoflop.fitting.estimators.kaplan_law import fit_kaplan_law
from isoflop.fitting.estimators.power import fit_power
from isoflop.fitting.estimators.saturating import fit_saturating
from isoflop.fitting.estimators.trends import trend
from isoflop.fitting.laws import KaplanLaw, SaturatingLaw
from isoflop.fitting.results import FitStatus

from .sweeps import interval

KAPLAN = KaplanLaw(N_c=6.4e13, D_c=1.8e13, alpha_N=0.076, alpha_D=0.103)


def test_a_power_law_s_interval_is_students_and_its_scale_s_is_fiellers() -> None:
    x = np.geomspace(1e6, 1e9, 7)
    loss = 2e3 * x**-0.3 * np.exp(0.05 * np.random.default_rng(0).standard_normal(7))
    found, line = trend(x, loss, 0.9), linregress(np.log(x), np.log(loss))
    reach = student.ppf(0.95, 5)
    assert interval(found.exponent) == pytest.approx(
        (-line.slope - reach * line.stderr, -line.slope + reach * line.stderr)
    )
    # Fieller: at either end of ln x_c the line's height is just not told from 0.
    middle, height = np.log(x).mean(), np.log(loss).mean()
    variance = line.stderr**2 * np.sum((np.log(x) - middle) ** 2)
    for end in interval(found.scale):
        u = np.log(end) - middle
        assert abs(height + line.slope * u) == pytest.approx(
            reach * np.sqrt(variance / 7 + u**2 * line.stderr**2), rel=1e-6
        )


def test_kaplan_s_optimum_exponent_has_its_own_interval() -> None:
    n, d = (part.reshape(-1) for part in np.meshgrid(np.geomspace(1e6, 3e9, 7), np.geomspace(3e8, 3e11, 7)))
    loss = KAPLAN.loss(n, d) * np.exp(0.002 * np.random.default_rng(1).standard_normal(len(n)))
    fit = fit_kaplan(RunTable(pd.DataFrame({"n_params": n, "tokens": d, "loss": loss})), resamples=100)
    for estimate, true in (
        (fit.params_exponent, KAPLAN.params_exponent),
        (fit.tokens_exponent, KAPLAN.tokens_exponent),
    ):
        low, high = interval(estimate)
        assert low < estimate.value < high
        assert high - low < 0.05
        assert estimate.value == pytest.approx(true, abs=0.02)


def test_a_saturating_law_s_interval_ends_where_fishers_limit_is_reached() -> None:
    law = SaturatingLaw(E=1.7, C0=1e10, gamma=0.12)
    c = np.geomspace(1e16, 1e22, 8)
    loss = law.loss(c) * np.exp(0.003 * np.random.default_rng(2).standard_normal(8))
    table = RunTable(
        pd.DataFrame({"n_params": np.sqrt(c / 120), "tokens": np.sqrt(c * 20 / 6), "loss": loss, "flops": c})
    )
    fit = fit_saturating(table, asymptote=1.7)
    points = np.array(fit.points)

    def squares(gamma: float) -> float:
        power = points[:, 0] ** -gamma / points[:, 1]
        left = 1 - 1.7 / points[:, 1]
        return float(np.sum((left - power * (power @ left) / (power @ power)) ** 2))

    freedom = len(points) - 2
    limit = squares(fit.law.gamma) * (1 + fisher.ppf(0.95, 1, freedom) / freedom)
    for end in interval(fit.parameters["gamma"]):
        assert squares(end) == pytest.approx(limit, rel=0.05)


@pytest.mark.parametrize(("exponent", "noise", "line_is_clearer"), [(0.4, 0.45, True), (2.5, 0.25, False)])
def test_the_doubt_of_any_trend_is_the_lesser_of_two_f_tests_twice(
    exponent: float, noise: float, line_is_clearer: bool
) -> None:
    x = np.geomspace(1, 100, 9)
    y = 3 + 2 * x**-exponent + noise * np.random.default_rng(5).standard_normal(9)
    fit = fit_power(x, y, error="absolute")
    line = linregress(np.log(x), y)
    constant, squares = float(np.sum((y - y.mean()) ** 2)), fit.scatter**2 * fit.freedom
    by_law = fisher.sf((constant - squares) / 2 / (squares / 6), 2, 6)  # coefficient and exponent beside the constant
    assert fit.freedom == 6
    assert (line.pvalue < by_law) == line_is_clearer
    assert fit.trend_p == pytest.approx(2 * min(line.pvalue, by_law), rel=1e-6)


def test_rows_of_one_x_tell_one_row_s_deviation_and_means_weigh_by_their_number() -> None:
    rng = np.random.default_rng(0)
    x = np.repeat(np.geomspace(1, 100, 40), 3)
    fit = fit_power(x, (3 + 2 * x**-0.4) * (1 + 0.03 * rng.standard_normal(120)))
    assert fit.replicates is not None
    assert fit.replicates.freedom == 80
    assert fit.replicates.deviation == pytest.approx(0.03, rel=0.15)
    assert fit.scatter == pytest.approx(0.03, rel=0.3)


def test_beyond_the_points_is_counted_in_decades_on_either_side() -> None:
    x = np.geomspace(10, 1000, 6)
    fit = fit_power(x, 3 + 2 * x**-0.4)
    assert [fit.beyond(at) for at in (1.0, 100.0, 1e5)] == pytest.approx([-1, 0, 2])


@pytest.mark.parametrize("name", ["n_params", "tokens", "loss"])
def test_one_number_of_many_that_is_none_is_refused_by_name(name: str) -> None:
    columns = {key: np.geomspace(1e7, 1e9, 8) for key in ("n_params", "tokens")} | {"loss": np.linspace(4, 3, 8)}
    columns[name] = np.where(np.arange(8) == 3, -1.0, columns[name])
    with pytest.raises(InputError, match=f"{name} must be 8 positive, finite values"):
        fit_kaplan_law(columns["n_params"], columns["tokens"], columns["loss"])


@pytest.mark.parametrize("unit", [1.0, 1e12])
def test_a_floor_on_its_limit_is_said_whatever_the_unit(unit: float) -> None:
    x = np.geomspace(1, 50, 8)
    fit = fit_power(x, unit * (5 - np.log(x)))
    assert fit.law.offset == 0
    assert fit.status is FitStatus.BOUND_HIT
    assert fit.correlation is None


def test_a_frontier_of_two_points_is_no_law_of_compute() -> None:
    n, d = (part.reshape(-1) for part in np.meshgrid(np.geomspace(1e6, 3e9, 5), np.geomspace(3e8, 3e11, 5)))
    frame = pd.DataFrame(
        {"n_params": n, "tokens": d, "loss": KAPLAN.loss(n, d), "flops": np.where(n > 1e7, 2e20, 1e20)}
    )
    assert fit_kaplan(RunTable(frame), resamples=0).loss_of_flops is None
