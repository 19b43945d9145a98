"""The optimum of any form with named, bounded parameters, and what lies on a bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...errors import FitError
from .absolute import absolute_sums, corner
from .descent import Array, Solution, condition_number, minimise
from .objectives import check_objective, follow, named_value
from .starts import Parameter, Predict, Task, starting_points

_AGREE = 1e-6  # starts whose objectives differ by less than this part found the same optimum
_GONE = 1e-9  # a parameter whose removal moves no prediction by more than this part of it is at 0
_TIE = 1e-12


@dataclass(frozen=True)
class FormFit:
    """The optimum. `theta` (p,) and `at_bound` (p,) are in the order of the parameters; `value` is as named."""

    theta: Array
    value: float
    converged: bool
    at_bound: np.ndarray
    n_starts: int
    n_agreeing: int
    condition_number: float
    _task: Task
    _inner: Array  # theta as searched

    def resample(self, weights: Array) -> tuple[Array, np.ndarray]:
        """The optimum for each row of `weights` (m, n), from this one: theta (m, p) and which converged (m,)."""
        task = self._task
        start = np.repeat(self._inner[None], len(weights), axis=0)
        solution = minimise(
            task.form, task.target, start, weights, task.delta, lower=task.lower, upper=task.upper, max_iterations=100
        )
        return task.outer(solution.theta), solution.converged


def fit_form(predict: Predict, parameters: Sequence[Parameter], observed: Array, weights: Array, name: str) -> FormFit:
    """The optimum of objective `name` over the bounds, for `observed` (n,) and `weights` (n,).

    Objectives: log_huber sum of Huber(1e-3) of ln y - ln y_hat, huber mean Huber(1e-3) of y - y_hat, mse mean squared
    y - y_hat, log_lad sum |ln y - ln y_hat|. Resamples of log_lad keep a Huber of 1e-7 in its stead. Raises
    InputError for an unknown objective, logs of what is not positive, a parameter without a range to search, or a
    form without a value anywhere; FitError for fewer runs than one more than the parameters.
    """
    check_objective(name, observed)
    used = int((weights > 0).sum())
    if used <= len(parameters):
        raise FitError(f"{used} usable runs: {len(parameters)} parameters need at least {len(parameters) + 1}")
    task = Task(predict, tuple(parameters), observed, name, np.ones(len(parameters)))
    starts, scales = starting_points(task, weights)
    task = replace(task, scales=scales)
    solution = follow(task.form, task.target, task.inner(starts), weights, name, task.lower, task.upper)
    best = _lowest(solution)
    theta, value, converged = solution.theta[best], float(solution.value[best]), bool(solution.converged[best])
    theta, value, converged = _without_the_vanished(task, theta, value, converged, weights)
    if name == "log_lad":
        theta, value, converged = corner(task.form, task.target, theta, weights, task.lower, task.upper)
    sums = absolute_sums(task.form, task.target, solution.theta, weights) if name == "log_lad" else solution.value
    agreeing = int((sums <= max(value, 0.0) * (1 + _AGREE) + len(observed) * 1e-24).sum())
    on_bound = ~np.isfinite(theta) | (theta <= task.lower) | (theta >= task.upper)
    return FormFit(
        theta=task.outer(theta[None])[0],
        value=named_value(value, weights, name),
        converged=converged,
        at_bound=on_bound,
        n_starts=len(solution.value),
        n_agreeing=agreeing,
        condition_number=condition_number(task.form, theta, weights, ~on_bound),
        _task=task,
        _inner=theta,
    )


def _lowest(solution: Solution) -> int:
    """The lowest optimum, of equals (to rounding) one that converged."""
    lowest = solution.value.min()
    ties = np.flatnonzero(solution.value <= lowest * (1 + _TIE))
    return int(ties[np.argmax(solution.converged[ties])])


def _without_the_vanished(
    task: Task, theta: Array, value: float, converged: bool, weights: Array
) -> tuple[Array, float, bool]:
    """Parameters from 0 up that no longer matter are put at 0, where the objective is then as good."""
    form, target = task.form, task.target
    for i, parameter in enumerate(task.parameters):
        if parameter.lower != 0 or not np.isfinite(theta[i]):
            continue
        start = np.where(np.arange(len(theta)) == i, -np.inf, theta)[None]
        with np.errstate(all="ignore"):
            moved = np.abs(form.value(start)[0] - form.value(theta[None])[0])
        if not (moved <= _GONE * np.maximum(np.abs(target), 1e-3)).all():
            continue
        bound = minimise(form, target, start, weights, task.delta, lower=task.lower, upper=task.upper)
        if bound.value[0] <= value * (1 + _TIE):
            theta, value, converged = bound.theta[0], float(bound.value[0]), bool(bound.converged[0])
    return theta, value, converged
