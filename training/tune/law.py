"""LR*(N) and B*(D) from the minima of a bracket, as the rules that a sweep's recipe uses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import Recipe
from ..config.recipe import Bracket, BracketedSize
from ..config.rules import (
    Batch,
    ConstantRate,
    ParamsPowerRate,
    PublishedRate,
    Rate,
    TokensPowerBatch,
    WidthPowerRate,
)
from .results import ArmResult, SizeResult

BATCH_REFERENCE = 512.0  # tokens


@dataclass(frozen=True)
class RateLaw:
    """A rule for the rate, how far it is pinned down, and how well it follows the minima it was fitted to."""

    rule: Rate
    exponent: float | None  # of the width or N; None where one size alone scales the recipe's own rule
    exponent_se: float | None  # None where as many sizes as numbers leave nothing to judge by
    scatter: float  # rms of ln LR* about the law
    batch_exponent: str  # where it comes from
    remarks: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As it stands in tune.json."""
        names = ("exponent", "exponent_se", "scatter", "batch_exponent")
        return {"rule": self.rule.model_dump(mode="json")} | {name: getattr(self, name) for name in names}


def law_rate(rule: Rate, each: ArmResult) -> float:
    """What `rule`, one that `rate_law` gave, says for the size and batch of `each`."""
    if isinstance(rule, WidthPowerRate | ParamsPowerRate):
        exponent = rule.width_exponent if isinstance(rule, WidthPowerRate) else rule.params_exponent
        scale = (each.arm.batch_tokens / rule.batch_reference) ** rule.batch_exponent
        return rule.coefficient * _size(each, isinstance(rule, WidthPowerRate)) ** exponent * scale
    return each.rates.best  # a rule of the recipe's scaled to one size


def rate_law(results: Sequence[SizeResult], recipe: Recipe) -> RateLaw:
    """ln LR* = ln c + e ln x + b ln B by least squares; x is the width or N, as in the recipe's own rule.

    Sizes weigh alike: what keeps their minima off a power law is more than the noise of each. b is the recipe's own
    (1/2 for Marin's rule, 0 for others without one) unless several batches were tried at one size. One size alone
    scales the recipe's rule.
    """
    rule = recipe.learning_rate
    arms = [each for result in results for each in result.arms]
    remarks = _remarks(results)
    if len(results) == 1:
        best = results[0].best
        scaled = _scaled(rule, best.rates.best / best.arm.rule_rate)
        return RateLaw(scaled, None, None, 0.0, "the recipe's own", remarks)
    by_width = isinstance(rule, WidthPowerRate) or (isinstance(rule, PublishedRate) and rule.rule == "marin")
    sizes = np.log([_size(each, by_width) for each in arms])
    batches = np.log([each.arm.batch_tokens / _reference(rule) for each in arms])
    rates = np.log([each.rates.best for each in arms])
    free = any(len(result.arms) > 1 for result in results)
    kept = 0.0 if free else _batch_exponent(rule)
    design = np.column_stack([np.ones(len(arms)), sizes, *([batches] if free else [])])
    wanted = rates - kept * batches
    solution, *_ = np.linalg.lstsq(design, wanted, rcond=None)
    left = wanted - design @ solution
    freedom = len(arms) - design.shape[1]
    exponent, batch_exponent = float(solution[1]), float(solution[2]) if free else kept
    words = {
        "coefficient": _short(math.exp(solution[0])),
        "batch_exponent": _short(batch_exponent),
        "batch_reference": _reference(rule),
    }
    fitted: Rate = (
        WidthPowerRate(rule="width_power", width_exponent=_short(exponent), **words)
        if by_width
        else ParamsPowerRate(rule="params_power", params_exponent=_short(exponent), n_params="n_params", **words)
    )
    return RateLaw(
        rule=fitted,
        exponent=exponent,
        exponent_se=_standard_error(design, left, freedom) if freedom > 0 else None,
        scatter=float(np.sqrt(np.mean(left**2))),
        batch_exponent="fitted to the batches tried" if free else "the recipe's own",
        remarks=remarks,
    )


