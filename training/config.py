"""SweepConfig: everything a sweep is, checked before anything is spent. YAML files hold differences from it."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..fitting.counting import FLOP_CONVENTIONS
from ..fitting.errors import InputError
from .config_errors import first_problem
from .yaml_input import read_mapping

Positive = Annotated[float, Field(gt=0)]
PositiveInt = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Initialisation(_Part):
    """Normal weights whose scale follows the width; Hugging Face's constant .02 bends isoFLOP curves."""

    embedding_std: Positive = 0.25
    linear_gain: Positive = 1.0  # std of a matrix = gain / sqrt(its inputs)
    scale_residual: bool = True  # matrices that write to the residual stream: a further 1 / sqrt(2 depth)


class ModelConfig(_Part):
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


class PythonCorpus(_Part):
    """The source files of this Python's standard library: real text on every machine."""

    kind: Literal["python"]
    site_packages: bool = False  # add the installed packages' sources


class FilesCorpus(_Part):
    """Files by glob: plain text (a document a file), JSONL and Parquet (a document a row)."""

    kind: Literal["files"]
    paths: Annotated[list[str], Field(min_length=1)]
    text_column: str = "text"


Corpus = Annotated[PythonCorpus | FilesCorpus, Field(discriminator="kind")]


class Data(_Part):
    """What is read, how it becomes tokens, and what is held out."""

    corpus: Corpus
    tokenizer: Literal["bytes"] = "bytes"
    validation_fraction: Annotated[float, Field(gt=0, lt=0.5)] = 0.06  # of documents, by a hash of each
    validation_sequences: PositiveInt = 1024  # a fixed, evenly spaced set of them is scored
    max_epochs: Positive = 1.0  # a cell that needs more passes over the training tokens is refused


class Prior(_Part):
    """A guess of N*(C) to centre each budget's sizes on: coefficient x C^exponent."""

    params_coefficient: Positive
    params_exponent: Annotated[float, Field(gt=0, lt=2)]
    n_params: Literal["n_params", "n_params_non_embedding", "n_params_blocks_and_head"] = "n_params"


class Sizes(_Part):
    """`count` sizes evenly spaced in log N, within a factor of the prior's optimum on either side."""

    count: Annotated[int, Field(ge=3)]
    within: Annotated[float, Field(gt=1, le=1e6)]
    prior: Prior


class Grid(_Part):
    """budgets x sizes x seeds."""

    budgets: list[Positive]  # training FLOPs
    flops: str = "exact"  # the convention that budgets are counted in
    widths: list[PositiveInt] | list[list[PositiveInt]] | None = None  # for all budgets, or a list a budget; or
    sizes: Sizes | None = None
    seeds: PositiveInt | list[PositiveInt] = 1  # runs a cell, for all budgets or a number a budget

    @model_validator(mode="after")
    def _consistent(self) -> Grid:
        if len(self.budgets) < 2:
            raise ValueError(f"budgets: {len(self.budgets)} given; an exponent needs at least 2, its interval 4")
        if (self.widths is None) == (self.sizes is None):
            raise ValueError("give either widths or sizes")
        if self.flops not in FLOP_CONVENTIONS:
            raise ValueError(f"flops: no convention {self.flops!r}; choose {', '.join(FLOP_CONVENTIONS)}")
        if len(set(self.budgets)) < len(self.budgets):
            raise ValueError("a budget stands twice in budgets")
        if any(not entry for entry in (self.widths or [])) or self.widths == [] or self.seeds == []:
            raise ValueError("widths and seeds must not be empty")
        for name, value in (("widths", self.widths), ("seeds", self.seeds)):
            if (
                isinstance(value, list)
                and value
                and (name == "seeds" or isinstance(value[0], list))
                and len(value) != len(self.budgets)
            ):
                raise ValueError(f"{name} has {len(value)} entries for {len(self.budgets)} budgets")
        return self

    def widths_of(self, index: int) -> list[int] | None:
        """The explicit widths of budget number `index`; None where `sizes` chooses."""
        if self.widths is None:
            return None
        entry = self.widths[index] if isinstance(self.widths[0], list) else self.widths
        return sorted(set(typing.cast(list[int], entry)))

    def seeds_of(self, index: int) -> int:
        """Runs a cell at budget number `index`."""
        return self.seeds[index] if isinstance(self.seeds, list) else self.seeds


class ConstantBatch(_Part):
    rule: Literal["constant"]
    tokens: PositiveInt


