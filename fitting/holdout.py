"""Fit without a budget and predict it: how far each law may be trusted outside its runs, and which predicts better."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr, stdtrit

from .arguments import check_fit
from .errors import FitError, InputError
from .estimators.isoflop import fit_isoflop
from .estimators.isoflop.budgets import budget_labels
from .estimators.kaplan_law import fit_kaplan_law
from .estimators.parametric import fit_law
from .results import Estimate, MinimumStatus
from .runs import RunTable
from .shown import Shown

Array = NDArray[np.float64]
MIN_BUDGETS_HELD_OUT = 5  # one is left out and four remain, the least that has an interval elsewhere
MIN_RUNS_HELD_OUT = 3  # a budget of fewer runs is not held out: its error would be the noise of one run
MOST_HELD_OUT = 16  # of more budgets so many are left out, evenly from the least to the largest


class Law(Protocol):
    """What can be held out: an object that predicts the loss at counts of parameters and tokens."""

    def loss(self, n_params: ArrayLike, tokens: ArrayLike) -> Array: ...


# (n_params, tokens, loss) of the runs that remain -> the law fitted to them.
LawFitter = Callable[[Array, Array, Array], Law]
LAWS: Mapping[str, LawFitter] = {
    "chinchilla": lambda n, d, loss: fit_law(n, d, loss).law,
    "kaplan": lambda n, d, loss: fit_kaplan_law(n, d, loss).law,
}


@dataclass(frozen=True)
class HeldOutBudget:
    """How one law, fitted to the other budgets, predicts the runs of this one. Errors are predicted - measured ln L."""

    budget: float
    n_runs: int
    rms_error: float
    mean_error: float  # the bias; negative: the law promises a lower loss than was reached
    rms_fitted: float  # of the runs fitted: what the law misses, and noise, without extrapolating
    rms_baseline: float  # of no skill: every run predicted at the mean ln L of the nearest budget that remains
    skill: float  # 1 - rms_error / rms_baseline: 1 is perfect, 0 no better than the baseline


@dataclass(frozen=True)
class HeldOutRun:
    """A run of the largest budget: its measured loss, and by law the loss predicted without that budget."""

    run: str
    n_params: float
    tokens: float
    loss: float
    predicted: dict[str, float]


@dataclass(frozen=True)
class HeldOutSize:
    """N* at the largest budget: by approach 2's line through the other budgets, and by that budget's own minimum.

    None where the line or an interior minimum is missing; `why` then says which.
    """

    flops: float | None = None
    predicted: float | None = None
    measured: float | None = None
    ratio: float | None = None  # predicted over measured
    why: str = ""


@dataclass(frozen=True)
class LawComparison:
    """Two laws over the budgets left out one at a time, paired: ln of the first's RMS error over the second's.

    `log_ratio` has Student's interval over the budgets; `better` is None where it includes 0. The folds share most of
    their runs, so that the interval is a little too narrow; only the largest budget is a true extrapolation, and
    `largest_log_ratio` is that one alone.
    """

    first: str
    second: str
    log_ratio: Estimate
    largest_log_ratio: float
    n_budgets: int
    n_first_better: int
    sign_p_value: float  # of the count alone, two-sided
    better: str | None
    verdict: str


@dataclass(frozen=True, repr=False)
class Holdout(Shown, says="analyses.holdout"):
    """`largest` has one entry a law; `each` one a law and budget left out, in rising order of compute."""

    budget: float  # the largest with 3 runs or more
    n_budgets: int  # held out, one at a time
    largest: dict[str, HeldOutBudget]
    each: dict[str, tuple[HeldOutBudget, ...]]
    runs: tuple[HeldOutRun, ...]
    size: HeldOutSize
    comparisons: tuple[LawComparison, ...]
    failed: tuple[str, ...]  # laws that could not be fitted without some budget, with the reason


def hold_out(
    table: RunTable,
    labels: ArrayLike | None = None,
    *,
    laws: Mapping[str, LawFitter] = LAWS,
    min_budgets: int = MIN_BUDGETS_HELD_OUT,
    level: float = 0.95,
) -> Holdout:
    """Leave out each budget of `table` in turn, fit every law to the rest and predict it.

    Budgets of fewer than 3 runs are fitted but not held out; of more than 16 others, 16 are, evenly from the least to
    the largest. For the largest budget held out, runs above it are left out of the fit too: its prediction is an
    extrapolation.

    `labels` is the budget of each usable run; by default the table's own, else clusters of its FLOPs. A law that cannot
    be fitted without some budget is named in `failed` and takes part where it can. Raises InputError for `labels` of
    the wrong length, FitError for fewer than `min_budgets` budgets or where no law predicts the largest.
    """
    check_fit(table, level)
    frame = table.fitted
    own = budget_labels(table)[0] if labels is None else np.asarray(labels, dtype=float).reshape(-1)
    if len(own) != len(frame):
        raise InputError(f"labels has {len(own)} values for {len(frame)} usable runs: give one for each")
    budgets, counts = np.unique(own, return_counts=True)
    budgets = budgets[counts >= MIN_RUNS_HELD_OUT]
    if len(budgets) < min_budgets:
        raise FitError(
            f"{len(budgets)} budgets of {MIN_RUNS_HELD_OUT} runs or more: holding one out needs at least {min_budgets}"
        )
    if len(budgets) > MOST_HELD_OUT:
        budgets = budgets[np.linspace(0, len(budgets) - 1, MOST_HELD_OUT).round().astype(int)]
    n, d, loss = (frame[name].to_numpy(dtype=float) for name in ("n_params", "tokens", "loss"))
    folds = _Folds(n, d, loss, own, budgets)
    each: dict[str, tuple[HeldOutBudget, ...]] = {}
    failed: list[str] = []
    predicted: dict[str, Array] = {}
    for name, fitter in laws.items():
        each[name], of_largest, reasons = folds.leave_each_out(fitter)
        failed += [f"{name} {reason}" for reason in reasons]
        if of_largest is not None:
            predicted[name] = of_largest
    if not predicted:
        raise FitError(f"no law can be fitted without the largest budget: {'; '.join(failed)}")
    last = np.flatnonzero(own == budgets[-1])
    runs = tuple(
        HeldOutRun(
            run=str(frame["run"].iloc[row]),
            n_params=float(n[row]),
            tokens=float(d[row]),
            loss=float(loss[row]),
            predicted={name: float(values[i]) for name, values in predicted.items()},
        )
        for i, row in enumerate(last)
    )
    return Holdout(
        budget=float(budgets[-1]),
        n_budgets=len(budgets),
        largest={name: each[name][-1] for name in predicted},
        each=each,
        runs=runs,
        size=_size(table, own, float(budgets[-1])),
        comparisons=tuple(_compare(a, b, each, level) for a, b in combinations(predicted, 2)),
        failed=tuple(failed),
    )


@dataclass(frozen=True)
class _Folds:
    n: Array
    d: Array
    loss: Array
    labels: Array
    budgets: Array

    def leave_each_out(self, fitter: LawFitter) -> tuple[tuple[HeldOutBudget, ...], Array | None, list[str]]:
        """The errors at each budget, the losses predicted at the largest, and why a budget has no errors."""
        results: list[HeldOutBudget] = []
        predicted: Array | None = None
        failed: list[str] = []
        for budget in self.budgets:
            try:
                result, values = self.leave_out(budget, fitter)
            except FitError as error:
                failed.append(f"without {budget:.3g}: {error}")
                continue
            results.append(result)
            if budget == self.budgets[-1]:
                predicted = values
        return tuple(results), predicted, failed

    def leave_out(self, budget: float, fitter: LawFitter) -> tuple[HeldOutBudget, Array]:
        """The errors at one budget of a law fitted to the others, and the losses it predicts there."""
        out = self.labels == budget
        kept = self.labels < budget if budget == self.budgets[-1] else ~out
        law = fitter(self.n[kept], self.d[kept], self.loss[kept])
        with np.errstate(all="ignore"):
            predicted = np.asarray(law.loss(self.n[out], self.d[out]), dtype=float)
        if not (np.isfinite(predicted) & (predicted > 0)).all():
            raise FitError("the law fitted to the others predicts no positive number there")
        errors = np.log(predicted) - np.log(self.loss[out])
        fitted = np.log(law.loss(self.n[kept], self.d[kept])) - np.log(self.loss[kept])
        others = np.unique(self.labels[kept])
        nearest = others[np.argmin(np.abs(np.log(others) - np.log(budget)))]
        baseline = np.log(self.loss[self.labels == nearest]).mean() - np.log(self.loss[out])
        result = HeldOutBudget(
            budget=float(budget),
            n_runs=int(out.sum()),
            rms_error=_rms(errors),
            mean_error=float(errors.mean()),
            rms_fitted=_rms(fitted),
            rms_baseline=_rms(baseline),
            skill=1 - _rms(errors) / _rms(baseline) if baseline.any() else float("nan"),
        )
        return result, predicted


def _rms(errors: Array) -> float:
    return float(np.sqrt(np.mean(errors * errors)))


def _size(table: RunTable, labels: Array, budget: float) -> HeldOutSize:
    frame = table.fitted.assign(budget=labels)
    tables = (pd.DataFrame(frame[labels < budget]), pd.DataFrame(frame[labels <= budget]))
    try:
        rest, whole = (fit_isoflop(RunTable(part, table.notes, table.keep_flagged), resamples=0) for part in tables)
    except (FitError, InputError) as error:
        return HeldOutSize(why=f"no line through the other budgets: {error}")
    minimum = max(whole.minima, key=lambda minimum: minimum.budget)
    predicted = float(rest.params_law(minimum.flops))
    if minimum.status is not MinimumStatus.INTERIOR or minimum.n_params is None:
        return HeldOutSize(minimum.flops, predicted, why=f"the largest budget's own minimum is {minimum.status}")
    return HeldOutSize(minimum.flops, predicted, minimum.n_params, predicted / minimum.n_params)


def _compare(first: str, second: str, each: Mapping[str, tuple[HeldOutBudget, ...]], level: float) -> LawComparison:
    """On the budgets that both laws predicted, the largest among them."""
    errors = [{result.budget: result.rms_error for result in each[name]} for name in (first, second)]
    shared = sorted(errors[0].keys() & errors[1].keys())
    tiny = 1e-300  # a law without any error has a ratio all the same
    ratios = np.log([max(errors[0][b], tiny) / max(errors[1][b], tiny) for b in shared])
    mean, count = float(ratios.mean()), len(ratios)
    low = high = None
    if count >= 3:
        width = float(stdtrit(count - 1, (1 + level) / 2) * ratios.std(ddof=1) / np.sqrt(count))
        low, high = mean - width, mean + width
    wins = int((ratios < 0).sum())
    better = None
    if low is not None and high is not None and (high < 0 or low > 0):
        better = first if high < 0 else second
    estimate = Estimate(mean, low, high, level)
    return LawComparison(
        first=first,
        second=second,
        log_ratio=estimate,
        largest_log_ratio=float(ratios[-1]),
        n_budgets=count,
        n_first_better=wins,
        sign_p_value=min(1.0, 2 * float(bdtr(min(wins, count - wins), count, 0.5))),
        better=better,
        verdict=_verdict(first, second, estimate, wins, count, better),
    )


def _verdict(first: str, second: str, ratio: Estimate, wins: int, count: int, better: str | None) -> str:
    if better is None:
        return (
            f"no meaningful difference between {first} and {second} over {count} budgets left out: errors of {first} "
            f"are {np.exp(ratio.value):.2f} times those of {second}, {_span(ratio, 1)}, lower on {wins} of them"
        )
    sign, other = (-1, second) if better == first else (1, first)
    won = wins if better == first else count - wins
    return (
        f"{better} predicts left-out budgets better than {other}: its errors are {np.exp(sign * ratio.value):.3g} "
        f"times smaller, {_span(ratio, sign)}, on {won} of {count} budgets"
    )


def _span(ratio: Estimate, sign: int) -> str:
    if ratio.low is None or ratio.high is None:
        return "too few budgets for an interval"
    low, high = sorted((sign * ratio.low, sign * ratio.high))
    return f"{ratio.level:.0%} {np.exp(low):.3g} to {np.exp(high):.3g}"
