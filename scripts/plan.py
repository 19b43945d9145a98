"""Show what a sweep would train, before a FLOP is spent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from isoflop.fitting.jsonio import write_json_atomic
from isoflop.fitting.reporting.style import count_text, flops_text
from isoflop.scripts.cli import ConfigFile, Debug, Overrides, naming, run
from isoflop.scripts.output import show
from isoflop.training.config import load_config
from isoflop.training.corpus import prepare_corpus
from isoflop.training.launch.devices import visible_gpus
from isoflop.training.memory import cell_memory, process_memory
from isoflop.training.plan import Plan, RunPlan
from isoflop.training.planning import make_plan

MOST_ROWS = 1000  # of the table: more take seconds to draw, and nobody reads them


def plan_of(config: Path, overrides: list[str] | None) -> Plan:
    """The plan of a config file; errors name the file."""
    with naming(config):
        sweep = load_config(config, overrides or [])
        return make_plan(sweep, prepare_corpus(sweep.data).info)


def planned_device(plan: Plan) -> str:
    """Where the cells would run if the sweep began here and now: "cuda" or "cpu"."""
    execution = plan.config.execution
    return "cuda" if execution.device == "cuda" or visible_gpus(execution) else "cpu"


def planned_memory(cell: RunPlan, plan: Plan, device: str) -> int:
    """Peak bytes of training `cell` alone: on a CPU of the whole process, on a GPU of what torch allocates there."""
    process = process_memory(cell, plan.config, plan.corpus) if device == "cpu" else 0
    return process + cell_memory(cell, plan.config, device=device)


def plan_table(plan: Plan, device: str) -> Table:
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
        "memory",
        "runs",
    ):
        table.add_column(name, justify="right")
    rows: dict[tuple[float, int], list] = {}
    for cell in plan.cells:
        rows.setdefault((cell.budget, cell.shape.width), []).append(cell)
    shown = list(rows.items())
    left_out = len(shown) - MOST_ROWS
    if left_out > 0:
        shown[MOST_ROWS // 2 : -MOST_ROWS // 2] = []
    for i, ((budget, width), cells) in enumerate(shown):
        if left_out > 0 and i == MOST_ROWS // 2:
            table.add_row("...")
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
            _size(planned_memory(cell, plan, device)),
            str(len(cells)),
        )
    if left_out > 0:
        table.caption = f"{left_out:,} rows in the middle are left out here; `plan.py --json FILE` writes every cell"
    return table


def _cost(plan: Plan) -> str:
    cost = f"{flops_text(plan.own_flops)} FLOPs"
    if plan.own_flops == plan.flops:
        return cost
    trunks = len({cell.trunk for cell in plan.cells})
    return f"{cost}: {trunks} trunks save {1 - plan.own_flops / plan.flops:.0%} of {flops_text(plan.flops)}"


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 2**20:,.0f}M" if n_bytes < 10 * 2**30 else f"{n_bytes / 2**30:,.1f}G"


def _memory(plan: Plan, device: str) -> str:
    """What the column of that name is."""
    execution = plan.config.execution
    of = {
        "cpu": "the peak of a process that trains one cell on the CPU",
        "cuda": "the most that torch allocates on the GPU for one cell, by formula (not measured on a GPU yet)",
    }[device]
    at_once = f"{execution.micro_batch:,} of its sequences" if execution.micro_batch else "the whole batch"
    rough = "; rough for a factory's model" if plan.config.model.factory else ""
    return f"Memory is {of}, {at_once} at a time, in MiB (M) or GiB (G){rough}."


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


def _with_memory(plan: Plan, device: str) -> dict[str, Any]:
    """The plan as it stands in plan.json, and beside it each cell's peak on the planned device."""
    peaks = {cell.run_id: planned_memory(cell, plan, device) for cell in plan.cells}
    return plan.to_json() | {"memory": {"device": device, "bytes": peaks}}


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
    device = planned_device(plan)
    show(
        plan_table(plan, device),
        f"\nN and D count parameters and tokens; budgets are {plan.config.grid.flops} training FLOPs.",
        _memory(plan, device),
        _corpus(plan),
        _kept(plan) + _doubts(plan),
    )
    if json is not None:
        json.parent.mkdir(parents=True, exist_ok=True)
        write_json_atomic(json, _with_memory(plan, device))


if __name__ == "__main__":
    run(main)
