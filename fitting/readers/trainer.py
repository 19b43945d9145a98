"""Hugging Face Trainer's logs: trainer_state.json, with the model's config.json beside it for the counts."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import InputError
from .log import Log
from .tracked import TrackedRun, log_of
from .trainer_state import counts_of, object_of, read_state

_STATE = "trainer_state.json"
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
_LEVELS = 3  # folder/sweep/run/checkpoint-N


def trainer_states(folder: Path) -> list[Path]:
    """The trainer_state.json of each run at most 3 levels below `folder`; empty for none.

    A run is an output folder: of its checkpoints' states and its own, that of the latest step. Raises InputError for
    a folder that cannot be read and, where a run has several, for a state that is not Trainer's.
    """
    runs: dict[Path, list[Path]] = {}
    for path in _below(folder):
        runs.setdefault(_output_folder(path), []).append(path)
    return [runs[run][0] if len(runs[run]) == 1 else max(runs[run], key=_step_of) for run in sorted(runs, key=_natural)]


def read_trainer(source: str | Path, states: Sequence[Path]) -> Log:
    """The runs logged in `states`, a row each.

    Beside the columns of every tracked run there are, where known: `n_params` and our other counts of the model in
    config.json, `tokens` (num_input_tokens_seen, or what total_flos says), `flops_<convention>`, `step` and
    `planned_steps`. Raises InputError, one line, for a file that is torn or not Trainer's.
    """
    names = _names([_output_folder(path) for path in states])
    runs: list[TrackedRun] = []
    counts: list[dict[str, float]] = []
    notes = Counter[str]()
    for path, name in zip(states, names, strict=True):
        state, config = read_state(path), _config(path)
        history, others = state.history()
        known, said = counts_of(state, config)
        run = TrackedRun(
            name, str(path), state.flag(), config or {}, state.summary(), history=history, ends=state.ends()
        )
        runs.append(run)
        counts.append(known)
        notes.update([*said, *([f"left out of log_history, no numbers: {', '.join(others)}"] if others else [])])
    log = log_of(str(source), "logs of Hugging Face Trainer", runs)
    ours = pd.DataFrame(counts, index=log.frame.index)
    frame = log.frame.assign(**{str(name): ours[name] for name in ours})
    every = [note if len(runs) == 1 else f"{count} of {len(runs)} runs: {note}" for note, count in notes.items()]
    return replace(log, frame=frame, notes=(*log.notes, *every))


def _config(state: Path) -> dict[str, Any] | None:
    """The model's config: beside the state, in the output folder, or in a checkpoint of it."""
    output = _output_folder(state)
    folders = (state.parent, output, *sorted(output.glob("checkpoint-*")))
    path = next((folder / "config.json" for folder in folders if (folder / "config.json").is_file()), None)
    return None if path is None else object_of(path)


def _below(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: cannot be read: {error.strerror or error}") from error

    for root, folders, files in os.walk(folder, onerror=refuse):
        if len(Path(root).relative_to(folder).parts) == _LEVELS:
            folders.clear()
        if _STATE in files:
            yield Path(root, _STATE)


def _output_folder(state: Path) -> Path:
    folder = state.absolute().parent
    return folder.parent if _CHECKPOINT.fullmatch(folder.name) else folder


def _step_of(path: Path) -> tuple[int, bool]:
    """The step a state was saved at; at the same one the run's own is later, and knows its end."""
    checkpoint = _CHECKPOINT.fullmatch(path.parent.name)
    return (int(checkpoint[1]), False) if checkpoint else (read_state(path).step, True)


def _natural(path: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", str(path))]


def _names(folders: Sequence[Path]) -> list[str]:
    """The folders' own names, with as many parents as make them differ."""
    longest = max(len(folder.parts) for folder in folders)
    candidates = (["/".join(folder.parts[-parts:]) for folder in folders] for parts in range(1, longest + 1))
    return next(names for names in candidates if len(set(names)) == len(names))
