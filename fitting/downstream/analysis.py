"""All that is said of one benchmark: its link, its smoothness, its held-out error, and predictions with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from ..errors import FitError, InputError
from ..results import Estimate, FitStatus
from ..shown import Shown
from ..uncertainty import bias_corrected_estimate, generator, percentile_estimate, run_weights
from .heldout import LargestLeftOut, leave_largest_out
from .links import LINKS, Link, LinkFit
from .routes import Known, Routes, link_of, routes_of
from .runs import TaskRuns
from .smoothness import Smoothness, normalised, smoothness_of
from .steps import Target

Array = NDArray[np.float64]
MIN_UNITS = 8  # runs below which their spread is not known: no interval


@dataclass(frozen=True)
class Prediction:
    """A target's loss and score, by two steps, one step, and from its own loss where that was measured.

    Scores are shares of 1. Intervals hold for the laws fitted, resampled through both steps; they say nothing of
    whether another link would do better (`by_link`: the score of the same loss under each). `beyond_loss` is how far
    the loss lies below the lowest fitted, as a share of the range of the losses fitted, 0 inside; `beyond_flops` the
    decades of compute above the most fitted.
    """

    target: Target
    loss: Estimate | None
    score: Estimate | None  # by two steps
    one_step: Estimate | None
    from_loss: Estimate | None  # through the link, from the measured loss
    normalised: float | None  # of `score`, else of `from_loss`: 0 at the floor, 1 at the ceiling
    by_link: dict[str, float]
    measured_loss: float | None
    measured_score: float | None
    beyond_loss: float
    beyond_flops: float


@dataclass(frozen=True, repr=False)
class TaskResult(Shown, says="analyses.task"):
    """One task's fits. `band` is the link over `band_loss` with its pointwise interval, for the figure."""

    runs: TaskRuns
    known: Known
    link: LinkFit
    status: FitStatus
    parameters: dict[str, Estimate]
    smoothness: Smoothness
    links: dict[str, Smoothness]
    largest: LargestLeftOut | None
    why_no_largest: str
    missing: dict[str, str]
    predictions: tuple[Prediction, ...]
    level: float
    n_units: int
    band_loss: Array
    band: tuple[Array, Array] | None
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Drawn:
    """The routes under each resample, and how an interval is made of what they give."""

    routes: Routes
    weights: Array | None
    links: Link | None
    level: float
    freedom: int

    def estimate(self, value: float, draws: Array | None) -> Estimate:
        if draws is None or self.weights is None:
            return Estimate(value, level=self.level)
        return bias_corrected_estimate(value, draws, len(self.weights), self.level, self.freedom)

    def of_link(self, value: float, draws: Array | None) -> Estimate:
        """Of the link alone: percentiles with Student's spread, unshifted, for a shift for bias covers less here."""
        if draws is None or self.weights is None:
            return Estimate(value, level=self.level)
        wider = float(2 * ndtr(stdtrit(self.freedom, (1 + self.level) / 2)) - 1)
        return replace(percentile_estimate(value, draws, len(self.weights), wider), level=self.level)


