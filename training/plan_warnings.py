"""What speaks against a plan before it is trained: its data, its batches and rates, its tokens per parameter."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from ..fitting.diagnostics.recipe import REMEDIES, critical_batch
from ..fitting.diagnostics.warn import Warn
from ..fitting.reporting.style import flops_text
from .plan import Plan, RunPlan

MOST_EPOCHS = 4.0  # up to which repeated tokens are worth nearly what new ones are (Muennighoff 2023)
TOKENS_PER_PARAM = (1.0, 1000.0)  # outside of which few published laws were measured
IMPOSSIBLE = "law_does_not_hold"  # a code

LossOf = Callable[[RunPlan], float]


def plan_warnings(plan: Plan, loss_of: LossOf | None = None, law: str = "") -> list[Warn]:
    """Doubts about the recipe and the data of `plan`, each with a code, a number and a remedy.

    `loss_of` is the loss that a law called `law` expects of a cell, in nats per token; without it batches are not held
    against the critical one.
    """
    found = [*_noted(plan), _hot(plan), _repeated(plan), _extreme(plan)]
    if loss_of is not None:
        losses = {cell.run_id: loss_of(cell) for cell in plan.cells}
        found.append(_impossible(plan, losses, law) or _large_batches(plan, losses, law))
    return [warning for warning in found if warning is not None]


def _noted(plan: Plan) -> Iterator[Warn]:
    """The notes on the recipe, one warning a rule: where it is used outside its range or its bracket."""
    notes: dict[str, list[str]] = {}
    for note in (note for cell in plan.cells for note in cell.notes):
        notes.setdefault(note.rsplit(": ", 1)[0], []).append(note)  # key and rule come before a cell's own numbers
    for same in notes.values():
        code, first = same[0].split(": ", 1)
        span = first if same[0] == same[-1] else f"{first} ... {same[-1].rsplit(': ', 1)[1]}"
        yield Warn(code, f"{len(same)} of {len(plan.cells)} cells: {span}: {REMEDIES[code]}")


def _hot(plan: Plan) -> Warn | None:
    hot = [cell for cell in plan.cells if cell.phase == "hot"]
    if not hot or len(hot) == len(plan.cells):
        return None
    return Warn(
        "hot_cells",
        f"{_of(hot, plan)} end before their rate has decayed (phase hot), as {_named(hot[0])}, which puts their losses "
        "above the others'; shorten recipe.schedule.warmup, or leave them out of the fit",
    )


def _repeated(plan: Plan) -> Warn | None:
    repeated = [cell for cell in plan.cells if cell.epochs > MOST_EPOCHS]
    if not repeated:
        return None
    worst = max(repeated, key=lambda cell: cell.epochs)
    return Warn(
        "repeated_data",
        f"{_of(repeated, plan)} train on their tokens more than {MOST_EPOCHS:g} times, {worst.epochs:.1f} times at "
        f"{_named(worst)}: up to about 4 passes repeated tokens are worth nearly what new ones are (Muennighoff 2023, "
        "arXiv:2305.16264), beyond that losses lie above the law's; give more text, or lower the budgets",
    )


def _extreme(plan: Plan) -> Warn | None:
    low, high = TOKENS_PER_PARAM
    extreme = [cell for cell in plan.cells if not low <= _tokens_per_param(cell) <= high]
    if not extreme:
        return None
    worst = max(extreme, key=lambda cell: abs(math.log(_tokens_per_param(cell) / 20)))
    return Warn(
        "extreme_tokens_per_param",
        f"{_of(extreme, plan)} have below {low:g} or above {high:g} tokens a parameter, "
        f"{_tokens_per_param(worst):.3g} at {_named(worst)}: few laws were measured there, and such runs say little of "
        "the minimum; leave those sizes out",
    )


def _impossible(plan: Plan, losses: dict[str, float], law: str) -> Warn | None:
    """Losses above that of guessing every token alike show that the law does not hold at these sizes."""
    above = [cell for cell in plan.cells if losses[cell.run_id] > math.log(cell.shape.vocab_size)]
    if not above:
        return None
    worst = max(above, key=lambda cell: losses[cell.run_id])
    return Warn(
        IMPOSSIBLE,
        f"{law} expects a loss above ln V at {_of(above, plan)}, {losses[worst.run_id]:.3g} against "
        f"{math.log(worst.shape.vocab_size):.3g} nats at {_named(worst)}: it is carried far below where it was "
        "measured, its precision would be a guess, and batches are not held against its losses; give --prior a fit of "
        "runs like these",
    )


def _large_batches(plan: Plan, losses: dict[str, float], law: str) -> Warn | None:
    critical = {cell.run_id: float(critical_batch(losses[cell.run_id])) for cell in plan.cells}
    above = [cell for cell in plan.cells if cell.batch_tokens > critical[cell.run_id]]
    if not above:
        return None
    worst = max(above, key=lambda cell: cell.batch_tokens / critical[cell.run_id])
    return Warn(
        "large_batch",
        f"{_of(above, plan)} have a batch above Kaplan's critical one, 2e8 L^-4.76 tokens at the loss that {law} "
        f"expects: {worst.batch_tokens:,} against {critical[worst.run_id]:,.0f} at {_named(worst)}; that law is of "
        "another corpus and tokenizer, but such runs may take too few steps for their tokens: lower recipe.batch",
    )


def _tokens_per_param(cell: RunPlan) -> float:
    return cell.tokens / cell.counts.params.n_params


def _of(cells: list[RunPlan], plan: Plan) -> str:
    return f"{len(cells)} of {len(plan.cells)} cells"


def _named(cell: RunPlan) -> str:
    return f"budget {flops_text(cell.budget)}, width {cell.shape.width}"