def batch_law(results: Sequence[SizeResult], recipe: Recipe) -> TokensPowerBatch | None:
    """B* = c D^e through the best batches; None where no batches were tried.

    e is the recipe's own (1/2 for rules without one) with fewer than three sizes, or where the fitted one is not
    between 0 and 1: the D of one budget's neighbours span too little to tell.
    """
    found = [(result.spot.cell.tokens, result.batches.best) for result in results if result.batches is not None]
    if not found:
        return None
    tokens, batches = np.log(np.array(found, dtype=float)).T
    own = recipe.batch.exponent if isinstance(recipe.batch, TokensPowerBatch) else 0.5
    exponent = float(np.polyfit(tokens - tokens.mean(), batches, 1)[0]) if len(found) >= 3 else own
    exponent = exponent if 0 < exponent <= 1 else own
    coefficient = math.exp(float(np.mean(batches - exponent * tokens)))
    return TokensPowerBatch(rule="tokens_power", coefficient=_short(coefficient), exponent=_short(exponent))


def tuned_recipe(
    results: Sequence[SizeResult], recipe: Recipe, rate: Rate, batch: Batch | None, command: str
) -> Recipe:
    """`recipe` with the rules found and the bracket that vouches for them."""
    sizes = [
        BracketedSize(
            width=result.spot.cell.shape.width,
            n_params=result.spot.cell.counts.params.n_params,
            tokens=result.spot.cell.tokens,
            batch_tokens=result.best.arm.batch_tokens,
            learning_rate=_short(result.best.rates.best),
            low=None if result.best.rates.low is None else _short(result.best.rates.low),
            high=None if result.best.rates.high is None else _short(result.best.rates.high),
            cost=_short(result.cost) if math.isfinite(result.cost) else None,
            verdict="interior" if result.verdict == "interior" else "on edge",
        )
        for result in results
    ]
    batch = batch or recipe.batch
    bracket = Bracket(command=command, learning_rate=rate, batch=batch, sizes=sizes)
    changes = {"learning_rate": rate, "batch": batch, "bracket": bracket}
    return recipe.model_copy(update=changes)


def _remarks(results: Sequence[SizeResult]) -> tuple[str, ...]:
    remarks = []
    if len(results) == 1:
        remarks.append("one size says nothing of how the rate changes with size: the recipe's own rule is scaled")
    elif len(results) == 2:
        remarks.append("two sizes determine both numbers of the law: nothing checks it; give three or more")
    edges = [str(result.spot.cell.shape.width) for result in results if result.verdict != "interior"]
    if edges:
        remarks.append(
            f"on edge at width {', '.join(edges)}: the best rate or batch tried stands in for the optimum there"
        )
    return tuple(remarks)


def _size(each: ArmResult, by_width: bool) -> float:
    cell = each.arm.spot.cell
    return float(cell.shape.width if by_width else cell.counts.params.n_params)


def _reference(rule: Rate) -> float:
    return rule.batch_reference if isinstance(rule, WidthPowerRate | ParamsPowerRate) else BATCH_REFERENCE


def _batch_exponent(rule: Rate) -> float:
    if isinstance(rule, WidthPowerRate | ParamsPowerRate):
        return rule.batch_exponent
    return 0.5 if isinstance(rule, PublishedRate) and rule.rule == "marin" else 0.0


def _standard_error(design: NDArray[np.float64], left: NDArray[np.float64], freedom: int) -> float:
    return math.sqrt(float(left @ left) / freedom * np.linalg.inv(design.T @ design)[1, 1])


def _scaled(rule: Rate, factor: float) -> Rate:
    name = {ConstantRate: "value", PublishedRate: "multiplier"}.get(type(rule), "coefficient")
    return rule.model_copy(update={name: _short(getattr(rule, name) * factor)})


def _short(number: float) -> float:
    return float(f"{number:.4g}")
