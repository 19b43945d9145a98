"""What one law says to one question: compute, N, D and loss with intervals, and how far beyond its runs that lies."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import InputError
from ..prediction import Predictor, Scaling
from ..prediction.predictor import NO_LEAST
from ..results import Estimate
from ..shown import Shown
from .inverse import asymptote, flops_of, least_loss, log_flops_for_loss, log_params_for_loss, log_tokens_for_loss
from .open_ends import NEVER, warnings_of, with_open_ends
from .questions import ENDLESS, OPTIONS, Question
from .surfaces import log_flops_of_equal

MODEL_SCALE = "flops_per_token"  # the convention of N that counts no parameters (DeepSeek's M)


@dataclass(frozen=True)
class Excess:
    """A run beside the optimum of its own compute: loss above it, and compute beyond what the optimum needs for it.

    `flops_needed` is C', at which the optimum has the run's loss; `compute` is C / C' - 1.
    """

    loss: Estimate
    compute: Estimate
    flops_needed: Estimate


@dataclass(frozen=True, repr=False)
class Answer(Shown, says="answers.answer"):
    """Compute in FLOPs, N (`size`) and D as counts, loss in the law's unit; None is what the law does not say.

    `size` counts what `predictor.n_params` names. What was asked stands in it without an interval. `excess` is of
    runs. `beyond` is in decades of compute, as `Predictor.beyond`; `warnings` are pairs of code and text.
    """

    predictor: Predictor
    question: Question
    flops: Estimate
    size: Estimate | None
    tokens: Estimate | None
    tokens_per_param: Estimate | None
    loss: Estimate | None
    excess: Excess | None = None
    beyond: float | None = None
    warnings: tuple[tuple[str, str], ...] = ()

    @property
    def counts_parameters(self) -> bool:
        """Whether `size` is a number of parameters."""
        return self.predictor.n_params != MODEL_SCALE

    def to_json(self) -> dict[str, Any]:
        """One object; each quantity holds value, low, high and the interval's level, null where not known."""
        law, asked = self.predictor, self.question.given
        size = estimate_json(self.size)
        found: dict[str, Any] = {
            "law": law.name,
            "label": law.label,
            "conventions": {"n_params": law.n_params, "flops": law.flops, "loss_unit": law.loss_unit},
            "asked": asked,
            "flops": self.flops.value,
            "n_params": size if self.counts_parameters else None,
            "tokens": estimate_json(self.tokens),
            "tokens_per_param": estimate_json(self.tokens_per_param),
            "loss": estimate_json(self.loss),
            "beyond_decades": self.beyond,
            "flops_range": law.flops_range and [None if end == NO_LEAST else end for end in law.flops_range],
            "notes": list(law.notes),
            "warnings": [{"code": code, "text": text} for code, text in self.warnings],
        }
        if "flops" not in asked and not self.question.is_run:
            found["flops_needed"] = estimate_json(self.flops)
        if not self.counts_parameters:
            found["model_scale"] = size
        if self.excess is not None:
            found["excess"] = {name: estimate_json(each) for name, each in vars(self.excess).items()}
        return found


def estimate_json(estimate: Estimate | None) -> dict[str, float | None] | None:
    """Value, bounds and their level; without bounds the level is None too."""
    if estimate is None:
        return None
    known = estimate.low is not None
    return {
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "level": estimate.level if known else None,
    }


def answer(predictor: Predictor, question: Question) -> Answer:
    """What `predictor` says to `question`.

    Raises InputError where the law does not say what is asked (a line through minima knows no loss of a given run),
    for a loss at or below its asymptote, and for an answer of less than one parameter or token.
    """
    if "n_params" in question.given and predictor.n_params == MODEL_SCALE:
        raise InputError(
            f"{predictor.name}: counts FLOPs per token (model scale M) and no parameters: --params means nothing to it"
        )
    if question.is_optimum:
        found = _optimum(predictor, question)
    elif question.is_run:
        found = _run(predictor, question)
    else:
        found = _reach(predictor, question)
    _refuse_senseless(found)
    if question.loss is not None:
        found = with_open_ends(found)
    return replace(found, beyond=predictor.beyond(found.flops.value), warnings=warnings_of(found))


def _refuse_senseless(found: Answer) -> None:
    """Raises InputError for less than one parameter or token, and for more of anything than has a meaning."""
    name = found.predictor.name
    for count, words in ((found.size, "parameter"), (found.tokens, "token")):
        if count is not None and count.value < 1:
            raise InputError(f"{name}: would need less than one {words}: no law reaches so far; ask for more")
    for count, words in ((found.flops, "FLOPs"), (found.size, "parameters"), (found.tokens, "tokens")):
        if count is not None and not count.value < ENDLESS:
            easier = "a higher loss" if found.question.loss is not None else "less"
            raise InputError(f"{name}: would take {count.value:.3g} {words}, beyond any compute; ask for {easier}")


def _optimum(predictor: Predictor, question: Question) -> Answer:
    """N*, D* and the loss of the compute that is given, or that the loss, the size or the tokens are optimal at."""
    find, flops = _flops_asked(predictor, question)
    fixed = question.given
    size = _given(fixed.get("n_params")) or predictor.estimate(lambda law: law.n_params(find(law)))
    tokens = _given(fixed.get("tokens")) or predictor.estimate(lambda law: law.tokens(find(law)))
    if size is None and tokens is None:
        predictor.require(lambda law: law.n_params(flops.value), "N*(C)")
    per_param = None
    if predictor.n_params != MODEL_SCALE:
        per_param = predictor.estimate(lambda law: law.tokens_per_param(find(law)))
    loss = _given(question.loss) or predictor.estimate(lambda law: law.loss(find(law)))
    return Answer(predictor, question, flops, size, tokens, per_param, loss)


