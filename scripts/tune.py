"""Bracket a sweep's learning rate (and batch) at a few of its sizes, and write the recipe that follows."""

from __future__ import annotations

import math
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.table import Table

from isoflop.scripts.cli import FAILED, ConfigFile, Debug, Overrides, naming, run
from isoflop.fitting.errors import InputError
from isoflop.fitting.jsonio import write_json_atomic
from isoflop.fitting.reporting.style import count_text
from isoflop.fitting.schema import SCHEMA_VERSION
from isoflop.scripts.output import JsonFile, note, show, write_json
from isoflop.scripts.plan_folder import refuse_another_sweeps
from isoflop.scripts.sweep import failed_cells, need_training_packages, train_what_is_left
from isoflop.training.config import Recipe, SweepConfig, load_config
from isoflop.training.corpus import prepare_corpus
from isoflop.training.records import SweepFolder
from isoflop.training.tune import (
    SizeResult,
    Trials,
    batch_law,
    choose_spots,
    extend,
    law_rate,
    measure,
    powers,
    rate_law,
    tuned_recipe,
)

MIN_RATES = 3


def main(
    config: ConfigFile,
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where to.  [default: runs/NAME-tune]")] = None,
    rates: Annotated[int, typer.Option(help="Learning rates a size, around the recipe's own.")] = 5,
    step: Annotated[float, typer.Option(help="From each rate, or batch, to the next.")] = 2.0,
    batches: Annotated[int, typer.Option(help="Batches a size, around the recipe's own, each at all rates.")] = 1,
    sizes: Annotated[
        str, typer.Option(help="By commas: smallest, middle, largest, or widths of the grid.")
    ] = "smallest,middle,largest",
    seeds: Annotated[int, typer.Option(help="Runs a rate; from two on, intervals are theirs.")] = 1,
    extensions: Annotated[
        int, typer.Option("--extend", metavar="N", help="How often a rate is added where the best is the last.")
    ] = 2,
    json_file: JsonFile = None,
    debug: Debug = False,
) -> int:
    """Train a few learning rates at a few sizes of a sweep, say whether the recipe's own is near the best of them,
    and write tuned.yaml: the recipe by the best, which a config takes as `recipe: PATH`. Stopped, it resumes.

    Example: python scripts/tune.py configs/demo.yaml --sizes smallest,middle,largest --rates 5
    """
    _check(rates, step, batches, seeds, extensions)
    with naming(config):
        sweep_config = load_config(config, overrides or [])
        corpus = prepare_corpus(sweep_config.data).info
        spots = choose_spots(sweep_config, corpus, [size.strip() for size in sizes.split(",")])
        trials = Trials(sweep_config, corpus, spots, step, seeds)
        for spot in spots:
            for power in powers(batches):
                trials.add_arm(spot, power, powers(rates))
    need_training_packages()
    folder = SweepFolder(out or Path("runs") / f"{sweep_config.name}-tune")
    refuse_another_sweeps(folder, trials.plan())
    if not _train(trials, folder):
        return FAILED
    results, noise = measure(trials, folder)
    for _ in range(extensions):
        if not extend(trials, results):
            break
        if not _train(trials, folder):
            return FAILED
        results, noise = measure(trials, folder)
    words = ["isoflop", "tune", str(config), *(word for each in overrides or [] for word in ("--set", each))]
    options = {"rates": rates, "step": f"{step:g}", "batches": batches, "sizes": sizes, "seeds": seeds}
    options["extend"] = extensions
    command = shlex.join([*words, *(word for name, value in options.items() for word in (f"--{name}", str(value)))])
    write_json(json_file, report(sweep_config, results, noise, folder.path, command))
    return 0


def _check(rates: int, step: float, batches: int, seeds: int, extensions: int) -> None:
    if rates < MIN_RATES:
        raise InputError(f"--rates {rates}: fewer than {MIN_RATES} cannot bracket a minimum")
    if batches == 2 or batches < 1:
        raise InputError(f"--batches {batches}: give 1, the recipe's own, or {MIN_RATES} and more to bracket it")
    if not 1 < step <= 100:
        raise InputError(f"--step {step:g}: must be above 1, and at most 100")
    if seeds < 1:
        raise InputError(f"--seeds {seeds}: must be at least 1")
    if extensions < 0:
        raise InputError(f"--extend {extensions}: must be at least 0")


def _train(trials: Trials, folder: SweepFolder) -> bool:
    """Train what the trials still lack; False, and why on stderr, where some are left or failed."""
    plan = trials.plan()
    folder.write_plan(plan)
    if folder.to_do(plan):
        outcome = train_what_is_left(plan, folder, retry_failed=False)
        left = len(folder.to_do(plan))
        if left:
            why = outcome.halted or "the same command goes on with them"
            note(f"error: stopped with {left} of {len(plan.cells)} runs unfinished: {why}")
            return False
    failed = failed_cells(plan, folder)
    note(*(f"error: run {name} failed: {reason} (delete its folder to try again)" for name, reason in failed.items()))
    return not failed


