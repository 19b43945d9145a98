"""Which cells a bracket trains: sizes of a sweep's grid, each at a few rates (and batches) around the recipe's own."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...fitting.errors import InputError
from ..config import SweepConfig
from ..config.rules import ConstantBatch, ConstantRate
from ..corpus import CorpusInfo
from ..plan import Plan, RunPlan
from ..planning import make_cell, make_plan

PLACES = ("smallest", "middle", "largest")


@dataclass(frozen=True)
class Spot:
    """A size of the grid at one of its budgets."""

    cell: RunPlan  # as the sweep would train it
    tuned_at: float  # the budget whose batch, rate and warmup it has: another than its own only on a trunk


@dataclass
class Arm:
    """A spot at one batch, and the rates tried there: the rule's own x step^power, for each power."""

    spot: Spot
    batch_power: int
    batch_tokens: int
    rule_rate: float  # what the recipe's rule says at this batch
    powers: list[int] = field(default_factory=list)


def choose_spots(config: SweepConfig, corpus: CorpusInfo, sizes: Sequence[str]) -> list[Spot]:
    """Each of `sizes`, smallest first, at the budget in whose middle it stands best, the cheaper of two alike.

    `sizes` are widths, or smallest, middle and largest. The middle of a budget is the mean log N of its sizes.

    Raises:
        InputError: a size that the grid does not have.
    """
    cells = [cell for cell in make_plan(config, corpus).cells if cell.seed == config.seed]
    widths = sorted({cell.shape.width: cell.counts.params.n_params for cell in cells}.items(), key=lambda item: item[1])
    chosen = {_width(size, [width for width, _ in widths]) for size in sizes}
    spots = []
    for width in (width for width, _ in widths if width in chosen):
        own = [cell for cell in cells if cell.shape.width == width]
        cell = min(own, key=lambda cell: (round(_off_centre(cell, cells), 6), cell.budget))
        smallest = min(cell.budget for cell in own)
        spots.append(Spot(cell, smallest if config.recipe.schedule.trunk else cell.budget))
    return spots


def _width(size: str, widths: list[int]) -> int:
    if size in PLACES:
        return widths[(0, len(widths) // 2, -1)[PLACES.index(size)]]
    if not size.isdecimal() or int(size) not in widths:
        raise InputError(
            f"--sizes {size}: the grid has no such size; give {', '.join(PLACES)} or widths of "
            f"{', '.join(map(str, widths))}"
        )
    return int(size)


def _off_centre(cell: RunPlan, cells: Iterable[RunPlan]) -> float:
    peers = [math.log(other.counts.params.n_params) for other in cells if other.budget == cell.budget]
    return abs(math.log(cell.counts.params.n_params) - math.fsum(peers) / len(peers))


def powers(count: int) -> list[int]:
    """`count` powers of the step around 0; of an even count one more below than above."""
    return list(range(-(count // 2), count - count // 2))


class Trials:
    """The cells of a bracket, which can be extended; their plan trains and resumes as a sweep's does."""

    def __init__(self, config: SweepConfig, corpus: CorpusInfo, spots: Sequence[Spot], step: float, seeds: int) -> None:
        self.config = config
        self.corpus = corpus
        self.spots = list(spots)
        self.step = step
        self.seeds = seeds
        self.arms: list[Arm] = []

    def add_arm(self, spot: Spot, batch_power: int, rate_powers: Sequence[int]) -> None:
        """Try the batch that is the sweep's own x step^`batch_power`, at these rates.

        Raises:
            InputError: the batch is below one sequence, the same as another's, or too large for the run.
        """
        context = spot.cell.shape.context
        sequences = round(spot.cell.batch_sequences * self.step**batch_power)
        if sequences < 1:
            raise InputError(
                f"--batches: at width {spot.cell.shape.width} {self.step:g}^{batch_power} of its "
                f"{spot.cell.batch_sequences} sequences a batch is below one; try fewer batches"
            )
        tokens = sequences * context
        if any(arm.spot is spot and arm.batch_tokens == tokens for arm in self.arms):
            raise InputError(
                f"--step {self.step:g}: at width {spot.cell.shape.width} two batches come to the same {sequences} "
                f"sequences; take a larger step or a larger recipe.batch"
            )
        at_rule = self._cell(spot, tokens, None, spot.cell.seed)
        self.arms.append(Arm(spot, batch_power, tokens, at_rule.learning_rate, sorted(rate_powers)))

    def rate(self, arm: Arm, power: int) -> float:
        """The peak rate of `arm` at `power`."""
        return arm.rule_rate * self.step**power

    def cells(self, arm: Arm, power: int) -> list[RunPlan]:
        """The runs of one rate, one a seed."""
        rate = self.rate(arm, power)
        seeds = range(arm.spot.cell.seed, arm.spot.cell.seed + self.seeds)
        return [self._cell(arm.spot, arm.batch_tokens, rate, seed) for seed in seeds]

    def plan(self) -> Plan:
        """All runs so far, as a sweep named after the config's."""
        cells = [cell for arm in self.arms for power in arm.powers for cell in self.cells(arm, power)]
        unique = {cell.run_id: cell for cell in cells}  # small batches may round to the same sequences
        config = self._config().model_copy(update={"name": f"{self.config.name}-tune"})
        return Plan(config, self.corpus, tuple(unique.values()))

    def _config(self, **changes: Any) -> SweepConfig:
        """The sweep's, its recipe changed and every run by itself: trunks serve a sweep, not a bracket."""
        recipe = self.config.recipe
        schedule = recipe.schedule.model_copy(update={"trunk": False})
        return self.config.model_copy(
            update={"recipe": recipe.model_copy(update={"schedule": schedule, "bracket": None, **changes})}
        )

    def _cell(self, spot: Spot, batch_tokens: int, rate: float | None, seed: int) -> RunPlan:
        changes: dict[str, Any] = {"batch": ConstantBatch(rule="constant", tokens=batch_tokens)}
        if rate is not None:
            changes["learning_rate"] = ConstantRate(rule="constant", value=rate)
        return make_cell(
            self._config(**changes), self.corpus, spot.cell.budget, spot.cell.shape, seed, tuned_at=spot.tuned_at
        )