def _flops_asked(predictor: Predictor, question: Question) -> tuple[Callable[[Scaling], float], Estimate]:
    """The compute that is meant, as each version of the law has it, and with its interval."""
    if question.flops is not None:
        flops = question.flops
        return lambda _: flops, Estimate(flops)
    if question.loss is not None:
        loss = question.loss
        _refuse_below(predictor, loss)
        needed = _count(predictor, lambda law: log_flops_for_loss(law, loss), "L(C), which --loss asks for")
        # Of resamples that never reach it, N* and D* are beyond all bounds, as their compute is.
        return lambda law: float(np.exp(min(log_flops_for_loss(law, loss), NEVER))), needed
    count = question.n_params or question.tokens or float("nan")

    def find(law: Scaling) -> float:
        return flops_of(law.params_law if question.n_params else law.tokens_law, count)

    return find, predictor.require(find, "N*(C), which --params asks for" if question.n_params else "D*(C)")


def _run(predictor: Predictor, question: Question) -> Answer:
    """The loss of the run that two of compute, parameters and tokens say."""
    flops, n_params, tokens = question.flops, question.n_params, question.tokens
    compute = math.nan if flops is None else flops
    size = n_params if n_params is not None else compute / 6 / (math.nan if tokens is None else tokens)
    data = tokens if tokens is not None else compute / 6 / size
    return _of_run(predictor, question, lambda law: (size, data), Estimate(size), Estimate(data))


def _reach(predictor: Predictor, question: Question) -> Answer:
    """The tokens on which a size reaches a loss, or the size that reaches it on so many tokens."""
    loss, n_params, tokens = question.loss, question.n_params, question.tokens
    assert loss is not None
    _refuse_below(predictor, loss)

    def log_tokens(law: Scaling) -> float:
        return log_tokens_for_loss(law.surface, n_params, loss)  # pyright: ignore[reportArgumentType]

    def log_params(law: Scaling) -> float:
        return log_params_for_loss(law.surface, tokens, loss)  # pyright: ignore[reportArgumentType]

    def pair(law: Scaling) -> tuple[float, float]:
        found = np.exp(min(log_tokens(law) if n_params else log_params(law), NEVER / 2))
        return (n_params, float(found)) if n_params else (float(found), tokens)  # pyright: ignore[reportReturnType]

    _refuse_unreachable(predictor, question)
    asked = "L(N, D)"
    size = Estimate(n_params) if n_params else _count(predictor, log_params, asked)
    data = Estimate(tokens) if tokens else _count(predictor, log_tokens, asked)
    found = _of_run(predictor, question, pair, size, data)
    return replace(found, loss=Estimate(loss))


def _refuse_unreachable(predictor: Predictor, question: Question) -> None:
    """Raises InputError where no number of tokens brings the size, or no size the tokens, to the loss asked."""
    surface, given = predictor.scaling.surface, dict(question.given)
    loss = given.pop("loss")
    if surface is not None and loss <= (least := least_loss(surface, **given)):
        ends = " and ".join(f"{OPTIONS[name]} {value:g}" for name, value in given.items())
        raise InputError(f"--loss {loss:g}: {predictor.name} ends at {least:.4g} with {ends}; raise one of the two")


def _of_run(
    predictor: Predictor,
    question: Question,
    pair: Callable[[Scaling], tuple[float, float]],
    size: Estimate,
    tokens: Estimate,
) -> Answer:
    """A run of (N, D) = `pair`, as each version of the law has it, beside the optimum of its compute 6 N D."""

    def flops(law: Scaling) -> float:
        n, d = pair(law)
        return 6 * n * d

    def above(law: Scaling) -> float:  # nothing is below the optimum, but by rounding
        return float(np.maximum(law.loss_of(*pair(law)) - law.loss(flops(law)), 0.0))

    def log_needed(law: Scaling) -> float:
        return float("nan") if law.surface is None else log_flops_of_equal(law.surface, *pair(law))

    def more(law: Scaling) -> float:
        return float(np.expm1(np.maximum(np.log(flops(law)) - log_needed(law), 0.0)))

    loss = predictor.require(lambda law: law.loss_of(*pair(law)), "the loss of a given N and D")
    excess = Excess(
        predictor.require(above, "the optimum"), predictor.require(more, "the optimum"), _count(predictor, log_needed)
    )
    given = len(question.given) == 2 and question.loss is None
    compute = Estimate(flops(predictor.scaling)) if given else predictor.require(flops, "C")
    per_param = predictor.estimate(lambda law: pair(law)[1] / pair(law)[0])
    if given and per_param is not None:
        per_param = Estimate(per_param.value)
    return Answer(predictor, question, compute, size, tokens, per_param, loss, excess)


def _count(predictor: Predictor, log_count: Callable[[Scaling], float], asked: str = "the optimum") -> Estimate:
    """A count whose logarithm may be infinite in resamples: their part of the interval then has no upper bound."""
    found = predictor.require(lambda law: min(log_count(law), NEVER), asked)
    if found.value >= NEVER:
        raise InputError(f"{predictor.name}: the loss is so near what it ends at that no finite compute reaches it")
    low, high = (None if bound is None else float(np.exp(bound)) for bound in (found.low, found.high))
    return Estimate(float(np.exp(found.value)), low, high, found.level)


def _refuse_below(predictor: Predictor, loss: float) -> None:
    floor = asymptote(predictor.scaling)
    if loss <= floor:
        raise InputError(f"--loss {loss:g}: {predictor.name} goes down to E = {floor:.4g} and no further; ask for more")


def _given(value: float | None) -> Estimate | None:
    return None if value is None else Estimate(value)
