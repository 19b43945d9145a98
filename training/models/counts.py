"""A cell's counts and identity, without building the model where its family is known."""

from __future__ import annotations

from typing import Any

from ...fitting.counting import ModelCounts, ModelShape, counts_of
from ..config import ModelConfig
from . import factory


def counts_for(shape: ModelShape, model: ModelConfig) -> ModelCounts:
    """Parameters and FLOPs a token of what `models.build.build_model` makes of `shape` and `model`.

    Raises:
        InputError: a factory that cannot be used or counted.
    """
    if shape.family != "custom":
        return counts_of(shape)
    from .custom import custom_counts  # torch, for a user's own module alone

    return custom_counts(shape, model)


def model_identity(model: ModelConfig) -> dict[str, Any]:
    """What decides a model's function and first weights beside its shape and the seed, as plain values.

    Of a factory that is its name, its options and its source, `factory.source_hash`.

    Raises:
        InputError: a factory that is not found.
    """
    identity: dict[str, Any] = {"rope_theta": model.rope_base, "initialisation": model.initialisation.model_dump()}
    if model.factory is not None:
        identity["factory"] = [model.factory, model.factory_options or {}, factory.source_hash(model.factory)]
    return identity
