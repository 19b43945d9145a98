"""Differences of exponents whose intervals are of different levels, and the words for them."""

import numpy as np
import pytest

from isoflop.fitting.comparison.differences import difference_between, standard_error_of
from isoflop.fitting.comparison.published_rows import Exponent


@pytest.mark.parametrize(
    ("exponent", "error"),
    [
        (Exponent(0.49, 0.462, 0.534, "80 %"), 0.036 / 1.2816),  # 1.2816: the 90th percentile of a normal
        (Exponent(0.497, 0.491, 0.505, "95 %"), 0.007 / 1.96),
        (Exponent(0.5126, 0.4946, 0.5306, "1 SE"), 0.018),
        (Exponent(0.78, 0.74, 0.78, "range"), None),
        (Exponent(0.73), None),
        (Exponent(0.5, 0.5, 0.5, "95 %"), None),
    ],
)
def test_a_standard_error_by_the_intervals_level(exponent: Exponent, error: float | None) -> None:
    assert standard_error_of(exponent) == (None if error is None else pytest.approx(error, rel=1e-4))


@pytest.mark.parametrize(
    ("theirs", "ours", "verdict"),
    [
        (Exponent(0.51, 0.49, 0.53, "1 SE"), Exponent(0.5, 0.48, 0.52, "95 %"), "the same within error"),
        (Exponent(0.60, 0.58, 0.62, "1 SE"), Exponent(0.5, 0.48, 0.52, "1 SE"), "higher, 3.5 standard errors"),
        (Exponent(0.40, 0.38, 0.42, "1 SE"), Exponent(0.5, 0.48, 0.52, "1 SE"), "lower, 3.5 standard errors"),
        (Exponent(0.51), Exponent(0.5, 0.48, 0.52, "1 SE"), "the same within the error of ours alone"),
        (Exponent(0.51, 0.49, 0.53, "1 SE"), Exponent(0.5), "the same within the error of theirs alone"),
        (
            Exponent(0.60),
            Exponent(0.5, 0.48, 0.52, "1 SE"),
            "cannot be told: theirs states no error, ours alone gives 5.0 standard errors",
        ),
        (
            Exponent(0.60, 0.58, 0.62, "1 SE"),
            Exponent(0.5),
            "cannot be told: ours states no error, theirs alone gives 5.0 standard errors",
        ),
        (Exponent(0.6), Exponent(0.5), "cannot be told: neither states an error"),
    ],
)
def test_the_verdict(theirs: Exponent, ours: Exponent, verdict: str) -> None:
    found = difference_between(theirs, ours)
    assert found.verdict == verdict
    assert found.value == pytest.approx(theirs.value - ours.value)
    assert found.lower_bound == (None in (theirs.low, ours.low))


def test_equal_exponents_are_told_apart_five_times_of_a_hundred_whatever_the_levels() -> None:
    rng = np.random.default_rng(0)
    told = 0
    for theirs, ours in 0.5 + rng.standard_normal((4000, 2)) * [0.02, 0.03]:
        published = Exponent(theirs, theirs - 1.2816 * 0.02, theirs + 1.2816 * 0.02, "80 %")
        mine = Exponent(ours, ours - 1.96 * 0.03, ours + 1.96 * 0.03, "95 %")
        told += difference_between(published, mine).verdict != "the same within error"
    assert told / 4000 == pytest.approx(0.05, abs=0.011)  # 3 standard errors of 4000 draws
