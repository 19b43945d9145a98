"""Where to start on a form with named, bounded parameters.

Parameters in which the form is linear, all others fixed, are found by trying; non-negative least squares then sets
them (variable projection, Golub and Pereyra 1973), and only the others are spread evenly over their ranges.
Parameters that cannot be negative are searched in logs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from ...errors import InputError
from .descent import Array, Differenced, Form, objective
from .objectives import compares_logs, delta_of

_POINTS = 256  # spread over the ranges
_POLISHED = 12  # of its points, the lowest, that are followed down

# Predictions (m, n) from parameters (m, p), each column one parameter as the user sees it.
Predict = Callable[[Array], Array]


@dataclass(frozen=True)
class Parameter:
    """A name, its bounds, and the range its starts are taken from (None: the form must be linear in it)."""

    name: str
    lower: float = -np.inf
    upper: float = np.inf
    start: tuple[float, float] | None = None

    @property
    def in_logs(self) -> bool:
        return self.lower >= 0

    @property
    def origin(self) -> float:
        """0, or the bound nearest to it: where linear parameters are measured from."""
        return float(np.clip(0.0, self.lower, self.upper))

    @property
    def unit(self) -> float:
        """A move from the origin that stays within the bounds when doubled."""
        return min(1.0, (self.upper - self.origin) / 2) or max(-1.0, (self.lower - self.origin) / 2)


@dataclass(frozen=True)
class Task:
    """The form in the optimiser's coordinates: logs of the parameters from 0 up, the others in units of `scales`."""

    predict: Predict
    parameters: tuple[Parameter, ...]
    observed: Array
    name: str
    scales: Array

    @property
    def in_logs(self) -> bool:
        return compares_logs(self.name)

    @property
    def delta(self) -> float | None:
        return delta_of(self.name)

    @property
    def target(self) -> Array:
        return np.log(self.observed) if self.in_logs else self.observed

    @property
    def form(self) -> Form:
        return Differenced(self._value)

    def _value(self, theta: Array) -> Array:
        predicted = self.predict(self.outer(theta))
        return np.log(np.where(predicted > 0, predicted, np.nan)) if self.in_logs else predicted

    def outer(self, theta: Array) -> Array:
        out = theta * self.scales
        logs = [i for i, parameter in enumerate(self.parameters) if parameter.in_logs]
        out[:, logs] = np.exp(theta[:, logs])
        return out

    def inner(self, values: Array) -> Array:
        out = values / self.scales
        logs = [i for i, parameter in enumerate(self.parameters) if parameter.in_logs]
        with np.errstate(divide="ignore"):
            out[:, logs] = np.log(values[:, logs])
        return out

    @property
    def lower(self) -> Array:
        return self.inner(np.array([[parameter.lower for parameter in self.parameters]]))[0]

    @property
    def upper(self) -> Array:
        return self.inner(np.array([[parameter.upper for parameter in self.parameters]]))[0]


def starting_points(task: Task, weights: Array) -> tuple[Array, Array]:
    """The lowest of the spread points, in the user's coordinates (m, p), and the scale of each parameter (p,)."""
    linear = _linear_parameters(task)
    points = _spread(task, linear)
    with np.errstate(all="ignore"):
        if linear:
            points = np.concatenate([points, _projected(task, points, linear, weights)])
            points = points[np.isfinite(points).all(axis=1)]
        values = np.concatenate(
            [
                objective(task.form, task.target, task.inner(part), weights, task.delta)
                for part in np.split(points, range(64, len(points), 64))
            ]
        )
    if not np.isfinite(values).any():
        raise InputError(_no_value(task, points[0]))
    order = np.argsort(values, kind="stable")[:_POLISHED]
    order = order[np.isfinite(values[order])]
    scales = np.abs(points[order]).max(axis=0)
    unscaled = np.array([parameter.in_logs for parameter in task.parameters]) | (scales == 0)
    return points[order], np.where(unscaled, 1.0, scales)


def _no_value(task: Task, point: Array) -> str:
    predicted = task.predict(point[None])[0]
    bad = int(np.flatnonzero(~np.isfinite(predicted) | (predicted <= 0))[0])
    at = ", ".join(f"{parameter.name}={value:.4g}" for parameter, value in zip(task.parameters, point, strict=True))
    need = "a positive, finite value" if task.in_logs else "a finite value"
    return f"the form gives {predicted[bad]:g} for run {bad + 1} at {at}: it needs {need} at every run; narrow `start`"


def _range(parameter: Parameter) -> tuple[float, float]:
    """Where the starts of a parameter that is not linear are taken from."""
    if parameter.start is not None:
        return parameter.start
    if not np.isfinite([parameter.lower, parameter.upper]).all():
        raise InputError(
            f"parameter {parameter.name!r} is not linear in the form and has no finite bounds: "
            f"give start={{{parameter.name!r}: (low, high)}}"
        )
    low = max(parameter.lower, parameter.upper / 100) if parameter.in_logs else parameter.lower
    return low, parameter.upper


