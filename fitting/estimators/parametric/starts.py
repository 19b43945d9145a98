"""Where to start Approach 3: for fixed exponents the law is linear in E, A and B, so only two are searched.

Variable projection (Golub and Pereyra 1973): over a grid of (alpha, beta) the least squares problem in (E, A, B) is
solved exactly, with all three and with each of them at 0. Residuals are relative to the loss where the objective
speaks of ln L, else plain.
"""

from __future__ import annotations

import functools
import itertools

import numpy as np

from .form import Form
from .objectives import ABSENT, Array, Problem, value

_EXPONENTS = np.geomspace(0.02, 4.0, 20)  # published exponents of a loss lie between .03 and 1.3
_SCORED_POINTS = 40  # of the grid's points, those whose own objective is looked at
_EACH = 3  # local minima of the grid taken by the squares
_FAINT = 7.0  # a term that has to start is e^-7 of the loss


def starting_points(problem: Problem, form: Form, weights: Array) -> Array:
    """Parameter vectors (m, 5) in the basins worth polishing, among them the bounds E = 0, A = 0 and B = 0.

    A bound is entered with its logarithm at minus infinity; the optimiser keeps it there.
    """
    grid = _Grid(problem, form, weights)
    free = form.fixed_E is None
    chosen = [_lowest(problem, weights, *grid.solve((0, 1, 2) if free else (0, 1)))]
    for face in [(0, 1), (0, 2), (1, 2)] if free else [(0,), (1,)]:
        theta, squares = grid.solve(face)
        chosen.append(theta.reshape(-1, 5)[np.argmin(squares)][None])
    return np.concatenate(chosen)


def _lowest(problem: Problem, weights: Array, theta: Array, squares: Array) -> Array:
    """The lowest local minima of `theta` (p, q, 5) by the squares, and the lowest point by the objective.

    The objective is evaluated only where the squares are among the lowest: elsewhere no optimum lies.
    """
    flat, ranks = theta.reshape(-1, 5), squares.reshape(-1)
    minima = np.flatnonzero(_is_local_minimum(squares))
    chosen = minima[np.argsort(ranks[minima], kind="stable")][:_EACH]
    if problem.objective != "mse":
        near = np.argsort(ranks, kind="stable")[:_SCORED_POINTS]
        chosen = np.append(chosen, near[np.argmin(value(problem, flat[near], weights))])
    return flat[np.unique(chosen)]


def _is_local_minimum(score: Array) -> np.ndarray:
    padded = np.full((score.shape[0] + 2, score.shape[1] + 2), np.inf)
    padded[1:-1, 1:-1] = score
    across = np.minimum(np.minimum(padded[:-2], padded[1:-1]), padded[2:])
    return score <= np.minimum(np.minimum(across[:, :-2], across[:, 1:-1]), across[:, 2:])


