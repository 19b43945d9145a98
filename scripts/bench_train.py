"""Time our training beside Hugging Face's Trainer and a plain PyTorch loop, over a ladder of sizes."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from isoflop.fitting.reporting.style import count_text
from isoflop.scripts.bench_cells import OURS, PLAIN, Bench, Settings, contenders, described, prepared
from isoflop.scripts.bench_packing import is_small, packed_tables, share, stack
from isoflop.scripts.bench_workers import NoMemory, Pool, Timing, ratio_text, times
from isoflop.scripts.output import note, show
from isoflop.training.plan import RunPlan


def race(bench: Bench, cell: RunPlan, pool: Pool) -> dict[str, Any]:
    """Every contender on `cell`, a process each, their rounds by turns; what each came to, and ours over theirs."""
    found = contenders(bench.config.execution)
    processes = pool.first(len(found))
    timings: dict[str, list[Timing | NoMemory]] = {contender.name: [] for contender in found}
    for process in processes:  # by turns, and in all of them: it takes some memory
        bench.note(process)
    steps = bench.steps_for(cell, processes[PLAIN])
    for _ in range(bench.settings.repeats):
        for contender, process in zip(found, processes, strict=True):
            asked = bench.round(cell, contender.way, steps, **contender.execution)
            timings[contender.name].append(process.measure(asked))
    rows = {name: _summary(rounds) for name, rounds in timings.items()}
    ours = rows[OURS].get("rates")
    ratios = {name: times(ours, row["rates"]) for name, row in rows.items() if name != OURS and ours and "rates" in row}
    return {**described(cell), "steps": bench.round(cell, OURS, steps).steps, "contenders": rows, "ratios": ratios}


def _summary(rounds: Sequence[Timing | NoMemory]) -> dict[str, Any]:
    timings = [timing for timing in rounds if isinstance(timing, Timing)]
    if len(timings) < len(rounds):
        return {"error": next(timing.words for timing in rounds if isinstance(timing, NoMemory))}
    rates = [timing.rate for timing in timings]
    return {
        "rates": rates,
        "tokens_per_second": statistics.median(rates),
        "loss": timings[-1].loss,
        "peak_bytes": max(timing.peak_bytes for timing in timings),
        "start_bytes": timings[0].start_bytes,
    }


def mfu(bench: Bench, figures: dict[str, Any], rate: float) -> float:
    """Model FLOPs utilisation: the exact FLOPs of the tokens trained in a second over the matmul peak."""
    return rate * figures["flops_per_token"] / bench.peak


def ladder_table(races: Sequence[dict[str, Any]]) -> Table:
    """A row a contender and size."""
    table = Table(title="One cell at a time", title_justify="left", box=None, header_style="")
    for name in ("N", "batch", "contender", "tokens/s", "MFU", "MiB", "after start", "loss", "ours is"):
        table.add_column(name, justify="left" if name == "contender" else "right", no_wrap=True)
    for figures in races:
        first = [count_text(figures["n_params"]), f"{figures['batch_tokens']:,}"]
        for name, row in figures["contenders"].items():
            if "error" in row:
                table.add_row(*first, name, "out of memory")
            else:
                ratio = figures["ratios"].get(name)
                table.add_row(
                    *first,
                    name,
                    f"{row['tokens_per_second']:,.0f}",
                    f"{row['mfu']:.1%}",
                    f"{row['peak_bytes'] / 2**20:,.0f}",
                    f"{(row['peak_bytes'] - row['start_bytes']) / 2**20:,.0f}",
                    f"{row['loss']:.3f}",
                    "" if ratio is None else ratio_text(ratio),
                )
            first = ["", ""]
    return table


def bench_train(source: Path | None, overrides: Sequence[str], sizes: str | None, settings: Settings) -> dict[str, Any]:
    """The ladder, stacks of cells, and processes that share the device; prints three tables."""
    races, stacked, shared = [], [], []
    with prepared(source, overrides, sizes, settings) as bench:
        for cell in bench.cells:
            with Pool(bench.folder, bench.config.execution) as pool:
                races.append(race(bench, cell, pool))
                if is_small(bench, cell):
                    stacked += stack(bench, cell, pool)
                    shared += share(bench, cell, pool)
            note(f"N = {count_text(cell.counts.params.n_params)}: timed")
        for figures in races:
            for row in figures["contenders"].values():
                if "error" not in row:
                    row["mfu"] = mfu(bench, figures, row["tokens_per_second"])
        show(heading(bench), ladder_table(races), *packed_tables(stacked, shared))
    return {
        "machine": bench.machine | {"threads": bench.config.execution.threads},
        "config": bench.config.name,
        "precision": bench.config.recipe.precision,
        "repeats": settings.repeats,
        "peak_flops": bench.peak,
        "sizes": races,
        "stacked": stacked,
        "shared": shared,
    }


def heading(bench: Bench) -> str:
    """On what it was measured, and what the columns hold."""
    found = bench.machine
    memory = "of the device" if bench.device == "cuda" else "of the whole process"
    sharing = "" if bench.device == "cpu" else f", MPS {'on' if found['mps'] else 'off'}"
    return (
        f"{bench.config.name}: {found['device']}{sharing}, {found['cores']} cores, "
        f"{bench.config.execution.threads} threads a process, {bench.config.recipe.precision}; "
        f"matmul peak {bench.peak / 1e9:,.0f} GFLOP/s\n"
        f"torch {found['torch']}, transformers {found['transformers']}\n\n"
        f"Each contender in its own process, {bench.settings.repeats} rounds by turns: medians, and the lowest to the\n"
        f"highest ratio of a round. MiB: the peak {memory}; after start: what training added to it.\n"
    )
