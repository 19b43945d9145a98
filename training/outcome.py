"""The record of a run: what was asked, what came out, under every convention, and where it was made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..fitting.schema import SCHEMA_VERSION
from .config import SweepConfig
from .corpus import MAIN, CorpusInfo
from .plan import RunPlan
from .provenance import git_commit, versions

if TYPE_CHECKING:
    from .evaluate import Evaluation


@dataclass(frozen=True)
class Divergence:
    """A training loss or gradient that was not finite."""

    step: int  # from 0, the first that was not
    kept: int | None  # so many steps had been taken in the state that the run's checkpoint holds; None: none is kept


@dataclass(frozen=True)
class Trained:
    """What came of training a cell."""

    scores: Mapping[str, Evaluation]  # by validation set
    divergence: Divergence | None
    begun_at: int  # the steps taken over from its trunk
    seconds: float  # of its own training, after those; of a stack, its share
    stacked: int  # cells trained as one with it, itself counted


def trained_record(
    cell: RunPlan, config: SweepConfig, corpus: CorpusInfo, result: Trained, *, machine: dict[str, Any]
) -> dict[str, Any]:
    """A finished run's record, or a diverged one's.

    Loss is in nats per token, counts and FLOPs are for all tokens seen, `machine` is what the loop says of its devices.
    `mfu` is the share of their matmul peak that its exact FLOPs come to, and of several cells in a stack all of theirs.
    """
    divergence, scores, seconds = result.divergence, result.scores, result.seconds
    step = divergence.step if divergence else cell.steps
    tokens = step * cell.batch_tokens
    own_tokens = max(0, step - result.begun_at) * cell.batch_tokens
    own_flops = own_tokens * cell.counts.flops_per_token["exact"]
    peak = machine["matmul_flops_per_second"] * machine["n_processes"]
    score = scores.get(MAIN)
    finite = score is not None and math.isfinite(score.loss)
    reason = _where(divergence, cell) if divergence else f"the validation loss is {score and score.loss}"
    return (
        planned_record(cell, config, tokens)
        | _made_here()
        | {
            "status": "finished" if finite else "diverged",
            "reason": None if finite else reason,
            "unique_tokens": min(tokens, round(cell.tokens / cell.epochs)),
            "epochs": cell.epochs * step / cell.steps,
            **_scored("", score),
            "validation_overlap": corpus.validation[MAIN].overlap,
            "begun_at_step": result.begun_at,
            "stacked": result.stacked,
            "wall_seconds": seconds,
            "tokens_per_second": own_tokens / seconds if seconds else None,
            "mfu": own_flops / seconds / peak if seconds else None,
            "machine": machine,
            "corpus": asdict(corpus),
        }
        | {key: value for name in scores if name != MAIN for key, value in _scored(f"_{name}", scores[name]).items()}
    )


def _where(divergence: Divergence, cell: RunPlan) -> str:
    at = f"step {divergence.step} of {cell.steps} (D = {divergence.step * cell.batch_tokens:,} tokens)"
    kept = "" if divergence.kept is None else f"; checkpoint.safetensors holds the state after {divergence.kept} steps"
    return f"the training loss or its gradient was not finite at {at}{kept}"


def _scored(suffix: str, score: Evaluation | None) -> dict[str, Any]:
    """What a record says of one validation set: the main one's names are plain, another's end in its name."""
    return {
        f"loss{suffix}": score.loss if score else None,
        f"loss_se{suffix}": score.loss_se if score else None,
        f"bits_per_byte{suffix}": score.bits_per_byte if score else None,
        f"validation_tokens{suffix}": score.n_tokens if score else 0,
    }


def failed_record(cell: RunPlan, config: SweepConfig, reason: str) -> dict[str, Any]:
    """The record of a run that could not be trained."""
    return planned_record(cell, config, 0) | _made_here() | {"status": "failed", "reason": reason, "loss": None}


def planned_record(cell: RunPlan, config: SweepConfig, tokens: int) -> dict[str, Any]:
    """What a record says by the plan alone; counts and FLOPs are for `tokens`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": cell.run_id,
        "sweep": config.name,
        "budget": cell.budget,
        "planned_flops": config.grid.flops,
        "tokens": tokens,
        **cell.counts.of_run(tokens),
        "seed": cell.seed,
        "width": cell.shape.width,
        "depth": cell.shape.depth,
        "shape": asdict(cell.shape),
        "steps": cell.steps,
        "batch_tokens": cell.batch_tokens,
        "learning_rate": cell.learning_rate,
        "beta2": cell.beta2,
        "weight_decay": cell.weight_decay,
        "warmup_steps": cell.timeline.warmup_steps,
        "phase": cell.phase,
        "trunk": cell.trunk,
        "recipe_notes": list(cell.notes),
        "precision": config.recipe.precision,
        "config": config.model_dump(mode="json"),
    }


def _made_here() -> dict[str, Any]:
    ended_at = datetime.now(UTC).isoformat(timespec="seconds")
    return {"git_commit": git_commit(), "versions": versions(), "ended_at": ended_at}
