"""The ways from a model to its score: its own loss through a link, two steps, or compute alone in one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import FitError, InputError
from .links import Link, LinkFit, fit_link
from .runs import TaskRuns
from .steps import LossStep, Target, fit_loss_of_compute, fit_loss_of_size

Array = NDArray[np.float64]
_Route = TypeVar("_Route")


@dataclass(frozen=True)
class Known:
    """What is given of a task's scores, as shares: chance, the highest reachable, and the score at loss 0."""

    chance: float | None = None
    ceiling: float | None = None
    anchor: float | None = None


@dataclass(frozen=True)
class OneStep:
    """score(C): the sigmoid in -ln C, fitted to the ends of runs without regard to loss."""

    fit: LinkFit
    ends: NDArray[np.intp]

    def score(self, flops: float) -> float:
        return float(self.fit.link.score(-np.log(flops)))

    def draw(self, weights: Array) -> Link:
        return self.fit.refit(weights[:, self.ends])


@dataclass(frozen=True)
class Routes:
    """What one set of runs gives; `missing` says of each route that it does not, why."""

    runs: TaskRuns
    link: LinkFit
    of_size: LossStep | None
    of_compute: LossStep | None
    one_step: OneStep | None
    missing: dict[str, str]

    def step(self, target: Target) -> LossStep | None:
        """The first step for what the target says."""
        return self.of_size if target.has_size else self.of_compute

    def two_steps(self, target: Target) -> tuple[float, float] | None:
        """Loss and score of the target; None without a first step."""
        step = self.step(target)
        if step is None:
            return None
        loss = step.loss(target)
        return loss, float(self.link.link.score(loss))


def link_of(runs: TaskRuns, name: str, known: Known) -> LinkFit:
    """The link called `name`; raises as `fit_link` does, naming the task."""
    try:
        return fit_link(name, runs.loss, runs.score, chance=known.chance, ceiling=known.ceiling, anchor=known.anchor)
    except (FitError, InputError) as error:
        raise type(error)(f"task {runs.task}: {error}") from None


def routes_of(runs: TaskRuns, link: LinkFit, known: Known, *, from_flops: bool = False) -> Routes:
    """All routes that the runs allow; `from_flops`: L(C) too, for targets that say no size."""
    missing: dict[str, str] = {}

    def tried(name: str, fit: Callable[[], _Route]) -> _Route | None:
        try:
            return fit()
        except (FitError, InputError) as error:
            missing[name] = str(error)
            return None

    def one_step() -> OneStep:
        ends = runs.ends
        fit = fit_link(
            "sigmoid", -np.log(runs.flops[ends]), runs.score[ends], chance=known.chance, ceiling=known.ceiling
        )
        return OneStep(fit, ends)

    return Routes(
        runs=runs,
        link=link,
        of_size=tried("two steps from N and D", lambda: fit_loss_of_size(runs)),
        of_compute=tried("two steps from C", lambda: fit_loss_of_compute(runs)) if from_flops else None,
        one_step=tried("one step from C", one_step),
        missing=missing,
    )
