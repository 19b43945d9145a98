"""SweepConfig -> Plan: budgets x sizes x seeds, each a run with exact tokens, steps, batch and rate."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from ..fitting.counting import ModelShape, count_params, flops_per_token
from ..fitting.errors import InputError
from ..fitting.schema import SCHEMA_VERSION
from .config import SweepConfig
from .corpus import CorpusInfo, count_sequences
from .schedule import batch_sequences, peak_learning_rate
from .shapes import shape_for_width, shapes_near

# Raise it when the same plan would now train to another loss: old records then stay, and cells are trained anew.
TRAINING_VERSION = 1
MAX_BUDGET_ERROR = 0.01


@dataclass(frozen=True)
class RunPlan:
    """One cell: everything that decides its loss, resolved."""

    run_id: str
    budget: float  # training FLOPs asked for, in the grid's convention
    flops: float  # what steps x batch x context comes to, in the same convention
    shape: ModelShape
    seed: int
    steps: int
    batch_sequences: int
    learning_rate: float  # peak
    epochs: float  # passes over the training tokens

    @property
    def tokens(self) -> int:
        """Tokens trained on, D."""
        return self.steps * self.batch_sequences * self.shape.context

    @property
    def batch_tokens(self) -> int:
        """Tokens a step."""
        return self.batch_sequences * self.shape.context

    def to_json(self) -> dict[str, Any]:
        """As it stands in plan.json."""
        return asdict(self) | {"tokens": self.tokens}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> RunPlan:
        """The inverse of `to_json`."""
        fields: dict[str, Any] = {key: value for key, value in data.items() if key != "tokens"}
        fields["shape"] = ModelShape(**data["shape"])
        return cls(**fields)


@dataclass(frozen=True)
class Plan:
    """A sweep's cells in the order of the grid, with the resolved config and corpus they were made from."""

    config: SweepConfig
    corpus: CorpusInfo
    cells: tuple[RunPlan, ...]

    @property
    def flops(self) -> float:
        """Training FLOPs of the whole sweep, in the grid's convention."""
        return sum(cell.flops for cell in self.cells)

    def to_json(self) -> dict[str, Any]:
        """As it stands in plan.json."""
        return {
            "schema_version": SCHEMA_VERSION,
            "name": self.config.name,
            "config": self.config.model_dump(mode="json"),
            "corpus": asdict(self.corpus),
            "cells": [cell.to_json() for cell in self.cells],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Plan:
        """The inverse of `to_json`."""
        cells = tuple(RunPlan.from_json(cell) for cell in data["cells"])
        return cls(SweepConfig.model_validate(data["config"]), CorpusInfo(**data["corpus"]), cells)


def make_plan(config: SweepConfig, corpus: CorpusInfo) -> Plan:
    """Every cell of the grid, or the first reason why one cannot be.

    Raises:
        InputError: a size whose tokens are below one batch, a budget missed by over 1 %, a corpus with fewer
            tokens than `data.max_epochs` passes give, or a ladder without the sizes asked for.
    """
    context = config.model.context
    if count_sequences(corpus.validation_tokens, context) < 1:
        raise InputError(
            f"data.corpus: {corpus.validation_tokens:,} validation tokens hold no sequence of {context}; give more "
            "text, or raise data.validation_fraction"
        )
    cells: dict[str, RunPlan] = {}
    for index, budget in enumerate(config.grid.budgets):
        for shape in _shapes(config, corpus, index):
            for replicate in range(config.grid.seeds_of(index)):
                try:
                    cell = _cell(config, corpus, budget, shape, config.seed + replicate)
                except (OverflowError, ZeroDivisionError):
                    raise InputError(f"grid: budget {budget:g} at width {shape.width} overflows; lower it") from None
                if cell.run_id in cells:
                    raise InputError(f"grid.budgets: {budget:g} and {cells[cell.run_id].budget:g} give the same run")
                cells[cell.run_id] = cell
    return Plan(config, corpus, tuple(cells.values()))


def _shapes(config: SweepConfig, corpus: CorpusInfo, index: int) -> list[ModelShape]:
    widths = config.grid.widths_of(index)
    if widths is not None:
        return [shape_for_width(width, config.model, corpus.vocab_size) for width in widths]
    sizes = config.grid.sizes
    assert sizes is not None  # Grid sees to it that one of the two is given
    centre = sizes.prior.params_coefficient * config.grid.budgets[index] ** sizes.prior.params_exponent
    return shapes_near(centre, sizes.count, sizes.within, config.model, corpus.vocab_size, sizes.prior.n_params)


def _cell(config: SweepConfig, corpus: CorpusInfo, budget: float, shape: ModelShape, seed: int) -> RunPlan:
    per_token = flops_per_token(shape, config.grid.flops)
    wanted = budget / per_token
    sequences = batch_sequences(config.recipe, wanted, shape.context)
    batch_tokens = sequences * shape.context
    steps = round(wanted / batch_tokens)
    where = f"budget {budget:g} at width {shape.width} (N = {count_params(shape).n_params:,})"
    if wanted < batch_tokens:
        raise InputError(
            f"grid: {where}: its D = {wanted:,.0f} tokens are below one batch of {batch_tokens:,}; "
            "raise the budget, or lower the width, recipe.batch or model.context"
        )
    flops = per_token * steps * batch_tokens
    if abs(flops / budget - 1) > MAX_BUDGET_ERROR:
        raise InputError(
            f"grid: {where}: {steps} steps of {batch_tokens:,} tokens miss the budget by {flops / budget - 1:+.1%} "
            f"(bound {MAX_BUDGET_ERROR:.0%}); lower recipe.batch, so that there are more and smaller steps"
        )
    unique = count_sequences(corpus.train_tokens, shape.context) * shape.context
    epochs = steps * batch_tokens / unique if unique else float("inf")
    if epochs > config.data.max_epochs:
        raise InputError(
            f"data.corpus: {where} needs D = {steps * batch_tokens:,} tokens and the corpus has {unique:,} to train "
            f"on ({epochs:.2f} epochs); give more text, lower the budget, or raise data.max_epochs "
            f"({config.data.max_epochs:g})"
        )
    rate = peak_learning_rate(config.recipe, shape.width, batch_tokens)
    run_id = _run_id(config, corpus, shape, steps, sequences, rate, seed)
    return RunPlan(run_id, budget, flops, shape, seed, steps, sequences, rate, epochs)


def _run_id(
    config: SweepConfig,
    corpus: CorpusInfo,
    shape: ModelShape,
    steps: int,
    sequences: int,
    rate: float,
    seed: int,
) -> str:
    """A hash of what decides the measured loss and of nothing else: not where, nor how fast, it is trained."""
    recipe = config.recipe
    identity = {
        "version": TRAINING_VERSION,
        "shape": asdict(shape),
        "rope_theta": config.model.rope_theta,
        "initialisation": config.model.initialisation.model_dump(),
        "corpus": corpus.fingerprint,
        "validation_sequences": config.data.validation_sequences,
        "steps": steps,
        "batch_sequences": sequences,
        "learning_rate": rate,
        "schedule": recipe.schedule.model_dump(),
        "optimizer": recipe.optimizer.model_dump(),
        "precision": recipe.precision,
        "seed": seed,
    }
    text = json.dumps(identity, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
