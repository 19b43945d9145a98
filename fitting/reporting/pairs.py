"""Two sweeps beside each other, and one sweep counted in every way: as tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..comparison.equal_compute import LossRow
from ..comparison.ladder import CountedRow
from ..comparison.moves import Move
from ..comparison.pairs import ExponentPair, PairComparison
from ..results import Estimate
from .grids import Grid
from .style import exponent_number, flops_text, unit_text
from .tables import convention_words, exponent_text

_NONE = "-"
_LONGEST_HEADER = 14


def exponents_grid(pair: PairComparison) -> Grid:
    """Two rows a method: both sweeps' a, then b, counted alike; the difference (*: of two intervals), its verdict."""
    rows = tuple(row for each in pair.exponents for row in _exponent_rows(each))
    title = f"Exponents counted alike ({_levels([each.params_difference for each in pair.exponents])})"
    return Grid(title, ("method", "", *_sides(pair), "moved", "verdict"), rows, ("method",))


def _exponent_rows(pair: ExponentPair) -> Iterator[tuple[str, ...]]:
    n_params, flops = convention_words(pair.n_params, pair.flops)
    values = [[exponent_text(each, with_level=False) for each in side] for side in (pair.first, pair.second)]
    yield (f"{pair.method}, N {n_params}, C {flops}", "a", values[0][0], values[1][0], *_moved(pair.params_difference))
    if pair.tokens_difference is not None:
        yield ("", "b", values[0][1], values[1][1], *_moved(pair.tokens_difference))


def _moved(move: Move) -> tuple[str, str]:
    return signed_text(move), move.verdict


def _sides(pair: PairComparison) -> tuple[str, str]:
    """The names of the two as headers, where these are short enough for a column."""
    names = pair.first.name, pair.second.name
    return names if max(map(len, names)) <= _LONGEST_HEADER else ("first", "second")


def signed_text(move: Move | None) -> str:
    """Such as "-.08 [-.41, +.25]*", the star where two intervals were combined; "-" for none."""
    if move is None:
        return _NONE
    value = exponent_number(move.value, signed=True)
    if move.low is None or move.high is None:
        return value
    star = "*" if move.method == "intervals" else ""
    return f"{value} [{exponent_number(move.low, signed=True)}, {exponent_number(move.high, signed=True)}]{star}"


def losses_grid(pair: PairComparison) -> Grid:
    """A row a budget: both best losses, their difference, and how many times C the second needs for the first's.

    C in FLOPs, losses in the unit the title names.
    """
    unit = unit_text(pair.first.loss_unit)
    if pair.losses_comparable is None:
        unit += ", IF both are of one validation set"
    title = f"Best losses at equal compute ({unit}; {_levels([row.difference for row in pair.losses])})"
    headers = ("C", "from", *_sides(pair), "difference", "times C", "verdict")
    return Grid(title, headers, tuple(map(_loss_row, pair.losses)))


def _loss_row(row: LossRow) -> tuple[str, ...]:
    times = _bounded(row.multiplier, "#.3g") if row.multiplier else row.bound or _NONE
    return (
        flops_text(row.flops),
        row.source,
        f"{row.first:.4f}",
        f"{row.second:.4f}",
        _bounded(row.difference, "+.3f"),
        times,
        row.difference.verdict,
    )


def _levels(moves: Sequence[Move]) -> str:
    """What the brackets of a table are."""
    known = sorted({move.level for move in moves if move.low is not None})
    return f"intervals of {' and '.join(f'{100 * level:g} %' for level in known)}" if known else "no intervals"


def _bounded(found: Move | Estimate, form: str) -> str:
    if found.low is None or found.high is None:
        return f"{found.value:{form}}"
    return f"{found.value:{form}} [{found.low:{form}}, {found.high:{form}}]"


def counted_grid(name: str, rows: Sequence[CountedRow]) -> Grid:
    """What counting alone does to one sweep: a by the count of C (rows) and of N (columns); the spread in the title."""
    low, high = (rows[i].params_exponent.value for i in (0, -1))
    spread = f"{exponent_number(low)} to {exponent_number(high)}, {exponent_number(high - low)} apart"
    found = {(row.flops, row.n_params): row.params_exponent for row in rows}
    sizes = sorted({row.n_params for row in rows})
    cells = tuple(
        (
            convention_words("", flops)[1],
            *(exponent_text(found.get((flops, n_params)), with_level=False) for n_params in sizes),
        )
        for flops in dict.fromkeys(row.flops for row in rows)
    )
    headers = ("C", *(f"a, N {convention_words(n_params, '')[0]}" for n_params in sizes))
    return Grid(f"What counting alone does to {name}: a from {spread}", headers, cells)
