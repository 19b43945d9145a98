"""What the planner promises: budgets met, ids that follow the loss and nothing else, refusals in one line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isoflop.fitting import InputError
from isoflop.fitting.counting import count_params, flops_per_token
from isoflop.training.config import ModelConfig, parse_config
from isoflop.training.corpus import MAIN, CorpusInfo, ValidationInfo
from isoflop.training.plan import Plan
from isoflop.training.planning import make_plan
from isoflop.training.shapes import shape_for_width, shapes_near

from .helpers import tiny


def corpus_info(train: int, validation: int, fingerprint: str = "f" * 16) -> CorpusInfo:
    held_out = {MAIN: ValidationInfo(validation, 6, validation)}
    return CorpusInfo(fingerprint, "bytes", 256, 100, 0, train, held_out)


CORPUS = corpus_info(10**8, 10**6)


def plan(corpus: CorpusInfo = CORPUS, **changes: Any) -> Plan:
    return make_plan(parse_config(tiny(Path("text"), **changes), "test"), corpus)


def test_the_grid_is_budgets_by_sizes_by_seeds() -> None:
    made = plan(grid__widths=[[4, 8, 12], [8, 12]], grid__seeds=[2, 1], seed=5)
    cells = [(cell.budget, cell.shape.width, cell.seed) for cell in made.cells]
    assert cells == [
        *((2e8, width, seed) for width in (4, 8, 12) for seed in (5, 6)),
        (4e8, 8, 5),
        (4e8, 12, 5),
    ]
    assert made.flops == pytest.approx(6 * 2e8 + 2 * 4e8, rel=0.01)


def test_tokens_come_from_the_exact_flops_of_each_size() -> None:
    for cell in plan(grid__budgets=[3e9, 1e10]).cells:
        assert cell.tokens == cell.steps * cell.batch_tokens
        assert cell.flops == flops_per_token(cell.shape, "exact") * cell.tokens
        assert abs(cell.flops / cell.budget - 1) < 0.01


def test_budgets_may_be_counted_otherwise() -> None:
    for cell in plan(grid__flops="6nd").cells:
        assert cell.flops == 6 * count_params(cell.shape).n_params * cell.tokens


@settings(deadline=None)
@given(st.floats(1e4, 1e9), st.integers(3, 8), st.floats(2, 10))
def test_chosen_sizes_span_the_factor_around_the_prior(n_params: float, count: int, within: float) -> None:
    model = ModelConfig(width_per_layer=64, head_dim=8, width_multiple=8)
    try:
        shapes = shapes_near(n_params, count, within, model, 256)
    except InputError:  # the ladder is too coarse there; what it then says is tested below
        return
    sizes = [count_params(shape).n_params for shape in shapes]
    assert len(sizes) == count
    assert sizes == sorted(sizes)
    for i, size in enumerate(sizes):
        target = n_params * within ** (2 * i / (count - 1) - 1)
        neighbours = [
            count_params(shape_for_width(shapes[i].width + step, model, 256)).n_params
            for step in (-8, 8)
            if shapes[i].width + step > 0
        ]
        assert all(abs(size / target - 1) <= 4 * abs(other / target - 1) + 1e-9 for other in neighbours)


def test_the_ladder_is_centred_on_the_prior_of_each_budget() -> None:
    prior = {"params_coefficient": 2e-1, "params_exponent": 0.5}
    made = plan(
        grid__budgets=[1e10, 1e12],
        grid__widths=None,
        grid__sizes={"count": 5, "within": 4, "prior": prior},
        model__width_multiple=2,
    )
    for budget in (1e10, 1e12):
        sizes = sorted(count_params(cell.shape).n_params for cell in made.cells if cell.budget == budget)
        assert sizes[2] == pytest.approx(0.2 * budget**0.5, rel=0.15)
        assert sizes[-1] / sizes[0] == pytest.approx(16, rel=0.4)


def ids(**changes: Any) -> set[str]:
    return {cell.run_id for cell in plan(**changes).cells}


@pytest.mark.parametrize(
    "changes",
    [
        {"execution__workers": 7, "execution__threads": 2, "execution__micro_batch": 1},
        {"execution__executor": "inline", "execution__checkpoint_seconds": 5, "execution__log_points": 3},
        {"wandb__mode": "online", "wandb__project": "other"},
        {"name": "renamed"},
        {"data__max_epochs": 3.0, "fit__resamples": 7},
        {"recipe__schedule": {"cooldown_shape": "sqrt"}},  # of wsd's cooldown, which a linear decay has none of
        {"data__corpus": {"kind": "python"}},  # another way to the same fingerprint
    ],
)
def test_what_does_not_decide_the_loss_is_not_in_the_id(changes: dict[str, Any]) -> None:
    assert ids(**changes) == ids()


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"model__context": 8},
        {"model__depth": 2},
        {"model__rope_theta": 5e3},
        {"model__initialisation": {"embedding_std": 0.02}},
        {"data__validation_sequences": 16},
        {"recipe__learning_rate__coefficient": 0.2},
        {"recipe__schedule": {"kind": "cosine"}},
        {"recipe__optimizer": {"beta2": 0.99}},
        {"recipe__precision": "bf16"},
        {"recipe__batch": {"rule": "tokens_power", "coefficient": 2.0}},
    ],
)
def test_what_decides_the_loss_is_in_the_id(changes: dict[str, Any]) -> None:
    assert ids(**changes).isdisjoint(ids())


def test_another_corpus_is_other_runs() -> None:
    other = corpus_info(10**8, 10**6, "0" * 16)
    assert {cell.run_id for cell in plan(other).cells}.isdisjoint(ids())


def test_an_edited_grid_keeps_the_cells_it_shares() -> None:
    assert ids() < ids(grid__budgets=[2e8, 4e8, 8e8])
    assert ids() < ids(grid__seeds=2)


def test_a_plan_survives_its_file() -> None:
    made = plan()
    assert Plan.from_json(json.loads(json.dumps(made.to_json()))) == made


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"grid__budgets": [1e4, 2e8]}, r"budget 10000 at width 4 .*below one batch of 16.*raise the budget"),
        (
            {"recipe__batch": {"rule": "constant", "tokens": 2600}, "grid__widths": [12]},
            r"miss the budget by [-+][\d.]+% \(bound 1%\); lower recipe.batch",
        ),
        ({"grid__budgets": [1e12, 2e13]}, r"needs D = [\d,]+ tokens and the corpus has .*raise data.max_epochs \(1\)"),
        (
            {"recipe__schedule": {"kind": "cosine", "horizon_tokens": 10_000}, "grid__widths": [4]},
            r"horizon_tokens: 10,000: budget 2e\+08 .* goes on to D = 26,\d+, .* rate 0; raise the horizon",
        ),
        ({"grid__widths": [5]}, "width 5 does not divide into 2 heads"),
        ({"grid__widths": [6]}, "heads of 3, an odd size"),
        ({"grid__budgets": [2e8, 200000010.0]}, "give the same run"),
        (
            {
                "grid__widths": None,
                "grid__sizes": {"count": 9, "within": 1.1, "prior": {"params_coefficient": 1, "params_exponent": 0.5}},
            },
            "different widths for 9 sizes",
        ),
    ],
)
def test_a_grid_that_cannot_be_trained_is_refused_in_one_line(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        plan(**changes)
    assert "\n" not in str(caught.value)


def test_epochs_are_allowed_when_asked_for() -> None:
    small = corpus_info(20_000, 5_000)
    cells = plan(small, data__max_epochs=5.0).cells
    most = max(cells, key=lambda cell: cell.epochs)
    assert 1 < most.epochs < 5
    assert most.epochs == pytest.approx(most.tokens / 20_000, rel=0.01)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"grid__widths": []}, "widths and seeds must not be empty"),
        ({"grid__widths": [[4], []]}, "widths and seeds must not be empty"),
        ({"execution__checkpoint_seconds": float("inf")}, "must be a finite number"),
        ({"seed": 2**70}, "must be less than"),
        ({"fit__n_params": "size"}, "must be 'n_params'"),
    ],
)
def test_what_would_only_fail_later_is_refused_at_once(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        plan(**changes)


def test_a_validation_side_without_a_sequence_is_refused() -> None:
    short = corpus_info(10**8, 16)
    with pytest.raises(InputError, match="16 validation tokens hold no sequence of 16"):
        plan(short)


def test_so_is_a_further_set_without_one() -> None:
    info = corpus_info(10**8, 10**6)
    with pytest.raises(InputError, match=r"data\.validation\.code: 9 validation tokens hold no sequence of 16"):
        plan(replace(info, validation={**info.validation, "code": ValidationInfo(9, 1, 9)}))
