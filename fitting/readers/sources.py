"""Which reader a source is for: by its prefix, its suffix, or what a folder holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..errors import InputError
from .files import SUFFIXES, read_file
from .log import Log
from .sweep import PLAN_NAME, read_sweep

WANDB, HUB = "wandb:", "hf:"
KINDS = (
    f"a sweep folder, a table ({', '.join(SUFFIXES)}), {WANDB}ENTITY/PROJECT, a .wandb file or a folder of them, "
    f"trainer_state.json or an output folder of Trainer, or {HUB}DATASET"
)


def read_log(source: str | Path) -> Log:
    """What `source` holds, by the reader it is for. Raises InputError, one line, where there is none for it."""
    text = str(source)
    if text.startswith(WANDB):
        from .wandb_api import read_project

        return read_project(text)
    if text.startswith(HUB):
        from .hub import read_dataset

        return read_dataset(text)
    path = Path(source)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; a source is {KINDS}")
    return _read_folder(path) if path.is_dir() else _read_file(path)


def _read_folder(folder: Path) -> Log:
    if (folder / PLAN_NAME).is_file():
        frame, notes = read_sweep(folder)
        return Log(str(folder), "a sweep", frame, tuple(notes), ours=True)
    from .trainer import read_trainer, trainer_states
    from .wandb_files import read_offline, wandb_files

    logs, states = wandb_files(folder), trainer_states(folder)
    if logs:
        log = read_offline(folder, logs)
        aside = (f"{folder}: {len(states)} trainer_state.json there are left aside: name their folders to read those",)
        return replace(log, notes=(*log.notes, *aside)) if states else log
    if states:
        return read_trainer(folder, states)
    if tables := sorted(path.name for path in folder.iterdir() if path.suffix in SUFFIXES):
        raise InputError(f"{folder}: name its tables one by one ({tables[0]}, ...), or all as one: {HUB}{folder}")
    raise InputError(f"{folder}: holds no {PLAN_NAME}, .wandb file or trainer_state.json; a source is {KINDS}")


def _read_file(path: Path) -> Log:
    if path.suffix == ".wandb":
        from .wandb_files import read_offline

        return read_offline(path, [path])
    if path.name == "trainer_state.json":
        from .trainer import read_trainer

        return read_trainer(path, [path])
    return Log(str(path), f"a {path.suffix[1:].upper()} table", read_file(path))
