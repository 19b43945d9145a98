"""Whether one resource explains a table alone: which of its other columns vary beside it, or with it."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from ..errors import InputError
from ..estimators.power.fit import MIN_POINTS
from ..estimators.power.law import Array
from ..readers.columns import ALIASES
from ..reporting.style import count_text

_SAME = 1.1  # a resource that varies by less is held fixed
_OFF_PATH = 1.25  # sizes further apart than their FLOPs by this are not steps along one path
_MOVES = 0.7  # Spearman's rank correlation, from here on two columns move together
_RESOURCES = {"n_params": "parameters", "tokens": "tokens", "flops": "FLOPs"}
# Outcomes are no resources: that they move with x is the law itself.
_OUTCOME = re.compile(
    r"loss|err|acc|score|bpb|bits|perplexity|ppl|nats|quality|metric|auc|f1|win|elo|exact|pass|reward|"
    r"(^|_)(se|std|stderr|lo|hi|low|high|line|seed|row|L)($|_)",
)
_COUNTS = re.compile(r"n_params|flops|budget|planned_|step")
_SHAPE = re.compile(r"width|depth|layer|head|hidden|dim|d_model|vocab|mlp|intermediate|size")


def require_identified(frame: pd.DataFrame, x: Array, name: str) -> list[str]:
    """What is known of the resources beside `x` (n,), the column or formula `name` of `frame`, as notes.

    L(N) is a law of tables of one D, L(D) of one N; where the other varies too (on isoFLOP rows D = C/6N) the rows show
    both at once and neither is identified. L(C) needs runs along one path, on which sizes grow with FLOPs. Raises
    InputError where that is not so; a table that does not count them is taken as it is, and that is noted.
    """
    columns = _resources_of(frame)
    values = {ours: frame[theirs].to_numpy(dtype=float) for ours, theirs in columns.items()}
    role = _role(values, x)
    if role is None:
        return []
    if role == "flops" and "n_params" in values:
        return _along_a_path(values, x, columns["n_params"], name)
    other = "tokens" if role == "n_params" else "n_params"
    if role == "flops" or other not in values:
        return [f"no column counts the {_RESOURCES[other]}: {name} is taken to be all that varies"]
    low, high = float(np.nanmin(values[other])), float(np.nanmax(values[other]))
    if high > _SAME * low:
        law, of_one = ("L(N)", "D") if role == "n_params" else ("L(D)", "N")
        raise InputError(
            f"{columns[other]} varies from {count_text(low)} to {count_text(high)} beside {name}, and {law} is a law "
            f"at one {of_one}: {_remedy(values[other], columns[other], x)}"
        )
    return [f"at {count_text(float(np.nanmedian(values[other])))} {_RESOURCES[other]} throughout"]


def _resources_of(frame: pd.DataFrame) -> dict[str, str]:
    """Which columns of `frame` count parameters, tokens and FLOPs: our name -> theirs, by our names and aliases."""
    known = {str(name).casefold() if len(str(name)) > 1 else str(name): str(name) for name in frame}
    found = {}
    for ours in _RESOURCES:
        names = [known[alias] for alias in (ours, *ALIASES[ours]) if alias in known]
        if names and pd.api.types.is_numeric_dtype(frame[names[0]]):
            found[ours] = names[0]
    return found


def _role(values: dict[str, Array], x: Array) -> str | None:
    return next((ours for ours in values if _proportional(values[ours], x)), None)


def _along_a_path(values: dict[str, Array], x: Array, column: str, name: str) -> list[str]:
    """Notes of the path; InputError where sizes next to each other in FLOPs are far apart, as on isoFLOP rows."""
    order = np.lexsort((values["n_params"], x))
    sizes, flops = np.log(values["n_params"][order]), np.log(x[order])
    off = np.flatnonzero(np.abs(np.diff(sizes)) > np.diff(flops) + np.log(_OFF_PATH))
    if len(off):
        one, two = sorted(float(np.exp(sizes[off[0] + k])) for k in (0, 1))
        raise InputError(
            f"{column} varies from {count_text(one)} to {count_text(two)} at {name} about {np.exp(flops[off[0]]):.3g}, "
            "and L(C) is a law along one path of sizes: --method saturating fits the least losses, or choose one run a "
            "C with --where"
        )
    if "tokens" not in values:
        return []
    each = values["tokens"] / values["n_params"]
    return [f"along runs of {np.nanmin(each):.3g} to {np.nanmax(each):.3g} tokens per parameter: a law of that path"]


def _remedy(values: Array, column: str, x: Array) -> str:
    """The value of the other resource with most distinct x, where those are enough, as a --where."""
    known, code = np.unique(values, return_inverse=True)
    distinct = np.array([len(np.unique(np.round(np.log(x[code == each]), 6))) for each in range(len(known))])
    if distinct.max() < MIN_POINTS:
        return f"no value of it has {MIN_POINTS} points of its own; --method parametric fits both at once"
    quoted = column if column.isidentifier() else f"`{column}`"
    return (
        f'give --where "{quoted} == {float(known[int(np.argmax(distinct))])!r}" ({distinct.max()} points), '
        f"--group-by {column}, or --method parametric"
    )


def moving_with(frame: pd.DataFrame, x: Array, used: tuple[str, ...]) -> list[str]:
    """Columns of `frame` that may be resources too and move with `x` (n,): Spearman's rank correlation is .7 or more.

    Not those `used`, what is x in another unit, what looks like an outcome by its name, nor, where x is a resource of
    runs, what `require_identified` has looked at.
    """
    ranks = ((column, _rank_correlation(other, x)) for column, other in _others(frame, x, used).items())
    return [f"{column} ({rank:+.2f})" for column, rank in ranks if abs(rank) >= _MOVES]


def varying_at(frame: pd.DataFrame, x: Array, used: tuple[str, ...]) -> list[str]:
    """Such columns of `frame` that differ among rows of one `x`: those rows are no mere seeds of each other."""
    _, point = np.unique(np.round(np.log(x), 6), return_inverse=True)
    found = []
    for column, other in _others(frame, x, used).items():
        sorted_other = other[np.lexsort((other, point))]  # NaN last, and of no account
        same_x = np.diff(np.sort(point)) == 0
        if (np.abs(np.diff(sorted_other))[same_x] > (_SAME - 1) * np.abs(sorted_other[:-1])[same_x]).any():
            found.append(column)
    return found


def _others(frame: pd.DataFrame, x: Array, used: tuple[str, ...]) -> dict[str, Array]:
    """The columns that may be resources beside `x`: numbers, more than one value, not x in another unit."""
    resources = {ours: frame[theirs].to_numpy(dtype=float) for ours, theirs in _resources_of(frame).items()}
    role = _role(resources, x)
    looked_at = resources.values() if role is not None else ()
    found = {}
    for column in map(str, frame.columns):
        counted = role is not None and _COUNTS.match(column)
        shape = role == "n_params" and _SHAPE.search(column)
        values = pd.Series(frame[column])
        number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
        if not number or column in used or _OUTCOME.search(column) or counted or shape:
            continue
        other = values.to_numpy(dtype=float)
        known = other[np.isfinite(other)]
        if len(known) < MIN_POINTS or np.ptp(known) == 0 or any(_proportional(other, each) for each in (x, *looked_at)):
            continue
        found[column] = other
    return found


def _rank_correlation(other: Array, x: Array) -> float:
    known = np.isfinite(other)
    return float(pd.Series(other[known]).rank().corr(pd.Series(x[known]).rank()))


def _proportional(one: Array, other: Array) -> bool:
    """Whether two columns are one quantity in two units."""
    if not (np.isfinite(one) & (one > 0)).all() or not len(one):
        return False
    return bool(np.ptp(np.log(one / other)) < 1e-6)
