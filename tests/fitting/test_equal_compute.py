"""Best losses at equal compute: bounds that point the right way, counts that nobody named, budgets asked for twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from isoflop.fitting.comparison.frontiers import Frontier, frontier_of, log_multiplier
from isoflop.fitting.comparison.ladder import ladder_words
from isoflop.fitting.comparison.pairs import Sweep, compare_pair, declared
from isoflop.fitting.comparison.rungs import rungs_of

from .fit_reports import BUDGETS, FIRST, WASTEFUL, report

LOSSES = np.array([3.0, 2.7, 2.45])


def frontier(budgets: Any, losses: Any) -> Frontier:
    rows = [
        {"flops": c, "loss": loss, "status": "interior", "noise": 0.001, "n_sizes": 7, "n_window": 7}
        for c, loss in zip(budgets, losses, strict=True)
    ]
    found = frontier_of({"minima": rows, "noise": {"freedom": 20}})
    assert found is not None
    return found


@pytest.fixture(scope="module")
def first() -> dict[str, Any]:
    return report(FIRST, noise=0.001)


def counted(name: str, found: dict[str, Any], by_convention: list[Any] | None = None, **conventions: Any) -> Sweep:
    named = found["conventions"] | conventions
    return Sweep(name, {**found, "conventions": named, "by_convention": by_convention or []})


@pytest.mark.parametrize("shift", [0.97, 1.0, 1.03])
@pytest.mark.parametrize(("worse", "at", "word"), [(1.03, -1, "over"), (0.97, 0, "under")])
def test_a_worse_sweep_needs_over_and_a_better_under_what_it_measured(
    shift: float, worse: float, at: int, word: str
) -> None:
    # At the end budget the second's nearest one may lie to either side: that does not turn the bound round.
    budgets = np.geomspace(1e18, 1e20, 3)
    here, there = frontier(budgets, LOSSES), frontier(budgets * shift, LOSSES * worse)
    found, bound = log_multiplier(here, there, budgets[at])
    assert found is None
    assert bound == (word, pytest.approx(np.log(shift)))


@pytest.mark.parametrize(("count", "within"), [(4, 0.03), (5, 0.03), (6, 0.01), (9, 0.01)])
def test_the_line_bends_as_much_as_the_losses_of_its_budgets(count: int, within: float) -> None:
    budgets = np.geomspace(6e18, 3e21, count)
    here, there = (frontier(budgets, [float(law.loss(*law.optimum(c))) for c in budgets]) for law in (FIRST, WASTEFUL))
    for c in budgets:
        found, _ = log_multiplier(here, there, c)
        assert found is None or np.exp(found.value) == pytest.approx(4, rel=within)
    assert log_multiplier(here, there, budgets[0])[0] is not None


def test_losses_whose_compute_nobody_named_are_not_compared(first: dict[str, Any]) -> None:
    unnamed = [counted(name, first, flops_equals=None) for name in ("one", "other")]
    found = compare_pair(unnamed[0], unnamed[1])
    assert found.losses == ()
    assert any("neither table says how its FLOPs are counted" in said for said in found.remarks)
    assert "IF their FLOPs are counted alike" in found.headline
    named = [declared(each, "total", "hoffmann") for each in unnamed]
    assert compare_pair(named[0], named[1]).losses


def test_a_count_with_a_name_is_taken_before_two_without(first: dict[str, Any]) -> None:
    other = [{"n_params": "n_params", "flops": "6nd", "isoflop": first["fits"]["isoflop"]}]
    one, two = (counted(name, first, other, flops_equals=None) for name in ("one", "other"))
    found = compare_pair(one, two)
    assert {pair.flops for pair in found.exponents} == {"6nd"}


def test_what_a_table_does_not_say_of_its_counts_is_taken_aloud(first: dict[str, Any]) -> None:
    silent, said = counted("silent", first), declared(counted("said", first), "total", "6nd")
    found = compare_pair(silent, said)
    assert "N taken for total and C for 6nd in both" in found.headline
    taken = [line.partition(":")[0] for line in found.remarks if "is taken for total and C for 6ND" in line]
    assert taken == ["silent"]


def test_a_budget_asked_for_that_all_have_is_one_row(first: dict[str, Any]) -> None:
    asked = [float(BUDGETS[1]) * 1.0001, float(BUDGETS[2]) * 1.2]
    losses = compare_pair(counted("one", first), counted("other", first), asked).losses
    assert [row.flops for row in losses] == pytest.approx(sorted([*BUDGETS, asked[1]]))


def test_two_fits_without_approach_2_are_compared_by_what_they_have() -> None:
    fits = report(FIRST, surface=True)
    only = {**fits, "fits": {"parametric": fits["fits"]["parametric"]}, "by_convention": []}
    found = compare_pair(Sweep("one", only), Sweep("other", only))
    assert [pair.method for pair in found.exponents] == ["parametric"]
    rungs = rungs_of([("one", only), ("other", only)])
    assert [(rung.params_exponent, rung.n_params, rung.words) for rung in rungs] == [
        (None, "total", "no approach 2")
    ] * 2
    assert ladder_words(rungs)[0].startswith("other: how a moves by approach 2 cannot be told")
