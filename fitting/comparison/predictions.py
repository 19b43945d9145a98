"""What our fits and published laws say of a budget, side by side, and what ten times the compute buys under each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import InputError
from ..prediction.predictor import Predictor
from ..prediction.sources import predictors_in, published_predictor
from ..results import Estimate
from .ours import METHODS, our_rows
from .published_rows import selected_estimates
from .rows import Exponent, published_exponents


@dataclass(frozen=True)
class Prediction:
    """One law at `at_flops`, C and N as `n_convention` and `flops_convention` name them; None is what it does not say.

    `n_params` counts parameters, or FLOPs per token where N is counted so, `tokens` tokens; the loss is in `loss_unit`
    (None: nats per token) on the law's own corpus and tokenizer. `beyond` is by how many decades `at_flops` lies above
    (or, negative, below) the compute measured; None where that is not known.
    """

    ours: bool
    name: str
    label: str
    n_convention: str
    flops_convention: str
    at_flops: float
    beyond: float | None
    n_params: Estimate | None
    tokens: Estimate | None
    tokens_per_param: Estimate | None
    loss: Estimate | None
    loss_unit: str | None


@dataclass(frozen=True)
class Tenfold:
    """By what ten times the compute multiplies N* and D*, 10^a and 10^b; intervals are those of a and b."""

    ours: bool
    name: str
    label: str
    n_convention: str
    flops_convention: str
    params_factor: Exponent | None
    tokens_factor: Exponent | None


def predictions(
    report: Mapping[str, Any], source: str, budgets: Sequence[float], every: bool = False
) -> tuple[Prediction, ...]:
    """Our fits in `report` (the parsed fit.json of `source`), then the published laws, at each of `budgets` (FLOPs).

    Raises InputError for a budget that is not positive and finite, and where no fit of ours predicts.
    """
    for flops in budgets:
        if not 0 < flops < float("inf"):
            raise InputError(f"--flops {flops:g}: must be a positive number of FLOPs")
    ours = predictors_in(report, source)
    theirs = [published_predictor(e.name) for e in selected_estimates(every) if e.params_law or e.tokens_law]
    return tuple(
        _predicted(law, flops, mine)
        for flops in budgets
        for laws, mine in ((ours, True), (theirs, False))
        for law in laws
    )


def _predicted(law: Predictor, flops: float, ours: bool) -> Prediction:
    counts_params = law.n_params != "flops_per_token"
    return Prediction(
        ours=ours,
        name=law.name,
        label=f"ours, {METHODS[law.name.rpartition(', ')[2]]}" if ours else law.label,
        n_convention=law.n_params,
        flops_convention=law.flops,
        at_flops=flops,
        beyond=law.beyond(flops),
        n_params=law.estimate(lambda known: known.n_params(flops)),
        tokens=law.estimate(lambda known: known.tokens(flops)),
        tokens_per_param=law.estimate(lambda known: known.tokens_per_param(flops)) if counts_params else None,
        loss=law.estimate(lambda known: known.loss(flops)),
        loss_unit=law.loss_unit,
    )


def tenfold(report: Mapping[str, Any], every: bool = False) -> tuple[Tenfold, ...]:
    """Of our fits in the conventions they speak, then of the published estimates."""
    fitted = report.get("fits", {})
    ours = [row for row in our_rows({**report, "by_convention": ()}) if row.name in fitted and row.params_exponent]
    factors = [
        Tenfold(
            True,
            row.name,
            row.label,
            row.n_params,
            row.flops,
            _factor(row.params_exponent),
            _factor(row.tokens_exponent),
        )
        for row in ours
    ]
    for e in selected_estimates(every):
        params, tokens = published_exponents(e)
        factors.append(Tenfold(False, e.name, e.label, e.n_params, e.flops, _factor(params), _factor(tokens)))
    return tuple(factors)


def _factor(exponent: Exponent | None) -> Exponent | None:
    if exponent is None:
        return None
    low, high = (None if bound is None else 10**bound for bound in (exponent.low, exponent.high))
    return Exponent(10**exponent.value, low, high, exponent.interval)


def to_json(rows: Sequence[Prediction] | Sequence[Tenfold]) -> list[dict[str, Any]]:
    """Plain dicts, one a row."""
    return [asdict(row) for row in rows]
