"""SweepConfig: everything a sweep is, checked before anything is spent. YAML files hold differences from it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from ...fitting.errors import InputError
from .bases import read_config
from .data import Data
from .errors import first_problem
from .evaluation import Evaluation
from .execution import Execution, Wandb
from .grid import Grid
from .model import ModelConfig
from .parts import Part, Positive
from .recipe import Recipe
from .yaml_input import apply_override, read_mapping


class Fit(Part):
    """What the sweep's own fit does; `scripts/fit.py SWEEP` has the same options."""

    n_params: Literal["n_params", "n_params_non_embedding", "n_params_blocks_and_head"] = "n_params"
    flops: Literal["flops", "exact", "6nd", "6nd_non_embedding", "hoffmann", "palm", "porian", "deepseek"] = "flops"
    minimum: Literal["auto", "parabola", "akima"] = "auto"
    window: Positive | None = 0.10
    resamples: Annotated[int, Field(ge=0)] = 1000


class SweepConfig(Part):
    """One sweep."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    seed: Annotated[int, Field(ge=0, lt=2**62)] = 0  # the first seed of each cell
    model: ModelConfig
    data: Data
    grid: Grid
    recipe: Recipe
    evaluation: Evaluation = Evaluation()
    execution: Execution = Execution()
    wandb: Wandb = Wandb()
    fit: Fit = Fit()


def load_config(path: Path, overrides: Sequence[str] = ()) -> SweepConfig:
    """The sweep that the YAML file `path` describes, with `a.b=value` overrides.

    `extends` names configs whose keys hold where this one says nothing. `recipe` may be the path of a file that `tune`
    wrote. Both are relative to the file they stand in, `recipe` in an override to this folder.

    Raises:
        InputError: one line naming file, key, value and bound; a misspelt key names the nearest known one.
    """
    data = read_config(path, lambda own, file: _read_recipe(own, file.parent, str(file)))
    for override in overrides:
        apply_override(data, override)
        _read_recipe(data, Path(), f"--set {override}")
    return parse_config(data, str(path))


def _read_recipe(data: dict[str, Any], folder: Path, where: str) -> None:
    """Put the recipe in place of a path to one."""
    if not isinstance(data.get("recipe"), str):
        return
    path = folder / data["recipe"]
    if not path.is_file():
        raise InputError(f"{where}: recipe: there is no file {path}; `tune` writes one")
    tuned = read_mapping(path)
    if list(tuned) != ["recipe"] or not isinstance(tuned["recipe"], dict):
        raise InputError(f"{path}: is no recipe: it must hold the one key recipe, as `tune` writes it")
    data["recipe"] = tuned["recipe"]


def parse_config(data: dict[str, Any], where: str) -> SweepConfig:
    """The same from a mapping; `where` names it in errors."""
    try:
        return SweepConfig.model_validate(data)
    except ValidationError as error:
        raise InputError(f"{where}: {first_problem(error, SweepConfig)}") from None
