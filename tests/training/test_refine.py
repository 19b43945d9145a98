"""Refinement: minima off the grid's edges are found, doubtful ones sharpened, bounds kept, rounds remembered."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from isoflop.fitting import ChinchillaLaw, InputError, RunTable, fit_isoflop
from isoflop.fitting.estimators.isoflop.edges import NoInteriorMinimum
from isoflop.fitting.results import Minimum
from isoflop.training.config import parse_config
from isoflop.training.corpus import MAIN, CorpusInfo, ValidationInfo
from isoflop.training.plan import Plan, RunPlan
from isoflop.training.planning import make_plan
from isoflop.training.refine.rule import FARTHEST, MOST_SIZES, Proposal, propose

from .helpers import tiny

BUDGETS = [2.5e11, 5e11, 1e12, 2e12]
# N* is about 80,000 at the least of these budgets, 210,000 at the largest.
LAW = ChinchillaLaw(E=1.7, A=400.0, B=410.0, alpha=0.34, beta=0.28)
LARGE, SMALL, RIGHT = [256, 320, 384, 512], [12, 16, 20], [40, 64, 96, 128, 192]  # N of 850 k on; to 10 k; 29 to 492 k


def plan(train_tokens: int = 10**12, **changes: Any) -> Plan:
    corpus = CorpusInfo("f" * 16, "bytes", 256, 100, 0, train_tokens, {MAIN: ValidationInfo(10**6, 6, 10**6)})
    grid: dict[str, Any] = {"grid__budgets": BUDGETS, "grid__widths": RIGHT}
    return make_plan(parse_config(tiny(Path("text"), **(grid | changes)), "test"), corpus)


def losses_of(made: Plan, noise: float = 0.0) -> dict[str, float]:
    """Every cell's loss by the law; the noise of a cell is its id's, whichever plan it is in."""
    losses = {}
    for cell in made.cells:
        drawn = np.random.default_rng(int(cell.run_id, 16)).standard_normal()
        losses[cell.run_id] = float(LAW.loss(cell.counts.params.n_params, cell.tokens)) + noise * drawn
    return losses


def minima_of(made: Plan, losses: dict[str, float]) -> tuple[Minimum, ...]:
    rows = [
        {
            "run": cell.run_id,
            "n_params": cell.counts.params.n_params,
            "tokens": cell.tokens,
            "flops": cell.flops,
            "budget": cell.budget,
            "loss": losses[cell.run_id],
        }
        for cell in made.cells
        if cell.run_id in losses
    ]
    try:
        return fit_isoflop(RunTable(pd.DataFrame(rows)), resamples=0).minima
    except NoInteriorMinimum as none:
        return none.minima


def proposed(made: Plan, losses: dict[str, float]) -> Proposal:
    return propose(made, minima_of(made, losses), losses)


def grown(made: Plan, proposal: Proposal) -> Plan:
    more = [{"budget": add.budget, "widths": list(add.widths), "seeds": add.seeds} for add in proposal.additions]
    config = made.config.model_dump()
    config["grid"]["more"] += more
    return make_plan(parse_config(config, "test"), made.corpus)


@pytest.mark.parametrize(
    "widths",
    [LARGE, SMALL, [448, 512], [LARGE, RIGHT, SMALL, SMALL], [SMALL, SMALL, RIGHT, LARGE]],
    ids=["all too large", "all too small", "two sizes", "mixed", "crossed"],
)
@pytest.mark.parametrize("noise", [0.0, 0.003])
def test_two_rounds_bracket_every_minimum_of_a_grid_off_centre(widths: list[Any], noise: float) -> None:
    made = plan(grid__widths=widths)
    for _ in range(2):
        before, losses = made, losses_of(made, noise)
        proposal = proposed(made, losses)
        made = grown(made, proposal)
        new = {cell.run_id for cell in made.cells} - {cell.run_id for cell in before.cells}
        assert len(made.cells) == len(before.cells) + len(new)  # what was there stays
        assert len(new) == sum(len(add.widths) for add in proposal.additions)  # and is not asked for again
        assert max(len(add.widths) for add in proposal.additions) <= MOST_SIZES
    losses = losses_of(made, noise)
    minima = minima_of(made, losses)
    assert [minimum.status for minimum in minima] == ["interior"] * 4
    assert proposed(made, losses).bracketed == 4
    for budget, minimum in zip(BUDGETS, minima, strict=True):
        n_params = {cell.counts.params.n_params: losses[cell.run_id] for cell in made.cells if cell.budget == budget}
        assert min(n_params) < min(n_params, key=lambda n: n_params[n]) < max(n_params)
        assert minimum.n_params == pytest.approx(float(LAW.optimum(budget)[0]), rel=0.5)


def test_no_round_goes_farther_than_its_factor_beyond_the_edge() -> None:
    made = plan(grid__widths=[8, 12])
    largest = max(cell.counts.params.n_params for cell in made.cells)
    after = grown(made, proposed(made, losses_of(made)))
    assert largest < max(cell.counts.params.n_params for cell in after.cells) < 1.1 * largest * math.exp(FARTHEST)


def test_a_parabola_that_bends_up_before_the_lowest_loss_is_no_bracket() -> None:
    made = plan(grid__widths=[RIGHT, RIGHT, RIGHT, [256, 320, 448]])
    losses = losses_of(made)
    flank = [cell.run_id for cell in made.cells if cell.budget == BUDGETS[3]]
    losses |= dict(zip(flank, [2.885, 2.962, 3.422], strict=True))
    assert [str(minimum.status) for minimum in minima_of(made, losses)][3] == "interior"
    proposal = proposed(made, losses)
    assert proposal.bracketed == 3
    (add,) = proposal.additions
    assert add.budget == BUDGETS[3]
    assert max(add.widths) < min(LARGE)
    assert "lowest loss at the lower edge" in add.said


def test_a_dip_far_from_where_the_other_budgets_have_theirs_is_doubted() -> None:
    made = plan(grid__widths=[[512, 640, 768, 896], RIGHT, RIGHT, RIGHT])
    losses = losses_of(made)
    dip = [cell.run_id for cell in made.cells if cell.budget == BUDGETS[0]]
    least = min(losses[run_id] for run_id in dip)
    losses |= {run_id: least * part for run_id, part in zip(dip, [1.005, 1.0, 1.0025, 1.0125], strict=True)}
    (add,) = proposed(made, losses).additions
    assert add.budget == BUDGETS[0]
    assert "doubted" in add.said
    assert max(add.widths) < 512


def test_a_budget_with_a_higher_loss_than_a_smaller_one_goes_to_where_that_has_its_own() -> None:
    made = plan(grid__widths=[RIGHT, RIGHT, [512, 640, 768, 896], RIGHT])
    losses = losses_of(made)
    dip = [cell.run_id for cell in made.cells if cell.budget == BUDGETS[2]]
    high = max(losses.values()) + 1
    losses |= {run_id: high + more for run_id, more in zip(dip, [0.1, 0.0, 0.05, 0.2], strict=True)}
    proposal = proposed(made, losses)
    assert proposal.bracketed == 3
    (add,) = proposal.additions
    assert add.budget == BUDGETS[2]
    assert max(add.widths) < 512
    assert "budget 2.5e+11 has a lower loss, beyond the lower edge" in add.said


def test_a_minimum_above_that_of_a_larger_budget_is_doubted() -> None:
    made = plan(grid__widths=LARGE)
    losses = losses_of(made)
    dip = [cell.run_id for cell in made.cells if cell.budget == BUDGETS[2]]
    least = min(losses[run_id] for run_id in dip)
    losses |= {run_id: least * part for run_id, part in zip(dip, [1.004, 1.0, 1.003, 1.01], strict=True)}
    proposal = proposed(made, losses)
    assert proposal.bracketed == 0
    assert [add.budget for add in proposal.additions] == BUDGETS
    assert "N* grows with C and that of 2e+12 is beyond the lower edge" in proposal.additions[2].said


def test_losses_that_bend_down_on_both_sides_of_the_lowest_get_sizes_or_seeds_about_it() -> None:
    made = plan(grid__widths=[RIGHT, RIGHT, RIGHT, [32, 64, 96, 128, 160, 192]], model__width_multiple=32)
    losses = losses_of(made)
    odd = [cell.run_id for cell in made.cells if cell.budget == BUDGETS[3]]
    losses |= dict(zip(odd, [15.05, 15.0, 15.9, 15.7, 15.4, 15.1], strict=True))
    assert [str(minimum.status) for minimum in minima_of(made, losses)][3] == "concave"
    proposal = proposed(made, losses)
    assert proposal.bracketed == 3
    assert {add.budget for add in proposal.additions} == {BUDGETS[3]}


def test_the_least_certain_minimum_gets_sizes_between_those_it_has() -> None:
    made = plan(grid__widths=[32, 64, 128, 192], grid__seeds=2)
    losses = losses_of(made, 1e-4)
    noisy = [cell.run_id for cell in made.cells if cell.budget == BUDGETS[1]]
    losses |= {run_id: losses[run_id] + 0.02 * (-1) ** place for place, run_id in enumerate(noisy)}
    (add,) = proposed(made, losses).additions
    errors = {minimum.budget: minimum.log_n_params_se or 0.0 for minimum in minima_of(made, losses)}
    assert add.budget == max(errors, key=lambda budget: errors[budget])
    assert len(add.widths) == 2
    assert all(32 < width < 192 and width not in (64, 128) for width in add.widths)


def test_where_the_ladder_has_nothing_between_the_sizes_get_another_seed() -> None:
    made = plan(grid__widths=[32, 64, 96, 128, 160, 192], model__width_multiple=32)
    proposal = proposed(made, losses_of(made, 1e-4))
    (add,) = proposal.additions
    assert add.seeds == 2
    after = grown(made, proposal)
    assert [(cell.budget, cell.seed) for cell in after.cells if cell not in made.cells] == [
        (add.budget, 1) for _ in add.widths
    ]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"grid__widths": [256, 512, 768], "model__width_multiple": 256}, "the ladder's least width is"),
        ({"grid__widths": SMALL, "recipe__batch": {"rule": "constant", "tokens": 1 << 15}}, "lower recipe.batch"),
        ({"grid__widths": LARGE, "train_tokens": 400_000}, "raise data.max_epochs"),
    ],
)
def test_a_budget_that_cannot_be_bracketed_within_its_bounds_is_said(changes: dict[str, Any], says: str) -> None:
    made = plan(**changes)
    refused = proposed(made, losses_of(made)).refused
    assert any(says in line for line in refused)
    assert all("\n" not in line for line in refused)


def test_sizes_that_diverged_beyond_the_edge_are_not_passed_by() -> None:
    made = plan(grid__widths=SMALL)
    losses = losses_of(made)
    lost = {cell.run_id for cell in made.cells if cell.budget == BUDGETS[0] and cell.shape.width == 20}
    proposal = proposed(made, {run_id: loss for run_id, loss in losses.items() if run_id not in lost})
    assert BUDGETS[0] not in [add.budget for add in proposal.additions]
    assert any("widths 20 beyond have no loss" in line for line in proposal.refused)


def test_a_size_that_no_device_holds_is_a_bound() -> None:
    made = plan(grid__widths=SMALL)

    def admit(cell: RunPlan) -> None:
        if cell.shape.width > 40:
            raise InputError("too large for this machine")

    losses = losses_of(made)
    proposal = propose(made, minima_of(made, losses), losses, admit)
    assert max(width for add in proposal.additions for width in add.widths) <= 40
    assert any("are left out: too large for this machine" in line for line in proposal.refused)
