"""Many small cells on one device: stacked and trained as one, or in processes side by side, beside one at a time."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from isoflop.fitting.reporting.style import count_text
from isoflop.scripts.bench_cells import LEAST_STEPS, PLAIN, Bench, contenders, described
from isoflop.scripts.bench_workers import NoMemory, Pool, Round, Timing, Worker, rate_together, ratio_text, timed, times
from isoflop.training.plan import RunPlan

MEMBERS = (2, 4, 8)  # of a stack; processes that share a GPU
SMALL = {"cpu": 200_000, "cuda": 20_000_000}  # parameters: larger cells fill the device alone
MOST_PROCESSES = 8


def is_small(bench: Bench, cell: RunPlan) -> bool:
    """Whether one might pack it."""
    return cell.counts.params.n_params <= SMALL[bench.device]


def stack(bench: Bench, cell: RunPlan, pool: Pool) -> list[dict[str, Any]]:
    """Stacks of the cell (as many seeds), beside ours and transformers' model one at a time; a row a stack."""
    n_contenders = len(contenders(bench.config.execution))
    *others, fresh = pool.first(n_contenders + 1)
    steps = bench.steps_for(cell, others[-1], "ours")
    # Fewer steps of more cells: a round of eight would take four times as long otherwise.
    rounds = {
        "ours": (bench.round(cell, "ours", steps), others[-1]),
        "transformers": (bench.round(cell, "ours", steps, kernels="transformers"), others[PLAIN]),
        **{k: (bench.round(cell, "ours", max(steps * 2 // k, LEAST_STEPS), members=k), fresh) for k in MEMBERS},
    }
    rates: dict[Any, list[float]] = {name: [] for name in rounds}
    for _ in range(bench.settings.repeats):
        for name, (asked, process) in rounds.items():
            timing = process.measure(asked)
            if isinstance(timing, Timing):
                rates[name].append(timing.rate)
    return [_row(bench, cell, {"members": k}, rates[k], rates) for k in MEMBERS]


def share(bench: Bench, cell: RunPlan, pool: Pool) -> list[dict[str, Any]]:
    """Processes that train the cell at the same time, beside one that has the device to itself; a row a count.

    On a CPU there is a process a core, and the lone one has all of their threads.
    """
    cores = max(2, min(bench.machine["cores"], MOST_PROCESSES))
    counts, together = (MEMBERS, 1) if bench.device == "cuda" else ((cores,), cores)
    processes = pool.first(max(counts) + PLAIN)[PLAIN:]  # not Trainer's, whose settings are its own
    threads = bench.config.execution.threads
    steps = bench.steps_for(cell, processes[0], "ours")
    asked = bench.round(cell, "ours", steps)
    lone = bench.round(cell, "ours", steps, threads=threads * together)
    rates: dict[Any, list[float]] = {name: [] for name in ("ours", *counts)}
    for _ in range(bench.settings.repeats):
        for name in rates:
            timings = _at_once(lone, processes[:1]) if name == "ours" else _at_once(asked, processes[:name])
            if timings:
                rates[name].append(rate_together(timings))
    words = {"threads": threads, "lone_threads": threads * together}
    return [_row(bench, cell, {"processes": k, **words}, rates[k], rates) for k in counts]


def _at_once(asked: Round, processes: Sequence[Worker]) -> list[Timing] | None:
    """The same round by all of them; None where one ran out of memory."""
    for process in processes:
        process.order(asked)
    timings = [timed(process.answer()) for process in processes]
    return None if any(isinstance(t, NoMemory) for t in timings) else [t for t in timings if isinstance(t, Timing)]


def _row(
    bench: Bench, cell: RunPlan, words: dict[str, Any], rates: Sequence[float], others: dict[Any, list[float]]
) -> dict[str, Any]:
    """One way to pack beside each way to train one at a time that had memory enough."""
    row, repeats = {**described(cell), **words}, bench.settings.repeats
    if len(rates) < repeats:
        return {**row, "error": "out of memory"}
    lone = {name: other for name, other in others.items() if isinstance(name, str) and len(other) == repeats}
    return {
        **row,
        "rates": list(rates),
        "tokens_per_second": statistics.median(rates),
        "ratios": {name: times(rates, other) for name, other in lone.items()},
    }


def packed_tables(stacked: Sequence[dict[str, Any]], shared: Sequence[dict[str, Any]]) -> list[Table]:
    """The two tables, those that have rows."""
    stacks = _table("Stacked cells, all tokens together", "cells", "one at a time", "transformers one at a time")
    for row in stacked:
        _add(stacks, row, str(row["members"]), ("ours", "transformers"))
    lone = f"one process with {shared[0]['lone_threads']} threads" if shared else ""
    side_by_side = _table("Processes side by side, all tokens together", "processes", lone)
    for row in shared:
        _add(side_by_side, row, f"{row['processes']} x {row['threads']} threads", ("ours",))
    return [table for table in (stacks, side_by_side) if table.row_count]


def _table(title: str, what: str, *beside: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, header_style="")
    for name in ("N", "width", what, "tokens/s", *(f"x {name}" for name in beside)):
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _add(table: Table, row: dict[str, Any], what: str, beside: Sequence[str]) -> None:
    start = (count_text(row["n_params"]), str(row["width"]), what)
    if "error" in row:
        table.add_row(*start, row["error"])
        return
    ratios = [ratio_text(row["ratios"][name]) if name in row["ratios"] else "" for name in beside]
    table.add_row(*start, f"{row['tokens_per_second']:,.0f}", *ratios)
