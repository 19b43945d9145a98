"""Two sweeps against each other: planted differences are found, and what cannot be compared is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from isoflop.fitting import Analysis, ChinchillaLaw, InputError, Options, RunTable, fit_isoflop
from isoflop.fitting.comparison.frontiers import frontier_of, log_multiplier
from isoflop.fitting.comparison.pairs import PairComparison, Sweep, compare_pair, declared
from isoflop.fitting.comparison.rungs import rungs_of
from isoflop.fitting.diagnostics import Fits

from .fit_reports import BUDGETS, FIRST, WASTEFUL, report
from .sweeps import reference_data, selected

STEEPER = ChinchillaLaw(E=1.7, A=400.0, B=900.0, alpha=0.28, beta=0.34)
BOTH = {"surface": True, "noise": 0.001}


def named(name: str, found: dict[str, Any], **conventions: Any) -> Sweep:
    return Sweep(name, {**found, "conventions": found["conventions"] | conventions})


@pytest.fixture(scope="module")
def first() -> dict[str, Any]:
    return report(FIRST, **BOTH)


@pytest.fixture(scope="module")
def wasteful() -> dict[str, Any]:
    return report(WASTEFUL, seed=1, **BOTH)


@pytest.fixture(scope="module")
def pair(first: dict[str, Any], wasteful: dict[str, Any]) -> PairComparison:
    return compare_pair(named("plain", first, corpus="c1"), named("wasteful", wasteful, corpus="c1"), [3e19, 1e23])


def test_a_planted_difference_of_exponents_is_found(first: dict[str, Any]) -> None:
    found = compare_pair(Sweep("a", first), Sweep("b", report(STEEPER, seed=1, **BOTH)))
    true = STEEPER.params_exponent - FIRST.params_exponent
    assert [each.method for each in found.exponents] == ["isoflop", "parametric"]
    for each in found.exponents:
        move, opposite = each.params_difference, each.tokens_difference
        assert move.low is not None
        assert move.high is not None
        assert move.low < true < move.high
        assert move.verdict == "higher"
        assert opposite is not None
        assert opposite.value == pytest.approx(-move.value, abs=0.02)
    methods = [each.params_difference.method for each in found.exponents]
    assert methods == ["resamples", "bias-corrected resamples"]
    assert found.headline.startswith("a of b (")
    assert "is higher than that of a" in found.headline


def test_a_sweep_that_wastes_three_quarters_of_its_compute_needs_four_times_as_much(pair: PairComparison) -> None:
    # Halving what N and what D are worth is the law at C/4: the multiplier is 4 at every C, the exponents are the same.
    assert pair.losses_comparable is True
    assert pair.exponents[0].params_difference.verdict == "not told apart"
    told = [row for row in pair.losses if row.multiplier is not None]
    assert {row.source for row in told} == {"minima", "surface"}
    for row in told:
        assert row.multiplier is not None
        assert row.multiplier.low is not None
        assert row.multiplier.high is not None
        assert row.multiplier.low * 0.98 < 4 < row.multiplier.high * 1.02
        assert row.multiplier.value == pytest.approx(4, rel=0.05)
        true = WASTEFUL.loss(*WASTEFUL.optimum(row.flops)) - FIRST.loss(*FIRST.optimum(row.flops))
        assert row.difference.value == pytest.approx(float(true), abs=0.004)
        assert row.difference.verdict == "higher"


def test_losses_are_read_at_common_budgets_and_at_those_asked_for(pair: PairComparison) -> None:
    minima = [row.flops for row in pair.losses if row.source == "minima"]
    assert minima == pytest.approx(sorted([*BUDGETS, 3e19]))
    assert [row.flops for row in pair.losses if row.source == "surface"] == [3e19, 1e23]
    # Where the loss wanted lies beyond the second's budgets, a bound stands for the multiplier.
    last = next(row for row in pair.losses if row.flops == pytest.approx(1e21))
    assert (last.multiplier, last.bound) == (None, "over 1.00")


def test_beyond_the_compute_measured_is_said(pair: PairComparison) -> None:
    beyond = pair.losses[-1]
    assert beyond.words == "2.0 decades above what plain measured; 2.0 decades above what wasteful measured"
    assert "no best losses at 1e23 FLOPs: outside the budgets of plain and wasteful" in pair.remarks


def test_a_surface_that_is_off_its_own_minima_is_said(first: dict[str, Any]) -> None:
    surface = first["fits"]["parametric"]
    lower = {**first, "fits": first["fits"] | {"parametric": surface | {"E": surface["E"] - 0.1}}}
    found = compare_pair(Sweep("good", first), Sweep("low", lower))
    (said,) = [line for line in found.remarks if "off its own minima" in line]
    assert said.startswith("the surface of low is -")


def test_a_minimum_is_as_certain_as_its_parabola() -> None:
    # The spread of 40 sweeps' best losses at each budget is what one sweep says of its own.
    fits = [report(FIRST, seed=seed, resamples=0)["fits"]["isoflop"] for seed in range(40)]
    losses = np.array([[minimum["loss"] for minimum in fit["minima"]] for fit in fits])
    errors = [line.standard_errors for fit in fits if (line := frontier_of(fit)) is not None]
    said = np.median(np.array(errors, dtype=float), axis=0)
    assert np.sqrt(np.mean(losses.std(axis=0) ** 2)) == pytest.approx(np.sqrt(np.mean(said**2)), rel=0.2)


def test_the_multiplier_of_a_frontier_by_brute_force(first: dict[str, Any], wasteful: dict[str, Any]) -> None:
    here, there = (frontier_of(each["fits"]["isoflop"]) for each in (first, wasteful))
    assert here is not None
    assert there is not None
    found, _ = log_multiplier(here, there, 1e19)
    grid = np.linspace(np.log(1e18), np.log(1e21), 20001)
    nearest = grid[np.argmin(np.abs([there.log_loss(x) - here.log_loss(np.log(1e19)) for x in grid]))]
    assert found is not None
    assert found.value == pytest.approx(nearest - np.log(1e19), abs=1e-3)


@pytest.mark.parametrize(
    ("conventions", "comparable", "said"),
    [
        ({"corpus": "c2"}, False, "different validation sets or tokenizers (c1, c2)"),
        (
            {"corpus": None},
            None,
            "losses of other are of a validation set and tokenizer that the file does not name",
        ),
        ({"corpus": "c1", "loss_unit": "bits_per_byte"}, False, "different units"),
    ],
)
def test_losses_of_other_tokens_are_not_compared(
    first: dict[str, Any], conventions: dict[str, Any], comparable: bool | None, said: str
) -> None:
    found = compare_pair(named("one", first, corpus="c1"), named("other", first, **conventions))
    assert found.losses_comparable is comparable
    assert any(said in remark for remark in found.remarks)
    assert bool(found.losses) is (comparable is not False)
    assert found.exponents  # which stand either way


def test_sweeps_that_count_otherwise_share_no_exponent(first: dict[str, Any]) -> None:
    kaplan = declared(Sweep("kaplan", first), "non_embedding", "6nd_non_embedding")
    tuned = declared(Sweep("tuned", first), "blocks_and_head", "porian")
    found = compare_pair(kaplan, tuned)
    assert (found.exponents, found.losses, found.headline) == ((), (), "")
    said = " ".join(found.remarks)
    assert (
        "kaplan counts N non_embedding with C 6nd_non_embedding; tuned counts N blocks_and_head with C porian" in said
    )
    assert "no losses at equal compute: kaplan counts C as 6nd_non_embedding, tuned as porian" in said
    with pytest.raises(InputError, match="--counting: tuned's table says itself how it counts"):
        declared(tuned, "total", "6nd")


def test_counting_and_the_rest_add_up_to_the_move() -> None:
    def fit(a: float) -> dict[str, Any]:
        coefficients = {"params_coefficient": 0.1, "tokens_coefficient": 1.7}
        return {"params_exponent": {"value": a}, "tokens_exponent": {"value": 1 - a}} | coefficients

    kaplan = {"n_params": "n_params_non_embedding", "flops": "6nd_non_embedding"}
    total = {"n_params": "n_params", "flops": "6nd"}
    one = {"conventions": kaplan, "fits": {"isoflop": fit(0.8)}, "by_convention": [total | {"isoflop": fit(0.7)}]}
    two = {"conventions": total, "fits": {"isoflop": fit(0.5)}, "by_convention": []}
    found = compare_pair(Sweep("one", one), Sweep("two", two))
    assert found.exponents[0].params_difference.value == pytest.approx(-0.2)
    assert "a moves by -.30: -.20 under one count, and -.10 by counting alone" in found.remarks[0]


def test_porians_two_settings_differ_as_published() -> None:
    # arXiv:2406.19146, figure 1: .835 with Kaplan's counts and settings, .497 tuned.
    data = reference_data("porian_refinedweb.csv")
    sweeps = []
    for setting, counts in (
        ("kaplan", ("non_embedding", "6nd_non_embedding")),
        ("tuned", ("blocks_and_head", "porian")),
    ):
        table = RunTable(selected(data, pd.Series(data["experiment"]).str.contains(setting)))
        found = Analysis(table, Options(), Fits(isoflop=fit_isoflop(table, resamples=200))).to_json()
        sweeps.append(declared(Sweep(setting, found), *counts))
    first, second = rungs_of([(each.name, each.report) for each in sweeps], ["porian_kaplan_setting", "porian_tuned"])
    assert first.change is None
    assert second.change is not None
    assert second.change.value == pytest.approx(-0.338, abs=0.02)
    assert second.change.verdict == "lower"
    assert second.published_change == pytest.approx(-0.3381)
    assert compare_pair(*sweeps).exponents == ()  # of no common count


@pytest.mark.slow
def test_the_interval_of_a_difference_holds_the_truth_as_often_as_it_says() -> None:
    true = STEEPER.params_exponent - FIRST.params_exponent
    moves = []
    for seed in range(60):
        sweeps = (Sweep("a", report(FIRST, seed=2 * seed)), Sweep("b", report(STEEPER, seed=2 * seed + 1)))
        moves.append(compare_pair(*sweeps).exponents[0].params_difference)
    held = sum(move.low <= true <= move.high for move in moves)  # type: ignore[operator]
    assert held >= 60 * 0.95 - 3 * np.sqrt(60 * 0.95 * 0.05)
    spread = np.std([move.value for move in moves])
    assert np.mean([move.standard_error for move in moves]) == pytest.approx(spread, rel=0.35)  # type: ignore[arg-type]
