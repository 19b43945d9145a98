"""Expected standard errors against sweeps from surfaces and noises that the planner was not told."""

from __future__ import annotations

from statistics import median

import pytest

from isoflop.fitting.precision import PlannedGrid, prior_surface
from isoflop.scripts.bench_precision import COMPARED, NOISES, TRUTHS, USUAL_GRID, one_case, pilot_of


def test_a_pilot_is_the_smallest_budgets_with_replicates() -> None:
    law = prior_surface().scaling.surface
    assert law is not None
    grid = PlannedGrid.centred(law, [1e17, 1e18, 1e19, 1e20], 5, 3.0)
    frame = pilot_of(grid, TRUTHS["kaplan"], next(iter(NOISES)), 0, "pilot").fitted
    assert len(frame) == 45
    assert set(frame["budget"]) == {1e17, 1e18, 1e19}
    assert set(frame.groupby(["n_params", "tokens"])["loss"].nunique()) == {3}


@pytest.mark.slow
@pytest.mark.parametrize(("truth", "methods"), [("hoffmann", COMPARED), ("kaplan", ("isoflop",))])
def test_the_expected_error_is_within_a_quarter_of_the_spread(truth: str, methods: tuple[str, ...]) -> None:
    """Prior and noise from the smallest budgets, the median of three pilots; the truth has Student's noise.

    The level of a noise measured on 42 degrees of freedom is itself uncertain by a tenth, with such tails by more. On
    Kaplan's surface the parametric form misfits, which is no matter of spread: only approach 2 is held to it there.
    `bench precision` does it for three truths, four noises and four grids.
    """
    cases = [one_case(("pilot", USUAL_GRID, truth, "Student t"), seed, 40, methods) for seed in range(3)]
    for method in methods:
        ratios = [row["ratio"] for rows in cases for row in rows if row["method"] == method]
        assert median(ratios) == pytest.approx(1, abs=0.25), ratios
