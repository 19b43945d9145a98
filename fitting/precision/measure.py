"""The noise of a sweep from its own runs: what seeds change, what cells scatter beside that, and the law's misfit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import FitError, InputError
from ..estimators.isoflop import WINDOW
from ..estimators.isoflop.budgets import Group, budget_labels, grouped
from ..estimators.isoflop.minima import Parabola, minimum_of
from ..estimators.isoflop.replicates import settings_of
from ..estimators.parametric import fit_law
from ..laws import ChinchillaLaw
from ..runs import RunTable
from ..uncertainty import resampling_units
from .noise import NoiseKind, NoiseModel

Array = NDArray[np.float64]

MIN_FREEDOM = 3  # degrees of freedom below which a variance is not measured
_SHAPED = 20  # degrees of freedom from which the replicates' residuals show more than their size
_FREE = 5  # parameters of the parametric law


def measured_noise(table: RunTable, source: str = "") -> NoiseModel:
    """The noise of the runs of `table`, `source` by name.

    - Seed noise: the runs of a cell, equal in `n_params`, `tokens` and settings such as the learning rate, about their
      mean, pooled over cells; in nats or as a share of the loss, whichever makes the replicates likelier. With fewer
      than 3 degrees of freedom the residuals about the budgets' parabolas stand for it. From 20 on their shape is kept:
      a Huber loss makes little of rare large errors, least squares all.
    - Between cells: what cell means scatter about the parabola of their budget, as approach 2 draws it, beyond their
      seeds. Moment estimate, 0 where seeds explain it all.
    - Law misfit: what they scatter about the parametric law beyond both.

    Raises InputError where neither replicates nor parabolas show a noise.
    """
    frame, named = table.fitted, f"{source}: " if source else ""
    law = _law(frame)
    relative, residuals, freedom = _seed_noise(frame)
    seeds = float(residuals @ residuals) / max(freedom, 1)
    curves = _curves(table, law, relative)
    squares, of_seeds, of_cells = np.sum(curves, axis=0) if curves else np.zeros(3)
    kind = NoiseKind.RELATIVE if relative else NoiseKind.CONSTANT
    if freedom < MIN_FREEDOM:
        if of_cells < MIN_FREEDOM or not squares > 0:
            raise InputError(
                f"{named}no noise to measure: {freedom} replicates beyond the first of their cell, and too few sizes a "
                "budget to show it by; give the noise as a number, such as 0.5%"
            )
        share = float(np.sqrt(squares / of_seeds))
        return NoiseModel(kind, share, f"{named}residuals about each budget's curve", freedom=round(of_cells))
    between = max(0.0, float((squares - seeds * of_seeds) / of_cells)) if of_cells >= MIN_FREEDOM else 0.0
    return NoiseModel(
        kind,
        float(np.sqrt(seeds)),
        f"{named}measured from {freedom} replicates and the residuals of its cells",
        between_cells=float(np.sqrt(between)),
        law_misfit=float(np.sqrt(_misfit(frame, law, relative, seeds, between))),
        freedom=freedom,
        shape=_shape(frame, residuals) if freedom >= _SHAPED else None,
    )


def cells_of(frame: pd.DataFrame) -> NDArray[np.intp]:
    """The cell of each row, shape (n,): one size, token count, learning rate and the like."""
    cells = resampling_units(pd.DataFrame(frame[["n_params", "tokens", "loss"]]))
    settings = settings_of(frame)
    if settings is None:
        return cells
    return np.unique(np.stack([cells, settings], axis=1), axis=0, return_inverse=True)[1].reshape(-1)


def _seed_noise(frame: pd.DataFrame) -> tuple[bool, Array, int]:
    """Whether it is a share of the loss; the runs' residuals from their cells' means (shares, or nats); how many are
    free."""
    loss, cells = frame["loss"].to_numpy(dtype=float), cells_of(frame)
    count = np.bincount(cells)
    freedom = len(loss) - len(count)
    shares, nats = (values - (np.bincount(cells, values) / count)[cells] for values in (np.log(loss), loss))
    if not nats @ nats > 0:  # no replicates, or the same runs twice
        return True, np.zeros(1), 0
    level = np.bincount(cells, np.log(loss)) / count
    likelier = freedom / 2 * np.log(shares @ shares / (nats @ nats)) + float(np.sum((count - 1) * level))
    relative = bool(likelier <= 0)  # the log-likelihood of constant noise over that of relative noise
    return relative, shares if relative else nats, freedom


def _shape(frame: pd.DataFrame, residuals: Array) -> Array:
    """The residuals of replicated cells, each scaled to the variance of one run, at mean square 1."""
    cells = cells_of(frame)
    count = np.bincount(cells)[cells]
    own = residuals[count > 1] / np.sqrt(1 - 1 / count[count > 1])
    return own / np.sqrt(np.mean(own**2))


def _curves(table: RunTable, law: ChinchillaLaw | None, relative: bool) -> list[tuple[float, float, float]]:
    """For each budget with a parabola: the squares of its cells' residuals, and what a seed variance of 1 and one
    between cells of 1 would make of these."""
    labels, guessed = budget_labels(table)
    try:
        groups = grouped(table, labels, law, guessed=guessed, common_flops="auto").groups
    except FitError:
        return []
    found: list[tuple[float, float, float]] = []
    for group, parabola in _parabolas(groups):
        losses = group.loss[parabola.used]
        curve = parabola.fitted(losses)
        residuals = (losses - curve) / (curve if relative else 1.0)
        alike = replace(parabola, spread=np.ones(len(losses)))
        spread, even = parabola.residual_variance.sum(), alike.residual_variance.sum()
        found.append((float(residuals @ residuals), float(spread), float(even)))
    return found


def _parabolas(groups: list[Group]) -> Iterator[tuple[Group, Parabola]]:
    """Each group as the means of its sizes, with the parabola near its minimum where that leaves residuals."""
    for group in groups:
        if group.wide:
            continue
        counts = np.bincount(group.sizes).astype(float)
        means = {name: np.bincount(group.sizes, getattr(group, name)) / counts for name in ("log_n", "log_d", "loss")}
        cells = replace(group, **means, sizes=np.arange(len(counts)), counts=counts)
        parabola = minimum_of(cells, "parabola", WINDOW).parabola
        if parabola is not None and parabola.freedom > 0:
            yield cells, parabola


def _law(frame: pd.DataFrame) -> ChinchillaLaw | None:
    try:
        return fit_law(frame["n_params"], frame["tokens"], frame["loss"]).law
    except FitError:
        return None


def _misfit(frame: pd.DataFrame, law: ChinchillaLaw | None, relative: bool, seeds: float, between: float) -> float:
    """The variance of cell means about the law beyond seeds and cells; 0 where there is no law or too few cells."""
    cells = cells_of(frame)
    count = np.bincount(cells)
    freedom = len(count) - _FREE
    if law is None or freedom < MIN_FREEDOM:
        return 0.0
    loss = frame["loss"].to_numpy(dtype=float)
    predicted = law.loss(frame["n_params"].to_numpy(dtype=float), frame["tokens"].to_numpy(dtype=float))
    residuals = (loss - predicted) / (predicted if relative else 1.0)
    means = np.bincount(cells, residuals) / count
    return max(0.0, float(means @ means / freedom - seeds * np.mean(1 / count) - between))