def _spread(task: Task, linear: list[int]) -> Array:
    """Points evenly over the ranges of the parameters that are not linear, in logs where both ends are positive."""
    others = [i for i in range(len(task.parameters)) if i not in linear]
    out = np.ones((_POINTS, len(task.parameters)))
    if others:
        unit = _even_points(len(others))
        for column, i in enumerate(others):
            low, high = _range(task.parameters[i])
            even = unit[:, column]
            out[:, i] = low * (high / low) ** even if low > 0 else low + (high - low) * even
    for i in linear:
        parameter = task.parameters[i]
        if parameter.start is not None:
            out[:, i] = (
                np.sqrt(parameter.start[0] * parameter.start[1]) if parameter.start[0] > 0 else np.mean(parameter.start)
            )
        out[:, i] = np.clip(out[:, i], parameter.lower, parameter.upper)
    return out if others else out[:1]


def _even_points(dimensions: int) -> Array:
    """Points of the unit cube, (_POINTS, dimensions): multiples, modulo 1, of powers of the generalised golden ratio.

    The ratio g solves g^(d + 1) = g + 1; d = 1 is the golden ratio (Roberts' additive recurrence).
    """
    ratio = 1.5
    for _ in range(60):
        ratio = (1 + ratio) ** (1 / (dimensions + 1))
    return (0.5 + np.outer(np.arange(1, _POINTS + 1), ratio ** -np.arange(1.0, dimensions + 1))) % 1


def _linear_parameters(task: Task) -> list[int]:
    """Parameters in which the form is linear, alone and together, as it shows at two points of the others."""
    base = np.ones(len(task.parameters))
    for i, parameter in enumerate(task.parameters):
        bounded = np.isfinite([parameter.lower, parameter.upper]).all()
        if parameter.start is not None or bounded:
            low, high = _range(parameter)
            base[i] = np.sqrt(low * high) if low > 0 else (low + high) / 2
    found: list[int] = []
    with np.errstate(all="ignore"):
        for i in range(len(base)):
            if all(_is_linear(task, base * tilt, [*found, i]) for tilt in (1.0, 0.83)):
                found.append(i)
    return found


def _is_linear(task: Task, base: Array, chosen: list[int]) -> bool:
    """Whether the last of `chosen` adds its own term, a multiple of it, wherever the others of `chosen` are."""
    origin = base.copy()
    origin[chosen] = [task.parameters[i].origin for i in chosen]
    last, rest = chosen[-1], chosen[:-1]

    def moved(point: Array, i: int, times: float) -> Array:
        return _replaced(point, i, point[i] + times * task.parameters[i].unit)

    points = [origin, moved(origin, last, 1), moved(origin, last, 2)]
    for other in rest:
        points += [moved(origin, other, 1), moved(moved(origin, other, 1), last, 1)]
    values = task.predict(np.stack(points))
    if not np.isfinite(values).all():
        return False
    effect = values[1] - values[0]
    rounding = 1e-12 * np.abs(values).max(axis=0) + 1e-9 * np.abs(effect)
    same = np.abs(values[2] - values[1] - effect) <= rounding
    for without_last, with_last in zip(values[3::2], values[4::2], strict=True):
        same &= np.abs(with_last - without_last - effect) <= rounding
    return bool(same.all() and np.abs(effect).max() > 0)


def _replaced(point: Array, index: int, value: float) -> Array:
    out = point.copy()
    out[index] = value
    return out


def _projected(task: Task, points: Array, linear: list[int], weights: Array) -> Array:
    """`points` with the linear parameters at their least squares, relative to the target where logs are compared.

    Each twice: as solved, and with those that came out at their origin moved off it, for the descent may go there.
    """
    own = [task.parameters[i] for i in linear]
    root = np.sqrt(weights) / (task.observed if task.in_logs else 1.0)
    at_origin = points.copy()
    at_origin[:, linear] = [parameter.origin for parameter in own]
    offset = task.predict(at_origin)
    columns: list[Array] = []
    for i, parameter in zip(linear, own, strict=True):
        moved = at_origin.copy()
        moved[:, i] += parameter.unit
        columns.append((task.predict(moved) - offset) * root)
    rest = (task.observed - offset) * root
    solved, raised = points.copy(), points.copy()
    bounds = np.array([(parameter.lower, parameter.upper) for parameter in own]).T
    origins, units = (np.array([getattr(parameter, name) for parameter in own]) for name in ("origin", "unit"))
    # A parameter whose origin is its lower bound can only rise from it.
    one_sided = origins == bounds[0]
    for row in range(len(points)):
        design = np.stack([column[row] for column in columns], axis=1)
        steps, sizes = _least_squares(design, rest[row], one_sided)
        small = 1e-4 * np.linalg.norm(rest[row]) / sizes
        solved[row, linear] = np.clip(origins + steps * units, *bounds)
        raised[row, linear] = np.clip(origins + np.where(steps == 0, small, steps) * units, *bounds)
    return np.concatenate([solved, raised])


def _least_squares(design: Array, rest: Array, non_negative: np.ndarray) -> tuple[Array, Array]:
    """Least squares with some coefficients non-negative, NaN where there is none; and the norm of each column."""
    sizes = np.linalg.norm(design, axis=0)
    if not np.isfinite(design).all() or not np.isfinite(rest).all() or not (sizes > 0).all():
        return np.full(len(sizes), np.nan), np.ones(len(sizes))
    scaled = design / sizes
    both, _ = nnls(np.hstack([scaled, -scaled[:, ~non_negative]]), rest)
    coefficients = both[: len(sizes)]
    coefficients[~non_negative] -= both[len(sizes) :]
    return coefficients / sizes, sizes
