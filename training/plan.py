"""A sweep's cells, each a run with exact tokens, steps, batch and rate; `planning` makes them from a config."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..fitting.counting import ModelCounts, ModelShape, ParamCounts
from ..fitting.schema import SCHEMA_VERSION
from .config import SweepConfig
from .corpus import CorpusInfo
from .schedule import Timeline


@dataclass(frozen=True)
class RunPlan:
    """One cell: everything that decides its loss, resolved."""

    run_id: str
    budget: float  # training FLOPs asked for, in the grid's convention
    flops: float  # what steps x batch x context comes to, in the same convention
    shape: ModelShape
    counts: ModelCounts
    seed: int
    steps: int
    batch_sequences: int
    learning_rate: float  # peak
    beta2: float
    weight_decay: float
    timeline: Timeline
    phase: str  # cooled or hot, at its end
    epochs: float  # passes over the training tokens
    trunk: str | None = None  # cells of one trunk take the same first steps
    trunk_steps: int = 0  # so many of this one's
    shared_steps: int = 0  # so many of those are an earlier cell's, which saves the state after them
    notes: tuple[str, ...] = ()  # where the recipe is used outside the range it was found in

    @property
    def tokens(self) -> int:
        """Tokens trained on, D."""
        return self.steps * self.batch_tokens

    @property
    def batch_tokens(self) -> int:
        """Tokens a step."""
        return self.batch_sequences * self.shape.context

    @property
    def own_flops(self) -> float:
        """What the cell costs where an earlier one of its trunk has been trained."""
        return self.flops * (self.steps - self.shared_steps) / self.steps

    def to_json(self) -> dict[str, Any]:
        """As it stands in plan.json."""
        # As `asdict` would, which takes ten times as long: a plan may have ten thousand cells.
        counts = {"params": dict(vars(self.counts.params)), "flops_per_token": dict(self.counts.flops_per_token)}
        parts = {"shape": dict(vars(self.shape)), "counts": counts, "timeline": dict(vars(self.timeline))}
        return vars(self) | parts | {"tokens": self.tokens}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> RunPlan:
        """The inverse of `to_json`."""
        fields: dict[str, Any] = {key: value for key, value in data.items() if key != "tokens"}
        fields["shape"] = ModelShape(**data["shape"])
        counts = data["counts"]
        fields["counts"] = ModelCounts(ParamCounts(**counts["params"]), counts["flops_per_token"])
        fields["timeline"] = Timeline(**data["timeline"])
        fields["notes"] = tuple(data["notes"])
        return cls(**fields)


@dataclass(frozen=True)
class Plan:
    """A sweep's cells in the order of the grid, with the resolved config and corpus they were made from."""

    config: SweepConfig
    corpus: CorpusInfo
    cells: tuple[RunPlan, ...]

    @property
    def flops(self) -> float:
        """Training FLOPs of the cells' losses, each counted from its first token, in the grid's convention."""
        return sum(cell.flops for cell in self.cells)

    @property
    def own_flops(self) -> float:
        """Training FLOPs that the whole sweep takes: what cells of a trunk share is trained once."""
        return sum(cell.own_flops for cell in self.cells)

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
        """The inverse of `to_json`. Raises ValueError, KeyError or TypeError for what another version wrote."""
        if data["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"its schema_version is {data['schema_version']}, this version's {SCHEMA_VERSION}")
        cells = tuple(RunPlan.from_json(cell) for cell in data["cells"])
        return cls(SweepConfig.model_validate(data["config"]), CorpusInfo.from_json(data["corpus"]), cells)
