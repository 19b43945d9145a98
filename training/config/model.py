"""The ladder of models: what all sizes share, and how the rest follows from the width."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Tag, model_validator

from .parts import Part, Positive, PositiveInt


def _module_path(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", text):
        raise ValueError(f"must name a module and its function, as my_package.module:build does, got {text!r}")
    return text


ModulePath = Annotated[str, AfterValidator(_module_path)]


class Initialisation(Part):
    """Normal weights whose scale follows the width, so that activations keep theirs at every size."""

    kind: Literal["width"] = "width"
    embedding_std: Positive = 0.25  # learned positions: a tenth of it
    linear_gain: Positive = 1.0  # std of a matrix = gain / sqrt(its inputs)
    scale_residual: bool = True  # matrices that write to the residual stream: a further 1 / sqrt(2 depth)


class ConstantInitialisation(Part):
    """One std at all widths, as transformers has it: it bends isoFLOP curves, and is here to be compared with."""

    kind: Literal["constant"]
    std: Positive = 0.02


class OwnInitialisation(Part):
    """A factory's model keeps the weights its factory gave it, torch seeded by the cell."""

    kind: Literal["own"]


def _kind(value: Any) -> Any:
    return value.get("kind", "width") if isinstance(value, dict) else getattr(value, "kind", None)


AnyInitialisation = Annotated[
    Annotated[Initialisation, Tag("width")]
    | Annotated[ConstantInitialisation, Tag("constant")]
    | Annotated[OwnInitialisation, Tag("own")],
    Discriminator(_kind),
]


class ModelConfig(Part):
    """The ladder of shapes: what all sizes share and how the rest follows from the width."""

    family: Literal["llama", "qwen3", "gpt2", "custom"] = "llama"  # custom, and nothing else, with a factory
    depth: PositiveInt | None = None  # blocks, the same for all sizes; or
    width_per_layer: Positive | None = None  # depth = width / this, rounded
    heads: PositiveInt | None = None  # the same for all sizes; or
    head_dim: PositiveInt | None = None  # heads = width / this
    kv_heads: PositiveInt | None = None  # default: as many as heads
    mlp_ratio: Positive | None = None  # MLP width = ratio x width (default 8/3, gpt2: 4), rounded to
    mlp_multiple: PositiveInt = 8  # a multiple of this
    width_multiple: PositiveInt = 8  # widths that `grid.sizes` may choose
    vocab_size: PositiveInt | None = None  # rows of the embedding; default: as many as the tokenizer has tokens
    tied_embeddings: bool = True
    context: PositiveInt = 64  # tokens a sequence
    rope_theta: Positive | None = None  # llama, qwen3; default 10,000
    initialisation: AnyInitialisation = Initialisation()
    factory: ModulePath | None = None  # build(shape, **factory_options) -> a torch module
    factory_options: dict[str, Any] | None = None
    factory_counts: ModulePath | None = None  # counts(shape, **factory_options); default: counted from the module

    @model_validator(mode="before")
    @classmethod
    def _family_of_a_factory(cls, data: Any) -> Any:
        return {"family": "custom", **data} if isinstance(data, dict) and data.get("factory") else data

    @model_validator(mode="after")
    def _consistent(self) -> ModelConfig:
        if (self.depth is None) == (self.width_per_layer is None):
            raise ValueError("give either depth or width_per_layer")
        if (self.heads is None) == (self.head_dim is None):
            raise ValueError("give either heads or head_dim")
        if self.factory is None and self.family == "custom":
            raise ValueError("family: custom is what model.factory builds; name it (my_package.module:build)")
        if self.factory is not None and self.family != "custom":
            raise ValueError(f"family: {self.family} beside model.factory; leave one out")
        built_in = self.factory is None
        refused = {
            "kv_heads: gpt2 has as many key as query heads": self.family == "gpt2" and self.kv_heads,
            f"rope_theta: {self.family} has no such setting": self.family in ("gpt2", "custom") and self.rope_theta,
            "factory_options: are for model.factory": built_in and self.factory_options is not None,
            "factory_counts: are for model.factory": built_in and self.factory_counts,
            "initialisation.kind: own is for model.factory": built_in and self.initialisation.kind == "own",
        }
        for reason in (reason for reason, is_wrong in refused.items() if is_wrong):
            raise ValueError(f"{reason}; leave it out")
        return self

    @property
    def rope_base(self) -> float | None:
        """What `rope_theta` comes to; None where positions are not rotary."""
        return (self.rope_theta or 10_000.0) if self.family in ("llama", "qwen3") else None
