"""The cells of a plan as a table, and in words what a process takes, what is trained on and what is kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.table import Table

from isoflop.scripts.cli import naming
from isoflop.fitting.reporting.style import count_text, flops_text
from isoflop.scripts.plan_costs import seconds_text
from isoflop.training.config import load_config
from isoflop.training.corpus import prepare_corpus
from isoflop.training.launch.devices import visible_gpus
from isoflop.training.memory import cell_memory, process_memory
from isoflop.training.plan import Plan, RunPlan
from isoflop.training.planning import make_plan

MOST_ROWS = 1000  # of the table: more take seconds to draw, and nobody reads them
COLUMNS = ("budget", "width", "depth", "N", "N non-emb", "D", "D/N", "batch", "steps", "LR", "off", "memory")


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


def plan_table(plan: Plan, device: str, seconds: Mapping[str, float] | None = None) -> Table:
    """One row a budget and size: replicates share it. `seconds` are each run's alone on one device, by run id."""
    title = f"{plan.config.name}: {len(plan.cells)} cells, {cost_words(plan)}"
    table = Table(title=title, box=None, pad_edge=False, padding=(0, 1, 0, 0), collapse_padding=True)
    for name in (*COLUMNS, *(["time"] if seconds else []), "runs"):
        table.add_column(name, justify="right", no_wrap=True)
    rows: dict[tuple[float, int], list[RunPlan]] = {}
    for cell in plan.cells:
        rows.setdefault((cell.budget, cell.shape.width), []).append(cell)
    shown = list(rows.values())
    left_out = len(shown) - MOST_ROWS
    if left_out > 0:
        shown[MOST_ROWS // 2 : -MOST_ROWS // 2] = []
    for i, cells in enumerate(shown):
        if left_out > 0 and i == MOST_ROWS // 2:
            table.add_row("...")
        time = [seconds_text(seconds[cells[0].run_id])] if seconds else []
        table.add_row(*_cell_words(cells[0], plan, device), *time, str(len(cells)))
    if left_out > 0:
        table.caption = f"{left_out:,} rows in the middle are left out here; `plan.py --json FILE` writes every cell"
    return table


def _cell_words(cell: RunPlan, plan: Plan, device: str) -> list[str]:
    counts = cell.counts.params
    return [
        flops_text(cell.budget),
        str(cell.shape.width),
        str(cell.shape.depth),
        count_text(counts.n_params),
        count_text(counts.n_params_non_embedding),
        count_text(cell.tokens),
        f"{cell.tokens / counts.n_params:.1f}",
        f"{cell.batch_tokens}",
        f"{cell.steps}",
        f"{cell.learning_rate:.2e}",
        f"{cell.flops / cell.budget - 1:+.2%}",
        _size(planned_memory(cell, plan, device)),
    ]


def cost_words(plan: Plan) -> str:
    """Its FLOPs, and what trunks save."""
    cost = f"{flops_text(plan.own_flops)} FLOPs"
    if plan.own_flops == plan.flops:
        return cost
    trunks = len({cell.trunk for cell in plan.cells})
    return f"{cost}: {trunks} trunks save {1 - plan.own_flops / plan.flops:.0%} of {flops_text(plan.flops)}"


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 2**20:,.0f}M" if n_bytes < 10 * 2**30 else f"{n_bytes / 2**30:,.1f}G"


def memory_words(plan: Plan, device: str) -> str:
    """What the column of that name is."""
    execution = plan.config.execution
    of = {
        "cpu": "the peak of a process that trains one cell on the CPU",
        "cuda": "the most that torch allocates on the GPU for one cell, by formula (not measured on a GPU yet)",
    }[device]
    at_once = f"{execution.micro_batch:,} of its sequences" if execution.micro_batch else "the whole batch"
    rough = "; rough for a factory's model" if plan.config.model.factory else ""
    return f"Memory is {of}, {at_once} at a time, in MiB (M) or GiB (G){rough}."


def kept_words(plan: Plan) -> str:
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


def corpus_words(plan: Plan) -> str:
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
