"""SweepConfig -> Plan: budgets x sizes x seeds, each cell's numbers resolved and held against its bounds."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Any

from ..fitting.counting import ModelShape
from ..fitting.errors import InputError
from .config import Schedule, SweepConfig
from .corpus import MAIN, CorpusInfo, count_sequences
from .models import counts_for, model_identity
from .plan import Plan, RunPlan
from .recipes import Case, batch_for, hyperparameters
from .schedule import Timeline, phase, shared_steps, timeline
from .shapes import shape_for_width, shapes_near

# Raise it when the same plan would now train to another loss: old records then stay, and cells are trained anew.
TRAINING_VERSION = 2
MAX_BUDGET_ERROR = 0.01


def make_plan(config: SweepConfig, corpus: CorpusInfo) -> Plan:
    """Every cell of the grid, or the first reason why one cannot be.

    Raises:
        InputError: a size whose tokens are below one batch, a budget missed by over 1 %, a corpus with fewer
            tokens than `data.max_epochs` passes give, or a ladder without the sizes asked for.
    """
    context = config.model.context
    for name, held_out in corpus.validation.items():
        if count_sequences(held_out.tokens, context) < 1:
            where = "data.corpus" if name == MAIN else f"data.validation.{name}"
            remedy = ", or raise data.validation_fraction" if name == MAIN else ""
            raise InputError(
                f"{where}: {held_out.tokens:,} validation tokens hold no sequence of {context}; give more text{remedy}"
            )
    budgets, (seeds, tuned) = config.grid.budgets, lay_out(config, corpus)
    cells: dict[str, RunPlan] = {}
    for index, budget in enumerate(budgets):
        for shape in sorted(seeds[index], key=lambda shape: shape.width):
            for replicate in range(seeds[index][shape]):
                cell = make_cell(config, corpus, budget, shape, config.seed + replicate, tuned_at=tuned.get(shape))
                if cell.run_id in cells:
                    raise InputError(f"grid.budgets: {budget:g} and {cells[cell.run_id].budget:g} give the same run")
                cells[cell.run_id] = cell
    return Plan(config, corpus, sharing_trunks(cells.values()))


def lay_out(config: SweepConfig, corpus: CorpusInfo) -> tuple[list[dict[ModelShape, int]], dict[ModelShape, float]]:
    """For each budget its shapes, each with the number of its seeds; and on trunks the budget a shape is tuned at.

    A trunk has one recipe for all its budgets: that of the least that the grid gives its shape, or, of a shape that
    only `grid.more` has, of the first entry with it, so that what is added later leaves the cells there as they are.

    Raises:
        InputError: a ladder without the sizes asked for, or a width that it cannot have.
    """
    grid = config.grid
    wanted = [dict.fromkeys(_shapes(config, corpus, i), grid.seeds_of(i)) for i in range(len(grid.budgets))]
    tuned: dict[ModelShape, float] = {}
    for budget, here in zip(grid.budgets, wanted, strict=True):
        for shape in here:
            tuned[shape] = min(budget, tuned.get(shape, budget))
    for entry in grid.more:
        index = grid.budgets.index(entry.budget)
        for width in entry.widths:
            shape = shape_for_width(width, config.model, corpus.vocab_size)
            seeds = entry.seeds or grid.seeds_of(index)
            wanted[index][shape] = max(seeds, wanted[index].get(shape, 0))
            tuned.setdefault(shape, entry.budget)
    return wanted, tuned if config.recipe.schedule.trunk else {}


def _shapes(config: SweepConfig, corpus: CorpusInfo, index: int) -> list[ModelShape]:
    widths = config.grid.widths_of(index)
    if widths is not None:
        return [shape_for_width(width, config.model, corpus.vocab_size) for width in widths]
    sizes = config.grid.sizes
    assert sizes is not None  # Grid sees to it that one of the two is given
    centre = sizes.prior.params_coefficient * config.grid.budgets[index] ** sizes.prior.params_exponent
    return shapes_near(centre, sizes.count, sizes.within, config.model, corpus.vocab_size, sizes.prior.n_params)


def make_cell(
    config: SweepConfig,
    corpus: CorpusInfo,
    budget: float,
    shape: ModelShape,
    seed: int,
    *,
    tuned_at: float | None = None,
) -> RunPlan:
    """The run of `shape` at `budget`; its recipe is that of the budget `tuned_at` (default: its own).

    Raises:
        InputError: as `make_plan` does, naming budget and width.
    """
    try:
        return _cell(config, corpus, budget, shape, seed, tuned_at or budget)
    except (OverflowError, ZeroDivisionError):
        raise InputError(f"grid: budget {budget:g} at width {shape.width} overflows; lower it") from None


def _cell(
    config: SweepConfig, corpus: CorpusInfo, budget: float, shape: ModelShape, seed: int, tuned_at: float
) -> RunPlan:
    counts, schedule = counts_for(shape, config.model), config.recipe.schedule
    per_token = counts.flops_per_token[config.grid.flops]
    case = Case(shape, counts, tuned_at / per_token, tuned_at)
    sequences = batch_for(config.recipe, case)
    batch_tokens = sequences * shape.context
    where = f"budget {budget:g} at width {shape.width} (N = {counts.params.n_params:,})"
    steps = _steps(budget, per_token, batch_tokens, where)
    hyper = hyperparameters(config.recipe, case, batch_tokens, max(1, round(case.tokens / batch_tokens)))
    when = timeline(schedule, steps, min(hyper.warmup_steps, steps), batch_tokens)
    _refuse_rate_zero(schedule, when, steps, batch_tokens, where)
    cell = RunPlan(
        run_id="",
        budget=budget,
        flops=per_token * steps * batch_tokens,
        shape=shape,
        counts=counts,
        seed=seed,
        steps=steps,
        batch_sequences=sequences,
        learning_rate=hyper.learning_rate,
        beta2=hyper.beta2,
        weight_decay=hyper.weight_decay,
        timeline=when,
        phase=phase(steps, when),
        epochs=_epochs(config, corpus, shape.context, steps * batch_tokens, where),
        trunk_steps=shared_steps(schedule, steps, when) if schedule.trunk else 0,
        notes=hyper.notes,
    )
    prefix = _prefix(config, corpus, cell)
    trunk = _hashed(prefix) if schedule.trunk else None
    return replace(cell, run_id=_hashed(prefix | _ending(config, cell)), trunk=trunk)


def _steps(budget: float, per_token: float, batch_tokens: int, where: str) -> int:
    wanted = budget / per_token
    steps = round(wanted / batch_tokens)
    if wanted < batch_tokens:
        raise InputError(
            f"grid: {where}: its D = {wanted:,.0f} tokens are below one batch of {batch_tokens:,}; "
            "raise the budget, or lower the width, recipe.batch or model.context"
        )
    off = per_token * steps * batch_tokens / budget - 1
    if abs(off) > MAX_BUDGET_ERROR:
        raise InputError(
            f"grid: {where}: {steps} steps of {batch_tokens:,} tokens miss the budget by {off:+.1%} "
            f"(bound {MAX_BUDGET_ERROR:.0%}); lower recipe.batch, so that there are more and smaller steps"
        )
    return steps


def _refuse_rate_zero(schedule: Schedule, when: Timeline, steps: int, batch_tokens: int, where: str) -> None:
    if schedule.horizon_tokens is None or schedule.final > 0 or when.decay_end is None:
        return
    if steps > when.decay_end * (1 + MAX_BUDGET_ERROR):
        raise InputError(
            f"recipe.schedule.horizon_tokens: {schedule.horizon_tokens:,}: {where} goes on to D = "
            f"{steps * batch_tokens:,}, and would train on the rest at rate 0; raise the horizon, or set "
            "recipe.schedule.final"
        )


def _epochs(config: SweepConfig, corpus: CorpusInfo, context: int, tokens: int, where: str) -> float:
    unique = count_sequences(corpus.train_tokens, context) * context
    epochs = tokens / unique if unique else float("inf")
    if epochs > config.data.max_epochs:
        raise InputError(
            f"data.corpus: {where} needs D = {tokens:,} tokens and the corpus has {unique:,} to train "
            f"on ({epochs:.2f} epochs); give more text, lower the budget, or raise data.max_epochs "
            f"({config.data.max_epochs:g})"
        )
    return epochs


def sharing_trunks(cells: Iterable[RunPlan]) -> tuple[RunPlan, ...]:
    """The same cells, each told how many of its first steps an earlier cell of its trunk takes."""
    cells = tuple(cells)
    by_trunk: dict[str, list[RunPlan]] = {}
    for cell in cells:
        if cell.trunk is not None:
            by_trunk.setdefault(cell.trunk, []).append(cell)
    shared: dict[str, int] = {}
    for members in by_trunk.values():
        members.sort(key=lambda cell: (cell.trunk_steps, cell.steps, cell.run_id))
        shared |= {b.run_id: a.trunk_steps for a, b in itertools.pairwise(members)}
    return tuple(replace(cell, shared_steps=shared.get(cell.run_id, 0)) for cell in cells)


def _prefix(config: SweepConfig, corpus: CorpusInfo, cell: RunPlan) -> dict[str, Any]:
    """What decides the first steps of a run, up to where its own end makes a difference."""
    optimizer = config.recipe.optimizer
    horizon = config.recipe.schedule.horizon_tokens
    return {
        "version": TRAINING_VERSION,
        "shape": asdict(cell.shape),
        "model": model_identity(config.model),
        "corpus": corpus.fingerprint,
        "batch_sequences": cell.batch_sequences,
        "learning_rate": cell.learning_rate,
        "warmup_steps": cell.timeline.warmup_steps,
        "decay": None if horizon is None else _decay(config, cell),
        "optimizer": [optimizer.beta1, cell.beta2, optimizer.eps, cell.weight_decay, optimizer.clip],
        "precision": config.recipe.precision,
        "seed": cell.seed,
    }


def _ending(config: SweepConfig, cell: RunPlan) -> dict[str, Any]:
    """What else decides the measured loss."""
    return {
        "steps": cell.steps,
        "ending": _decay(config, cell),
        "validation_sequences": config.data.validation_sequences,
    }


def _decay(config: SweepConfig, cell: RunPlan) -> list[Any] | None:
    schedule, when = config.recipe.schedule, cell.timeline
    if when.decay_start is None:
        return None
    # The shape is of wsd's cooldown; elsewhere it stands here as its default does.
    shape = schedule.cooldown_shape if schedule.kind == "wsd" else "linear"
    return [schedule.kind, shape, when.decay_start, when.decay_end, schedule.final]


def _hashed(identity: dict[str, Any]) -> str:
    """A name for what decides a loss and nothing else: not where, nor how fast, it is trained."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