class _Grid:
    """The normal equations of (A, B, E) at every pair of exponents, shape (p, q); (p, 1) where they are tied."""

    def __init__(self, problem: Problem, form: Form, weights: Array):
        rows = problem.rows
        self.form = form
        root = np.sqrt(weights)
        self.relative = root / rows.loss if problem.in_logs else root
        # Each column is scaled to at most 1 so that steep exponents do not swamp the normal equations.
        u, self.u_log = self._powers(rows.x)
        v, self.v_log = self._powers(rows.y)
        held = 0.0 if form.fixed_E is None else form.fixed_E
        target = self.relative * (rows.loss - held)
        self.total = float(target @ target)
        self.faint = float(np.log(rows.loss.min())) - _FAINT
        uv = np.sum(u * v, axis=1)[:, None] if form.tied else u @ v.T
        self.products = {(0, 1): uv, (2, 2): np.full((1, 1), self.relative @ self.relative)}
        self.moments = [self._axis(0, u @ target), self._axis(1, v @ target), np.full((1, 1), self.relative @ target)]
        for k, column in enumerate((u, v)):
            self.products[k, k] = self._axis(k, np.sum(column * column, axis=1))
            self.products[k, 2] = self._axis(k, column @ self.relative)
        self._solved: dict[tuple[int, ...], tuple[list[Array], Array]] = {}

    def _powers(self, x: Array) -> tuple[Array, Array]:
        logs = -_EXPONENTS[:, None] * x
        top = logs.max(axis=1)
        return np.exp(logs - top[:, None]) * self.relative, top

    def _axis(self, term: int, values: Array) -> Array:
        return values[None, :] if term == 1 and not self.form.tied else values[:, None]

    def solve(self, present: tuple[int, ...]) -> tuple[Array, Array]:
        """theta (p, q, 5) with the terms `present` (0 A, 1 B, 2 E) and the squares left (p, q).

        A term that least squares would make negative starts faint instead; the squares are then those without it.
        """
        shape = np.broadcast_shapes(*(self.moments[k].shape for k in present if k < 2))
        solution, gain = self._non_negative(present, shape)
        with np.errstate(divide="ignore"):
            logs = np.maximum(np.log(solution), self.faint)  # of each term where it is largest
        theta = np.empty((*shape, 5))
        theta[..., :3] = ABSENT
        largest = (self._axis(0, self.u_log), self._axis(1, self.v_log), 0.0)
        for k in present:
            theta[..., k] = logs[..., k] - largest[k]
        if self.form.fixed_e is not None:
            theta[..., 2] = self.form.fixed_e
        theta[..., 3] = _EXPONENTS[:, None] if 0 in present or self.form.tied else 0.0
        theta[..., 4] = _EXPONENTS[:, None] if self.form.tied else _EXPONENTS if 1 in present else 0.0
        return theta, self.total - gain

    def _non_negative(self, present: tuple[int, ...], shape: tuple[int, ...]) -> tuple[Array, Array]:
        """The best of all sub-solutions with positive coefficients, (p, q, 3), and how far it lowers the squares."""
        best, gain = np.zeros((*shape, 3)), np.zeros(shape)
        for count in range(1, len(present) + 1):
            for active in itertools.combinations(present, count):
                part, drop = self._sub_solution(active)
                wins = drop > gain
                gain = np.where(wins, drop, gain)
                best[wins] = 0.0
                for k, coefficient in zip(active, part, strict=True):
                    best[..., k] = np.where(wins, coefficient, best[..., k])
        return best, gain

    def _sub_solution(self, active: tuple[int, ...]) -> tuple[list[Array], Array]:
        """Least squares with exactly the terms `active` by Cholesky written out, and how far it lowers the squares: -1
        where a coefficient is not positive. Arrays are (p, q), or 1 long where an exponent does not matter."""
        if active in self._solved:
            return self._solved[active]
        factor: dict[tuple[int, int], Array] = {}
        forward: list[Array] = []
        for i, k in enumerate(active):
            for j in range(i):
                known = sum(factor[i, h] * factor[j, h] for h in range(j))
                factor[i, j] = (self.products[active[j], k] - known) / factor[j, j]
            own = self.products[k, k]
            # A trace of ridge: two columns may coincide (equal exponents on D = const / N); these are starts only.
            factor[i, i] = np.sqrt(np.maximum(own - sum(factor[i, h] ** 2 for h in range(i)), 1e-12 * own))
            forward.append((self.moments[k] - sum(factor[i, h] * forward[h] for h in range(i))) / factor[i, i])
        part: list[Array] = []
        for i in reversed(range(len(active))):
            known = sum(factor[i + 1 + h, i] * part[h] for h in range(len(part)))
            part.insert(0, (forward[i] - known) / factor[i, i])
        positive = functools.reduce(np.logical_and, [coefficient > 0 for coefficient in part])
        drop = sum(coefficient * self.moments[k] for k, coefficient in zip(active, part, strict=True))
        self._solved[active] = part, np.where(positive, drop, -1.0)
        return self._solved[active]