def report(
    config: SweepConfig, results: list[SizeResult], noise: float | None, path: Path, command: str
) -> dict[str, Any]:
    """Fit the laws, write tuned.yaml, tune.json and the figure into `path`, print the table; what tune.json says."""
    # Imported here: workers start a second or two earlier without.
    from isoflop.fitting.reporting.figures import save_figures
    from isoflop.fitting.reporting.tune import tune_figure

    law = rate_law(results, config.recipe)
    batch = batch_law(results, config.recipe)
    recipe = tuned_recipe(results, config.recipe, law.rule, batch, command)
    found: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "sweep": config.name,
        "command": command,
        "noise": noise,
        "sizes": [result.to_json() for result in results],
        "rate_law": law.to_json(),
        "batch_law": None if batch is None else batch.model_dump(mode="json"),
    }
    for size, result in zip(found["sizes"], results, strict=True):
        for arm, each in zip(size["arms"], result.arms, strict=True):
            arm["law_rate"] = law_rate(law.rule, each)
            arm["own_cost"] = each.own_loss - each.rates.loss
            arm["law_cost"] = each.rates.cost(arm["law_rate"])
    write_json_atomic(path / "tune.json", found)
    (path / "tuned.yaml").write_text(_tuned_text(recipe, config.name, law.remarks))
    figures = save_figures(path / "figures", {"learning_rate": tune_figure(found)})
    show(_table(found), "")
    show(*_said(found))
    show(*(f"note: {remark}" for remark in law.remarks))
    show(*(f"wrote {file}" for file in (path / "tuned.yaml", path / "tune.json", figures[0])))
    return found


def _tuned_text(recipe: Recipe, name: str, remarks: tuple[str, ...]) -> str:
    lines = [f"# The recipe of {name}, tuned; a sweep's config uses it by `recipe: PATH/OF/THIS/FILE`."]
    lines += [f"# {remark}" for remark in remarks]
    # Defaults too: a config that `extends` another must not get that one's keys where this recipe has the default.
    content = {"recipe": recipe.model_dump(mode="json")}
    return "\n".join(lines) + "\n" + yaml.safe_dump(content, sort_keys=False, width=120)


def _table(found: dict[str, Any]) -> Table:
    noise = found["noise"]
    title = "Learning rates" if noise is None else f"Learning rates; noise of a loss {noise:.4f} nats"
    table = Table(title=title, box=None)
    for name in ("width", "N", "D", "batch", "LR*", "95 %", "all", "own", "cost", "law", "cost", "verdict"):
        table.add_column(name, justify="left" if name == "verdict" else "right")
    for size in found["sizes"]:
        for arm in size["arms"]:
            table.add_row(
                str(size["width"]),
                count_text(size["n_params"]),
                count_text(size["tokens"]),
                str(arm["batch_tokens"]),
                f"{arm['best']:.2g}",
                _range(arm["low"], arm["high"]),
                "-" if arm["wide"] is None else f"{arm['wide']:.2g}",
                f"{arm['rule_rate']:.2g}",
                _nats(arm["own_cost"]),
                f"{arm['law_rate']:.2g}",
                _nats(arm["law_cost"]),
                arm["verdict"],
            )
    return table


def _range(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"{low:.2g}-{high:.2g}"


def _nats(cost: float | None) -> str:
    return "-" if cost is None or not math.isfinite(cost) else f"{cost:.3f}"


def _said(found: dict[str, Any]) -> list[str]:
    law = found["rate_law"]
    rule = ", ".join(f"{key} {value:g}" for key, value in law["rule"].items() if isinstance(value, float))
    error = "" if law["exponent_se"] is None else f" (exponent ± {law['exponent_se']:.2f})"
    lines = [
        "LR*: by the parabola in ln LR through the lowest loss and its neighbours (all: through every rate); own and "
        "law: the rates of the recipe and of the law below, each with the nats that it loses against LR*.",
        f"law: {law['rule']['rule']}: {rule}{error}; it misses the LR* by {law['scatter']:.0%} (rms)",
    ]
    if found["batch_law"]:
        batch = found["batch_law"]
        lines.append(f"batch: {batch['coefficient']:g} D^{batch['exponent']:g} tokens")
        for size in found["sizes"]:
            tried = size["batches"]
            lines.append(
                f"  width {size['width']}: B* = {tried['best']:.0f} tokens, {tried['verdict']}, of "
                f"{tried['values'][0]:.0f} to {tried['values'][-1]:.0f}; the recipe's own batch and rate cost "
                f"{size['cost']:.4f} nats"
            )
    return lines


if __name__ == "__main__":
    run(main)
