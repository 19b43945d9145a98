"""Published laws of the learning rate, the batch and beta2: formula, source, and the range each was fitted in.

Rules speak the counts of their papers: N, C and the sequences of their context are converted here and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .case import Case

PORIAN_N = 1.08e8  # parameters of the model that the law is anchored at
PORIAN_CONTEXT = 2048  # tokens a sequence, where the source counts batches in sequences
MARIN_CONTEXT = 4096
MARIN_MOST = 0.01  # the rate above which Marin trains no size
POWER_LINES_EXPONENT = 0.383


@dataclass(frozen=True)
class Variable:
    """A quantity that a rule was fitted over, and the range it took."""

    symbol: str
    of: Callable[[Case, float], float]  # of a case and its batch in tokens
    low: float
    high: float


@dataclass(frozen=True)
class PublishedRule:
    """One law. `value` is of a case and its batch in tokens (which a batch's own rule does not look at)."""

    formula: str
    source: str
    value: Callable[[Case, float], float]
    fitted: tuple[Variable, ...] = ()


def _deepseek_flops(case: Case, batch_tokens: float) -> float:
    """C = M D, M = 72 L d^2 + 12 L d S (DeepSeek 2024, section 3.2); the grid's C for a model without that count."""
    per_token = case.counts.flops_per_token.get("deepseek")
    return case.flops if per_token is None else per_token * case.tokens


def _non_embedding(case: Case, batch_tokens: float) -> float:
    return float(case.counts.params.n_params_non_embedding)


def _blocks_and_head(case: Case, batch_tokens: float) -> float:
    return float(case.counts.params.n_params_blocks_and_head)


def _tokens(case: Case, batch_tokens: float) -> float:
    return case.tokens


def _width(case: Case, batch_tokens: float) -> float:
    return float(case.shape.width)


def _marin_sequences(case: Case, batch_tokens: float) -> float:
    return batch_tokens / MARIN_CONTEXT


_DEEPSEEK = (Variable("C", _deepseek_flops, 1e17, 2e19),)
_STEP_LAW = (Variable("N non-embedding", _non_embedding, 6e7, 1e9), Variable("D", _tokens, 2e9, 1e11))
_PORIAN = (Variable("N with head", _blocks_and_head, 2.5e7, PORIAN_N),)
_PORIAN_SOURCE = "Porian 2024 (arXiv:2406.19146), as OLMo's ladder codes it"

RATES: Mapping[str, PublishedRule] = {
    "deepseek": PublishedRule(
        ".3118 C^-.1250, C = M D",
        "DeepSeek LLM 2024 (arXiv:2401.02954), section 3.1",
        lambda case, batch: 0.3118 * _deepseek_flops(case, batch) ** -0.1250,
        _DEEPSEEK,
    ),
    "step_law": PublishedRule(
        "1.79 N^-.713 D^.307, N without embeddings",
        "Step Law, Li 2025 (arXiv:2503.04715); final rate 1e-5",
        lambda case, batch: 1.79 * _non_embedding(case, batch) ** -0.713 * case.tokens**0.307,
        _STEP_LAW,
    ),
    "porian": PublishedRule(
        ".0047 (N / 1.08e8)^(-1/3), N with the head",
        _PORIAN_SOURCE,
        lambda case, batch: 0.0047 * (_blocks_and_head(case, batch) / PORIAN_N) ** (-1 / 3),
        _PORIAN,
    ),
    "marin": PublishedRule(
        ".33 sqrt(B) / width, B in sequences of 4096; above .01 refused",
        "Marin's isoflop_sweep.py, after Yang 2022 (arXiv:2203.03466), section 10",
        lambda case, batch: 0.33 * math.sqrt(_marin_sequences(case, batch)) / case.shape.width,
        (Variable("width", _width, 512, 4096), Variable("B (sequences of 4096)", _marin_sequences, 8, math.inf)),
    ),
    "kaplan": PublishedRule(
        ".003239 - .0001395 ln N, N without embeddings",
        "Kaplan 2020 (arXiv:2001.08361), appendix D.6",
        lambda case, batch: 0.003239 - 0.0001395 * math.log(_non_embedding(case, batch)),
        (Variable("N non-embedding", _non_embedding, 768, 1.5e9),),
    ),
}

BATCHES: Mapping[str, PublishedRule] = {  # in tokens
    "deepseek": PublishedRule(
        ".2920 C^.3271 tokens, C = M D",
        RATES["deepseek"].source,
        lambda case, batch: 0.2920 * _deepseek_flops(case, batch) ** 0.3271,
        _DEEPSEEK,
    ),
    "step_law": PublishedRule(
        ".58 D^.571 tokens", RATES["step_law"].source, lambda case, batch: 0.58 * case.tokens**0.571, _STEP_LAW[1:]
    ),
    "porian": PublishedRule(
        "160 (N / 1.08e8)^(2/3) sequences of 2048, N with the head",
        _PORIAN_SOURCE,
        lambda case, batch: 160 * (_blocks_and_head(case, batch) / PORIAN_N) ** (2 / 3) * PORIAN_CONTEXT,
        _PORIAN,
    ),
}

BETA2S: Mapping[str, PublishedRule] = {
    "marin": PublishedRule(
        ".98^(B / 128), B in sequences of 4096",
        "Marin's isoflop_sweep.py, after Marek 2025 (arXiv:2507.07101)",
        lambda case, batch: 0.98 ** (_marin_sequences(case, batch) / 128),
        (Variable("B (sequences of 4096)", _marin_sequences, 8, math.inf),),
    ),
    "porian": PublishedRule(
        ".99 up to 128 sequences of 2048, .95 above",
        "Porian 2024 (arXiv:2406.19146): .95 is poor at small batches",
        lambda case, batch: 0.99 if batch <= 128 * PORIAN_CONTEXT else 0.95,
    ),
}


def outside(rule: PublishedRule, case: Case, batch_tokens: float) -> str:
    """Which variable of `case` lies outside the range `rule` was fitted in, its value and the range; "" for none."""
    for variable in rule.fitted:
        value = variable.of(case, batch_tokens)
        if not variable.low <= value <= variable.high:
            return f"{variable.symbol} = {value:.3g}, fitted {_range(variable.low, variable.high)}"
    return ""


def _range(low: float, high: float) -> str:
    return f"from {low:.3g}" if math.isinf(high) else f"{low:.3g} to {high:.3g}"
