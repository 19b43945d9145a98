"""Two sweeps held against each other: their exponents counted alike, and their best losses at equal compute."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..reporting.style import exponent_number
from . import counting
from .equal_compute import LossRow, loss_rows
from .moves import Move, combined, estimate_of, move_between, move_text, sampled_exponents
from .ours import METHODS, our_rows
from .rows import ComparisonRow, Exponent


@dataclass(frozen=True)
class Sweep:
    """One sweep to compare: its `name`, and `report`, the parsed fit.json."""

    name: str
    report: Mapping[str, Any]

    @property
    def corpus(self) -> str | None:
        """What its losses were measured on; None where not known. Of ours a fingerprint of corpus, tokenizer, split."""
        return self.report.get("conventions", {}).get("corpus")

    @property
    def loss_unit(self) -> str:
        """What its losses are in; nats per token where nothing else is said."""
        return str(self.report.get("conventions", {}).get("loss_unit") or "nats_per_token")


@dataclass(frozen=True)
class ExponentPair:
    """Both sweeps' exponents by one method under one count of N and of C, and the second's minus the first's."""

    method: str
    n_params: str
    flops: str
    first: tuple[Exponent, Exponent | None]  # a and b
    second: tuple[Exponent, Exponent | None]
    params_difference: Move
    tokens_difference: Move | None

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, texts, numbers and None."""
        names = ("params_exponent", "tokens_exponent")
        sides = {
            side: {name: value and asdict(value) for name, value in zip(names, getattr(self, side), strict=True)}
            for side in ("first", "second")
        }
        moved = {
            "params_difference": self.params_difference.to_json(),
            "tokens_difference": self.tokens_difference and self.tokens_difference.to_json(),
        }
        return {"method": self.method, "n_params": self.n_params, "flops": self.flops} | sides | moved


@dataclass(frozen=True)
class PairComparison:
    """The second sweep against the first.

    `losses_comparable` is whether both measured their losses on the same tokens in one unit, None where that is not
    known; `losses` are empty where it is False, and `remarks` say why, as of anything else that has no answer.
    """

    first: Sweep
    second: Sweep
    exponents: tuple[ExponentPair, ...]
    losses: tuple[LossRow, ...]
    losses_comparable: bool | None
    remarks: tuple[str, ...]

    @property
    def headline(self) -> str:
        """The difference of a by the first method, in one sentence; "" without one."""
        return "" if not self.exponents else _said(self, self.exponents[0])

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, texts, numbers and None."""
        return {
            "first": self.first.name,
            "second": self.second.name,
            "headline": self.headline,
            "exponents": [pair.to_json() for pair in self.exponents],
            "losses_comparable": self.losses_comparable,
            "losses": [row.to_json() for row in self.losses],
            "remarks": list(self.remarks),
        }


def compare_pair(first: Sweep, second: Sweep, flops: Sequence[float] = ()) -> PairComparison:
    """Hold `second` against `first`; `flops` are budgets beside the common ones at which to compare losses.

    Exponents are compared by method under the first pair of conventions that both tables can count: the first
    sweep's, the second's, then any other. Losses are compared where both sweeps count C alike and their losses are
    not known to be of different validation sets or units.

    Raises:
        InputError: a report of several groups.
    """
    pairs = tuple(_exponent_pairs(first, second))
    remarks = list(_counting_share(first, second, pairs[0])) if pairs else [_no_common_count(first, second)]
    remarks += _taken(first, second, pairs)
    same, why = same_validation(first, second)
    remarks.append(why)
    losses: tuple[LossRow, ...] = ()
    if same is not False:
        losses, said = loss_rows((first.name, first.report), (second.name, second.report), flops)
        remarks += said
    return PairComparison(first, second, pairs, losses, same, tuple(remarks))


def same_validation(first: Sweep, second: Sweep) -> tuple[bool | None, str]:
    """Whether both losses are of the same tokens in the same unit, None where it is not known; and a sentence."""
    if first.loss_unit != second.loss_unit:
        units = f"{first.name} in {first.loss_unit}, {second.name} in {second.loss_unit}"
        return False, f"NOT comparable: losses are in different units ({units}); the exponents' difference stands"
    if first.corpus is None or second.corpus is None:
        unknown = " and ".join(each.name for each in (first, second) if each.corpus is None)
        return None, (
            f"the losses of {unknown} are of a validation set and tokenizer that the file does not name: they compare "
            "only if both sweeps' are the same; the exponents' difference stands either way"
        )
    if first.corpus != second.corpus:
        return False, (
            "NOT comparable: the losses are of different validation sets or tokenizers "
            f"({first.corpus}, {second.corpus}); the exponents' difference stands"
        )
    return True, f"both name one corpus, {first.corpus}: in our own sweeps that covers tokenizer and validation set"


def _exponent_pairs(first: Sweep, second: Sweep) -> Iterator[ExponentPair]:
    rows = [_by_count(each) for each in (first, second)]
    for method in METHODS:
        found = [{key: row for key, row in side.items() if key[2] == method} for side in rows]
        shared = [key for key in found[0] if key in found[1]]
        if shared:
            key = min(shared, key=lambda key: _rank(key, list(found[0]), list(found[1])))
            yield _pair(first, second, found[0][key], found[1][key])


