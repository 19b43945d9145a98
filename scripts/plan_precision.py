"""What `plan` simulates its precision on: the prior law, the noise, where each is from, and how many sweeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isoflop.fitting.errors import FitError, InputError
from isoflop.fitting.options import USUAL_METHODS
from isoflop.fitting.precision import DEFAULT_PRIOR, SIMS, NoiseModel, Precision, prior_surface, simulate
from isoflop.fitting.prediction import Predictor
from isoflop.fitting.prediction.sources import read_report
from isoflop.fitting.readers import load_runs
from isoflop.scripts.amounts import amount, positive
from isoflop.training.plan import Plan, RunPlan
from isoflop.training.planned_grid import N_PARAMS_COLUMNS, n_params_of, params_column, planned_grid

FURTHER = 10.0  # times the largest budget: where N* and D* are told unless asked elsewhere
LEAST_SIMS = 20  # below which a standard error is a guess
USUAL = ("isoflop", "parametric")  # the estimators that are simulated unless others are named
_RUNS_AT_MOST = 100_000  # of all simulated sweeps, each as many more as a fit of few runs takes: some seconds
_RUNS_OF_A_FIT = 400
_MOST_WITH_INTERVALS = 500  # runs: approach 3 with its interval takes a second a sweep of a thousand


@dataclass(frozen=True)
class Assumptions:
    """The law and the noise that sweeps are simulated by; `column` is the count of N that the law speaks."""

    prior: Predictor
    noise: NoiseModel
    column: str
    words: tuple[str, ...]  # a line each: where they are from
    named: bool = False  # the prior, by the user: it is taken even where it gives impossible losses

    @classmethod
    def of(cls, plan: Plan, folder: Path, prior: str | None = None, noise: str | None = None) -> Assumptions:
        """As named, else from the sweep in `folder`, else the stated defaults. Raises InputError for what is none."""
        law, why_law = _prior(folder, prior)
        model, why_noise = _noise(folder, noise)
        column = params_column(plan, law.n_params)
        words = [f"Prior: {law.name}{why_law}.", f"Noise: {model.describe()}{why_noise}."]
        if law.name.startswith("published:"):
            words.append(
                "The errors are those of that law: on other surfaces true ones were .7 to 3.4 times them. The fit of a "
                "pilot, the smallest budgets with three seeds, tells them within a quarter (docs/planning.md)."
            )
        if law.n_params not in N_PARAMS_COLUMNS:
            words.append(f"{law.name} counts N as {law.n_params}; it is taken for {column} here.")
        elif column != plan.config.fit.n_params:
            words.append(
                f"N is {column} here, as {law.name} counts it; the sweep's fit takes {plan.config.fit.n_params}."
            )
        return cls(law, model, column, tuple(words), prior is not None)

    def to_json(self, precision: Precision | None) -> dict[str, Any] | None:
        """What was simulated, with the law and the count of N it was simulated on; None where nothing was."""
        return None if precision is None else precision.to_json() | {"prior": self.prior.name, "n_params": self.column}

    @property
    def loss_of(self) -> Callable[[RunPlan], float] | None:
        """The loss that the prior expects of a cell, nats per token; None for a law of losses in another unit."""
        if self.prior.loss_unit not in (None, "nats_per_token"):
            return None
        return lambda cell: self.prior.scaling.loss_of(n_params_of(cell, self.column), cell.tokens)


def _prior(folder: Path, asked: str | None) -> tuple[Predictor, str]:
    if asked is not None:
        return prior_surface(asked), ""
    if not (folder / "fit.json").is_file():
        return prior_surface(DEFAULT_PRIOR), ", as the sweep has no fit yet (--prior names another)"
    try:
        return prior_surface(str(folder)), ", the sweep's own fit"
    except InputError as error:
        return prior_surface(DEFAULT_PRIOR), f", as the sweep's own fit gives none ({error})"


def _noise(folder: Path, asked: str | None) -> tuple[NoiseModel, str]:
    if asked is not None:
        return _asked_noise(asked.strip()), ""
    if not (folder / "plan.json").is_file():
        return NoiseModel.porian(), "; give --noise, or measure it from replicates"
    try:
        return NoiseModel.measured(load_runs(folder), str(folder)), ""
    except (InputError, FitError) as error:
        return NoiseModel.porian(), f"; the sweep's own is not known ({error})"


def _asked_noise(text: str) -> NoiseModel:
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        return _measured_noise(text)
    positive("--noise", value, text)
    return NoiseModel.relative(value / 100) if text.endswith("%") else NoiseModel.constant(value)


def _measured_noise(source: str) -> NoiseModel:
    if not source or not Path(source).exists():
        raise InputError(
            f"--noise {source}: is no number of nats, as .005, no share of the loss, as 1%, and no file or folder"
        )
    report = read_report(source) if Path(source).is_file() else None
    return NoiseModel.measured(load_runs(*([source] if report is None else report["source"])), source)


@dataclass(frozen=True)
class Simulation:
    """What is asked of the simulation: the compute of N* and D*, estimators, and sweeps (None: `quick_sims`)."""

    at_flops: float
    methods: tuple[str, ...]
    sims: int | None

    @classmethod
    def of(cls, plan: Plan, at_flops: str | None, methods: str | None, sims: int | None) -> Simulation:
        """From options; raises InputError for a target or method that is none, and for too few sweeps."""
        if sims is not None and 0 < sims < LEAST_SIMS:
            raise InputError(f"--sims {sims}: must be 0 (no precision) or at least {LEAST_SIMS}: fewer show no spread")
        names = USUAL if methods is None else tuple(dict.fromkeys(name.strip() for name in methods.split(",")))
        for name in names:
            if name not in USUAL_METHODS:
                raise InputError(f"--methods {name!r} is unknown: choose from {', '.join(USUAL_METHODS)}")
        return cls(_target(plan, at_flops), names, sims)


def _target(plan: Plan, text: str | None) -> float:
    return FURTHER * max(plan.config.grid.budgets) if text is None else amount("--at-flops", text)


def quick_sims(n_runs: int) -> int:
    """How many sweeps of so many runs are simulated in some seconds: 200 of small ones, at least 20."""
    return max(LEAST_SIMS, min(SIMS, int(_RUNS_AT_MOST / (n_runs + _RUNS_OF_A_FIT))))


def expected_precision(plan: Plan, assumed: Assumptions, asked: Simulation) -> tuple[Precision | None, list[str]]:
    """What the simulated sweeps say, None for 0 of them; and a line where there are fewer, or no intervals.

    Unless asked for otherwise there are 200, fewer where the plan is so large that they would take long.
    """
    if asked.sims == 0:
        return None, []
    grid, words = planned_grid(plan, assumed.column), []
    quick = quick_sims(grid.n_runs)
    if asked.sims is None and quick < SIMS:
        words.append(f"{quick} sweeps were simulated, not {SIMS}: the plan has {grid.n_runs:,} runs (--sims).")
    intervals = grid.n_runs <= _MOST_WITH_INTERVALS
    if not intervals:
        words.append(f"Intervals were not simulated: the plan has over {_MOST_WITH_INTERVALS} runs.")
    precision = simulate(
        grid,
        assumed.prior,
        assumed.noise,
        methods=asked.methods,
        at_flops=asked.at_flops,
        sims=asked.sims or quick,
        intervals=intervals,
    )
    return precision, words
