"""Analyses of planted laws, and a sweep folder without training, for the tests of what reports say."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import numpy as np

from isoflop.fitting import Analysis, Options, RunTable, analyse
from isoflop.fitting.reporting.report.spending import Spending
from isoflop.fitting.reporting.report.subject import Subject

from .sweeps import HOFFMANN, sweep

SPENDING = Spending(4e14, 2.0, "assumed", "given")
QUICK: dict[str, Any] = {"resamples": 30, "by_convention": False, "holdout": False}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def planted(
    table: RunTable | None = None, methods: tuple[str, ...] = ("isoflop", "parametric"), **words: Any
) -> Analysis:
    """Of Hoffmann's law with a little noise."""
    table = sweep(HOFFMANN, sizes=7, noise=0.004) if table is None else table
    return analyse(table, Options(methods=methods, **QUICK | words), ("planted.csv",))


def subject(analysis: Analysis | None = None, **words: Any) -> Subject:
    """A report's subject."""
    return Subject(analysis or planted(), "planted.csv", SPENDING, **words)


def write_sweep(folder: Path, *, diverged: bool = False) -> Path:
    """A sweep of 4 budgets and 7 sizes as `sweep` leaves it, all trained in 2 s each on 4 GPUs; one run may diverge."""
    table = sweep(HOFFMANN, budgets=np.geomspace(1e17, 1e20, 4), sizes=7, noise=0.004).frame
    cells = []
    rows = cast("Iterable[Any]", table.itertuples())
    for i, row in enumerate(rows):
        run_id = f"cell{i:02d}"
        lost = diverged and i == 3
        record: dict[str, Any] = {
            "schema_version": 1,
            "run_id": run_id,
            "status": "diverged" if lost else "finished",
            "reason": "the training loss was not finite at step 5" if lost else None,
            "budget": row.budget,
            "planned_flops": "6nd",
            "n_params": row.n_params,
            "tokens": row.tokens,
            "flops": {"6nd": row.flops},
            "loss": None if lost else row.loss,
            "learning_rate": 1e-3,
            "seed": i % 2,
            "precision": "bf16",
            "wall_seconds": 2.0,
            "tokens_per_second": row.tokens / 2.0,
            "machine": {"device": "NVIDIA H100", "n_processes": 4, "kernels": "torch"},
            "git_commit": COMMIT,
            "versions": {"torch": "2.9.0" if i else "2.8.0"},
            "ended_at": f"2026-01-01T00:00:{2 * i + 2:02d}+00:00" if i < 29 else None,
            "corpus": {"fingerprint": "feed", "train_tokens": 10**12, "n_documents": 5, "tokenizer": "bytes"},
        }
        cells.append({"run_id": run_id, "budget": row.budget})
        (folder / run_id).mkdir(parents=True)
        (folder / run_id / "record.json").write_text(json.dumps(record))
    setup = ["export WANDB_API_KEY=0123abcd", "module load cuda"]
    config = {
        "name": "tiny",
        "grid": {"flops": "6nd"},
        "execution": {"slurm": {"setup": setup}},
        "fit": {"minimum": "parabola", "resamples": 80},
    }
    (folder / "plan.json").write_text(
        json.dumps({"schema_version": 1, "name": "tiny", "config": config, "cells": cells})
    )
    return folder
