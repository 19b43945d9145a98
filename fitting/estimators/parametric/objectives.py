"""The objectives of Approach 3 with gradient and Hessian, for many parameter vectors at once.

The law is L(N, D) = E + A/N^alpha + B/D^beta. With x = ln N and y = ln D less their means over the table, and
theta = (a, b, e, alpha, beta), its three terms are exp(z) with z = (a - alpha x, b - beta y, e). Centring keeps a
and alpha (b and beta) nearly uncorrelated, without which the problem is hopelessly ill-conditioned.

A term that is absent (a bound: E, A or B is 0) has its z at -infinity; everything below then yields exact zeros
for its parameters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

OBJECTIVES = ("log_huber", "huber", "mse", "log_lad")
HUBER_DELTA = 1e-3
ABSENT = -np.inf  # ln of a term that is not there
_LARGEST_TERM = 300.0  # exp() of more is no loss anyone measured; keeps a wild trial step from overflowing
BLOCK_CELLS = 12_000  # rows times problems worked on at once: what stays in a core's cache
_SMALLEST_MODEL = 1e-300  # a law whose every term underflowed is very bad, not an error

# Pairs of terms (0 A/N^alpha, 1 B/D^beta, 2 E) of which each Hessian block is made, equal ones first.
_LEFT, _RIGHT = np.array([0, 1, 2, 0, 0, 1]), np.array([0, 1, 2, 1, 2, 2])
# Row features: 0 one, 1 x, 2 x^2, 3 y, 4 y^2, 5 xy. Of parameter (a, b, e, alpha, beta) its term and its sign:
_TERM, _SIGN = np.array([0, 1, 2, 0, 1]), np.array([1.0, 1.0, 1.0, -1.0, -1.0])
_FEATURE = np.array([0, 0, 0, 1, 3])
_PRODUCT = {(0, 0): 0, (0, 1): 1, (0, 3): 3, (1, 1): 2, (3, 3): 4, (1, 3): 5}


def _hessian_plan() -> NDArray[np.intp]:
    """Where in the flattened (6 pairs, 6 features) each of the 25 second derivatives lies."""
    pair = {(i, j): k for k, (i, j) in enumerate(zip(_LEFT.tolist(), _RIGHT.tolist(), strict=True))}
    term, feature = _TERM.tolist(), _FEATURE.tolist()
    plan = np.empty((5, 5), dtype=np.intp)
    for i in range(5):
        for j in range(5):
            terms = min(term[i], term[j]), max(term[i], term[j])
            features = min(feature[i], feature[j]), max(feature[i], feature[j])
            plan[i, j] = 6 * pair[terms] + _PRODUCT[features]
    return plan.reshape(-1)


# The Hessian, the Gauss-Newton matrix and the gradient among the sums of `_row_sums`.
_AT = np.concatenate([_hessian_plan(), 36 + _hessian_plan(), 72 + 6 * _TERM + _FEATURE])
_SIGNS = np.concatenate([np.outer(_SIGN, _SIGN).reshape(-1)] * 2 + [-_SIGN])


@dataclass(frozen=True)
class Rows:
    """The table as the optimiser sees it: centred logs and losses, shape (n,), and the six row features, (n, 6)."""

    x: Array
    y: Array
    loss: Array
    log_loss: Array
    features: Array
    x_mean: float
    y_mean: float

    @classmethod
    def of(cls, n_params: Array, tokens: Array, loss: Array) -> Rows:
        """Centre ln `n_params` and ln `tokens`; all three positive, shape (n,)."""
        log_n, log_d = np.log(n_params), np.log(tokens)
        x_mean, y_mean = float(log_n.mean()), float(log_d.mean())
        x, y = log_n - x_mean, log_d - y_mean
        features = np.stack([np.ones_like(x), x, x * x, y, y * y, x * y], axis=1)
        return cls(x, y, loss, np.log(loss), features, x_mean, y_mean)

    def __getitem__(self, keep: NDArray[np.bool_] | NDArray[np.intp] | slice) -> Rows:
        """Some of the rows, centred as all were."""
        return Rows(
            self.x[keep],
            self.y[keep],
            self.loss[keep],
            self.log_loss[keep],
            self.features[keep],
            self.x_mean,
            self.y_mean,
        )


@dataclass(frozen=True)
class Problem:
    """What is minimised: `objective` (log_huber, huber or mse) with `delta` over `rows`, along the columns of `basis`.

    `basis` (5, k) says which combinations of theta may move: the identity for the plain form, alpha and beta in one
    column where they are tied, no column for a parameter that is held.
    """

    rows: Rows
    objective: str
    delta: float
    basis: Array

    @property
    def in_logs(self) -> bool:
        return self.objective == "log_huber"

    def at(self, delta: float) -> Problem:
        """The same with another Huber width."""
        return replace(self, delta=delta)


def residuals(problem: Problem, theta: Array) -> Array:
    """ln L - ln L_hat, or L - L_hat, at each row; `theta` (m, 5) gives (m, n)."""
    parts = _terms(problem.rows, theta)
    return _residuals(problem, parts[0] + parts[1] + parts[2])


def value(problem: Problem, theta: Array, weights: Array) -> Array:
    """The weighted sum of the row losses, shape (m,). `weights` broadcasts to (m, n).

    log_huber: Huber of ln L - ln L_hat; huber: Huber of L - L_hat; mse: square of L - L_hat. Huber is r^2/2 up to
    `delta` and delta (|r| - delta/2) beyond it.
    """
    residual = residuals(problem, theta)
    if problem.objective == "mse":
        return _weighted_sum(residual * residual, weights)
    slope = np.clip(residual, -problem.delta, problem.delta)
    return _weighted_sum(slope * (residual - 0.5 * slope), weights)


def evaluate(problem: Problem, theta: Array, weights: Array) -> tuple[Array, Array, Array, Array]:
    """Value (m,), gradient (m, k), Hessian (m, k, k) and the reweighted Gauss-Newton matrix (m, k, k).

    The last is positive semidefinite and, unlike the Hessian, does not vanish where every residual lies outside
    `delta`: r^2 delta / max(|r|, delta) lies above each Huber's curve.
    """
    count = len(problem.rows.x)
    if count <= BLOCK_CELLS:
        total, sums = _row_sums(problem, problem.rows, theta, weights)
    else:
        total, sums = np.zeros(len(theta)), np.zeros((len(theta), 90))
        for first in range(0, count, BLOCK_CELLS):
            block = slice(first, first + BLOCK_CELLS)
            part = _row_sums(problem, problem.rows[block], theta, weights[..., block])
            total, sums = total + part[0], sums + part[1]
    return total, *_derivatives(problem.basis, sums)


def _row_sums(problem: Problem, rows: Rows, theta: Array, weights: Array) -> tuple[Array, Array]:
    """The value and what `_derivatives` is made of, (m,) and (m, 90)."""
    delta = problem.delta
    parts = _terms(rows, theta)
    model = parts[0] + parts[1]
    model += parts[2]
    if problem.in_logs:
        np.maximum(model, _SMALLEST_MODEL, out=model)
        parts /= model
        residual = rows.log_loss - np.log(model, out=model)
    else:
        residual = rows.loss - model
    if problem.objective == "mse":
        curvature = reweighted = np.broadcast_to(2 * weights, residual.shape)
        slope = curvature * residual
        total = 0.5 * (slope * residual).sum(axis=1)
    else:
        size = np.abs(residual)
        inside = np.minimum(size, delta)
        total = np.einsum("mn,mn->m", inside * weights, size - 0.5 * inside)
        slope = np.copysign(inside * weights, residual)
        curvature = (size <= delta) * weights
        reweighted = weights * (delta / np.maximum(size, delta))
    return total, _feature_sums(rows, parts, slope, curvature + slope if problem.in_logs else curvature, reweighted)


def lagrangian(problem: Problem, theta: Array, slope: Array) -> tuple[Array, Array, Array]:
    """Gradient (k,) and Hessian (k, k) of sum of slope_i r_i in logs, and the Jacobian of r (n, k); `theta` (5,)."""
    rows = problem.rows
    parts = _terms(rows, theta[None])
    parts /= np.maximum(parts.sum(axis=0), _SMALLEST_MODEL)
    flat = np.zeros((1, len(rows.x)))
    sums = _feature_sums(rows, parts, slope[None], slope[None], flat)
    gradient, hessian, _ = _derivatives(problem.basis, sums)
    jacobian = -_SIGN * parts[_TERM, 0].T * rows.features[:, _FEATURE]
    return gradient[0], hessian[0], jacobian @ problem.basis


def _feature_sums(rows: Rows, parts: Array, slope: Array, curvature: Array, reweighted: Array) -> Array:
    """Sums over the rows of pairs of terms times row features, (m, 90)."""
    _, count, n_rows = parts.shape
    sums_of = np.empty((15, count, n_rows))
    blocks, grams, slopes = sums_of[:6], sums_of[6:12], sums_of[12:]
    np.multiply(parts, parts, out=blocks[:3])
    np.multiply(parts[0], parts[1:], out=blocks[3:5])
    np.multiply(parts[1], parts[2], out=blocks[5])
    np.multiply(blocks, reweighted, out=grams)
    np.multiply(parts, slope, out=slopes)
    blocks *= curvature
    # Second derivatives of the prediction: diag(parts) in the terms, less the outer product when in logs.
    blocks[:3] -= slopes
    sums = sums_of.reshape(-1, n_rows) @ rows.features
    return sums.reshape(15, count, 6).transpose(1, 0, 2).reshape(count, 90)


def _derivatives(basis: Array, sums: Array) -> tuple[Array, Array, Array]:
    """Gradient, Hessian and Gauss-Newton matrix in the parameters of `basis`."""
    flat = sums[:, _AT] * _SIGNS
    hessian, gram, gradient = flat[:, :25].reshape(-1, 5, 5), flat[:, 25:50].reshape(-1, 5, 5), flat[:, 50:]
    if basis.shape[1] == 5:
        return gradient, hessian, gram
    return gradient @ basis, basis.T @ hessian @ basis, basis.T @ gram @ basis


def _terms(rows: Rows, theta: Array) -> Array:
    """The law's three terms at each row, shape (3, m, n)."""
    out = np.empty((3, len(theta), len(rows.x)))
    np.subtract(theta[:, 0, None], theta[:, 3, None] * rows.x, out=out[0])
    np.subtract(theta[:, 1, None], theta[:, 4, None] * rows.y, out=out[1])
    np.minimum(out[:2], _LARGEST_TERM, out=out[:2])
    np.exp(out[:2], out=out[:2])
    out[2] = np.exp(np.minimum(theta[:, 2, None], _LARGEST_TERM))
    return out


def _residuals(problem: Problem, model: Array) -> Array:
    if problem.in_logs:
        return problem.rows.log_loss - np.log(np.maximum(model, _SMALLEST_MODEL))
    return problem.rows.loss - model


def _weighted_sum(row_loss: Array, weights: Array) -> Array:
    if weights.ndim == 1:
        return row_loss @ weights
    return np.einsum("mn,mn->m", row_loss, weights)
