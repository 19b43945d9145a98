"""Batch, rate and the rest by the recipe's rules."""

from __future__ import annotations

import pytest

from isoflop.fitting.counting import counts_of
from isoflop.training.config import ModelConfig, Recipe
from isoflop.training.recipes import Case, batch_for, hyperparameters
from isoflop.training.shapes import shape_for_width

SHAPE = shape_for_width(24, ModelConfig(depth=2, heads=2, context=64), 256)


def case(tokens: float) -> Case:
    counts = counts_of(SHAPE)
    return Case(SHAPE, counts, tokens, tokens * counts.flops_per_token["exact"])


def test_rules_give_what_their_formulas_say() -> None:
    recipe = Recipe.model_validate(
        {
            "learning_rate": {"rule": "width_power", "coefficient": 0.48},
            "batch": {"rule": "tokens_power", "coefficient": 1.0, "exponent": 0.5},
        }
    )
    assert batch_for(recipe, case(1e6)) == 16  # sqrt(1e6) = 1000 tokens, 15.6 sequences
    assert batch_for(recipe, case(100)) == 1
    assert hyperparameters(recipe, case(1e6), 2048, 100).learning_rate == pytest.approx(0.48 / 24 * 2)
