"""The record of a run: what was asked, what came out, under every convention, and where it was made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..fitting.schema import SCHEMA_VERSION
from .config import SweepConfig
from .corpus import MAIN, CorpusInfo
from .plan import RunPlan
from .provenance import git_commit, versions

if TYPE_CHECKING:
    from .evaluate import Evaluation


def trained_record(
    cell: RunPlan,
    config: SweepConfig,
    corpus: CorpusInfo,
    *,
    scores: Mapping[str, Evaluation],
    step: int,
    seconds: float,
    machine: dict[str, Any],
) -> dict[str, Any]:
    """A finished run's record, or a diverged one's where there are no `scores`, which are by validation set.

    Loss is in nats per token, counts and FLOPs are for the tokens seen up to `step`, `seconds` is training
    alone, `machine` is what the loop says of its devices.
    """
    tokens = step * cell.batch_tokens
    score = scores.get(MAIN)
    finite = score is not None and math.isfinite(score.loss)
    reason = f"the training loss was not finite by step {step} of {cell.steps}"
    if score is not None and not finite:
        reason = f"the validation loss is {score.loss}"
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
            "wall_seconds": seconds,
            "tokens_per_second": tokens / seconds if seconds else None,
            "machine": machine,
            "corpus": asdict(corpus),
        }
        | {key: value for name in scores if name != MAIN for key, value in _scored(f"_{name}", scores[name]).items()}
    )


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
        "recipe_notes": list(cell.notes),
        "precision": config.recipe.precision,
        "config": config.model_dump(mode="json"),
    }


def _made_here() -> dict[str, Any]:
    ended_at = datetime.now(UTC).isoformat(timespec="seconds")
    return {"git_commit": git_commit(), "versions": versions(), "ended_at": ended_at}
