"""What to train with so much compute, by published and fitted laws; needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from isoflop.scripts.cli import Debug, Overrides, run
from isoflop.fitting.errors import InputError
from isoflop.fitting.forecasting.answers import Answer, answer
from isoflop.fitting.forecasting.questions import Question
from isoflop.fitting.forecasting.stocks import load_stocks
from isoflop.fitting.prediction import published_predictor
from isoflop.fitting.published import published_estimates
from isoflop.fitting.reporting.forecast import forecast_table, headline, published_table, remarks
from isoflop.fitting.reporting.style import flops_text
from isoflop.scripts.amounts import amounts
from isoflop.scripts.forecast_asked import DAYS, MFU, USE, questions_of, rates_of, refuse_idle, spending_of
from isoflop.scripts.forecast_laws import Law, laws_of, own_laws
from isoflop.scripts.forecast_model import check_file, model_lines, model_of
from isoflop.scripts.forecast_sections import Sections, Wanted, sections_of
from isoflop.scripts.output import JsonFile, note, show, write_json
from isoflop.scripts.sources import Columns, KeepFlagged, MappingFile, Where, columns_of

EXTRAPOLATION = "[extrapolation]"


def ask(laws: Sequence[Law], questions: Sequence[Question]) -> tuple[list[tuple[Law, Answer]], list[str]]:
    """What each law says to each question, and why some say nothing. Raises InputError where none says anything."""
    answered, unsaid = [], []
    for law in laws:
        for question in questions:
            try:
                answered.append((law, answer(law.predictor, question)))
            except InputError as error:
                unsaid.append(str(error))
    if not answered:
        raise InputError(unsaid[0])
    return answered, list(dict.fromkeys(unsaid))


def tell(answered: Sequence[tuple[Law, Answer]], sections: Sections, unsaid: Sequence[str]) -> None:
    """Print the answer, the table of laws, what stands beside it, every note, and warnings but those it shows."""
    answers = [one for _, one in answered]
    show(headline(answers), "", forecast_table(answers), *remarks(answers), *sections.shown)
    show(*(f"no answer: {reason}" for reason in dict.fromkeys(unsaid)))
    laws = {law.predictor.name: law for law, _ in answered}
    show(*(f"note: {law.predictor.label}: {note}" for law in laws.values() for note in law.predictor.notes))
    show(*(line for line in warnings_of(answered) if EXTRAPOLATION not in line))


def warnings_of(answered: Sequence[tuple[Law, Answer]]) -> list[str]:
    """A line each: of the answers, then of the fits they come from."""
    lines = [
        f"warning [{code}]: {one.predictor.label}, {flops_text(one.flops.value)} FLOPs: {text}"
        for _, one in answered
        for code, text in one.warnings
    ]
    of_fits = [f"warning [{one['code']}]: of the fit: {one['text']}" for law, _ in answered for one in law.fit_warnings]
    return list(dict.fromkeys([*lines, *of_fits]))


def show_published(json_file: str | None) -> None:
    """Every published estimate and what it says."""
    rows = published_estimates()
    says = {row.name: published_predictor(row.name).says for row in rows}
    write_json(json_file, {"published": [asdict(row) | {"says": says[row.name]} for row in rows]})
    show(published_table(rows, says))


def main(
    law: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="LAW...",
            help="published:NAME, a fit.json, a fitted sweep, or any source fit takes; several stand side by side.",
        ),
    ] = None,
    flops: Annotated[
        str | None, typer.Option(metavar="C,...", help="Training FLOPs: what is the best model, and its loss?")
    ] = None,
    loss: Annotated[float | None, typer.Option(metavar="L", help="A loss: what is the least compute for it?")] = None,
    params: Annotated[
        str | None, typer.Option(metavar="N", help="A size: which compute and tokens is it optimal for?")
    ] = None,
    tokens: Annotated[
        str | None,
        typer.Option(metavar="D", help="Tokens, likewise. Two of C, N and D are a run; L with N or D asks the other."),
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="Of several fits: parametric, isoflop, envelope or kaplan.  [default: all]")
    ] = None,
    inference_tokens: Annotated[
        str | None, typer.Option(metavar="T,...", help="Tokens served: the model cheapest to train and serve.")
    ] = None,
    inference_cost_ratio: Annotated[
        float | None, typer.Option(metavar="R", help="Price of a FLOP served over that of one trained.  [default: 1]")
    ] = None,
    unique_tokens: Annotated[
        str | None, typer.Option(metavar="U,...", help="Unique tokens there are: the optimum with repeats.")
    ] = None,
    wrong_exponent: Annotated[
        float | None, typer.Option(metavar="a", help="What believing N ~ C^a costs, beyond the measured range.")
    ] = None,
    anchor_flops: Annotated[
        float | None, typer.Option(metavar="C", help="Of it: from here on.  [default: where the runs end]")
    ] = None,
    price_per_flop: Annotated[float | None, typer.Option(metavar="P", help="Price of a training FLOP.")] = None,
    gpu_hour: Annotated[float | None, typer.Option(metavar="P", help="Price of a device-hour.")] = None,
    device: Annotated[str | None, typer.Option(metavar="NAME", help="A device of the stocks, as H100.")] = None,
    peak_tflops: Annotated[float | None, typer.Option(metavar="X", help="Or its peak in TFLOP/s.")] = None,
    mfu: Annotated[
        float | None, typer.Option(metavar="M", help=f"Share of the peak that training uses.  [default: {MFU}]")
    ] = None,
    devices: Annotated[int | None, typer.Option(metavar="K", help="Devices at once.  [default: 1]")] = None,
    stock: Annotated[
        str | None, typer.Option(metavar="NAME|X", help="Compute of a fleet: of the stocks, or in FLOP/s.")
    ] = None,
    share: Annotated[float | None, typer.Option(metavar="S", help="Of it: the part that trains.  [default: 1]")] = None,
    days: Annotated[float | None, typer.Option(metavar="T", help=f"Of it: for so long.  [default: {DAYS:g}]")] = None,
    use: Annotated[
        float | None, typer.Option(metavar="U", help=f"Of it, and of dollars: share of the peak.  [default: {USE}]")
    ] = None,
    dollars: Annotated[float | None, typer.Option(metavar="X", help="Compute that dollars buy.")] = None,
    year: Annotated[float | None, typer.Option(metavar="Y", help="Carry the stock's growth on to here.")] = None,
    stocks_file: Annotated[
        Path | None, typer.Option("--stocks", metavar="FILE", help="Your own stocks (YAML) over ours.")
    ] = None,
    data_horizon: Annotated[
        str | None, typer.Option(metavar="TEXT", help="When D* of growing budgets passes a text of the stocks.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="CONFIG", help="The nearest model of this sweep's ladder, to launch.")
    ] = None,
    overrides: Overrides = None,
    write_file: Annotated[
        Path | None, typer.Option("--write", metavar="FILE", help="Write the sweep of --model there.")
    ] = None,
    columns: Columns = None,
    mapping: MappingFile = None,
    where: Where = None,
    keep_flagged: KeepFlagged = False,
    json_file: JsonFile = None,
    list_published: Annotated[bool, typer.Option("--list", help="Show every published:NAME and what it says.")] = False,
    debug: Debug = False,
) -> None:
    """Forecast N*, D* and loss at a compute, and the questions the other way round, by one law or several.

    Example: python scripts/forecast.py published:besiroglu runs/demo --flops 1e24
    """
    if list_published:
        show_published(json_file)
        return
    if not law:
        raise InputError("no LAW is given; name one, as published:besiroglu or runs/demo (--list shows the published)")
    check_file(write_file)
    any_stock, throughput = stock or dollars, device or peak_tflops
    of_runs = (
        ("--method", method),
        ("--columns", columns or None),
        ("--mapping", mapping),
        ("--where", where or None),
        ("--keep-flagged", keep_flagged),
    )
    refuse_idle(
        ("--inference-cost-ratio", inference_cost_ratio, "--inference-tokens", inference_tokens),
        ("--anchor-flops", anchor_flops, "--wrong-exponent", wrong_exponent),
        ("--mfu", mfu, "--device or --peak-tflops", throughput),
        ("--devices", devices, "--device or --peak-tflops", throughput),
        ("--share", share, "--stock", any_stock),
        ("--days", days, "--stock", any_stock),
        ("--use", use, "--stock or --dollars", any_stock),
        ("--year", year, "--stock or --dollars", any_stock),
        ("--set", overrides, "--model", model),
        ("--write", write_file, "--model", model),
        (
            "--stocks",
            stocks_file,
            "--stock, --dollars, --device or --data-horizon",
            any_stock or device or data_horizon,
        ),
        *((option, given, "fits of runs, not published laws", own_laws(law)) for option, given in of_runs),
    )
    stocks = load_stocks(stocks_file)
    spending = spending_of(stocks, stock, dollars, share=share, days=days, use=USE if use is None else use, year=year)
    if spending is not None and flops is not None:
        raise InputError("--flops contradicts --stock and --dollars, which say the compute; leave one out")
    budgets = amounts("--flops", flops) if spending is None else [spending.flops]
    source = "--flops" if spending is None else "--stock" if dollars is None else "--dollars"
    questions = questions_of(budgets, loss, params, tokens, source)
    rates = rates_of(
        stocks,
        price_per_flop=price_per_flop,
        gpu_hour=gpu_hour,
        device=device,
        peak_tflops=peak_tflops,
        mfu=mfu,
        devices=devices,
    )
    wanted = Wanted(
        amounts("--inference-tokens", inference_tokens),
        1.0 if inference_cost_ratio is None else inference_cost_ratio,
        amounts("--unique-tokens", unique_tokens),
        wrong_exponent,
        anchor_flops,
        rates,
        spending,
        stocks,
        data_horizon,
    )
    chosen = {"columns": columns_of(columns), "mapping": mapping, "where": where, "keep_flagged": keep_flagged}
    laws = laws_of(law, method, chosen)
    answered, unsaid = ask(laws, questions)
    sections = sections_of(answered, wanted)
    if model is not None:
        found = model_of(model, overrides or [], [one for _, one in answered], write_file)
        sections.json[0]["model"] = found.to_json()
        sections.shown += model_lines(found, write_file)
    finish(answered, sections, [*unsaid, *sections.unsaid], json_file, alone=len(laws) == len(questions) == 1)


def finish(
    answered: Sequence[tuple[Law, Answer]],
    sections: Sections,
    unsaid: Sequence[str],
    json_file: str | None,
    *,
    alone: bool,
) -> None:
    """Write and print all of it; `alone` is one law asked one thing, whose answer is the JSON itself."""
    forecasts = [
        one.to_json() | more | {"fit_warnings": list(law.fit_warnings)}
        for (law, one), more in zip(answered, sections.json, strict=True)
    ]
    write_json(json_file, forecasts[0] if alone else {"forecasts": forecasts, "unanswered": list(unsaid)})
    if json_file == "-":
        note(*warnings_of(answered))
    tell(answered, sections, unsaid)


if __name__ == "__main__":
    run(main)
