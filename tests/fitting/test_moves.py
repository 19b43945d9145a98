"""Differences of two estimates: from resamples, from two intervals, and without either."""

from __future__ import annotations

import numpy as np
import pytest

from isoflop.fitting import Estimate
from isoflop.fitting.comparison.moves import Sampled, combined, estimate_of, move_between, move_text, sampled_exponents
from isoflop.fitting.comparison.rows import Exponent

from .fit_reports import FIRST, report

NORMAL = np.random.default_rng(1).standard_normal(4000)


def test_two_fits_of_one_seed_are_not_taken_for_one() -> None:
    # Both draw the same numbers, so that resample by resample their errors agree: the difference would look exact.
    same = Sampled(Estimate(0.5, 0.3, 0.7), 0.5 + 0.1 * NORMAL, 4000)
    move = move_between(same, same)
    assert move.method == "resamples"
    assert move.standard_error == pytest.approx(0.1 * np.sqrt(2), rel=0.05)
    assert move.verdict == "not told apart"


def test_resamples_of_a_fit_are_those_behind_its_interval() -> None:
    fits = report(FIRST, surface=True)["fits"]
    for method in ("isoflop", "parametric"):
        fit = fits[method]
        for sampled, name in zip(sampled_exponents(fit, method), ("params_exponent", "tokens_exponent"), strict=True):
            assert sampled.draws is not None
            low, high = np.quantile(sampled.draws, [0.025, 0.975])
            said = fit[name]
            assert (high - low) == pytest.approx(said["high"] - said["low"], rel=0.15)  # one is bias-corrected
            assert low < said["value"] < high


def test_intervals_combine_side_by_side_and_by_level() -> None:
    # Zou and Donner 2008: the upper bound takes the second's upper and the first's lower half-width.
    move = combined(Estimate(1.0, 0.7, 1.1), Estimate(2.0, 1.6, 2.3))
    assert (move.low, move.high) == pytest.approx((1 - np.hypot(0.4, 0.1), 1 + np.hypot(0.3, 0.3)))
    assert move.verdict == "higher"
    # An 80 % interval of 1.2816 standard errors a side counts as one of 1.96.
    wide, narrow = Estimate(0.0, -1.959964, 1.959964), Estimate(0.0, -1.281552, 1.281552, 0.8)
    assert combined(wide, narrow).standard_error == pytest.approx(np.sqrt(2), rel=1e-5)


def test_without_both_intervals_there_is_none() -> None:
    move = combined(Estimate(0.5), Estimate(0.4, 0.3, 0.5))
    assert (move.low, move.high, move.standard_error, move.verdict) == (None, None, None, "no interval")
    assert move_text(move) == "-.10, without an interval"
    few = Sampled(Estimate(0.4), 0.4 + 0.01 * NORMAL[:100], 1000)  # most resamples had no fit
    assert move_between(few, few).verdict == "no interval"


def test_an_exponent_keeps_the_level_it_is_printed_with() -> None:
    assert estimate_of(Exponent(0.5, 0.4, 0.6, "90 %")) == Estimate(0.5, 0.4, 0.6, 0.9)
    assert estimate_of(Exponent(0.5)).low is None
