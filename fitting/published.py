"""Published estimates of N*(C) and D*(C) with the conventions they speak; the facts are in published.csv."""

from __future__ import annotations

import csv
import difflib
import io
import math
import re
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import cast

from .counting import FLOP_CONVENTIONS
from .errors import InputError
from .laws import ChinchillaLaw, KaplanLaw, PowerLaw, SaturatingLaw
from .shown import Shown

N_PARAMS_CONVENTIONS = (
    "total",
    "non_embedding",
    "blocks_and_head",
    "flops_per_token",  # DeepSeek's model scale M, in FLOPs, stands where others have parameters
    "active",
    "unverified",
)
FLOPS_CONVENTIONS = (
    *FLOP_CONVENTIONS,
    "own",  # a counter of the study's own, described in the note
    "unverified",
)
# What was held fixed while training, the third part of a convention.
TRAINING_CONVENTIONS = (
    "matched",  # each run's schedule ends at its tokens; rate and batch set for each size or budget
    "tuned",  # rate, batch and beta2 tuned for each size, at a constant rate
    "untuned",  # one rate or batch for all sizes, or a warmup or schedule that is not set for each run
    "fixed_batch",  # Kaplan's raw C: one batch for all runs
    "critical_batch",  # Kaplan's C_min: the compute had every batch been far below the critical one
    "early_stopped",  # D is the data at hand, and each run ends at its least test loss
    "hot",  # points in the middle of schedules
    "simulated",  # no runs: a published law, seen through another count
    "unverified",
)
INTERVALS = ("", "80 %", "95 %", "1 SE", "range")
VERIFIED = ("read_source", "recomputed", "secondary", "derived")

_FILE = "published.csv"
_TEXT_FIELDS = (
    "name",
    "label",
    "study",
    "interval",
    "n_params",
    "flops",
    "training",
    "corpus",
    "method",
    "source",
    "verified",
    "note",
)
_REQUIRED = ("name", "label", "study", "n_params", "flops", "training", "source", "verified")
_CHOICES = {
    "n_params": N_PARAMS_CONVENTIONS,
    "flops": FLOPS_CONVENTIONS,
    "training": TRAINING_CONVENTIONS,
    "interval": INTERVALS,
    "verified": VERIFIED,
}
# A value printed to two digits may lie this far outside an interval printed to three.
_ROUNDING = 0.005 + 1e-9


@dataclass(frozen=True, repr=False)
class PublishedEstimate(Shown, says="answers.published"):
    """One published estimate. Fields that the source leaves open are None (numbers) or empty (text).

    `params_exponent` is a in N* ~ C^a and `tokens_exponent` b in D* ~ C^b; their bounds are what `interval`
    says: "80 %" is the 10th to 90th percentile, "1 SE" the value plus and minus one standard error, "range" a
    spread over variants. The coefficients are those of N* = coefficient * C^a in parameters and of D* in
    tokens, with C in FLOPs. E, A, B, alpha and beta are `ChinchillaLaw`'s, and `E_se` and so on their standard
    errors; N_c, D_c, alpha_N and alpha_D are `KaplanLaw`'s, C_c (FLOPs) and alpha_C those of L(C) = (C_c/C)^alpha_C.
    `n_params`, `flops` and `training` name how the study counts N and C and what it held fixed while training;
    `flops_min` and `flops_max` bound the compute it measured, in FLOPs. `verified` says whether the numbers were read
    in the source, recomputed from its data, taken from a second source or derived from others of the same source.
    """

    name: str
    label: str
    study: str
    params_exponent: float | None
    params_low: float | None
    params_high: float | None
    tokens_exponent: float | None
    tokens_low: float | None
    tokens_high: float | None
    interval: str
    params_coefficient: float | None
    tokens_coefficient: float | None
    E: float | None
    A: float | None
    B: float | None
    alpha: float | None
    beta: float | None
    E_se: float | None
    A_se: float | None
    B_se: float | None
    alpha_se: float | None
    beta_se: float | None
    N_c: float | None
    D_c: float | None
    alpha_N: float | None
    alpha_D: float | None
    C_c: float | None
    alpha_C: float | None
    n_params: str
    flops: str
    training: str
    flops_min: float | None
    flops_max: float | None
    corpus: str
    method: str
    source: str
    verified: str
    note: str

    @property
    def law(self) -> ChinchillaLaw | KaplanLaw | None:
        """L(N, D), where all of its constants are published."""
        if not (self.E is None or self.A is None or self.B is None or self.alpha is None or self.beta is None):
            return ChinchillaLaw(E=self.E, A=self.A, B=self.B, alpha=self.alpha, beta=self.beta)
        if not (self.N_c is None or self.D_c is None or self.alpha_N is None or self.alpha_D is None):
            return KaplanLaw(N_c=self.N_c, D_c=self.D_c, alpha_N=self.alpha_N, alpha_D=self.alpha_D)
        return None

    @property
    def frontier(self) -> SaturatingLaw | None:
        """L(C) at the study's optimum, where it is published as a law of its own."""
        if self.C_c is None or self.alpha_C is None:
            return None
        return SaturatingLaw(E=0.0, C0=self.C_c, gamma=self.alpha_C)

    @property
    def doubtful(self) -> bool:
        """Whether the numbers are second-hand, or part of the convention they speak is not known."""
        return self.verified == "secondary" or "unverified" in (self.n_params, self.flops, self.training)

    @property
    def params_law(self) -> PowerLaw | None:
        """N*(C): the published line, else the optimum of `law` under C = 6 N D, else None.

        N is what `n_params` says: FLOPs per token, not parameters, for "flops_per_token".
        """
        if self.params_coefficient is not None and self.params_exponent is not None:
            return PowerLaw(self.params_coefficient, self.params_exponent)
        return None if self.law is None else self.law.params_law()

    @property
    def tokens_law(self) -> PowerLaw | None:
        """D*(C): the published line, else the optimum of `law` under C = 6 N D, else None."""
        if self.tokens_coefficient is not None and self.tokens_exponent is not None:
            return PowerLaw(self.tokens_coefficient, self.tokens_exponent)
        return None if self.law is None else self.law.tokens_law()