class TokensPowerBatch(_Part):
    """batch tokens = coefficient x D^exponent (the exponent is .383 to .571 in published laws)."""

    rule: Literal["tokens_power"]
    coefficient: Positive = 1.0
    exponent: Annotated[float, Field(gt=0, le=1)] = 0.5


class ConstantRate(_Part):
    rule: Literal["constant"]
    value: Positive


class WidthPowerRate(_Part):
    """LR = coefficient x width^width_exponent x (batch tokens / batch_reference)^batch_exponent."""

    rule: Literal["width_power"]
    coefficient: Positive
    width_exponent: Annotated[float, Field(ge=-4, le=4)] = -1.0
    batch_exponent: Annotated[float, Field(ge=-4, le=4)] = 0.5
    batch_reference: Positive = 512.0


class Schedule(_Part):
    """Warmup, then the decay by which the run's last step ends; `wsd` holds and decays over `cooldown`."""

    kind: Literal["linear", "cosine", "wsd", "constant"] = "linear"
    warmup: Fraction = 0.1  # of the run's steps
    cooldown: Annotated[float, Field(gt=0, le=1)] = 0.2  # wsd: of the run's steps
    final: Fraction = 0.0  # of the peak rate, at the end of linear, cosine and wsd


class Optimizer(_Part):
    """AdamW; weight decay on matrices, the embedding among them, and not on norms."""

    beta1: Fraction = 0.9
    beta2: Fraction = 0.95
    eps: Positive = 1e-8
    weight_decay: Annotated[float, Field(ge=0)] = 0.1
    clip: Positive = 1.0  # of the gradient's norm


class Recipe(_Part):
    """How every cell is trained."""

    batch: Annotated[ConstantBatch | TokensPowerBatch, Field(discriminator="rule")] = TokensPowerBatch(
        rule="tokens_power"
    )
    learning_rate: Annotated[ConstantRate | WidthPowerRate, Field(discriminator="rule")]
    schedule: Schedule = Schedule()
    optimizer: Optimizer = Optimizer()
    precision: Literal["fp32", "bf16"] = "fp32"


class Execution(_Part):
    """Where and how cells run. Nothing here changes a loss beyond rounding; nothing here is in a run's id."""

    executor: Literal["local", "inline"] = "local"
    workers: PositiveInt | None = None  # default: one a visible GPU, else cores / threads
    threads: PositiveInt = 1  # CPU threads of a worker: rounding, and so the last digits, depend on it
    device: Literal["auto", "cpu", "cuda"] = "auto"
    kernels: Literal["auto", "transformers"] = "auto"  # auto: on a CPU, steps written out (fused.py)
    micro_batch: PositiveInt | None = None  # sequences a device at a time; default: the whole batch
    deterministic: bool = True
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 30.0  # what a kill may cost
    log_points: PositiveInt = 100  # rows of a cell's training curve


class Wandb(_Part):
    """A mirror of the records; losing it loses nothing."""

    mode: Literal["offline", "online", "disabled"] = "offline"  # WANDB_MODE overrides the first two
    project: str = "isoflop"
    entity: str | None = None
    timeout: Positive = 10.0  # seconds that a server which does not answer may cost a process


class Fit(_Part):
    """What the sweep's own fit does; `scripts/fit.py SWEEP` has the same options."""

    n_params: Literal["n_params", "n_params_non_embedding", "n_params_blocks_and_head"] = "n_params"
    flops: Literal["flops", "exact", "6nd", "6nd_non_embedding", "hoffmann", "palm", "porian", "deepseek"] = "flops"
    minimum: Literal["auto", "parabola", "akima"] = "auto"
    window: Positive | None = 0.10
    resamples: Annotated[int, Field(ge=0)] = 1000


class SweepConfig(_Part):
    """One sweep."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    seed: Annotated[int, Field(ge=0, lt=2**62)] = 0  # the first seed of each cell
    model: ModelConfig
    data: Data
    grid: Grid
    recipe: Recipe
    execution: Execution = Execution()
    wandb: Wandb = Wandb()
    fit: Fit = Fit()


def load_config(path: Path, overrides: Sequence[str] = ()) -> SweepConfig:
    """The sweep that the YAML file `path` describes, with `a.b=value` overrides.

    Raises:
        InputError: one line naming file, key, value and bound; a misspelt key names the nearest known one.
    """
    return parse_config(read_mapping(path, overrides), str(path))


def parse_config(data: dict[str, Any], where: str) -> SweepConfig:
    """The same from a mapping; `where` names it in errors."""
    try:
        return SweepConfig.model_validate(data)
    except ValidationError as error:
        raise InputError(f"{where}: {first_problem(error, SweepConfig)}") from None
