"""What speaks against a plan: repeated data, batches, tokens per parameter, a law that does not hold; and its grid."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isoflop.fitting.errors import InputError
from isoflop.training.config import parse_config
from isoflop.training.corpus import prepare_corpus
from isoflop.training.plan import Plan, RunPlan
from isoflop.training.plan_warnings import plan_warnings
from isoflop.training.planned_grid import params_column, planned_grid
from isoflop.training.planning import make_plan

from .helpers import tiny


def planned(text_folder: Path, **changes: Any) -> Plan:
    config = parse_config(tiny(text_folder, data__max_epochs=1e9, **changes), "tiny")
    return make_plan(config, prepare_corpus(config.data).info)


@pytest.fixture(scope="module")
def plan(text_folder: Path) -> Plan:
    """One that nothing speaks against."""
    whole = planned(text_folder)
    return replace(whole, cells=tuple(_calm(cell) for cell in whole.cells))


def _calm(cell: RunPlan) -> RunPlan:
    return replace(cell, epochs=1.0, steps=max(1, 20 * cell.counts.params.n_params // cell.batch_tokens))


def changed(plan: Plan, count: int, **changes: Any) -> Plan:
    cells = plan.cells
    return replace(plan, cells=(*(replace(cell, **changes) for cell in cells[:count]), *cells[count:]))


def found(plan: Plan, *arguments: Any) -> dict[str, str]:
    return {warning.code: warning.text for warning in plan_warnings(plan, *arguments)}


def test_a_sound_plan_has_no_warnings(plan: Plan) -> None:
    assert found(plan, lambda _: 2.0, "a law") == {}


def test_more_than_four_passes_over_the_text(plan: Plan) -> None:
    assert found(changed(plan, 2, epochs=4.0)) == {}
    text = found(changed(plan, 2, epochs=6.25))["repeated_data"]
    assert text.startswith("2 of 6 cells")
    assert "6.2 times at budget 2e8, width 4" in text
    assert "2305.16264" in text


def test_tokens_per_parameter_far_from_any_law(plan: Plan) -> None:
    text = found(changed(plan, 1, steps=1))["extreme_tokens_per_param"]
    assert text.startswith("1 of 6 cells have below 1 or above 1000 tokens a parameter, ")


def test_batches_above_the_critical_one_of_the_expected_loss(plan: Plan) -> None:
    """Kaplan 2020, equation 1.4: 2e8 / 5^(1 / .21) = 9.39e4 tokens at 5 nats."""
    context = plan.cells[0].shape.context
    above, below = (changed(plan, 1, batch_sequences=tokens // context, steps=1) for tokens in (95_200, 92_800))
    assert "large_batch" not in found(below, lambda _: 5.0, "a law")
    text = found(above, lambda _: 5.0, "a law")["large_batch"]
    assert "1 of 6 cells" in text
    assert "95,200 against 93,886" in text
    assert "large_batch" not in found(above), "no law, no loss to judge by"


def test_a_law_that_expects_more_than_the_loss_of_guessing(plan: Plan) -> None:
    guessing = math.log(plan.cells[0].shape.vocab_size)
    assert found(plan, lambda _: 0.99 * guessing, "a law") == {}
    text = found(plan, lambda cell: 1.01 * guessing if cell.shape.width == 4 else 2.0, "a law")["law_does_not_hold"]
    assert "a law expects a loss above ln V at 2 of 6 cells" in text


def test_the_grid_of_a_plan_has_every_run_with_its_replicates(text_folder: Path) -> None:
    plan = planned(text_folder, grid__seeds=2, fit__flops="6nd_non_embedding")
    grid = planned_grid(plan, "n_params_non_embedding")
    assert grid.n_runs == len(plan.cells) == 12
    assert np.bincount(grid.cells).tolist() == [2] * 6
    for i, cell in enumerate(plan.cells):
        assert grid.n_params[i] == cell.counts.params.n_params_non_embedding
        assert grid.flops[i] == pytest.approx(6 * grid.n_params[i] * cell.tokens)
        assert (grid.tokens[i], grid.budget[i]) == (cell.tokens, cell.budget)
    assert planned_grid(planned(text_folder), "n_params").flops.tolist() == [
        c.flops for c in planned(text_folder).cells
    ]


def test_n_is_counted_as_the_law_speaks_it(text_folder: Path) -> None:
    plan = planned(text_folder, fit__n_params="n_params_blocks_and_head")
    assert params_column(plan, "non_embedding") == "n_params_non_embedding"
    assert params_column(plan, "unverified") == "n_params_blocks_and_head", "the fit's own, where it cannot be known"


def test_a_count_that_the_model_does_not_have(plan: Plan) -> None:
    counts = replace(plan.cells[0].counts, flops_per_token={"exact": 1.0})
    custom = changed(plan, 1, counts=counts)
    config = custom.config
    asked = replace(custom, config=config.model_copy(update={"fit": config.fit.model_copy(update={"flops": "palm"})}))
    with pytest.raises(InputError, match=r"fit\.flops: the model has no count 'palm'; there are exact"):
        planned_grid(asked, "n_params")
