"""A sweep small enough to train many times over, as a mapping and as a file; and who listens to a launch."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from isoflop.training.plan import RunPlan


def write_text(folder: Path, n_documents: int = 40, words: int = 2000) -> Path:
    """A corpus of made-up text, the same every time."""
    generator = random.Random(0)
    vocabulary = ["".join(generator.choices("abcdefgh", k=generator.randint(2, 7))) for _ in range(50)]
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n_documents):
        (folder / f"{i}.txt").write_text(" ".join(generator.choices(vocabulary, k=words)))
    return folder


def tiny(corpus: Path, **changes: Any) -> dict[str, Any]:
    """Six cells of a few hundred steps; `changes` are dotted keys, with __ for the dots."""
    config: dict[str, Any] = {
        "name": "tiny",
        "model": {"depth": 1, "heads": 2, "context": 16, "width_multiple": 4},
        "data": {
            "corpus": {"kind": "files", "paths": [str(corpus / "*.txt")]},
            "validation_fraction": 0.2,
            "validation_sequences": 32,
        },
        "grid": {"budgets": [2e8, 4e8], "widths": [4, 8, 12]},
        "recipe": {"learning_rate": {"rule": "width_power", "coefficient": 0.3}},
        "execution": {"workers": 2, "checkpoint_seconds": 0.1, "device": "cpu"},
        "wandb": {"mode": "disabled"},
        "fit": {"resamples": 100},
    }
    for key, value in changes.items():
        *path, last = key.split("__")
        part = config
        for name in path:
            part = part.setdefault(name, {})
        part[last] = value
    return config


def write_config(path: Path, config: dict[str, Any]) -> Path:
    """As YAML, for the commands."""
    path.write_text(yaml.safe_dump(config))
    return path


class Heard:
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        self.ended_cells: Counter[str] = Counter()
        self.notes: list[str] = []

    def step(self, cell: RunPlan, step: int) -> None:
        """Not kept."""

    def ended(self, cell: RunPlan, record: dict[str, Any]) -> None:
        self.ended_cells[cell.run_id] += 1

    def note(self, words: str) -> None:
        self.notes.append(words)

    def trouble(self, cell: RunPlan, reason: str) -> None:
        self.notes.append(reason)
