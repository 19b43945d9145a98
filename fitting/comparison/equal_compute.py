"""Two sweeps' best losses at equal compute, and how much more compute one needs for the other's loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ..laws import ChinchillaLaw
from ..prediction import Predictor, Scaling
from ..prediction.sources import METHODS, chosen_flops, predictors_in
from ..reporting.style import flops_text
from ..results import Estimate
from .counting import UNNAMED_FLOPS
from .frontiers import Frontier, common_budgets, frontier_of, log_multiplier, loss_difference
from .moves import Move, Sampled, least_freedom, move_between, of_draws, shuffled

Named = tuple[str, Mapping[str, Any]]  # a sweep's name and its parsed fit.json
_SHOWN_ALIKE = 0.01  # of ln C: a budget asked for that is this near a common one is that one
_MISFIT = 0.01  # relative: a surface this far off the best losses does not describe them


@dataclass(frozen=True)
class LossRow:
    """Both sweeps' best losses at one C, in FLOPs and in the unit of the losses.

    `source` is "minima" (read off the best losses of the budgets) or "surface" (approach 3's optimum at C = 6 N D).
    `multiplier` is how many times C the second needs for the first's loss, with its interval; `bound` says in words
    between what it lies where it cannot be read. `words` names the extrapolation, "" for none.
    """

    flops: float
    source: str
    first: float
    second: float
    difference: Move
    multiplier: Estimate | None
    bound: str = ""
    words: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, texts, numbers and None."""
        plain = {name: getattr(self, name) for name in ("flops", "source", "first", "second", "bound", "words")}
        parts = {"difference": self.difference.to_json()}
        return plain | parts | {"multiplier": self.multiplier and asdict(self.multiplier)}


def loss_rows(first: Named, second: Named, flops: Sequence[float]) -> tuple[tuple[LossRow, ...], list[str]]:
    """Rows at the budgets both have and at `flops`: from the minima within both ranges, from the surfaces at `flops`.

    Without `flops` the surfaces are asked at the largest compute that both measured. Also why rows are missing.
    """
    remarks: list[str] = []
    predictors = [_by_method(report) for _, report in (first, second)]
    names = first[0], second[0]
    rows = _minima_rows(first, second, predictors, flops, remarks)
    here, there = (each.get("parametric") for each in predictors)
    if here is not None and there is not None:
        if here.n_params != there.n_params:
            remarks.append(
                f"no losses from the surfaces: {names[0]} counts N as {here.n_params}, {names[1]} as {there.n_params}, "
                "so C = 6 N D is not one count"
            )
        else:
            rows += [_surface_row(names, here, there, at) for at in flops or _shared_top(here, there)]
            remarks += [line for row in rows if row.source == "surface" for line in _misfits(first, second, row)]
    if rows:
        remarks.append(f"times C is how many times that compute {names[1]} needs for the loss of {names[0]}")
    return tuple(rows), remarks


def _by_method(report: Mapping[str, Any]) -> dict[str, Predictor]:
    if not any(report["fits"].get(method) for method in METHODS):
        return {}
    found = {each.name.rpartition(", ")[2]: each for each in predictors_in(report, "fit")}
    line = frontier_of(report["fits"].get("isoflop"))
    if line is None:
        return found
    budgets = float(line.flops[0]), float(line.flops[-1])  # older files do not say what their runs span
    return {name: replace(each, flops_range=each.flops_range or budgets) for name, each in found.items()}


def _minima_rows(
    first: Named,
    second: Named,
    predictors: Sequence[Mapping[str, Predictor]],
    flops: Sequence[float],
    remarks: list[str],
) -> list[LossRow]:
    here, there = (frontier_of(report["fits"].get("isoflop")) for _, report in (first, second))
    for (name, _), frontier in zip((first, second), (here, there), strict=True):
        if frontier is None:
            remarks.append(f"no best losses of {name}: its fit has fewer than two interior minima of approach 2")
    if here is None or there is None:
        return []
    counts = [each["isoflop"].flops for each in predictors]
    if counts[0] != counts[1]:
        remarks.append(f"no losses at equal compute: {first[0]} counts C as {counts[0]}, {second[0]} as {counts[1]}")
        return []
    if counts[0] in UNNAMED_FLOPS:
        way = "; --counting names it" if counts[0] == "flops" else ""
        remarks.append(
            f"no losses at equal compute: neither table says how its FLOPs are counted, so they may not be alike{way}"
        )
        return []
    shared = common_budgets(here, there)
    if not shared:
        remarks.append(f"{first[0]} and {second[0]} have no budget in common; --flops C reads their losses between")
    rows = [_minima_row(here, there, at) for at in shared]
    for at in flops:
        outside = [name for (name, _), line in zip((first, second), (here, there), strict=True) if not line.covers(at)]
        if outside:
            remarks.append(f"no best losses at {flops_text(at)} FLOPs: outside the budgets of {' and '.join(outside)}")
        elif not any(abs(np.log(at / one)) <= _SHOWN_ALIKE for one in shared):
            rows.append(replace(_minima_row(here, there, at), words="read between budgets"))
    return sorted(rows, key=lambda row: row.flops)


def _minima_row(here: Frontier, there: Frontier, flops: float) -> LossRow:
    x = float(np.log(flops))
    log_times, beyond = log_multiplier(here, there, flops)
    bound = "" if beyond is None else f"{beyond[0]} {np.exp(beyond[1]):#.3g}"
    return LossRow(
        flops,
        "minima",
        float(np.exp(here.log_loss(x))),
        float(np.exp(there.log_loss(x))),
        loss_difference(here, there, flops),
        None if log_times is None else _exponentiated(log_times),
        bound,
    )


def _shared_top(here: Predictor, there: Predictor) -> list[float]:
    """The largest compute that both measured; nothing where they do not overlap or a file does not say."""
    if here.flops_range is None or there.flops_range is None:
        return []
    top = min(here.flops_range[1], there.flops_range[1])
    return [top] if top >= max(here.flops_range[0], there.flops_range[0]) else []


def _surface_row(names: tuple[str, str], here: Predictor, there: Predictor, flops: float) -> LossRow:
    losses = [_sampled_loss(each, flops) for each in (here, there)]
    words = [_extrapolated(name, each, flops) for name, each in zip(names, (here, there), strict=True)]
    times = _surface_multiplier(here, there, flops)
    return LossRow(
        flops,
        "surface",
        losses[0].estimate.value,
        losses[1].estimate.value,
        move_between(losses[0], losses[1]),
        times,
        "" if times is not None else "never, by its law",
        "; ".join(word for word in words if word),
    )


def _misfits(first: Named, second: Named, row: LossRow) -> Iterator[str]:
    """Where a sweep's surface is off its own best losses, which are what was measured."""
    for (name, report), said in zip((first, second), (row.first, row.second), strict=True):
        line = frontier_of(report["fits"].get("isoflop"))
        if line is None or not line.covers(row.flops) or chosen_flops(report) in UNNAMED_FLOPS:
            continue
        measured = float(np.exp(line.log_loss(float(np.log(row.flops)))))
        if abs(said / measured - 1) > _MISFIT:
            yield (
                f"the surface of {name} is {100 * (said / measured - 1):+.1f} % off its own minima at "
                f"{flops_text(row.flops)} FLOPs: trust the minima, and extrapolate neither"
            )


def _sampled_loss(predictor: Predictor, flops: float) -> Sampled:
    found = predictor.require(lambda law: law.loss(flops), "a loss")
    draws = np.array([law.loss(flops) for law in predictor.draws]) if predictor.draws else None
    return Sampled(found, draws, predictor.n_resamples, predictor.freedom)


def _surface_multiplier(here: Predictor, there: Predictor, flops: float) -> Estimate | None:
    """The compute at which the second's optimum has the first's loss, over `flops`; None where it never has."""
    value = _log_times(here.scaling, there.scaling, flops)
    if not np.isfinite(value):
        return None
    if not (here.draws and there.draws):
        return _exponentiated(Move(value, level=here.level))
    order: list[int] = shuffled(len(there.draws)).tolist()
    pairs = zip(here.draws, (there.draws[i] for i in order), strict=False)
    draws = np.array([_log_times(law, other, flops) for law, other in pairs])
    return _exponentiated(of_draws(value, draws, here.level, least_freedom(here.freedom, there.freedom)))


def _log_times(here: Scaling, there: Scaling, flops: float) -> float:
    """ln(C'/C) with L*(C') of `there` = L*(C) of `here`: L* = E + K C^-g, g = alpha beta / (alpha + beta)."""
    law = there.surface
    wanted, reached = here.loss(flops), there.loss(flops)
    if not isinstance(law, ChinchillaLaw) or not min(wanted, reached) > law.E:
        return float("nan")
    g = law.alpha * law.beta / (law.alpha + law.beta)
    return float(np.log((reached - law.E) / (wanted - law.E)) / g)


def _extrapolated(name: str, predictor: Predictor, flops: float) -> str:
    decades = predictor.beyond(flops)
    if decades is None:
        return f"what {name} measured is not known"
    if abs(decades) < 0.005:
        return ""
    return f"{abs(decades):.1f} decades {'above' if decades > 0 else 'below'} what {name} measured"


def _exponentiated(found: Move) -> Estimate:
    """A ratio from a difference of logarithms."""
    low, high = (None if bound is None else float(np.exp(bound)) for bound in (found.low, found.high))
    return Estimate(float(np.exp(found.value)), low, high, found.level)
