"""The global search of Approach 3: many cheap starts, one careful end.

Huber objectives have local optima a few millionths apart, which no choice of starts avoids. So the basins that a
variable-projection grid shows are followed from a wide Huber to the narrow one, and the best optimum is shaken along
the Hessian's weakest eigenvectors until nothing lower is found.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .form import Form
from .newton import Solution, minimise
from .objectives import ABSENT, Array, Problem, evaluate
from .starts import starting_points

_WIDTHS = (1e-1, 1e-2)  # Huber widths, in parts of the loss, before the real one: the first is nearly least squares
_SHORT, _LOOSE = 8, 1e-4  # iterations at a width that only leads to the next, and its tolerance
_SEARCH_ROWS = 4000  # rows enough to find the basins; the end sees them all
_SAME = 1e-3  # starts closer than this in every parameter lead to one optimum
_HOPELESS = 4.0  # at the last wide Huber, a start this many times above the best is given up
_SHAKES = (0.01, 0.1)  # rises of the objective, relative, that a shake aims at: the second once the first has found
_DIRECTIONS = 3  # the weakest ones: along the others nothing lower was ever found
_MOST_SHAKES = 4
_SHAKEN_STEPS = 40
_GAIN = 1e-12  # relative: less is rounding
_BROUGHT_BACK = 6  # optima out of bounds that are tried on the bound
FADED = 9.0  # a term below e^-9 of the loss is on its way to its bound, where another start waits
FLATTEST = 1e-4  # an exponent below this makes a power term a second E
STEEPEST = 10.0  # an exponent beyond this describes the smallest size (or shortest run) alone


def search(problem: Problem, form: Form, weights: Array) -> Solution:
    """The distinct local optima found, lowest first, every exponent within its bounds; empty if there is none."""
    few, few_weights = _subset(problem, weights)
    found = _basins(few, form, few_weights)
    if few is not problem:
        found = minimise(problem, found.theta, weights)
    found = distinct(within_bounds(problem, form, weights, found))
    if len(found.value) and not found.converged[0]:
        ended = replace(problem, basis=form.basis(held(found.theta[0])))
        found = distinct(joined(minimise(ended, found.theta[:1], weights), found[1:]))
    return found


def _subset(problem: Problem, weights: Array) -> tuple[Problem, Array]:
    """The problem on every k-th row: rows come in order of size and tokens."""
    count = len(problem.rows.x)
    if count <= _SEARCH_ROWS:
        return problem, weights
    keep = np.arange(0, count, -(-count // _SEARCH_ROWS))
    return replace(problem, rows=problem.rows[keep]), weights[keep]


def _basins(problem: Problem, form: Form, weights: Array) -> Solution:
    theta = starting_points(problem, form, weights)
    for width in _wide(problem):
        found = distinct(minimise(problem.at(width), theta, weights, _SHORT, _LOOSE))
        hopeful = (found.value <= _HOPELESS * found.value[0]) & ~_faded(problem, form, found.theta)
        hopeful[0] |= not hopeful.any()
        theta = found.theta[hopeful]
    found = distinct(minimise(problem, theta, weights))
    return found if problem.objective == "mse" else _shaken(problem, form, weights, found)


def _wide(problem: Problem) -> list[float]:
    """The widths that lead to the real one, at least one."""
    if problem.objective == "mse":
        return [problem.delta]
    unit = 1.0 if problem.in_logs else float(np.median(problem.rows.loss))
    return [width * unit for width in _WIDTHS if width * unit > 2 * problem.delta] or [problem.delta]


def _faded(problem: Problem, form: Form, theta: Array) -> np.ndarray:
    """Starts whose E is on its way to 0: the start with E = 0 covers them."""
    if form.fixed_E is not None:
        return np.zeros(len(theta), dtype=bool)
    return np.isfinite(theta[:, 2]) & (theta[:, 2] < np.log(problem.rows.loss.min()) - FADED)


def _shaken(problem: Problem, form: Form, weights: Array, found: Solution) -> Solution:
    rises = _SHAKES[:1]
    for _ in range(_MOST_SHAKES):
        starts = around(problem, form, weights, found[:1], rises)
        if not len(starts):
            break
        lowest = found.value[0]
        found = distinct(joined(found, minimise(problem, starts, weights, _SHAKEN_STEPS)))
        if found.value[0] >= lowest * (1 - _GAIN):
            break
        rises = _SHAKES
    return found


def around(problem: Problem, form: Form, weights: Array, best: Solution, rises: tuple[float, ...] = _SHAKES) -> Array:
    """Starts about one optimum: where its local quadratic has risen by `rises`, and with an absent E made faint."""
    _, _, hessian, gram = evaluate(problem, best.theta, weights)
    scale = np.diagonal(gram, axis1=1, axis2=2)
    present = scale[0] > 0
    unit = np.sqrt(scale[0][present])
    block = hessian[0][np.ix_(present, present)] / np.outer(unit, unit)
    if not np.isfinite(block).all():
        return np.empty((0, 5))
    eigenvalues, vectors = np.linalg.eigh(block)
    weak = np.argsort(np.abs(eigenvalues))[:_DIRECTIONS]
    size = np.sqrt(2 * best.value[0] / np.maximum(np.abs(eigenvalues[weak]), 1e-4))
    steps = (problem.basis[:, present] @ (vectors[:, weak] / unit[:, None] * size)).T
    starts = np.concatenate([best.theta + sign * np.sqrt(rise) * steps for rise in rises for sign in (1, -1)])
    if best.theta[0, 2] == ABSENT and form.fixed_E is None:
        entered = best.theta.copy()
        entered[0, 2] = np.log(problem.rows.loss.min()) - 3
        starts = np.concatenate([starts, entered])
    return starts


def within_bounds(problem: Problem, form: Form, weights: Array, found: Solution) -> Solution:
    """`found` with what left the bounds of its exponents brought back onto them, where that could be the lowest."""
    good = admissible(found.theta)
    out = found[good]
    lost = found[~good & (found.value < out.value.min(initial=np.inf))][:_BROUGHT_BACK]
    for i in range(len(lost.value)):
        theta = lost.theta[i : i + 1].copy()
        theta[:, 3:] = np.clip(theta[:, 3:], FLATTEST, STEEPEST)
        # A term too steep keeps its size at the smallest model (or fewest tokens), which is all that it describes.
        less = np.minimum(theta[:, 3:] - lost.theta[i, 3:], 0.0)
        theta[:, :2] += less * (problem.rows.x.min(), problem.rows.y.min())
        bounded = minimise(replace(problem, basis=form.basis(held(theta[0]))), theta, weights, _SHAKEN_STEPS)
        out = joined(out, bounded[admissible(bounded.theta)])
    return out


def held(theta: Array) -> tuple[int, ...]:
    """Which of alpha (3) and beta (4) lie on a bound of theirs; `theta` is (5,)."""
    return tuple(k for k in (3, 4) if theta[k] in (FLATTEST, STEEPEST))


def admissible(theta: Array) -> np.ndarray:
    """Whether the exponents of the terms that are present lie within their bounds."""
    exponents = theta[:, 3:]
    present = np.isfinite(theta[:, :2])
    return np.all(~present | ((exponents >= FLATTEST) & (exponents <= STEEPEST)), axis=1)


def joined(one: Solution, other: Solution) -> Solution:
    """The problems of both, one after the other."""
    return Solution(
        np.concatenate([one.theta, other.theta]),
        np.concatenate([one.value, other.value]),
        np.concatenate([one.converged, other.converged]),
    )


def distinct(solution: Solution, same: float = _SAME) -> Solution:
    """Lowest first, without those that are where a lower one is."""
    order = np.argsort(solution.value, kind="stable")
    theta = np.maximum(solution.theta[order], -1e6)  # an absent term is the same as another absent one
    near = np.abs(theta[:, None] - theta[None]).max(axis=2) < same
    kept: list[int] = []
    for i in range(len(order)):
        if not near[i, kept].any():
            kept.append(i)
    return solution[order[kept]]
