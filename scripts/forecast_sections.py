"""What `forecast` tells beside its answers: serving, repeats, another exponent, costs; each as JSON and as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import RenderableType
from rich.table import Table

from isoflop.fitting.errors import InputError
from isoflop.fitting.forecasting import beside
from isoflop.fitting.forecasting.answers import Answer
from isoflop.fitting.forecasting.costs import Rates, cost_of
from isoflop.fitting.forecasting.fleets import data_horizon
from isoflop.fitting.forecasting.spending import Spending, beside_stocks
from isoflop.fitting.forecasting.stocks import Stocks, describe, load_stocks, not_verified
from isoflop.fitting.reporting.forecast_beside import (
    believed_table,
    cost_table,
    horizon_text,
    repeated_table,
    served_table,
    stocks_table,
)
from isoflop.fitting.reporting.style import flops_text
from isoflop.scripts.forecast_laws import Law

Answered = Sequence[tuple[Law, Answer]]
Find = Callable[[Law, Answer], beside.Found]
Rows = list[tuple[Answer, beside.Found]]


@dataclass
class Sections:
    """JSON by answer, tables in order, and what single laws could not say."""

    json: list[dict[str, Any]]
    shown: list[RenderableType] = field(default_factory=list)
    unsaid: list[str] = field(default_factory=list)

    def add(
        self, name: str, option: str, answered: Answered, finds: Sequence[Find], table: Callable[[Any], Table]
    ) -> Rows:
        """A section of what each of `finds` says of each answer, under `name` a list.

        Raises InputError, naming the `option`, where no law can say it.
        """
        rows, reasons = [], []
        for place, (law, answer) in enumerate(answered):
            for find in finds:
                try:
                    found = find(law, answer)
                except InputError as error:
                    text = str(error)
                    reasons.append(text if option in text else f"{option}: {text}")
                    continue
                rows.append((answer, found))
                self.json[place].setdefault(name, []).append(beside.to_json(found))
        if not rows:
            raise InputError(reasons[0])
        self.unsaid += reasons
        self.shown.append(table(rows))
        return rows


@dataclass(frozen=True)
class Wanted:
    """What was asked beside the answers."""

    inference_tokens: Sequence[float] = ()
    inference_cost_ratio: float = 1.0
    unique_tokens: Sequence[float] = ()
    wrong_exponent: float | None = None
    anchor_flops: float | None = None
    rates: Rates = field(default_factory=Rates)
    spending: Spending | None = None
    stocks: Stocks | None = None
    data_horizon: str | None = None  # a text of the stocks


def sections_of(answered: Answered, wanted: Wanted) -> Sections:
    """Every section that is `wanted`. Raises InputError where none of the laws can say one."""
    sections = Sections([{} for _ in answered])
    if wanted.inference_tokens:
        _add_serving(sections, answered, wanted)
    if wanted.unique_tokens:
        _add_repeats(sections, answered, wanted.unique_tokens)
    if wanted.wrong_exponent is not None:
        exponent, anchor = wanted.wrong_exponent, wanted.anchor_flops
        find = [lambda _, answer: beside.believed(answer, exponent, anchor)]
        sections.add("wrong_exponent", "--wrong-exponent", answered, find, believed_table)
    if wanted.rates.asked:
        _add_costs(sections, answered, wanted.rates)
    if wanted.spending is not None:
        _add_stocks(sections, answered, wanted.spending, wanted.stocks or load_stocks())
    if wanted.data_horizon is not None:
        _add_horizons(sections, answered, wanted.data_horizon, wanted.stocks or load_stocks())
    return sections


def _add_serving(sections: Sections, answered: Answered, wanted: Wanted) -> None:
    ratio = wanted.inference_cost_ratio
    finds = [
        lambda _, answer, tokens=tokens: beside.served(answer, tokens, ratio) for tokens in wanted.inference_tokens
    ]
    sections.add("inference", "--inference-tokens", answered, finds, served_table)
    priced = "" if ratio == 1 else f", a FLOP served costing {ratio:g} of one trained"
    sections.shown.append(f"In all: 6 N D to train and 2 N for each token served (arXiv:2401.00448){priced}.")


def _add_repeats(sections: Sections, answered: Answered, unique_tokens: Sequence[float]) -> None:
    finds = [lambda law, answer, u=u: beside.repeated(answer, law.repeats, u) for u in unique_tokens]
    rows = sections.add("data_constrained", "--unique-tokens", answered, finds, repeated_table)
    sections.shown += list(dict.fromkeys(f"Repeats: {found['source']}." for _, found in rows))
    sections.shown += [
        f"{one.predictor.label}, {flops_text(one.flops.value)} FLOPs: {found['remark']}"
        for one, found in rows
        if found["remark"]
    ]


def _add_stocks(sections: Sections, answered: Answered, spending: Spending, stocks: Stocks) -> None:
    rows = [(answer, beside_stocks(answer, spending, stocks)) for _, answer in answered]
    for entry, (_, found) in zip(sections.json, rows, strict=True):
        entry["stock"] = found
    sections.shown += [stocks_table(rows, stocks), f"Compute: {spending.words}."]
    doubtful = [name for name, text in stocks.texts.items() if not text.verified]
    if doubtful:
        sections.shown.append(f"* not verified: {', '.join(doubtful)}.")


def _add_horizons(sections: Sections, answered: Answered, text: str, stocks: Stocks) -> None:
    """When D* of each growing budget of the stocks passes `text`; said once a law."""
    goal, reasons, anyone = stocks.find("texts", text), [], False
    for budget in stocks.budgets.values():
        said: dict[str, str] = {}
        for entry, (law, _) in zip(sections.json, answered, strict=True):
            predictor = law.predictor
            try:
                if predictor.scaling.tokens_law is None:
                    raise InputError(f"{predictor.name}: does not say D*(C), which --data-horizon needs")
                found = data_horizon(predictor.scaling.tokens_law, budget, goal)
            except InputError as error:
                reasons.append(str(error))
                continue
            doubtful = not_verified((budget, goal))
            one = {"text": goal.name, "budget": budget.name, **asdict(found), "not_verified": doubtful}
            entry.setdefault("data_horizon", []).append(one)
            said[predictor.label] = f"{predictor.label}: {horizon_text(found)}: {'; '.join(found.assumptions)}"
        if said:
            anyone = True
            mark = "" if budget.verified else " (NOT VERIFIED)"
            whose = f"D* of a budget that grows as {budget.name}'s{mark} passes {goal.name}, {describe(goal)}:"
            sections.shown += ["", whose, *said.values()]
    if not anyone:
        raise InputError(reasons[0] if reasons else "--data-horizon: the stocks hold no budgets")
    sections.unsaid += dict.fromkeys(reasons)


def _add_costs(sections: Sections, answered: Answered, rates: Rates) -> None:
    rows = [(answer, cost_of(answer.flops, rates)) for _, answer in answered]
    for entry, (_, cost) in zip(sections.json, rows, strict=True):
        entry["cost"] = beside.to_json(vars(cost)) | {
            "from": [describe(stock) for stock in rates.stocks],
            "not_verified": not_verified(rates.stocks),
        }
    sections.shown.append(cost_table(rows))
    if rates.peak_flops is not None:
        sections.shown.append(
            f"At {rates.mfu:g} of a peak of {rates.peak_flops / 1e12:,.0f} TFLOP/s a device, {rates.devices} at once."
        )
    sections.shown += [f"{stock.section}.{stock.name}: {describe(stock)}." for stock in rates.stocks]
