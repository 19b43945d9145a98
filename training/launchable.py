"""One model of a config's ladder for a compute that was forecast, as a sweep that plans and trains as it stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from ..fitting.errors import InputError
from .config import SweepConfig, parse_config
from .corpus import CorpusInfo
from .durations import device_of
from .memory import cell_memory, process_memory
from .models import counts_for
from .plan import Plan, RunPlan
from .planning import make_cell, make_plan
from .shapes import nearest_shape

# How published laws count N -> the same count of a shape's parameters.
N_PARAMS = {
    "total": "n_params",
    "non_embedding": "n_params_non_embedding",
    "blocks_and_head": "n_params_blocks_and_head",
}
# A grid has two budgets at least: the other one is a trial of the same model, as cheap as whole steps allow.
TRIALS = (0.01, 0.03, 0.1, 0.3, 0.5)
_ANY_EPOCHS = float("inf")
BUDGETS = "budget"  # of a law whose C is what runs were planned at, in the count of a grid that nobody knows
SIX_N_D = ""  # of a law whose C is 6 N D, N as it counts that


@dataclass(frozen=True)
class Launchable:
    """The ladder's model nearest to a wanted size, at its compute.

    `cell` is its run as the recipe has it; `config` a sweep of that run and of its trial, None where the corpus is too
    small for it, which `lacks` says. `memory` is peak bytes on `device` ("cpu" or "cuda"), by formula.
    """

    cell: RunPlan
    wanted_params: float  # counted as `count` names
    count: str
    config: SweepConfig | None
    lacks: str
    device: str
    memory: int
    notes: tuple[str, ...] = ()  # the recipe's, and what was assumed of the law

    @property
    def n_params(self) -> int:
        """The model's own N, by the law's count."""
        return getattr(self.cell.counts.params, self.count)

    def to_json(self) -> dict[str, Any]:
        """Shape, counts, run and the sweep's keys."""
        cell = self.cell
        return {
            "wanted_params": self.wanted_params,
            "count": self.count,
            "shape": vars(cell.shape),
            "n_params": cell.counts.params.n_params,
            "n_params_non_embedding": cell.counts.params.n_params_non_embedding,
            "n_params_blocks_and_head": cell.counts.params.n_params_blocks_and_head,
            "tokens": cell.tokens,
            "budget": cell.budget,
            "steps": cell.steps,
            "batch_tokens": cell.batch_tokens,
            "learning_rate": cell.learning_rate,
            "epochs": cell.epochs,
            "memory": {"device": self.device, "bytes": self.memory},
            "notes": list(self.notes),
            "lacks": self.lacks,
            "config": None if self.config is None else _keys(self.config),
        }

    @property
    def sweep(self) -> SweepConfig:
        """`config`; raises InputError where the corpus is too small for one."""
        if self.config is None:
            raise InputError(f"--write: {self.lacks}")
        return self.config

    def to_yaml(self, header: str) -> str:
        """The sweep's file, `header` above it as comments. Raises InputError where there is none."""
        comment = "".join(f"# {line}".rstrip() + "\n" for line in header.splitlines())
        return comment + yaml.safe_dump(_keys(self.sweep), sort_keys=False, width=120)


def launchable(
    config: SweepConfig, corpus: CorpusInfo, n_params: float, flops: float, *, count: str, flops_count: str
) -> Launchable:
    """The model of `config`'s ladder nearest to `n_params`, trained for `flops`, both as the law counts them.

    `count` and `flops_count` are conventions by the names of published.csv, or `SIX_N_D`; a count of FLOPs that no
    shape has is taken as 6 N D, and a note says so. The tokens are what `flops` buy the model chosen, so that the
    compute is the forecast's and not its size.

    Raises InputError where the law counts no parameters, where its C is `BUDGETS`, and as `make_cell` does.
    """
    if flops_count == BUDGETS:
        raise InputError(
            "--model: the law's C is the planned budgets of its runs, in a count that is not known; "
            "fit with --common-flops runs"
        )
    if count not in N_PARAMS:
        raise InputError(f"--model: the law's N is {count.replace('_', ' ')}, which is no size of this ladder")
    shape = nearest_shape(n_params, config.model, corpus.vocab_size, N_PARAMS[count])
    counts = counts_for(shape, config.model)
    per_token = counts.flops_per_token.get(flops_count, 6.0 * getattr(counts.params, N_PARAMS[count]))
    assumed = []
    if flops_count != SIX_N_D and flops_count not in counts.flops_per_token:
        assumed = [f"the law counts C as {flops_count!r}, which is not known of models: it was taken as 6 N D"]
    budget = _rounded(flops / per_token * counts.flops_per_token[config.grid.flops])
    free = config.model_copy(update={"data": config.data.model_copy(update={"max_epochs": _ANY_EPOCHS})})
    cell = make_cell(free, corpus, budget, shape, config.seed)
    lacks = ""
    if cell.epochs > config.data.max_epochs:
        lacks = (
            f"data.corpus: {cell.tokens:,} tokens are {cell.epochs:.3g} passes over its {corpus.train_tokens:,}; "
            f"give more text, or raise data.max_epochs ({config.data.max_epochs:g})"
        )
    written = None if lacks else _sweep_of(config, corpus, shape.width, budget)
    plan = Plan(config, corpus, (cell,))
    device = device_of(plan)
    memory = cell_memory(cell, config, device=device)
    if device == "cpu":
        memory += process_memory(cell, config, corpus)
    return Launchable(cell, n_params, N_PARAMS[count], written, lacks, device, memory, notes=(*assumed, *cell.notes))


def _sweep_of(config: SweepConfig, corpus: CorpusInfo, width: int, budget: float) -> SweepConfig:
    """The config with a grid of one width at `budget` and at the cheapest trial that plans."""
    refused: InputError | None = None
    for candidate in _candidates(config, width, budget):
        try:
            make_plan(candidate, corpus)
        except InputError as error:
            refused = error
        else:
            return candidate
    raise refused or InputError(f"--model: no grid at {budget:g} FLOPs")


def _candidates(config: SweepConfig, width: int, budget: float) -> Iterator[SweepConfig]:
    keys = _keys(config)
    if config.recipe.schedule.trunk:  # a trunk would be tuned at the trial
        keys["recipe"]["schedule"]["trunk"] = False
    keys["name"] = f"{config.name}_{budget:g}".replace("+", "")
    for share in TRIALS:
        keys["grid"] = {"budgets": [_rounded(share * budget), budget], "flops": config.grid.flops, "widths": [width]}
        yield parse_config(keys, "--model")


def _keys(config: SweepConfig) -> dict[str, Any]:
    """What the config's file would say."""
    return config.model_dump(mode="json", exclude_unset=True)


def _rounded(flops: float) -> float:
    return float(f"{flops:.4g}")
