"""The four objectives by name, for any form: what is compared, the Huber width, and the way down to it."""

from __future__ import annotations

import numpy as np

from ...errors import InputError
from .descent import Array, Form, Solution, minimise

FORM_OBJECTIVES = ("log_huber", "huber", "mse", "log_lad")
DELTA = 1e-3
ABSOLUTE_DELTA = 1e-7  # a Huber this narrow is the absolute residual for every run but those interpolated
_WIDE = (1e-1, 1e-2)  # widths before the real one: the first is nearly least squares
_NARROW = (1e-3, 1e-4, 1e-5, 1e-6)  # and on the way to absolute residuals
_ROUNDS = 30


def check_objective(name: str, observed: Array) -> None:
    """InputError for an unknown objective, or one in logs where a value is not positive."""
    if name not in FORM_OBJECTIVES:
        raise InputError(f"objective {name!r} is unknown: choose one of {', '.join(FORM_OBJECTIVES)}")
    if compares_logs(name) and (observed <= 0).any():
        low = float(observed.min())
        raise InputError(f"objective {name!r} takes logs of the target, whose least is {low:g}: use huber or mse")


def compares_logs(name: str) -> bool:
    """Whether the residual is ln y - ln y_hat."""
    return name.startswith("log_")


def delta_of(name: str) -> float | None:
    """The Huber width that the descent uses; None for squares. log_lad: so narrow that it is the absolute residual."""
    return {"mse": None, "log_lad": ABSOLUTE_DELTA}.get(name, DELTA)


def named_value(total: float, weights: Array, name: str) -> float:
    """The objective as named from its weighted sum: a mean for huber and mse."""
    return total / float(weights.sum()) if name in ("huber", "mse") else total


def follow(form: Form, target: Array, start: Array, weights: Array, name: str, lower: Array, upper: Array) -> Solution:
    """From all starts (m, p) to their local optima; Huber objectives from a wide delta to the real one."""
    delta = delta_of(name)
    if delta is None:
        return minimise(form, target, start, weights, None, lower=lower, upper=upper)
    scale = 1.0 if compares_logs(name) else float(np.median(np.abs(target))) or 1.0
    continued = start
    for width in _WIDE:
        continued = minimise(
            form, target, continued, weights, width * scale, lower=lower, upper=upper, max_iterations=_ROUNDS
        ).theta
    # A narrow Huber has local optima near where it starts: keep the best raw starts beside the continued ones.
    theta = np.concatenate([continued, start[: max(1, len(start) // 3)]])
    for width in _NARROW if name == "log_lad" else ():
        theta = minimise(form, target, theta, weights, width, lower=lower, upper=upper, max_iterations=_ROUNDS).theta
    return minimise(form, target, theta, weights, delta, lower=lower, upper=upper)
