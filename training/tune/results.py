"""What the runs of a bracket came to, size by size, and where to look further."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...fitting.errors import InputError
from ..records import SweepFolder
from .bracket import INTERIOR, ON_EDGE, Bracketed, bracket, noise_of
from .trials import Arm, Spot, Trials


@dataclass(frozen=True)
class ArmResult:
    """One size at one batch."""

    arm: Arm
    rates: Bracketed

    @property
    def own_loss(self) -> float:
        """The loss at the rate of the recipe's rule."""
        return self.rates.losses[self.arm.powers.index(0)]


@dataclass(frozen=True)
class SizeResult:
    """One size at its batches; `batches` is None where one alone was tried."""

    spot: Spot
    arms: tuple[ArmResult, ...]
    batches: Bracketed | None

    @property
    def best(self) -> ArmResult:
        """The batch with the lowest loss."""
        return min(self.arms, key=lambda each: each.rates.loss)

    @property
    def verdict(self) -> str:
        """Interior where the minimum lies inside the rates and, where they were tried, the batches."""
        edges = [found.verdict for found in (self.best.rates, self.batches) if found is not None]
        return ON_EDGE if ON_EDGE in edges else INTERIOR

    @property
    def cost(self) -> float:
        """Nats that the recipe's own batch and rate lose against the best of both; inf where they diverged."""
        own = next(each for each in self.arms if each.arm.batch_power == 0)
        return own.own_loss - min(self.best.rates.loss, self.batches.loss if self.batches else np.inf)

    def to_json(self) -> dict[str, Any]:
        """As it stands in tune.json; losses that are not finite become null there."""
        cell = self.spot.cell
        return {
            "width": cell.shape.width,
            "n_params": cell.counts.params.n_params,
            "budget": cell.budget,
            "tokens": cell.tokens,
            "verdict": self.verdict,
            "cost": self.cost,
            "batches": None if self.batches is None else _json(self.batches),
            "arms": [
                {"batch_tokens": each.arm.batch_tokens, "rule_rate": each.arm.rule_rate, **_json(each.rates)}
                for each in self.arms
            ],
        }


def _json(found: Bracketed) -> dict[str, Any]:
    names = ("values", "losses", "verdict", "best", "low", "high", "loss", "wide")
    return {name: getattr(found, name) for name in names}


def measure(trials: Trials, sweep: SweepFolder) -> tuple[list[SizeResult], float | None]:
    """The results of runs that all have a record, smallest size first, and the noise of a loss in nats.

    Raises:
        FitError: every rate of an arm diverged.
    """
    losses = [[[_loss(sweep, cell.run_id) for cell in trials.cells(arm, p)] for p in arm.powers] for arm in trials.arms]
    values = [[trials.rate(arm, power) for power in arm.powers] for arm in trials.arms]
    noise = noise_of(list(zip(values, losses, strict=True)))
    found = [
        ArmResult(arm, bracket(rates, [float(np.mean(group)) for group in groups], noise))
        for arm, rates, groups in zip(trials.arms, values, losses, strict=True)
    ]
    return [_of_size(spot, [each for each in found if each.arm.spot is spot]) for spot in trials.spots], noise


def _loss(sweep: SweepFolder, run_id: str) -> float:
    record = sweep.read_record(run_id)
    assert record is not None  # the caller has trained them all
    return float("inf") if record["loss"] is None else float(record["loss"])


def _of_size(spot: Spot, arms: Sequence[ArmResult]) -> SizeResult:
    ordered = sorted(arms, key=lambda each: each.arm.batch_tokens)
    if len(ordered) == 1:
        return SizeResult(spot, tuple(ordered), None)
    sizes = [float(each.arm.batch_tokens) for each in ordered]
    return SizeResult(spot, tuple(ordered), bracket(sizes, [each.rates.loss for each in ordered]))


def extend(trials: Trials, results: Sequence[SizeResult]) -> bool:
    """Add a rate, or a batch, beyond each edge that the results lie on; False where nothing can be added."""
    before = sum(len(arm.powers) for arm in trials.arms)
    for result in results:
        edges = [(each.arm, each.rates.edge) for each in result.arms if each.rates.edge]
        for arm, edge in edges:
            arm.powers = sorted([*arm.powers, (max if edge > 0 else min)(arm.powers) + edge])
        if not edges and result.batches is not None and result.batches.edge:
            edge = result.batches.edge
            outermost = (max if edge > 0 else min)((each.arm for each in result.arms), key=lambda arm: arm.batch_power)
            try:
                trials.add_arm(result.spot, outermost.batch_power + edge, outermost.powers)
            except InputError:
                continue  # no smaller batch than a sequence, none so large that the budget is missed
    return sum(len(arm.powers) for arm in trials.arms) > before