@cache
def published_estimates() -> tuple[PublishedEstimate, ...]:
    """Every published estimate, in the file's order."""
    package = files(__name__.rpartition(".")[0])
    return parse_published(package.joinpath(_FILE).read_text(encoding="utf-8"))


def published_estimate(name: str) -> PublishedEstimate:
    """The estimate called `name`, with or without the prefix "published:".

    Raises:
        InputError: no such estimate; the message names the nearest.
    """
    wanted = name.removeprefix("published:")
    by_name = {estimate.name: estimate for estimate in published_estimates()}
    if wanted in by_name:
        return by_name[wanted]
    near = _nearest_names(wanted.lower())
    hint = f"nearest: {', '.join(near)}" if near else f"one of: {', '.join(by_name)}"
    raise InputError(f"no published estimate is called {wanted!r}; {hint}")


def _nearest_names(wanted: str, count: int = 3) -> list[str]:
    """Names that contain `wanted`, or whose label or study does; then those spelt like it, by word or whole."""
    estimates = published_estimates()
    texts = {e.name: f"{e.name} {e.label} {e.study}".lower() for e in estimates}
    holding = [name for name, text in texts.items() if wanted and wanted in text]
    words = {word for text in texts.values() for word in re.findall(r"[a-z]{4,}", text)}
    word = difflib.get_close_matches(wanted, words, n=1, cutoff=0.8)
    by_word = [name for name, text in texts.items() if word and word[0] in text]
    alike = difflib.get_close_matches(wanted, texts, n=count, cutoff=0.5)
    return list(dict.fromkeys([*holding, *by_word, *alike]))[:count]


def parse_published(text: str) -> tuple[PublishedEstimate, ...]:
    """The estimates of a CSV text with the columns of `PublishedEstimate`.

    An unknown column, convention or kind of interval, a value outside its interval by more than its rounding,
    a number that is none and a name used twice are each an InputError that says where.
    """
    reader = csv.DictReader(io.StringIO(text))
    expected = [field.name for field in fields(PublishedEstimate)]
    if reader.fieldnames != expected:
        raise InputError(f"{_FILE}: columns are {reader.fieldnames}, must be {expected}")
    estimates = tuple(_parse_row(row) for row in reader)
    names = [estimate.name for estimate in estimates]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{_FILE}: names used twice: {', '.join(twice)}")
    return estimates


def _parse_row(row: dict[str, str]) -> PublishedEstimate:
    where = f"{_FILE}: {row['name'] or 'a row without a name'}"
    if None in cast("dict[str | None, str | None]", row) or None in cast("dict[str, str | None]", row).values():
        raise InputError(f"{where}: its number of cells is not the header's")
    for column in _REQUIRED:
        if not row[column]:
            raise InputError(f"{where}: {column} is empty")
    for column, known in _CHOICES.items():
        if row[column] not in known:
            raise InputError(f"{where}: {column} is {row[column]!r}, must be one of {', '.join(map(repr, known))}")
    cells = {column: cell if column in _TEXT_FIELDS else _number(where, column, cell) for column, cell in row.items()}
    estimate = PublishedEstimate(**cells)  # pyright: ignore[reportArgumentType]
    _check_intervals(where, estimate)
    return estimate


def _number(where: str, column: str, cell: str) -> float | None:
    if not cell:
        return None
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{where}: {column} is {cell!r}, must be a finite number or empty")
    return value


def _check_intervals(where: str, row: PublishedEstimate) -> None:
    if row.params_exponent is None and row.tokens_exponent is None:
        raise InputError(f"{where}: has neither params_exponent nor tokens_exponent")
    bounded = False
    for side, value, low, high in (
        ("params", row.params_exponent, row.params_low, row.params_high),
        ("tokens", row.tokens_exponent, row.tokens_low, row.tokens_high),
    ):
        if low is None and high is None:
            continue
        bounded = True
        if value is None or low is None or high is None:
            raise InputError(f"{where}: {side}_exponent, {side}_low and {side}_high must be given together")
        if not low - _ROUNDING <= value <= high + _ROUNDING or low > high:
            raise InputError(f"{where}: {side}_exponent {value} lies outside [{low}, {high}]")
    if bounded != bool(row.interval):
        raise InputError(f"{where}: interval is {row.interval!r} where bounds are {'given' if bounded else 'absent'}")
