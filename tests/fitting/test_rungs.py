"""Several sweeps beside each other: what one change at a time does to the exponent."""

from __future__ import annotations

from typing import Any

import pytest

from isoflop.fitting import InputError
from isoflop.fitting.comparison.rungs import rungs_of
from isoflop.fitting.reporting.rungs import rungs_figure, rungs_table


def report(a: float | None, n_params: str = "n_params", flops: str = "6nd") -> dict[str, Any]:
    """A fit.json with an isoFLOP exponent, and another under a second pair of conventions."""
    fit = {"status": "converged", "params_exponent": {"value": a, "low": a and a - 0.05, "high": a and a + 0.05}}
    other = {"n_params": "n_params_blocks_and_head", "flops": "porian", "isoflop": {"params_exponent": {"value": 0.1}}}
    return {"conventions": {"n_params": n_params, "flops": flops}, "fits": {"isoflop": fit}, "by_convention": [other]}


REPORTS = [
    ("kaplan", report(0.8, "n_params_non_embedding", "6nd_non_embedding")),
    ("head", report(0.7, "n_params_blocks_and_head", "porian")),
    ("tuned", report(0.5)),
]
PUBLISHED = ["porian_kaplan_setting", "porian_head_counted", "porian_tuned"]


def test_each_sweep_speaks_its_own_conventions_and_says_how_far_it_moved() -> None:
    kaplan, head, tuned = rungs_of(REPORTS, PUBLISHED)
    assert (kaplan.n_params, kaplan.flops) == ("non_embedding", "6nd_non_embedding")
    assert (head.n_params, head.flops) == ("blocks_and_head", "porian")
    assert [rung.change for rung in (kaplan, head, tuned)] == [None, pytest.approx(-0.1), pytest.approx(-0.2)]
    assert kaplan.published_exponent is not None
    assert (kaplan.published_exponent.value, kaplan.published_exponent.low) == (0.835, 0.824)


def test_a_sweep_without_an_exponent_keeps_its_row_and_breaks_the_comparison() -> None:
    first, second, third = rungs_of([REPORTS[0], ("none", report(None)), REPORTS[2]])
    assert (second.params_exponent, second.change, third.change) == (None, None, None)
    assert first.beside is None
    assert rungs_table((first, second, third)).row_count == 3


def test_the_figure_names_every_sweep_from_the_top() -> None:
    axes = rungs_figure(rungs_of(REPORTS, PUBLISHED)).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["kaplan", "head", "tuned"]
    assert axes.yaxis_inverted()
    drawn = [line.get_xdata()[0] for line in axes.lines if len(line.get_xdata()) == 1]  # type: ignore[index]
    assert drawn[:2] == [0.8, 0.835]


def test_what_cannot_be_set_side_by_side_is_said() -> None:
    with pytest.raises(InputError, match="2 published estimates for 3 sources"):
        rungs_of(REPORTS, PUBLISHED[:2])
    with pytest.raises(InputError, match="tuned: its fit has no approach 2"):
        rungs_of([("tuned", {"conventions": {}, "fits": {}})])
