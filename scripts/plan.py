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
    info = plan.corpus
    show(
        plan_table(plan),
        f"\nN and D count parameters and tokens; budgets are {plan.config.grid.flops} training FLOPs."
        f"\nCorpus {info.fingerprint}: {info.train_tokens:,} tokens to train on, {info.validation_tokens:,} held "
        f"out, from {info.n_documents:,} documents ({info.n_duplicates:,} exact duplicates left out).",
        _kept(plan),
    )
    if json is not None:
        json.parent.mkdir(parents=True, exist_ok=True)
        write_json_atomic(json, plan.to_json())


if __name__ == "__main__":
    run(main)
