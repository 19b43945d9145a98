"""Show what a sweep would train, cost and measure, before a FLOP is spent."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isoflop.scripts.cli import ConfigFile, Debug, Overrides, run
from isoflop.scripts.amounts import positive
from isoflop.scripts.output import JsonFile, show, write_json
from isoflop.scripts.plan_costs import cost_lines, throughput_of, time_text
from isoflop.scripts.plan_folder import failed_words, records_of
from isoflop.scripts.plan_table import (
    corpus_words,
    cost_words,
    kept_words,
    memory_words,
    plan_of,
    plan_table,
    planned_device,
    planned_memory,
)
from isoflop.training.costs import Costs, sweep_costs
from isoflop.training.plan import Plan

if TYPE_CHECKING:
    from isoflop.fitting.diagnostics.warn import Warn

BEYOND_PRIOR = ("law_does_not_hold", "prior_extrapolated")  # codes of warnings


def verdict(plan: Plan, costs: Costs, expected: str, warnings: Sequence[Warn]) -> str:
    """The first line: what is trained, what it takes, how precise it will be, and how many doubts there are."""
    words = f"{plan.config.name}: {len(plan.cells)} cells, {cost_words(plan)}, {time_text(costs)}{expected}"
    if "+-" in expected and any(warning.code in BEYOND_PRIOR for warning in warnings):
        words += ", on a prior carried beyond where it was measured"
    return f"{words}; {len(warnings) or 'no'} {'warning' if len(warnings) == 1 else 'warnings'}"


def main(
    config: ConfigFile,
    overrides: Overrides = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the sweep is, or would be.  [default: runs/NAME]")
    ] = None,
    prior: Annotated[
        str | None,
        typer.Option(
            metavar="FIT|SWEEP|published:NAME",
            help="The law that losses are simulated by. Default: the sweep's own fit, else published:besiroglu.",
        ),
    ] = None,
    noise: Annotated[
        str | None,
        typer.Option(
            metavar="NATS|1%|SWEEP",
            help="Standard deviation of a run's loss: nats, a share, or of a sweep's replicates. Default: its own.",
        ),
    ] = None,
    at_flops: Annotated[
        str | None, typer.Option(metavar="C", help="Where N* and D* are told.  [default: 10 times the largest budget]")
    ] = None,
    sims: Annotated[
        int | None,
        typer.Option(min=0, help="Simulated sweeps, 0 for none.  [default: 200, fewer for thousands of runs]"),
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(metavar="M,M", help="Of isoflop, parametric, envelope, kaplan.  [default: the first two]"),
    ] = None,
    devices: Annotated[
        int | None, typer.Option(min=1, metavar="K", help="At work at once. Default: those here.")
    ] = None,
    tflops: Annotated[
        float | None, typer.Option(metavar="X", help="What a device reaches, in TFLOP/s of the exact count.")
    ] = None,
    mfu: Annotated[float | None, typer.Option(help="The share of --peak that training reaches, as .4.")] = None,
    peak: Annotated[str | None, typer.Option(metavar="NAME|X", help="A device, as H100, or its peak TFLOP/s.")] = None,
    gpu_hour: Annotated[
        float | None, typer.Option("--gpu-hour", metavar="PRICE", help="Of a device for an hour.")
    ] = None,
    json_file: JsonFile = None,
    design: Annotated[
        bool, typer.Option("--design", help="Search the grid that measures best for its compute, and print its YAML.")
    ] = False,
    compute: Annotated[
        str | None, typer.Option(metavar="C", help="Of the design, in FLOPs.  [default: that of this config]")
    ] = None,
    design_for: Annotated[
        str | None, typer.Option(metavar="exponent|size", help="The error of a, or of N* at --at-flops, is made small.")
    ] = None,
    least_budget: Annotated[
        str | None, typer.Option(metavar="C", help="Of the design.  [default: this config's least]")
    ] = None,
    most_runs: Annotated[int | None, typer.Option(metavar="K", help="Of the design.  [default: 200]")] = None,
    prior_off: Annotated[
        float | None, typer.Option(metavar="F", help="The prior's N* may be wrong by this factor.  [default: 1.5]")
    ] = None,
    write: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the design's config there.")] = None,
    debug: Debug = False,
) -> None:
    """Show a sweep's cells, what they cost, how precise its exponents will be, and what speaks against it.

    Example: python scripts/plan.py configs/demo.yaml --devices 8 --gpu-hour 2.5
    """
    price = None if gpu_hour is None else positive("--gpu-hour", gpu_hour)
    throughput = throughput_of(tflops, mfu, peak)
    plan = plan_of(config, overrides)
    folder, device = out or Path("runs") / plan.config.name, planned_device(plan)
    records = records_of(plan, folder)
    costs = sweep_costs(plan, device, records, devices=devices, throughput=throughput, price_per_hour=price)

    # Imported here: `sweep` takes its plan from this module, and starts a second earlier without scipy and pandas.
    from isoflop.fitting.precision.noise import NoiseKind
    from isoflop.fitting.reporting.precision import expected_text, precision_report
    from isoflop.scripts.plan_design import DesignOptions, refuse_beside_design, run_design
    from isoflop.scripts.plan_precision import Assumptions, Simulation, expected_precision
    from isoflop.training.plan_warnings import IMPOSSIBLE, plan_warnings

    asked = Simulation.of(plan, at_flops, methods, sims)
    assumed = Assumptions.of(plan, folder, prior, noise)
    warnings = plan_warnings(plan, assumed.loss_of, assumed.prior.name)
    possible = assumed.named or not any(warning.code == IMPOSSIBLE for warning in warnings)
    wanted = DesignOptions(compute, design_for, least_budget, most_runs, prior_off, write)
    if design:
        refuse_beside_design(
            json=json_file, gpu_hour=gpu_hour, devices=devices, tflops=tflops, mfu=mfu, peak=peak, methods=methods
        )
        run_design(plan, assumed, wanted.search(plan, assumed, asked, possible), config, overrides, write)
        return
    wanted.refuse()
    precision, told, expected = None, [], ""
    if possible:
        precision, told = expected_precision(plan, assumed, asked)
    elif sims != 0:
        expected = f"; precision not known: {assumed.prior.name} does not hold at these sizes (--prior)"
    if precision is not None:
        warnings += precision.warnings
        expected = f"; {expected_text(precision)}"
        if precision.noise.kind is NoiseKind.PORIAN:
            expected += ", on an assumed noise (--noise)"
    if json_file is not None:
        write_json(json_file, _whole(plan, device, costs, assumed.to_json(precision), warnings))
    cells = plan_table(plan, device, costs.seconds)
    cells.title = None  # the first line says it
    show(
        verdict(plan, costs, expected, warnings),
        "",
        cells,
        f"\nN and D count parameters and tokens; budgets are {plan.config.grid.flops} training FLOPs.",
        memory_words(plan, device),
        *cost_lines(costs),
        *failed_words(records),
        corpus_words(plan),
        kept_words(plan),
        *(("", *precision_report(precision, [*assumed.words, *told])) if precision else ()),
        *(f"warning [{warning.code}]: {warning.text}" for warning in warnings),
    )


def _whole(
    plan: Plan, device: str, costs: Costs, precision: dict[str, Any] | None, warnings: Sequence[Warn]
) -> dict[str, Any]:
    """The plan as it stands in plan.json, and beside it all that was said of it."""
    peaks = {cell.run_id: planned_memory(cell, plan, device) for cell in plan.cells}
    return plan.to_json() | {
        "memory": {"device": device, "bytes": peaks},
        "costs": costs.to_json(),
        "precision": precision,
        "warnings": [{"code": warning.code, "text": warning.text} for warning in warnings],
    }


if __name__ == "__main__":
    run(main)