def _by_count(sweep: Sweep) -> dict[tuple[str, str, str], ComparisonRow]:
    """Rows that have an exponent; those of the conventions that the fit speaks come first."""
    return {(row.n_params, row.flops, row.name): row for row in our_rows(sweep.report) if row.params_exponent}


def _rank(key: tuple[str, str, str], first: list[Any], second: list[Any]) -> tuple[bool, bool, bool, bool, int]:
    """A count of C that has a name; what both chose, then what the first chose, the second, then the first's order."""
    ours, theirs = key == first[0], key == second[0]
    return key[1] in counting.UNNAMED_FLOPS, not (ours and theirs), not ours, not theirs, first.index(key)


def _pair(first: Sweep, second: Sweep, row: ComparisonRow, other: ComparisonRow) -> ExponentPair:
    assert row.params_exponent is not None
    assert other.params_exponent is not None
    moves = _resampled(first, second, row) or tuple(
        None if here is None or there is None else combined(estimate_of(here), estimate_of(there))
        for here, there in (
            (row.params_exponent, other.params_exponent),
            (row.tokens_exponent, other.tokens_exponent),
        )
    )
    assert moves[0] is not None
    return ExponentPair(
        row.name,
        row.n_params,
        row.flops,
        (row.params_exponent, row.tokens_exponent),
        (other.params_exponent, other.tokens_exponent),
        moves[0],
        moves[1],
    )


def _resampled(first: Sweep, second: Sweep, row: ComparisonRow) -> tuple[Move, Move] | None:
    """The differences from the fits themselves; None where the conventions are not those that both fits speak."""
    spoken = all(_spoken(each, row) for each in (first, second))
    if not spoken:
        return None
    here, there = (sampled_exponents(each.report["fits"][row.name], row.name) for each in (first, second))
    return move_between(here[0], there[0]), move_between(here[1], there[1])


def _spoken(sweep: Sweep, row: ComparisonRow) -> bool:
    own = next((each for each in our_rows(sweep.report) if each.name == row.name), None)
    return own is not None and (own.n_params, own.flops) == (row.n_params, row.flops)


def _no_common_count(first: Sweep, second: Sweep) -> str:
    counts: list[str] = []
    for sweep in (first, second):
        pairs = list(dict.fromkeys((row.n_params, row.flops) for row in our_rows(sweep.report) if row.params_exponent))
        said = ", ".join(f"N {n_params} with C {flops}" for n_params, flops in pairs[:3]) or "nothing"
        counts.append(f"{sweep.name} counts {said}{' and others' if len(pairs) > 3 else ''}")
    return (
        f"the exponents are not of one count, so their difference is counting and training at once: {'; '.join(counts)}"
    )


def _said(pair: PairComparison, found: ExponentPair) -> str:
    move = found.params_difference
    here, there = (exponent_number(exponent.value) for exponent in (found.first[0], found.second[0]))
    said = {"higher": "higher than", "lower": "lower than"}.get(move.verdict, "not told apart from")
    counted = f"N {found.n_params} and C {found.flops} in both"
    if found.flops in counting.UNNAMED_FLOPS:
        counted = f"N {found.n_params} in both, IF their FLOPs are counted alike"
    elif any(counting.undeclared(each.report) for each in (pair.first, pair.second)):
        counted = f"N taken for {found.n_params} and C for {found.flops} in both"
    return (
        f"a of {pair.second.name} ({there}) is {said} that of {pair.first.name} ({here}), {counted}: {move_text(move)}"
    )


def _taken(first: Sweep, second: Sweep, pairs: Sequence[ExponentPair]) -> Iterator[str]:
    """What a table does not say of its counts, and what is then made of it."""
    for sweep in (first, second):
        if counting.undeclared(sweep.report):
            yield f"{sweep.name}: {counting.taken_for(sweep.report)}"
    unnamed = [pair.method for pair in pairs if pair.flops in counting.UNNAMED_FLOPS]
    if unnamed:
        yield f"exponents of {', '.join(unnamed)} compare only IF both count their FLOPs alike, which no table says"


def _counting_share(first: Sweep, second: Sweep, found: ExponentPair) -> Iterator[str]:
    """What counting makes of the difference that the two fits' own numbers show."""
    own = [next(row for row in our_rows(each.report) if row.name == found.method) for each in (first, second)]
    if own[0].params_exponent is None or own[1].params_exponent is None:
        return
    counts = [(row.n_params, row.flops) for row in own]
    if counts[0] == counts[1]:
        return
    apart = own[1].params_exponent.value - own[0].params_exponent.value
    rest = found.params_difference.value
    yield (
        f"each by its own count (N {counts[0][0]}, C {counts[0][1]}; N {counts[1][0]}, C {counts[1][1]}) a moves by "
        f"{exponent_number(apart, signed=True)}: {exponent_number(rest, signed=True)} under one count, and "
        f"{exponent_number(apart - rest, signed=True)} by counting alone"
    )


def declared(sweep: Sweep, n_params: str, flops: str) -> Sweep:
    """The sweep with its N and C named, where its table counts each in one way and does not say which.

    Raises:
        InputError: the table says itself how it counts.
    """
    return Sweep(sweep.name, counting.declared(sweep.report, sweep.name, n_params, flops))
