"""Batch, rate and the rest by the recipe's rules: each as published, and what is said where it was not fitted."""

from __future__ import annotations

import typing
from typing import Any

import pytest

from isoflop.fitting.counting import ModelShape, counts_of
from isoflop.fitting.errors import InputError
from isoflop.training.config import ModelConfig, Recipe
from isoflop.training.config.rules import PublishedBatch, PublishedBeta2, PublishedRate
from isoflop.training.recipes import Case, Hyperparameters, batch_for, hyperparameters
from isoflop.training.recipes.published import BATCHES, BETA2S, RATES
from isoflop.training.shapes import shape_for_width

SMALL = shape_for_width(24, ModelConfig(depth=2, heads=2, context=64), 256)
LARGE = shape_for_width(1024, ModelConfig(depth=16, head_dim=64, context=2048), 32_768)
RATE = {"rule": "constant", "value": 1e-3}


def case(tokens: float, shape: ModelShape = SMALL) -> Case:
    counts = counts_of(shape)
    return Case(shape, counts, tokens, tokens * counts.flops_per_token["exact"])


def recipe(**words: Any) -> Recipe:
    return Recipe.model_validate({"learning_rate": RATE} | words)


def at(
    tokens: float, shape: ModelShape = LARGE, batch_tokens: int = 2**19, steps: int = 1000, **words: Any
) -> Hyperparameters:
    return hyperparameters(recipe(**words), case(tokens, shape), batch_tokens, steps)


def test_powers_give_what_their_formulas_say() -> None:
    given = recipe(
        learning_rate={"rule": "width_power", "coefficient": 0.48},
        batch={"rule": "tokens_power", "coefficient": 1.0, "exponent": 0.5},
    )
    assert batch_for(given, case(1e6)) == 16  # sqrt(1e6) = 1000 tokens, 15.6 sequences
    assert batch_for(given, case(100)) == 1
    assert hyperparameters(given, case(1e6), 2048, 100).learning_rate == pytest.approx(0.48 / 24 * 2)
    by_params = {"rule": "params_power", "coefficient": 2.0, "params_exponent": -0.5, "batch_exponent": 1.0}
    found = at(1e6, SMALL, batch_tokens=1024, learning_rate=by_params)
    assert found.learning_rate == pytest.approx(2.0 * case(1).counts.params.n_params ** -0.5 * 2)


def test_published_rates_give_what_their_papers_say() -> None:
    """Hand-computed at one model: its counts by each paper's own convention."""
    counts = counts_of(LARGE)
    n, head = counts.params.n_params_non_embedding, counts.params.n_params_blocks_and_head
    tokens = 5e9
    flops = (72 * 16 * 1024**2 + 12 * 16 * 1024 * 2048) * tokens
    expected = {
        "deepseek": 0.3118 * flops**-0.125,
        "step_law": 1.79 * n**-0.713 * tokens**0.307,
        "porian": 0.0047 * (1.08e8 / head) ** (1 / 3),
        "marin": 0.33 * 128**0.5 / 1024,  # 2^19 tokens are 128 sequences of 4096
        "kaplan": 0.003239 - 0.0001395 * 19.2,
    }
    assert set(expected) == set(RATES) == set(typing.get_args(PublishedRate.model_fields["rule"].annotation))
    for rule, rate in expected.items():
        tolerance = 0.02 if rule == "kaplan" else 1e-9
        found = at(tokens, learning_rate={"rule": rule, "multiplier": 2.0}).learning_rate
        assert found == pytest.approx(2 * rate, rel=tolerance), rule


def test_deepseek_at_the_compute_its_paper_names() -> None:
    """At 1e18 FLOPs: a rate of 1.75e-3 and 2.25e5 tokens a batch."""
    shape = counts_of(LARGE)
    there = Case(LARGE, shape, 1e18 / shape.flops_per_token["deepseek"], 1e18)
    given = recipe(learning_rate={"rule": "deepseek"}, batch={"rule": "deepseek"})
    assert hyperparameters(given, there, 2048, 10).learning_rate == pytest.approx(1.753e-3, rel=1e-3)
    assert batch_for(given, there) * 2048 == pytest.approx(2.25e5, rel=0.01)


def test_published_batches_count_tokens_or_sequences_of_their_own_context() -> None:
    head = counts_of(LARGE).params.n_params_blocks_and_head
    assert set(BATCHES) == set(typing.get_args(PublishedBatch.model_fields["rule"].annotation))
    for batch, tokens in (
        ({"rule": "step_law"}, 0.58 * 5e9**0.571),
        ({"rule": "porian"}, 160 * (head / 1.08e8) ** (2 / 3) * 2048),
        ({"rule": "porian", "multiplier": 0.5}, 80 * (head / 1.08e8) ** (2 / 3) * 2048),
        ({"rule": "power_lines", "reference_batch": 2**19, "reference_tokens": 5e8}, 2**19 * 10**0.383),
    ):
        assert batch_for(recipe(batch=batch), case(5e9, LARGE)) == round(tokens / 2048), batch


