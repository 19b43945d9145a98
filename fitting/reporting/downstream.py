"""Benchmark scores as tables, and as points about their link with what was predicted and measured."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves the **kwargs of its methods untyped.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table
from rich.text import Text

from ..downstream.analysis import Prediction, TaskResult
from ..downstream.heldout import HeldOutError
from ..downstream.links import LINKS
from ..results import Estimate
from ..runs import RunTable
from .style import BLACK, BLUE, GREY, ORANGE, RED, count_text, figure_style, flops_text, sequential_colors, unit_text
from .tables import plain_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NONE = "-"


def tasks_table(results: Sequence[TaskResult]) -> Table:
    """A row a task: whether its score follows the loss, in a word and in numbers."""
    table = plain_table("Does the score follow the loss?")
    headers = ("task", "verdict", "link", "runs", "scatter", "of span", "rank", "explained", "to ceiling")
    for header in headers:
        left = header in ("task", "verdict", "link")
        table.add_column(header, justify="left" if left else "right", no_wrap=header != "task", overflow="fold")
    for result in results:
        seen = result.smoothness
        cells = (
            Text(result.runs.task),
            seen.verdict,
            result.link.link.name,
            str(result.n_units),
            f"{seen.scatter:.4f}",
            _NONE if seen.scatter_of_span is None else f"{seen.scatter_of_span:.1%}",
            f"{seen.rank_correlation:.3f}",
            f"{seen.share_explained:.1%}",
            f"{seen.normalised:.0%}",
        )
        table.add_row(*cells)
    return table


def held_out_table(results: Sequence[TaskResult]) -> Table | None:
    """Errors at the largest size, left out: each link from its own loss, and the two routes without a loss."""
    tried = [result for result in results if result.largest is not None]
    if not tried:
        return None
    table = plain_table("Largest size left out and predicted: RMS error of the score, mean relative error")
    table.add_column("task", overflow="fold")
    for header in ("left out", *LINKS, "two steps", "one step"):
        table.add_column(header, justify="right", no_wrap=True)
    for result in tried:
        largest = result.largest
        assert largest is not None
        links = [_error(largest.links.get(name)) for name in LINKS]
        routes = [_error(largest.routes.get(name)) for name in ("two steps", "one step")]
        table.add_row(Text(result.runs.task), count_text(largest.n_params), *links, *routes)
    return table


def _error(error: HeldOutError | None) -> str:
    return _NONE if error is None else f"{_share_text(error.rms, 4)} {error.relative:.1%}"


def predictions_table(results: Sequence[TaskResult]) -> Table | None:
    """A row a task and target: score by two steps, by one, and from the loss measured, beside the score measured."""
    rows = [(result, prediction) for result in results for prediction in result.predictions]
    if not rows:
        return None
    table = plain_table(f"Predicted scores [{results[0].level:.0%}]")
    measured = any(prediction.measured_score is not None for _, prediction in rows)
    headers = [
        "task",
        "model",
        "loss",
        "two steps",
        "one step",
        *(["from its loss", "measured"] if measured else []),
    ]
    for header in headers:
        left = header in ("task", "model")
        table.add_column(header, justify="left" if left else "right", no_wrap=not left, overflow="fold")
    for result, found in rows:
        cells = [
            Text(result.runs.task),
            Text(target_text(found)),
            _NONE if found.loss is None else f"{found.loss.value:.4f}",
            *map(estimate_text, (found.score, found.one_step)),
        ]
        if measured:
            score = found.measured_score
            cells += [estimate_text(found.from_loss), _NONE if score is None else _share_text(score, 4)]
        table.add_row(*cells)
    return table


def target_text(prediction: Prediction) -> str:
    """The target's name, or its size and tokens, or its FLOPs."""
    target = prediction.target
    if target.name != "target":
        return target.name
    if target.n_params is not None and target.tokens is not None:
        return f"{count_text(target.n_params)}, {count_text(target.tokens)} tokens"
    return f"{flops_text(target.flops or 0)} FLOPs"


