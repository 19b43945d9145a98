"""Whether one resource explains a table alone: which of its other columns vary beside it, or with it."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from ..errors import InputError
from ..estimators.power.fit import MIN_POINTS
from ..estimators.power.law import Array
from ..reporting.style import count_text
from .resource_roles import (
    RATIO,
    RESOURCES,
    Resources,
    named_role,
    other_factor,
    proportional,
    resources_of,
    role_of,
    with_factors,
)

_SAME = 1.1  # a resource that varies by less is held fixed
_OFF_PATH = 1.25  # sizes further apart than their FLOPs by this are not steps along one path
_MOVES = 0.7  # Spearman's rank correlation, from here on two columns move together
_SAME_DERIVED = 1.3  # by less, where it was counted by C = 6ND, which a table's own count need not be
# Outcomes are no resources: that they move with x is the law itself.
_OUTCOME = re.compile(
    r"loss|err|acc|score|bpb|bits|perplexity|ppl|nats|quality|metric|auc|f1|win|elo|exact|pass|reward|"
    r"(^|_)(se|std|stderr|lo|hi|low|high|line|seed|row|L)($|_)",
)
_COUNTS = re.compile(r"n_params|flops|budget|planned_|step")
_LARGE = 1e5  # counts of parameters and tokens are more
_SIZE = re.compile(r"size|param|model|data|corpus|token|width|million|billion", re.IGNORECASE)
_SHAPE = re.compile(r"width|depth|layer|head|hidden|dim|d_model|vocab|mlp|intermediate|size")


def require_identified(frame: pd.DataFrame, x: Array, name: str) -> list[str]:
    """What is known of the resources beside `x` (n,), the column or formula `name` of `frame`, as notes.

    L(N) is a law of tables of one D, L(D) of one N; where the other varies too (on isoFLOP rows D = C/6N) the rows show
    both at once and neither is identified; so it is for what stands for N or D, as a width or steps. L(C) needs runs
    along one path, on which sizes grow with FLOPs. Raises InputError where that is not so; a table that does not count
    them is taken as it is, and that is noted.
    """
    resources = resources_of(frame)
    values, names = resources.values, resources.names
    role = role_of(resources, x, name)
    if role == "flops" and "n_params" not in values:
        resources = with_factors(frame, resources, x, name)
        values, names = resources.values, resources.names
    if role is None:
        _require_no_factor(frame, resources, x, name)
        return []
    if role == "flops" and "n_params" in values:
        return _along_a_path(resources, x, name)
    exact = resources.role(x) is not None
    other = "tokens" if role == "n_params" else "n_params"
    if role == "flops" or other not in values:
        return [f"no column counts the {RESOURCES[other]}: {name} is taken to be all that varies"] if exact else []
    vary = [_varies(values[each], each in resources.derived) for each in ("n_params", "tokens")]
    if role == RATIO and not all(vary):
        return []
    if _varies(values[other], other in resources.derived):
        low, high = float(np.nanmin(values[other])), float(np.nanmax(values[other]))
        law, of_one = {"n_params": ("L(N)", "D"), RATIO: ("L(D/N)", "N")}.get(role, ("L(D)", "N"))
        said = "" if exact or role == RATIO else f"{name} stands for the {RESOURCES[role]}: "
        raise InputError(
            f"{said}{names[other]} varies from {count_text(low)} to {count_text(high)} beside {name}, and {law} is a "
            f"law at one {of_one}: {_remedy(resources, other, x)}"
        )
    return [f"at {count_text(float(np.nanmedian(values[other])))} {RESOURCES[other]} throughout"]


def _varies(values: Array, derived: bool) -> bool:
    return float(np.nanmax(values)) > (_SAME_DERIVED if derived else _SAME) * float(np.nanmin(values))


def _require_no_factor(frame: pd.DataFrame, resources: Resources, x: Array, name: str) -> None:
    """InputError where x and another column multiply to the FLOPs: they are N and D under names that are not known."""
    if "flops" not in resources.values:
        return
    other = other_factor(frame, resources.values["flops"], x, (name, resources.names["flops"]))
    if other is not None:
        raise InputError(
            f"{other} varies beside {name}, and the two multiplied are {resources.names['flops']}: one is N, the other "
            "D, and one column shows both at once; name them with --columns n_params=COL,tokens=COL, and hold one "
            "fixed with --where, or fit --method parametric"
        )


def _along_a_path(resources: Resources, x: Array, name: str) -> list[str]:
    """Notes of the path; InputError where sizes next to each other in FLOPs are far apart, as on isoFLOP rows."""
    values, exact = resources.values, resources.role(x) == "flops"
    compute = x if exact or "flops" not in values else values["flops"]
    order = np.lexsort((values["n_params"], compute))
    sizes, flops = np.log(values["n_params"][order]), np.log(compute[order])
    off = np.flatnonzero(np.abs(np.diff(sizes)) > np.diff(flops) + np.log(_OFF_PATH))
    if len(off):
        one, two = sorted(float(np.exp(sizes[off[0] + k])) for k in (0, 1))
        raise InputError(
            f"{resources.names['n_params']} varies from {count_text(one)} to {count_text(two)} at {name} about "
            f"{x[order][off[0]]:.3g}, and L(C) is a law along one path of sizes: --method saturating fits the least "
            "losses, or choose one run a C with --where"
        )
    if "tokens" not in values:
        return []
    each = values["tokens"] / values["n_params"]
    return [f"along runs of {np.nanmin(each):.3g} to {np.nanmax(each):.3g} tokens per parameter: a law of that path"]


def _remedy(resources: Resources, other: str, x: Array) -> str:
    """The value of the other resource with most distinct x, where those are enough, as a --where."""
    values, column = resources.values[other], resources.names[other]
    if other in resources.derived:
        return "hold it fixed with --where; --method parametric fits both at once"
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
    found: list[str] = []
    for column, other in _others(frame, x, used).items():
        sorted_other = other[np.lexsort((other, point))]  # NaN last, and of no account
        same_x = np.diff(np.sort(point)) == 0
        if (np.abs(np.diff(sorted_other))[same_x] > (_SAME - 1) * np.abs(sorted_other[:-1])[same_x]).any():
            found.append(column)
    return found


def uncounted_beside(frame: pd.DataFrame, x: Array, used: tuple[str, ...]) -> tuple[str, list[str]]:
    """Where `x` (n,) is N and nothing counts D, or the other way round: what is not counted, and columns that may.

    Where nothing counts either, and x is as large as such counts are, it may be one of them too.
    """
    resources = resources_of(frame)
    role, large = resources.role(x), x.max() >= _LARGE
    missing = {"n_params": "tokens", "tokens": "n_params"}.get(role or "")
    unknown = role is None and large and not {"n_params", "tokens"} & set(resources.values)
    if (missing is None or missing in resources.values) and not unknown:
        return "", []
    found: list[str] = []
    for column, values in _others(frame, x, used).items():
        known = values[np.isfinite(values)]
        like = known.max() >= _LARGE or (not unknown and _SIZE.search(column))
        if (known > 0).all() and _varies(known, False) and like:
            found.append(column)
    return RESOURCES[missing or "n_params"] if not unknown else "parameters or tokens", found


def _others(frame: pd.DataFrame, x: Array, used: tuple[str, ...]) -> dict[str, Array]:
    """The columns that may be resources beside `x`: numbers, more than one value, not x in another unit."""
    resources = resources_of(frame)
    role = resources.role(x)
    if role is None and resources.values:
        bare = next((name for name in used[:1] if name in frame and _is_column(pd.Series(frame[name]), x)), None)
        role = None if bare is None else named_role(bare)
    looked_at = resources.values.values() if role is not None else ()
    found: dict[str, Array] = {}
    for column in map(str, frame.columns):
        counted = role is not None and _COUNTS.match(column)
        shape = role == "n_params" and _SHAPE.search(column)
        values = pd.Series(frame[column])
        number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
        if not number or column in used or _OUTCOME.search(column) or counted or shape:
            continue
        other = values.to_numpy(dtype=float)
        known = other[np.isfinite(other)]
        if len(known) < MIN_POINTS or np.ptp(known) == 0 or any(proportional(other, each) for each in (x, *looked_at)):
            continue
        found[column] = other
    return found


def _is_column(column: pd.Series, x: Array) -> bool:
    return pd.api.types.is_numeric_dtype(column) and proportional(column.to_numpy(dtype=float), x)


def _rank_correlation(other: Array, x: Array) -> float:
    known = np.isfinite(other)
    return float(pd.Series(other[known]).rank().corr(pd.Series(x[known]).rank()))
