"""What stands beside an optimum: the model that is cheapest to serve, repeated tokens, another exponent believed.

Each is a mapping by name of what was found, an `Estimate` where the law's resamples give an interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..errors import InputError
from ..laws import ChinchillaLaw, DataConstrainedLaw
from ..prediction import Predictor, Scaling
from ..results import Estimate
from .answers import Answer, estimate_json
from .inference import inference_optimum
from .overspend import allocation_from, wrong_exponent
from .repeated import PUBLISHED_R_D, PUBLISHED_R_N, constrained_optimum, with_published_repeats
from .surfaces import Surface

Found = dict[str, Any]


def to_json(found: Mapping[str, Any]) -> dict[str, Any]:
    """The same with estimates as objects."""
    return {name: estimate_json(value) if isinstance(value, Estimate) else value for name, value in found.items()}


def served(answer: Answer, inference_tokens: float, cost_ratio: float) -> Found:
    """The model of least total cost at the answer's loss for `inference_tokens` served (`inference_optimum`).

    Raises InputError where the law has no L(N, D).
    """
    _refuse_runs(answer, "--inference-tokens")
    loss, flops = answer.question.loss, answer.flops.value

    def solved(law: Scaling) -> dict[str, float]:
        aim: dict[str, float] = {"flops": flops} if loss is None else {"loss": loss}
        surface = _surface(answer, law, "--inference-tokens")
        found = inference_optimum(surface, inference_tokens, inference_cost_ratio=cost_ratio, **aim)
        best, trained = found.best, found.trained_optimally
        return {
            "n_params": best.n_params,
            "tokens": best.tokens,
            "tokens_per_param": best.tokens / best.n_params,
            "loss": found.loss,
            "training_flops": best.training_flops,
            "inference_flops": best.inference_flops,
            "total_flops": best.total_flops,
            "training_optimum_total_flops": trained.total_flops,
            "saving": found.saving,
        }

    given = {"inference_tokens": inference_tokens, "inference_cost_ratio": cost_ratio}
    return {**given, **_estimates(answer.predictor, solved)}


def repeated(answer: Answer, law: DataConstrainedLaw | None, unique_tokens: float) -> Found:
    """The optimum where only `unique_tokens` exist (`constrained_optimum`), at the answer's compute.

    `law` holds the repeats that the runs measured, and is then the whole law; None takes the published ones for the
    answer's surface, which is said. Raises InputError for a law that is not of Chinchilla's form.
    """
    _refuse_runs(answer, "--unique-tokens")
    flops = answer.flops.value

    def law_of(version: Scaling) -> DataConstrainedLaw:
        surface = _surface(answer, version, "--unique-tokens")
        if not isinstance(surface, ChinchillaLaw):
            raise InputError(f"{answer.predictor.name}: --unique-tokens needs a law of the form E + A/N^a + B/D^b")
        return with_published_repeats(surface)

    def solved(version: Scaling) -> dict[str, float]:
        found = constrained_optimum(law or law_of(version), flops, unique_tokens)
        return {
            "n_params": found.n_params,
            "tokens": found.tokens,
            "epochs": found.epochs,
            "loss": found.loss,
            "fresh_loss": found.fresh_loss,
            "excess_loss": found.excess_loss,
            "flops_needed_with_fresh_tokens": found.flops_needed,
            "runs_out_flops": found.runs_out_flops,
            "loss_floor": found.loss_floor,
        }

    predictor = answer.predictor
    used = law or law_of(predictor.scaling)
    assumed = f"R_D* {PUBLISHED_R_D:g} and R_N* {PUBLISHED_R_N:g} are C4's (arXiv:2305.16264), assumed to hold here"
    found = {name: Estimate(value) for name, value in solved(predictor.scaling).items()} if law else None
    return {
        "unique_tokens": unique_tokens,
        "R_D": used.R_D,
        "R_N": used.R_N,
        "source": "the fit's own repeats; intervals are not known" if law else assumed,
        **(found or _estimates(predictor, solved)),
        "remark": constrained_optimum(used, flops, unique_tokens).remark,
    }


def believed(answer: Answer, exponent: float, anchor_flops: float | None) -> Found:
    """What N ~ C^`exponent` costs at the answer's compute, from the optimum at the anchor on (`wrong_exponent`).

    The anchor is the top of the measured range where None. Raises InputError where that is not known, for an anchor
    or exponent that is not positive and finite, and for a law without L(N, D).
    """
    _refuse_runs(answer, "--wrong-exponent")
    for option, value in (("--wrong-exponent", exponent), ("--anchor-flops", anchor_flops)):
        if value is not None and not (np.isfinite(value) and value > 0):
            raise InputError(f"{option} {value:g}: must be a positive, finite number")
    known = answer.predictor.flops_range
    anchor = anchor_flops if anchor_flops is not None else None if known is None else known[1]
    if anchor is None:
        raise InputError(
            f"{answer.predictor.name}: its measured range is not known; give --anchor-flops C to start from"
        )

    def solved(law: Scaling) -> dict[str, float]:
        surface = _surface(answer, law, "--wrong-exponent")
        found = wrong_exponent(surface, allocation_from(anchor, surface, exponent), answer.flops.value)
        return {
            "n_params": found.n_params,
            "tokens": found.tokens,
            "optimal_n_params": found.optimal_n_params,
            "loss": found.loss,
            "excess_loss": found.excess_loss,
            "extra_compute": found.extra_compute,
        }

    return {"exponent": exponent, "anchor_flops": anchor, **_estimates(answer.predictor, solved)}


def _refuse_runs(answer: Answer, option: str) -> None:
    if not answer.question.is_optimum:
        given = " and ".join(f"{name} {value:g}" for name, value in answer.question.by_option.items())
        raise InputError(f"{option} looks for an optimum, and {given} are a run of their own; leave one of these out")


def _surface(answer: Answer, law: Scaling, option: str) -> Surface:
    if law.surface is None:
        predictor = answer.predictor
        raise InputError(f"{predictor.name}: does not say L(N, D), which {option} needs; it gives {predictor.says}")
    return law.surface


def _estimates(predictor: Predictor, solved: Callable[[Scaling], dict[str, float]]) -> dict[str, Estimate]:
    """Each number that `solved` finds, with its interval over the resamples; one without an answer counts as failed."""
    first = solved(predictor.scaling)
    results = {id(predictor.scaling): first}
    for draw in predictor.draws:
        try:
            results[id(draw)] = solved(draw)
        except InputError:
            results[id(draw)] = dict.fromkeys(first, float("nan"))
    return {name: predictor.require(lambda law, name=name: results[id(law)][name], name) for name in first}
