"""A cell's counts and identity, without building the model where its family is known."""

from __future__ import annotations

from typing import Any

from ...fitting.counting import ModelCounts, ModelShape, counts_of
from ..config import ModelConfig


def counts_for(shape: ModelShape, model: ModelConfig) -> ModelCounts:
    """Parameters and FLOPs a token of what `models.build.build_model` makes of `shape` and `model`."""
    return counts_of(shape)


def model_identity(model: ModelConfig) -> dict[str, Any]:
    """What decides a model's function and first weights beside its shape and the seed, as plain values."""
    return {"rope_theta": model.rope_theta, "initialisation": model.initialisation.model_dump()}
