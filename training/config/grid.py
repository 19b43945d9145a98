"""budgets x sizes x seeds, and what is added to single budgets."""

from __future__ import annotations

import typing
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ...fitting.counting import FLOP_CONVENTIONS
from .parts import Part, Positive, PositiveInt


class Prior(Part):
    """A guess of N*(C) to centre each budget's sizes on: coefficient x C^exponent."""

    params_coefficient: Positive
    params_exponent: Annotated[float, Field(gt=0, lt=2)]
    n_params: Literal["n_params", "n_params_non_embedding", "n_params_blocks_and_head"] = "n_params"


class Sizes(Part):
    """`count` sizes evenly spaced in log N, within a factor of the prior's optimum on either side."""

    count: Annotated[int, Field(ge=3)]
    within: Annotated[float, Field(gt=1, le=1e6)]
    prior: Prior


class More(Part):
    """Sizes added to one budget, or more seeds of sizes it has."""

    budget: Positive  # one of grid.budgets
    widths: Annotated[list[PositiveInt], Field(min_length=1)]
    seeds: PositiveInt | None = None  # runs a cell; default: the budget's


class Grid(Part):
    """budgets x sizes x seeds, and `more`. A cell asked for twice is one cell, with the larger number of seeds."""

    budgets: list[Positive]  # training FLOPs
    flops: str = "exact"  # the convention that budgets are counted in
    widths: list[PositiveInt] | list[list[PositiveInt]] | None = None  # for all budgets, or a list a budget; or
    sizes: Sizes | None = None
    seeds: PositiveInt | list[PositiveInt] = 1  # runs a cell, for all budgets or a number a budget
    more: list[More] = Field(default_factory=list)  # what `sweep --refine` adds, or anyone

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
        for place, entry in enumerate(self.more):
            if entry.budget not in self.budgets:
                known = ", ".join(f"{budget:g}" for budget in self.budgets)
                raise ValueError(
                    f"more[{place}].budget: {entry.budget:g} is none of budgets ({known}); add it there first"
                )
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
