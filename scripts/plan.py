"""Show what a sweep would train, before a FLOP is spent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from isoflop.fitting.jsonio import write_json_atomic
from isoflop.fitting.reporting.style import count_text, flops_text
from isoflop.scripts.cli import ConfigFile, Debug, Overrides, naming, run
from isoflop.scripts.output import show
from isoflop.training.config import load_config
from isoflop.training.corpus import prepare_corpus
from isoflop.training.plan import Plan
from isoflop.training.planning import make_plan


def plan_of(config: Path, overrides: list[str] | None) -> Plan:
    """The plan of a config file; errors name the file."""
    with naming(config):
        sweep = load_config(config, overrides or [])
        return make_plan(sweep, prepare_corpus(sweep.data).info)


def plan_table(plan: Plan) -> Table:
    """One row a budget and size: replicates share it."""
    table = Table(title=f"{plan.config.name}: {len(plan.cells)} cells, {_cost(plan)}", box=None)
    for name in (
        "budget",
        "width",
        "depth",
        "N",
        "N non-emb",
        "D",
        "D/N",
        "batch",
        "steps",
        "LR",
        "off",
        "runs",
    ):
        table.add_column(name, justify="right")
    rows: dict[tuple[float, int], list] = {}
    for cell in plan.cells:
        rows.setdefault((cell.budget, cell.shape.width), []).append(cell)
    for (budget, width), cells in rows.items():
        cell, counts = cells[0], cells[0].counts.params
        table.add_row(
            flops_text(budget),
            str(width),
            str(cell.shape.depth),
            count_text(counts.n_params),
            count_text(counts.n_params_non_embedding),
            count_text(cell.tokens),
            f"{cell.tokens / counts.n_params:.1f}",
            f"{cell.batch_tokens}",
            f"{cell.steps}",
            f"{cell.learning_rate:.2e}",
            f"{cell.flops / budget - 1:+.2%}",
            str(len(cells)),
        )
    return table


def _cost(plan: Plan) -> str:
    cost = f"{flops_text(plan.own_flops)} FLOPs"
    if plan.own_flops == plan.flops:
        return cost
    trunks = len({cell.trunk for cell in plan.cells})
    return f"{cost}: {trunks} trunks save {1 - plan.own_flops / plan.flops:.0%} of {flops_text(plan.flops)}"


def _kept(plan: Plan) -> str:
    """What stays on disk once the sweep is over, by the config."""
    execution = plan.config.execution
    n_params = {cell.run_id: cell.counts.params.n_params for cell in plan.cells}
    weights = sum(4 * n for n in n_params.values())
    trunks = sum(12 * n_params[cell.run_id] for cell in plan.cells if cell.trunk)  # weights and two moments
    kept = [
        f"{size / 2**20:,.1f} MiB of {what} ({key})"
        for size, what, key, on in (
            (weights, "weights", "execution.keep_weights", execution.keep_weights),
            (trunks, "trunk states", "execution.keep_trunks", execution.keep_trunks),
        )
        if on and size
    ]
    return f"Kept in the sweep's folder beside its records: {', '.join(kept) or 'nothing'}."


def _corpus(plan: Plan) -> str:
    """What is trained on and scored, what was left out, and how much of each validation set training holds too."""
    info = plan.corpus
    words = (
        f"Corpus {info.fingerprint}: {info.train_tokens:,} tokens to train on, {info.validation_tokens:,} held "
        f"out, from {info.n_documents:,} documents ({info.n_duplicates:,} exact duplicates left out)."
    )
    near = plan.config.data.near_duplicates
    if near.action != "off":
        done = {"remove": "left out of", "report": "kept in"}[near.action]
        words += f"\n{info.n_near_duplicates:,} near duplicates of validation documents are {done} training."
    unit = "tokens" if plan.config.data.corpus.kind == "tokens" else "words"
    for name, held_out in info.validation.items():
        overlap = "not measured" if held_out.overlap is None else f"{held_out.overlap:.1%}"
        words += (
            f"\n  {name}: {held_out.tokens:,} tokens of {held_out.n_documents:,} documents; "
            f"n-grams of {near.ngram} {unit} that training holds too: {overlap}"
        )
    return words


def _doubts(plan: Plan) -> str:
    """The notes on the recipe, one line a rule with how many cells it concerns, and which cells end hot."""
    notes: dict[str, list[str]] = {}
    for note in (note for cell in plan.cells for note in cell.notes):
        notes.setdefault(note.rsplit(": ", 1)[0], []).append(note)  # key and rule come before a cell's own numbers
    lines = [f"{len(same)} of {len(plan.cells)} cells: {_span(same)}" for same in notes.values()]
    hot = [cell for cell in plan.cells if cell.phase == "hot"]
    if hot and len(hot) < len(plan.cells):
        example = f"budget {flops_text(hot[0].budget)} at width {hot[0].shape.width}"
        lines.append(
            f"{len(hot)} of {len(plan.cells)} cells, as {example}, end before their rate has decayed (phase hot), "
            "which puts their losses above the others'; shorten recipe.schedule.warmup, or leave them out of the fit"
        )
    return "".join(f"\nNote: {line}" for line in lines)


def _span(notes: list[str]) -> str:
    """The notes of one rule as one: the first, and the last where it says something else."""
    return notes[0] if notes[0] == notes[-1] else f"{notes[0]} ... {notes[-1].rsplit(': ', 1)[1]}"


def main(
    config: ConfigFile,
    overrides: Overrides = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the whole plan there.")] = None,
    debug: Debug = False,
) -> None:
    """Show a sweep's cells: sizes, tokens, batch, steps, learning rate, and how far each is off its budget.

    Example: python scripts/plan.py configs/demo.yaml --set grid.seeds=1
    """
    plan = plan_of(config, overrides)
    show(
        plan_table(plan),
        f"\nN and D count parameters and tokens; budgets are {plan.config.grid.flops} training FLOPs.",
        _corpus(plan),
        _kept(plan) + _doubts(plan),
    )
    if json is not None:
        json.parent.mkdir(parents=True, exist_ok=True)
        write_json_atomic(json, plan.to_json())


if __name__ == "__main__":
    run(main)
