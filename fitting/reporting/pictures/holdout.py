"""How laws predict budgets that they were not fitted to: the runs of the largest, and the error at each."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ...analysis import Analysis
from ...errors import InputError
from ...holdout import Holdout
from ..marks import n_params_label
from ..style import BLACK, BLUE, GREY, ORANGE, flops_text
from .captions import loss_label, percent_text, size_words
from .hover import run_hover
from .picture import Array, Axis, Dash, Line, Mark, Panel, Picture, Points, Rule, Symbol

_LOOKS: tuple[tuple[str, Symbol, Dash], ...] = ((BLUE, "square", "solid"), (ORANGE, "triangle", "dash"))
_NAMES = {"chinchilla": "Chinchilla's law", "kaplan": "Kaplan's law"}


def holdout_picture(analysis: Analysis) -> Picture:
    """First, measured and predicted losses of the largest budget; second, each law's error by the budget left out.

    Raises:
        InputError: no budget was held out.
    """
    held = analysis.holdout
    if held is None:
        raise InputError("the holdout picture needs budgets held out; the analysis has none")
    panels = (_largest(analysis, held), _by_budget(held))
    return Picture("holdout", "Budgets held out and predicted", _caption(analysis, held), panels, notes=held.failed)


def _looks(held: Holdout) -> list[tuple[str, str, Symbol, Dash]]:
    return [(name, *_LOOKS[place % len(_LOOKS)]) for place, name in enumerate(held.each) if held.each[name]]


def _largest(analysis: Analysis, held: Holdout) -> Panel:
    order: list[int] = np.argsort([run.n_params for run in held.runs], kind="stable").tolist()
    runs = [held.runs[i] for i in order]
    n, loss = (np.array([getattr(run, name) for run in runs]) for name in ("n_params", "loss"))
    hover, links = run_hover(_rows(analysis, held).iloc[order])
    marks: list[Mark] = []
    for name, color, symbol, dash in _looks(held):
        if name not in held.largest:
            continue
        predicted = np.array([run.predicted[name] for run in runs])
        label = _name(name)
        texts = tuple(
            f"{label}, without this budget\npredicted loss {value:.4f}, "
            f"{percent_text(value / run.loss - 1, True)} off\n{text}"
            for value, run, text in zip(predicted, runs, hover, strict=True)
        )
        marks.append(Line(n, predicted, color, width=1.0, dash=dash, label=label, hover=label))
        marks.append(Points(n, predicted, color, symbol, 4.5, label=label, hover=texts, links=links))
    marks.append(Points(n, loss, BLACK, size=4.5, label="measured", hover=hover, links=links))
    x = Axis(n_params_label(analysis.options.n_params), True, "count", _around(n))
    return Panel(x, Axis(loss_label(analysis.table)), tuple(marks), f"{flops_text(held.budget)} FLOPs, held out")


def _rows(analysis: Analysis, held: Holdout) -> pd.DataFrame:
    """The table's rows of the runs held out, one each and in their order."""
    keys = ["run", "n_params", "tokens", "loss"]
    wanted = pd.DataFrame([{name: getattr(run, name) for name in keys} for run in held.runs])
    return wanted.merge(analysis.table.fitted.drop_duplicates(keys), how="left", on=keys)


def _by_budget(held: Holdout) -> Panel:
    marks: list[Mark] = [Rule("x", held.budget, GREY, label="the largest budget: an extrapolation")]
    budgets: list[float] = []
    for name, color, symbol, dash in _looks(held):
        each = held.each[name]
        budget, error = (np.array([getattr(result, field) for result in each]) for field in ("budget", "rms_error"))
        budgets += budget.tolist()
        texts = tuple(
            f"{_name(name)}\n{flops_text(result.budget)} FLOPs left out, {result.n_runs} runs\n"
            f"RMS error {percent_text(result.rms_error)}, bias {percent_text(result.mean_error, True)}\n"
            f"on the runs fitted {percent_text(result.rms_fitted)}"
            for result in each
        )
        marks.append(Line(budget, error, color, width=1.0, dash=dash, label=_name(name), hover=_name(name)))
        marks.append(Points(budget, error, color, symbol, 4.5, label=_name(name), hover=texts))
    highest = max(result.rms_error for results in held.each.values() for result in results)
    x = Axis("budget left out, FLOPs", True, "flops", _around(np.array(budgets)))
    return Panel(x, Axis("RMS error of the loss", written="percent", limits=(0.0, 1.1 * highest or 1.0)), tuple(marks))


def _around(values: Array) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    room = max((high / low) ** 0.05, 1.05)
    return low / room, high * room


def _name(law: str) -> str:
    return _NAMES.get(law, law)


def _caption(analysis: Analysis, held: Holdout) -> str:
    found = "; ".join(
        f"{_name(name)}: {percent_text(result.rms_error)} root mean square, "
        f"{percent_text(result.mean_error, True)} on average"
        for name, result in held.largest.items()
    )
    return (
        f"First: the {len(held.runs)} runs of the largest budget ({flops_text(held.budget)} FLOPs) and what each law, "
        f"fitted to the smaller budgets alone, says of them ({found}; ln L predicted less measured; N: "
        f"{size_words(analysis.options.n_params)}). Second: the root mean square error at each of {held.n_budgets} "
        "budgets left out in turn. At the largest the laws extrapolate; at the others larger budgets remain in the fit."
    )