def analyse_task(
    runs: TaskRuns,
    targets: Sequence[Target] = (),
    held_out: TaskRuns | None = None,
    *,
    link: str = "auto",
    known: Known | None = None,
    resamples: int = 400,
    seed: int = 0,
    level: float = 0.95,
) -> TaskResult:
    """Fit score(L) and the steps to it, and predict `targets` and the last row of each run of `held_out`.

    `link` "auto" takes the one that predicts the largest size of `runs` best when that is left out, which `held_out`
    has no part in; the sigmoid where that cannot be tried. Whole runs are resampled, and each resample goes through
    both steps. Raises InputError for one size only, an unknown link, chance or ceiling that the scores contradict;
    FitError for too few runs.
    """
    known = known or Known()
    _check(runs, known, link)
    largest, why = None, ""
    try:
        largest = leave_largest_out(runs, link, known)
    except FitError as error:
        why = str(error)
    chosen = ("sigmoid" if largest is None else largest.link) if link == "auto" else link
    fits = {chosen: link_of(runs, chosen, known)}
    for name in LINKS:
        try:
            fits.setdefault(name, fits[chosen] if name == chosen else link_of(runs, name, known))
        except (FitError, InputError):
            continue
    fit = fits[chosen]
    routes = routes_of(runs, fit, known, from_flops=not all(target.has_size for target in targets))
    drawn = drawn_routes(routes, resamples, seed, level)
    at = [*((target, None, None) for target in targets), *_ends_of(held_out)]
    predictions = _predictions(drawn, at, {name: each.link for name, each in fits.items()})
    smooth = {name: smoothness_of(runs, each.link, known.chance) for name, each in fits.items()}
    few = fit.status is FitStatus.CONVERGED and drawn.weights is None and resamples > 0
    band_loss, band = _band(drawn, predictions)
    return TaskResult(
        runs=runs,
        known=known,
        link=fit,
        status=FitStatus.TOO_FEW if few else fit.status,
        parameters=_parameters(drawn),
        smoothness=smooth[chosen],
        links=smooth,
        largest=largest,
        why_no_largest=why,
        missing=routes.missing,
        predictions=tuple(predictions),
        level=level,
        n_units=runs.n_units,
        band_loss=band_loss,
        band=band,
        warnings=tuple(_warnings(runs, fit, smooth[chosen], few)),
    )


def _check(runs: TaskRuns, known: Known, link: str) -> None:
    if link not in ("auto", *LINKS):
        raise InputError(f"--link {link}: choose one of auto, {', '.join(LINKS)}")
    if runs.largest.all():
        raise InputError(
            f"task {runs.task}: all runs have one size, {runs.n_params[0]:.4g} parameters; give two or more"
        )
    top = float(runs.score.max())
    if known.chance is not None and known.chance >= top:
        raise InputError(
            f"--chance {known.chance:g}: task {runs.task} scores at most {top:.4g}; chance is a share below that"
        )
    if known.ceiling is not None and known.ceiling < top:
        raise InputError(f"--ceiling {known.ceiling:g}: task {runs.task} scores up to {top:.4g}; give that or more")


def _ends_of(held_out: TaskRuns | None) -> list[tuple[Target, float, float]]:
    if held_out is None:
        return []
    ends = held_out.only(held_out.ends)
    rows = zip(ends.n_params, ends.tokens, ends.flops, ends.run, ends.loss, ends.score, strict=True)
    return [(Target(n, d, c, str(name)), float(loss), float(score)) for n, d, c, name, loss, score in rows]


def drawn_routes(routes: Routes, resamples: int, seed: int, level: float) -> _Drawn:
    """Whole runs drawn `resamples` times and the link of each; none of fewer than 8 runs, or than the laws need."""
    most = max([routes.link.n_free, *(step.n_free for step in (routes.of_size,) if step is not None)])
    freedom = routes.runs.n_units - most
    if resamples < 1 or routes.runs.n_units < MIN_UNITS or freedom < 1:
        return _Drawn(routes, None, None, level, 1)
    weights = run_weights(routes.runs.unit, None, resamples, generator(seed))
    return _Drawn(routes, weights, routes.link.refit(weights), level, freedom)


def _predictions(
    drawn: _Drawn, at: Sequence[tuple[Target, float | None, float | None]], links: dict[str, Link]
) -> list[Prediction]:
    routes, weights = drawn.routes, drawn.weights
    targets = [target for target, _, _ in at]
    drawn_losses: dict[int, Array] = {}
    for step in (routes.of_size, routes.of_compute):
        mine = [i for i, target in enumerate(targets) if step is not None and routes.step(target) is step]
        if mine and step is not None and weights is not None:
            drawn_losses |= dict(zip(mine, step.draw(weights, [targets[i] for i in mine]), strict=True))
    asked = any(target.flops is not None for target in targets)
    one_step = None
    if routes.one_step is not None and weights is not None and asked:
        one_step = routes.one_step.draw(weights)
    return [
        _prediction(drawn, target, loss, score, drawn_losses.get(i), one_step, links)
        for i, (target, loss, score) in enumerate(at)
    ]


