"""The ladder of models: what all sizes share, and how the rest follows from the width."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from .parts import Part, Positive, PositiveInt


class Initialisation(Part):
    """Normal weights whose scale follows the width; Hugging Face's constant .02 bends isoFLOP curves."""

    embedding_std: Positive = 0.25
    linear_gain: Positive = 1.0  # std of a matrix = gain / sqrt(its inputs)
    scale_residual: bool = True  # matrices that write to the residual stream: a further 1 / sqrt(2 depth)


class ModelConfig(Part):
    """The ladder of shapes: what all sizes share and how the rest follows from the width."""

    family: Literal["llama"] = "llama"
    depth: PositiveInt | None = None  # blocks, the same for all sizes; or
    width_per_layer: Positive | None = None  # depth = width / this, rounded
    heads: PositiveInt | None = None  # the same for all sizes; or
    head_dim: PositiveInt | None = None  # heads = width / this
    kv_heads: PositiveInt | None = None  # default: as many as heads
    mlp_ratio: Positive = 8 / 3  # MLP width = ratio x width, rounded to
    mlp_multiple: PositiveInt = 8  # a multiple of this
    width_multiple: PositiveInt = 8  # widths that `grid.sizes` may choose
    tied_embeddings: bool = True
    context: PositiveInt = 64  # tokens a sequence
    rope_theta: Positive = 10_000.0
    initialisation: Initialisation = Initialisation()

    @model_validator(mode="after")
    def _one_of_each(self) -> ModelConfig:
        if (self.depth is None) == (self.width_per_layer is None):
            raise ValueError("give either depth or width_per_layer")
        if (self.heads is None) == (self.head_dim is None):
            raise ValueError("give either heads or head_dim")
        return self
