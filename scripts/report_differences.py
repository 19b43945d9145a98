"""Where a fit that was written says other numbers than the same fit made now."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from isoflop.fitting.analysis import Analysis
from isoflop.fitting.diagnostics import Warn
from isoflop.fitting.json_shapes import is_list, is_object

_SAME = 1e-6  # relative: the same code and runs give the same number to the last digit
_NOISY = ("resamples", "profile", "condition_number")  # long, or what rounding moves
_MOST = 4  # differences that are written out
_FIRST = ("params_exponent.value", "tokens_exponent.value")


def differences(earlier: Mapping[str, Any] | None, analysis: Analysis, path: Path) -> tuple[Warn, ...]:
    """A warning where `earlier`, the content of the fit.json at `path`, and `analysis` have other numbers.

    Compared are the numbers, words and counts of every fit that both hold, and which fits there are. A field that only
    one of them knows is none: another version wrote it.
    """
    if earlier is None:
        return ()
    now = analysis.to_json()
    changed = list(_changed(earlier["fits"], now["fits"]))
    gone = sorted(set(earlier["fits"]).symmetric_difference(now["fits"]))
    changed += [f"only one of them has {' and '.join(gone)}"] if gone else []
    if earlier.get("n_runs") != now["n_runs"]:
        changed.insert(0, f"{earlier.get('n_runs')} runs, now {now['n_runs']}")
    if not changed:
        return ()
    versions = (earlier.get("isoflop_version"), now["isoflop_version"])
    why = "other runs" if earlier.get("n_runs") != now["n_runs"] else "another version or other files"
    if None not in versions and versions[0] != versions[1]:
        why = f"isoflop {versions[0]} then, {versions[1]} now"
    more = f" and {len(changed) - _MOST} more" if len(changed) > _MOST else ""
    said = f"{', '.join(changed[:_MOST])}{more}"
    text = f"{path} was fitted to say otherwise: {said} ({why}); fit again to have one answer"
    return (Warn("differs_from_fit", text),)


def _changed(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """What differs of the fits that both have, the exponents first."""
    named = {"params_exponent": "a", "tokens_exponent": "b"}
    rest: list[str] = []
    for method in now:
        then, here = (dict(_scalars(fits.get(method))) for fits in (earlier, now))
        for name in sorted(then.keys() & here.keys(), key=lambda key: key not in _FIRST):
            if _same(then[name], here[name]):
                continue
            short = name.removesuffix(".value")
            said = f"{method} {named.get(short, short)} {_written(then[name])}, now {_written(here[name])}"
            if name in _FIRST:
                yield said
            else:
                rest.append(said)
    yield from rest


def _scalars(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every number and word within, by its place; of a list also how long it is."""
    if is_object(value):
        for key, each in value.items():
            if key not in _NOISY:
                yield from _scalars(each, f"{name}.{key}" if name else key)
    elif is_list(value):
        yield f"{name}, their number", len(value)
        for i, each in enumerate(value):
            yield from _scalars(each, f"{name}.{i}")
    else:
        yield name, value


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return math.isclose(one, other, rel_tol=_SAME, abs_tol=1e-12)
    return one == other


def _written(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)
