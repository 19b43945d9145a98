"""Benchmark scores from losses, and from size, tokens or compute through losses; needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from isoflop.scripts.cli import Debug, run
from isoflop.fitting.downstream.analysis import Prediction, TaskResult, analyse_task
from isoflop.fitting.downstream.routes import Known
from isoflop.fitting.downstream.runs import named_runs, tasks_of
from isoflop.fitting.downstream.steps import Target
from isoflop.fitting.errors import FitError, InputError
from isoflop.fitting.jsonio import write_json_atomic
from isoflop.fitting.query import rows_matching
from isoflop.fitting.readers import load_runs
from isoflop.fitting.reporting.downstream import (
    held_out_table,
    predictions_table,
    score_figure,
    target_text,
    tasks_table,
    to_json,
)
from isoflop.fitting.reporting.figures import save_figures
from isoflop.fitting.runs import RunTable
from isoflop.scripts.amounts import amount
from isoflop.scripts.drawing import wrote
from isoflop.scripts.output import JsonFile, check_writable, show, write_json
from isoflop.scripts.sources import Columns, KeepFlagged, Loss, MappingFile, Sources, Where, columns_of

_SAME_COST = 0.05  # relative


def main(
    source: Sources,
    score: Annotated[
        str, typer.Option(metavar="COL,...", help="The score, a column or a formula as '1 - error'; or one a task.")
    ],
    columns: Columns = None,
    mapping: MappingFile = None,
    loss: Loss = None,
    task: Annotated[
        str | None, typer.Option(metavar="COL", help="The column that says which task a row is of.")
    ] = None,
    run_columns: Annotated[
        str | None,
        typer.Option(
            "--run", metavar="COL,...", help="Columns that together name a run: its rows are resampled as one."
        ),
    ] = None,
    where: Where = None,
    keep_flagged: KeepFlagged = False,
    chance: Annotated[
        str | None, typer.Option(metavar="SHARE|TASK=SHARE,...", help="What guessing scores: .25 of four choices.")
    ] = None,
    ceiling: Annotated[
        str | None, typer.Option(metavar="SHARE|TASK=SHARE,...", help="The highest score that can be reached.")
    ] = None,
    anchor: Annotated[
        str | None,
        typer.Option(metavar="SHARE|TASK=SHARE,...", help="Sigmoid: one more point, this score at loss 0 (OLMo: 1)."),
    ] = None,
    link: Annotated[
        str, typer.Option(help="sigmoid, linear, exponential; auto: what predicts the largest size best.")
    ] = "auto",
    at_params: Annotated[
        str | None, typer.Option(metavar="N", help="Predict this size, as 7B, with --at-tokens.")
    ] = None,
    at_tokens: Annotated[str | None, typer.Option(metavar="D", help="Predict these training tokens, as 4T.")] = None,
    at_flops: Annotated[str | None, typer.Option(metavar="C", help="Predict these training FLOPs, as 1e23.")] = None,
    holdout_where: Annotated[
        str | None,
        typer.Option(metavar="QUERY", help="Keep these rows out of every fit, and predict their runs' ends."),
    ] = None,
    resamples: Annotated[int, typer.Option(min=0, help="For the intervals.")] = 400,
    level: Annotated[float, typer.Option(help="Of the intervals.")] = 0.95,
    seed: Annotated[int, typer.Option(help="Of the resampling.")] = 0,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write downstream.json and figures/ there.")] = None,
    json_file: JsonFile = None,
    debug: Debug = False,
) -> None:
    """Fit benchmark scores to losses and to compute; predict a model's score.

    Example: python scripts/downstream.py runs.csv --score accuracy --loss task_loss --task task --at-flops 1e23
    """
    if not 0 < level < 1:
        raise InputError(f"--level {level:g}: must be between 0 and 1, as .95")
    check_writable(None, out)
    named = columns_of(columns, loss)
    table = load_runs(*source, columns=named, mapping=mapping, where=where, apart=task, keep_flagged=keep_flagged)
    if run_columns is not None:
        table = named_runs(table, _names(run_columns))
    kept, left = _held_out(table, holdout_where, task)
    scores = _names(score)
    fitted = tasks_of(kept, scores, task, beside=left)
    held = {} if left is None else {runs.task: runs for runs in tasks_of(left, scores, task, beside=kept)}
    names = [runs.task for runs in fitted]
    given = {
        key: _shares(key, text, names) for key, text in (("chance", chance), ("ceiling", ceiling), ("anchor", anchor))
    }
    targets = _targets(at_params, at_tokens, at_flops, table)
    results, failed = [], {}
    for runs in fitted:
        known = Known(**{key: values.get(runs.task) for key, values in given.items()})
        try:
            results.append(
                analyse_task(
                    runs,
                    targets,
                    held.get(runs.task),
                    link=link,
                    known=known,
                    resamples=resamples,
                    seed=seed,
                    level=level,
                )
            )
        except FitError as error:
            failed[runs.task] = str(error)
    if not results:
        raise FitError("; ".join(failed.values()))
    excluded = [f"{len(table.excluded)} rows excluded; `fit` lists them"] if table.excluded else []
    notes = [
        *table.notes,
        *excluded,
        *(f"task {name}: held out, but not among the rows fitted" for name in held if name not in names),
    ]
    report = to_json(results, failed, notes)
    write_json(json_file, report)
    _tell(results, failed, notes)
    if out is not None:
        written = save_figures(out / "figures", {"downstream": score_figure(results, table)})
        write_json_atomic(out / "downstream.json", report)
        show(*wrote((out / "downstream.json", *written)))


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _held_out(table: RunTable, query: str | None, task: str | None) -> tuple[RunTable, RunTable | None]:
    if query is None:
        return table, None
    try:
        chosen = rows_matching(table.frame, query)
    except InputError as error:
        raise InputError(str(error).replace("--where", "--holdout-where", 1)) from None
    if not chosen.any() or chosen.all():
        some = "all" if chosen.all() else "none"
        raise InputError(
            f"--holdout-where {query!r} selects {some} of {len(chosen)} rows: leave some to fit and some out"
        )
    kept, left = (replace(table, frame=table.frame[rows].reset_index(drop=True)) for rows in (~chosen, chosen))
    keys = ["run", *([task] if task is not None and task in table.frame else [])]
    of_kept, of_left = (set(part.fitted[keys].itertuples(index=False, name=None)) for part in (kept, left))
    split = sorted({str(key[0]) for key in of_kept & of_left})
    if split:
        more = f" and {len(split) - 1} more runs" if len(split) > 1 else ""
        raise InputError(
            f"--holdout-where {query!r}: rows of {split[0]}{more} are on both sides: what is "
            "left in the fit is of the same runs; hold whole runs out, and name what makes a run with --run"
        )
    return kept, left


def _shares(option: str, text: str | None, tasks: Sequence[str]) -> dict[str, float]:
    """One share for all tasks, or TASK=SHARE,... Raises InputError for a task that is not there, or no share."""
    if text is None:
        return {}
    pairs = [item.rpartition("=") for item in text.split(",")]
    named = [(name.strip(), _share(option, value)) for name, _, value in pairs]
    if len(named) == 1 and not named[0][0]:
        return dict.fromkeys(tasks, named[0][1])
    unknown = next((name for name, _ in named if name not in tasks), None)
    if unknown is not None:
        raise InputError(f"--{option} {text}: no task {unknown!r}; there are {', '.join(tasks)}")
    return dict(named)


def _share(option: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value <= 1:
        raise InputError(f"--{option} {text.strip()}: must be a share from 0 to 1, as .25, or TASK=.25,...")
    return value


def _targets(params: str | None, tokens: str | None, flops: str | None, table: RunTable) -> list[Target]:
    if (params is None) != (tokens is None):
        raise InputError("--at-params and --at-tokens go together; or give --at-flops")
    found = {
        name: None if text is None else amount(f"--at-{option}", text)
        for name, option, text in (
            ("n_params", "params", params),
            ("tokens", "tokens", tokens),
            ("flops", "flops", flops),
        )
    }
    if not any(found.values()):
        return []
    if table.flops_convention == "6nd" and params is not None:  # else the cost of that size is not known
        cost = 6.0 * (found["n_params"] or 0) * (found["tokens"] or 0)
        asked = found["flops"] = found["flops"] or cost
        if not abs(asked / cost - 1) <= _SAME_COST:
            raise InputError(
                f"--at-flops {flops}: --at-params {params} and --at-tokens {tokens} take {cost:.3g} FLOPs by 6ND, the "
                "table's own count: give the size with its tokens, or the FLOPs"
            )
    return [Target(found["n_params"], found["tokens"], found["flops"])]


def _tell(results: Sequence[TaskResult], failed: dict[str, str], notes: Sequence[str]) -> None:
    show(*(line for result in results for line in (_beyond(result, found) for found in result.predictions) if line))
    show(*filter(None, (predictions_table(results), tasks_table(results), held_out_table(results))))
    for result in results:
        task, largest = result.runs.task, result.largest
        show(f"{task}: {_law(result)}")
        for found in result.predictions:
            spread = ", ".join(f"{name} {value:.4f}" for name, value in found.by_link.items())
            show(f"{task}, {target_text(found)}: the same loss under each link: {spread}")
        if largest is not None and largest.better_route is not None:
            show(f"{task}: at the largest size left out, {largest.better_route} predicts better")
        if largest is None:
            show(f"{task}: no held-out error: {result.why_no_largest}")
        show(*(f"{task}: no {route}: {why}" for route, why in result.missing.items()))
        show(*(f"warning: {task}: {warning}" for warning in result.warnings))
        show(*(f"note: {task}: {note}" for note in result.runs.notes))
    show(*(f"not fitted: {why}" for why in failed.values()))
    show(*(f"note: {note}" for note in notes))


def _beyond(result: TaskResult, found: Prediction) -> str:
    parts = []
    if found.beyond_flops > 0:
        parts.append(f"{10**found.beyond_flops:.3g} times the most compute fitted")
    if found.beyond_loss > 0:
        parts.append(f"a loss {found.beyond_loss:.1%} of the fitted range below the lowest fitted")
    where = f"{result.runs.task}, {target_text(found)}"
    return f"EXTRAPOLATION: {where}: {' and '.join(parts)}" if parts else ""


def _law(result: TaskResult) -> str:
    shape = {
        "sigmoid": "score = floor + (ceiling - floor) / (1 + exp(steepness (L - midpoint)))",
        "linear": "score = intercept + slope L",
        "exponential": "score = floor + height exp(-gamma L)",
    }[result.link.link.name]
    numbers = ", ".join(
        f"{name} {each.value:.4g}"
        + (" (given)" if name in result.link.known else "")
        + (f" [{each.low:.4g}, {each.high:.4g}]" if each.low is not None and each.high is not None else "")
        for name, each in result.parameters.items()
    )
    return f"{shape}: {numbers}"


if __name__ == "__main__":
    run(main)