def test_beta2_follows_the_batch() -> None:
    assert set(BETA2S) == set(typing.get_args(PublishedBeta2.model_fields["rule"].annotation))
    assert at(5e9, optimizer={"beta2": {"rule": "marin"}}).beta2 == pytest.approx(0.98)
    assert at(5e9, batch_tokens=2**17, optimizer={"beta2": {"rule": "porian"}}).beta2 == 0.99
    assert at(5e9, optimizer={"beta2": {"rule": "porian"}}).beta2 == 0.95
    assert at(5e9).beta2 == 0.95


def test_warmup_is_a_fraction_tokens_or_tokens_a_parameter_and_never_longer_than_the_run() -> None:
    n_params = counts_of(LARGE).params.n_params
    assert at(5e9, schedule={"warmup": 0.02}).warmup_steps == 20
    assert at(5e9, schedule={"warmup": {"rule": "tokens", "tokens": 2**22}}).warmup_steps == 8
    assert at(5e9, schedule={"warmup": {"rule": "params"}}).warmup_steps == round(n_params / 2**19)
    assert at(5e9, steps=100, schedule={"warmup": {"rule": "params", "factor": 1.0}}).warmup_steps == 100


def test_weight_decay_follows_the_width_or_keeps_the_timescale() -> None:
    by_width = {"rule": "width_power", "coefficient": 1024.0, "width_exponent": -1.0}
    assert at(5e9, optimizer={"weight_decay": by_width}).weight_decay == pytest.approx(1.0)
    averaged = {"rule": "timescale", "timescale": 0.25}
    assert at(5e9, optimizer={"weight_decay": averaged}).weight_decay == pytest.approx(1 / (0.25 * 1e-3 * 1000))
    per_param = averaged | {"tokens_per_param_exponent": -0.5}
    over = 5e9 / (20 * counts_of(LARGE).params.n_params)
    found = at(5e9, optimizer={"weight_decay": per_param}).weight_decay
    assert found == pytest.approx(over**0.5 / (0.25 * 1e-3 * 1000))


def test_a_rule_outside_its_range_says_so_once_and_a_rule_inside_says_nothing() -> None:
    rules: dict[str, Any] = {"learning_rate": {"rule": "step_law"}, "batch": {"rule": "step_law"}}
    assert at(5e9, **rules).notes == ()
    rate, batch = at(1e6, SMALL, **rules).notes
    n = counts_of(SMALL).params.n_params_non_embedding
    assert rate == f"recipe_range: learning_rate step_law: N non-embedding = {n:.3g}, fitted 6e+07 to 1e+09"
    assert batch == "recipe_range: batch step_law: D = 1e+06, fitted 2e+09 to 1e+11"
    assert at(1e6, SMALL).notes == ()


def test_rates_that_their_authors_refuse_are_refused_in_one_line() -> None:
    with pytest.raises(InputError, match=r"marin gives .* at width 24, above the 0.01 .*lower recipe.batch"):
        at(1e6, SMALL, batch_tokens=2**16, learning_rate={"rule": "marin"})
    huge = shape_for_width(2**15, ModelConfig(depth=64, head_dim=128), 256)
    with pytest.raises(InputError, match=r"kaplan gives -.* which is no rate"):
        at(1e6, huge, learning_rate={"rule": "kaplan"})


def bracket(*sizes: tuple[int, str]) -> dict[str, Any]:
    common = {"width": 8, "tokens": 1, "batch_tokens": 1, "learning_rate": 0.01, "cost": 0.0}
    return {"command": "isoflop tune", "sizes": [common | {"n_params": n, "verdict": v} for n, v in sizes]}


def test_a_tuned_recipe_says_where_its_bracket_does_not_vouch_for_it() -> None:
    n_params = counts_of(SMALL).params.n_params
    near, far = (n_params // 2 + 1, "interior"), (n_params // 3, "interior")
    assert at(1e6, SMALL, bracket=bracket(near)).notes == ()
    (note,) = at(1e6, SMALL, bracket=bracket(far)).notes
    assert note.startswith(f"recipe_range: tuned: N = {n_params:.3g}, tuned at")
    (note,) = at(1e6, SMALL, bracket=bracket((n_params, "on edge"), (2 * n_params, "interior"))).notes
    assert note.startswith("recipe_edge: tuned: no minimum inside the rates and batches tried at N =")
    assert at(1e6, SMALL, bracket=bracket((n_params, "interior"), (2 * n_params, "on edge"))).notes == ()
