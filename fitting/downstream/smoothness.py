"""Whether a benchmark's score follows its loss: in numbers, and in a word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from .links import Link
from .runs import TaskRuns

SMOOTH_RANK = 0.9  # rank correlation of score and falling loss from which a task may be called smooth
SMOOTH_SHARE = 0.9  # and the share of the scores' variance that the link explains
CLEAR_OF_CHANCE = 2.0  # standard errors that the scores of the lowest losses must lie above chance
SATURATED = 0.95  # of the way from floor to ceiling


@dataclass(frozen=True)
class Smoothness:
    """`verdict`: "smooth", "noisy", "at chance", "saturated" or "rises with loss"; the rest says why.

    Shares of 1: `scatter` is the root mean square of score less link, `span` what the link covers over the losses seen.
    """

    verdict: str
    rank_correlation: float  # Spearman's, of score against falling loss: 1 where no pair is out of order
    scatter: float
    span: float
    scatter_of_span: float | None  # None where the link covers nothing
    share_explained: float
    above_chance: float | None  # scores of the lowest quarter of losses, less chance, in standard errors
    normalised: float  # the link at the lowest loss, from 0 at the floor to 1 at the ceiling


def smoothness_of(runs: TaskRuns, link: Link, chance: float | None) -> Smoothness:
    """Of the scores about `link`; its ends are the chance and ceiling known, or what it found."""
    predicted = link.score(runs.loss)
    residual = runs.score - predicted
    scatter = float(np.sqrt(np.mean(residual**2)))
    ends = link.score(np.array([runs.loss.min(), runs.loss.max()]))
    span, best = float(abs(ends[0] - ends[1])), float(ends[0])
    variance = float(np.var(runs.score))
    known: dict[str, Any] = {
        "rank_correlation": _rank_correlation(-runs.loss, runs.score),
        "scatter": scatter,
        "span": span,
        "scatter_of_span": scatter / span if span > 0 else None,
        "share_explained": 1 - float(np.mean(residual**2)) / variance if variance > 0 else 0.0,
        "above_chance": None if chance is None else _above(runs, scatter, chance),
        "normalised": normalised(best, link),
    }
    return Smoothness(verdict=_verdict(known, link), **known)


def normalised(score: float, link: Link) -> float:
    """From 0 at the link's floor to 1 at its ceiling."""
    floor = float(link.values.get("floor", link.lowest))
    ceiling = float(link.values.get("ceiling", link.highest))
    return (score - floor) / (ceiling - floor) if ceiling > floor else float("nan")


def _verdict(known: dict[str, Any], link: Link) -> str:
    if known["above_chance"] is not None and known["above_chance"] < CLEAR_OF_CHANCE:
        return "at chance"
    if not link.falls:
        return "rises with loss"
    if known["normalised"] > SATURATED:
        return "saturated"
    smooth = known["rank_correlation"] >= SMOOTH_RANK and known["share_explained"] >= SMOOTH_SHARE
    return "smooth" if smooth else "noisy"


def _above(runs: TaskRuns, scatter: float, chance: float) -> float:
    """The rows of one unit count as one."""
    low = runs.loss <= np.quantile(runs.loss, 0.25)
    error = scatter / np.sqrt(len(np.unique(runs.unit[low])))
    return (float(runs.score[low].mean()) - chance) / max(float(error), 1e-12)


def _rank_correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's; 0 where one of the two is constant."""
    a, b = (pd.Series(values).rank().to_numpy() - (len(values) + 1) / 2 for values in (x, y))
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else 0.0