def estimate_text(found: Estimate | None) -> str:
    """A share to four decimals and its bounds to three, as .5127 [.433, .578]; the heading says the level."""
    if found is None:
        return _NONE
    if found.low is None or found.high is None:
        return _share_text(found.value, 4)
    return f"{_share_text(found.value, 4)} [{_share_text(found.low, 3)}, {_share_text(found.high, 3)}]"


def _share_text(share: float, decimals: int) -> str:
    return f"{share:.{decimals}f}".replace("0.", ".", 1)


def score_figure(results: Sequence[TaskResult], table: RunTable) -> Figure:
    """A panel a task: scores against loss, coloured by size; the link with its interval; what was predicted."""
    from .shown_figure import ShownFigure  # matplotlib, where something is drawn

    with figure_style():
        columns = min(3, len(results))
        rows = -(-len(results) // columns)
        figure = ShownFigure(figsize=(3.9 * columns, 3.4 * rows))
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, result in zip(panels, results, strict=False):
            _draw(axes, result, unit_text(table.loss_unit))
        for axes in panels[len(results) :]:
            axes.set_visible(False)
    return figure


def _draw(axes: Axes, result: TaskResult, unit: str) -> None:
    runs, link = result.runs, result.link.link
    sizes = np.unique(runs.n_params)
    for size, color in zip(sizes, sequential_colors(len(sizes)), strict=True):
        of_size = runs.n_params == size
        label = count_text(size) if len(sizes) <= 6 else None
        axes.plot(runs.loss[of_size], runs.score[of_size], ".", color=color, markersize=3, alpha=0.6, label=label)
    x = result.band_loss
    if result.band is not None:
        axes.fill_between(x, *result.band, color=GREY, alpha=0.25, linewidth=0, label=f"{result.level:.0%} of the law")
    axes.plot(x, link.score(x), color=BLACK, label=link.name)
    if result.known.chance is not None:
        axes.axhline(result.known.chance, color=GREY, linestyle=":", linewidth=1, label="chance")
    said: set[str] = set()
    for found in result.predictions:
        if found.score is not None and found.loss is not None:
            _bar(axes, found.loss.value, found.score, said)
        if found.measured_score is not None and found.measured_loss is not None:
            label = None if "measured" in said else "measured, held out"
            axes.plot(found.measured_loss, found.measured_score, "x", color=RED, markersize=7, label=label, zorder=4)
            said.add("measured")
    axes.invert_xaxis()
    axes.set_xlabel(f"loss, {unit} (falling)")
    axes.set_ylabel("score")
    axes.set_title(f"{runs.task}: {result.smoothness.verdict}")
    axes.legend(loc="upper left", fontsize=7)


def _bar(axes: Axes, loss: float, score: Estimate, said: set[str]) -> None:
    if score.low is not None and score.high is not None:
        axes.plot([loss, loss], [score.low, score.high], color=ORANGE, linewidth=1.2)
    label = None if "predicted" in said else "predicted, two steps"
    axes.plot(loss, score.value, "o", color=ORANGE, markeredgecolor=BLUE, markersize=6, label=label, zorder=4)
    said.add("predicted")


def to_json(results: Sequence[TaskResult], failed: Mapping[str, str], notes: Sequence[str]) -> dict[str, Any]:
    """What the command writes: a task an object. Scores are shares of 1."""
    return {
        "schema_version": 1,
        "tasks": {result.runs.task: _task_json(result) for result in results},
        "failed": dict(failed),
        "notes": list(notes),
    }


def _task_json(result: TaskResult) -> dict[str, Any]:
    runs, fit = result.runs, result.link
    return {
        "n_rows": len(runs),
        "n_runs": result.n_units,
        "loss_range": [runs.loss.min(), runs.loss.max()],
        "score_range": [runs.score.min(), runs.score.max()],
        "percent": runs.percent,
        "known": result.known,
        "link": {
            "name": fit.link.name,
            "status": result.status,
            "at_bound": fit.at_bound,
            "parameters": result.parameters,
        },
        "smoothness": result.smoothness,
        "links": result.links,
        "largest_left_out": result.largest,
        "better_route": None if result.largest is None else result.largest.better_route,
        "predictions": result.predictions,
        "missing": result.missing,
        "warnings": result.warnings,
        "notes": runs.notes,
    }
