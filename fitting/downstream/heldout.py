"""The largest models left out and predicted from the others: which link, and which route, predicts better."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import FitError, InputError
from .links import LINKS, LinkFit
from .routes import Known, link_of, routes_of
from .runs import TaskRuns
from .steps import Target

TWO_STEPS, ONE_STEP = "two steps", "one step"


@dataclass(frozen=True)
class HeldOutError:
    """Predicted less measured score of the runs left out, as shares of 1 (`relative`: of the measured scores)."""

    n_runs: int
    rms: float
    bias: float
    relative: float  # mean |predicted - measured| / measured


@dataclass(frozen=True)
class LargestLeftOut:
    """`links` map each run's own loss to a score; `routes` need no loss: "two steps" (with `link`) and "one step"."""

    n_params: float
    links: dict[str, HeldOutError]
    link: str
    routes: dict[str, HeldOutError]

    @property
    def better_route(self) -> str | None:
        """The route of the smaller error; None where only one could be fitted."""
        return min(self.routes, key=lambda name: self.routes[name].rms) if len(self.routes) == 2 else None


def leave_largest_out(runs: TaskRuns, link: str, known: Known) -> LargestLeftOut:
    """Fit to the runs below the largest size, predict the ends of those of it; `link` "auto" takes the best of all.

    Raises FitError where fewer than two sizes or no link remain.
    """
    out = runs.largest
    rest, left = runs.only(~out), runs.only(out)
    left = left.only(left.ends)
    if not len(rest) or rest.largest.all():
        raise FitError(f"task {runs.task}: leaving the largest size out takes three sizes")
    fits: dict[str, LinkFit] = {}
    errors: dict[str, HeldOutError] = {}
    for name in LINKS:
        try:
            fits[name] = link_of(rest, name, known)
        except (FitError, InputError):
            continue
        errors[name] = error_of(fits[name].link.score(left.loss), left.score)
    if not errors or (link != "auto" and link not in fits):
        raise FitError(f"task {runs.task}: too few runs below the largest size for a link")
    chosen = min(errors, key=lambda name: errors[name].rms) if link == "auto" else link
    routes = routes_of(rest, fits[chosen], known)
    found: dict[str, HeldOutError] = {}
    targets = [Target(n, d, c) for n, d, c in zip(left.n_params, left.tokens, left.flops, strict=True)]
    if routes.of_size is not None:
        scores = [score for _, score in filter(None, map(routes.two_steps, targets))]
        found[TWO_STEPS] = error_of(np.array(scores), left.score)
    if routes.one_step is not None:
        found[ONE_STEP] = error_of(np.array([routes.one_step.score(flops) for flops in left.flops]), left.score)
    return LargestLeftOut(float(left.n_params.max()), errors, chosen, found)


def error_of(predicted: np.ndarray, measured: np.ndarray) -> HeldOutError:
    """Over runs, shape (n,) each."""
    errors = predicted - measured
    return HeldOutError(
        n_runs=len(errors),
        rms=float(np.sqrt(np.mean(errors**2))),
        bias=float(errors.mean()),
        relative=float(np.mean(np.abs(errors) / np.maximum(measured, 1e-12))),
    )