def _prediction(
    drawn: _Drawn,
    target: Target,
    measured_loss: float | None,
    measured_score: float | None,
    losses: Array | None,
    one_step: Link | None,
    links: dict[str, Link],
) -> Prediction:
    routes, runs, flops = drawn.routes, drawn.routes.runs, target.flops
    found = routes.two_steps(target)
    loss = score = one = own = None
    if found is not None:
        loss = drawn.estimate(found[0], losses)
        score = drawn.estimate(found[1], None if drawn.links is None or losses is None else drawn.links.score(losses))
    if routes.one_step is not None and flops is not None:
        draws = None if one_step is None else one_step.score(-np.log(flops))
        one = drawn.estimate(routes.one_step.score(flops), draws)
    if measured_loss is not None:
        draws = None if drawn.links is None else drawn.links.score(measured_loss)
        own = drawn.of_link(float(routes.link.link.score(measured_loss)), draws)
    at = measured_loss if measured_loss is not None else found[0] if found is not None else None
    best = score or own
    lowest, width = float(runs.loss.min()), float(np.ptp(runs.loss))
    return Prediction(
        target=target,
        loss=loss,
        score=score,
        one_step=one,
        from_loss=own,
        normalised=None if best is None else normalised(best.value, routes.link.link),
        by_link={} if at is None else {name: float(link.score(at)) for name, link in links.items()},
        measured_loss=measured_loss,
        measured_score=measured_score,
        beyond_loss=0.0 if at is None else max(0.0, (lowest - at) / width),
        beyond_flops=0.0 if flops is None else max(0.0, float(np.log10(flops / runs.flops.max()))),
    )


def _parameters(drawn: _Drawn) -> dict[str, Estimate]:
    """The link's numbers; no interval for one that was given or lies on a bound."""
    fit = drawn.routes.link
    out: dict[str, Estimate] = {}
    for name, value in fit.link.values.items():
        fixed = name in (*fit.known, *fit.at_bound) or drawn.links is None
        draws = None if fixed or drawn.links is None else np.asarray(drawn.links.values[name])
        out[name] = drawn.of_link(float(value), draws)
    return out


def _band(drawn: _Drawn, predictions: Sequence[Prediction]) -> tuple[Array, tuple[Array, Array] | None]:
    losses = [float(drawn.routes.runs.loss.min()), float(drawn.routes.runs.loss.max())]
    losses += [p.measured_loss for p in predictions if p.measured_loss is not None]
    losses += [p.loss.value for p in predictions if p.loss is not None]
    margin = 0.03 * (max(losses) - min(losses))
    x = np.linspace(min(losses) - margin, max(losses) + margin, 160)
    if drawn.links is None:
        return x, None
    link = drawn.links
    columns = [link.score(at) for at in x]
    found = [
        drawn.of_link(float(drawn.routes.link.link.score(at)), column) for at, column in zip(x, columns, strict=True)
    ]
    if any(each.low is None for each in found):
        return x, None
    return x, (np.array([each.low for each in found]), np.array([each.high for each in found]))


def _warnings(runs: TaskRuns, fit: LinkFit, smooth: Smoothness, few: bool) -> list[str]:
    found: list[str] = []
    far = "ceiling" in fit.link.values and "ceiling" not in fit.known and smooth.normalised < 0.75
    way = f"the best score fitted is {smooth.normalised:.0%} of the way to the ceiling"
    if fit.at_bound:
        on_top = f"; {way}" if far and "ceiling" in fit.at_bound else ""
        found.append(
            f"{fit.link.name}: the {' and the '.join(fit.at_bound)} lies on its bound: the runs do not say where it is"
            + on_top
        )
    if fit.status is FitStatus.MAX_ITER:
        found.append("the link's optimiser stopped before its tolerance")
    if not fit.link.falls:
        found.append("the score rises with the loss: no prediction from the loss means anything")
    if few:
        found.append(f"{runs.n_units} independent runs: fewer than {MIN_UNITS}, or than the laws need: no interval")
    if far and "ceiling" not in fit.at_bound:
        found.append(f"{way}: the runs hardly say where that is; give --ceiling")
    return found
