"""Counts and losses that some runs have in other units than most: 60 for 60M, GFLOPs, perplexities, bits."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import KDTree

from .rows import NOTHING, Found, Mask, Rows, usual, words_of

# Between two runs next to each other in C/(6 N D). Embeddings and attention move it by up to 20 in tiny models, one way
# of counting against another by up to 50; a unit moves it by 1000 or more.
_RATIO_GAP = 100.0
# Between two sizes (or token counts) next to each other; no sweep leaves such a gap ...
_COUNT_GAP = 1000.0
# ... and no language model has fewer parameters (a vocabulary of 256 bytes, width 4), no run fewer tokens. Above that
# runs so far below the others give themselves away by losses as good as theirs: better than those of the worst tenth.
_AS_GOOD = 0.9
_LEAST = 1000.0
# Nats per token of a uniform guess among 262,144 tokens, the largest vocabulary in use.
MOST_NATS = float(np.log(2.0**18))
# Times the loss of the nearest run below that: neighbours in N and D differ by less, even if 10 times apart.
_PERPLEXED = 3.0
_LEAST_PERPLEXITY = 4.5  # exp 1.5; what is below is a loss, in bits it may be or in bytes
_MOST_ENDS = 200_000  # runs among which neighbours are sought: of more it takes minutes
_LIKE = 0.25  # how near the logarithm of a perplexity is to its neighbours' loss
# The loss of one file beside another's at the same N and D. Corpora differ by less; bits and bits per byte by more.
_LOSS_FACTOR = 2.0
_ENOUGH = 5  # runs, of a file or beside a run, to compare by


def mixed_units(rows: Rows, free: Mask) -> Found:
    """Rows of runs, each judged at its end, whose counts or loss are in another unit than those of most."""
    ends = free & rows.last
    reasons: dict[int, str] = {}
    for rule in (_flop_ratios, _counts, _perplexities, _losses_of_files):
        for row, reason in rule(rows, ends).items():
            reasons.setdefault(row, reason)
    by_run = {rows.run[row]: reason for row, reason in reasons.items()}
    if by_run:
        hit = np.zeros(rows.n_runs, dtype=bool)
        hit[list(by_run)] = True
        (found,) = np.nonzero(free & hit[rows.run])
    else:
        found = NOTHING[0]
    texts = [by_run[run] for run in rows.run[found]]
    where, more = _named_units(rows, free)
    new = ~np.isin(where, found)
    return np.append(found, where[new]), texts + [more[i] for i in np.flatnonzero(new)]


def units_of_all(rows: Rows, free: Mask) -> list[str]:
    """A note on each column that most runs have in a unit not ours: none is the odd one out, so none is flagged."""
    ends = free & rows.last
    columns = (rows.numbers(name) for name in ("flops", "n_params", "tokens", "loss"))
    flops, n, d, loss = (None if column is None else column[ends] for column in columns)
    notes = [
        f"{name} are near {typical:.3g}: of millions make counts by --columns {name}='`COL` * 1e6'"
        for name, values in (("n_params", n), ("tokens", d))
        if values is not None and (typical := _middle(values)) < _LEAST
    ]
    if loss is not None and (typical := _middle(loss)) > MOST_NATS:
        notes.append(f"losses are near {typical:.3g}, above any guess in nats: of perplexities give the logarithms")
    if flops is None or n is None or d is None or notes:
        return notes
    with np.errstate(all="ignore"):
        ratio = _middle(flops / 6 / n / d)
    if np.isnan(ratio) or 1 / _RATIO_GAP <= ratio <= _RATIO_GAP:
        return []
    remedy = "of PFLOP/s-days make FLOPs by --columns flops='`COL` * 8.64e19'"
    return [f"flops are near {ratio:.3g} times 6 n_params tokens: another unit, or the FLOPs of one token; {remedy}"]


def _middle(values: NDArray[np.float64]) -> float:
    """The median of the positive numbers there, the lower one of two; NaN for none."""
    known = values[(values > 0) & np.isfinite(values)]
    half = (len(known) - 1) // 2
    return float(np.partition(known, half)[half]) if len(known) else np.nan


def _flop_ratios(rows: Rows, ends: Mask) -> dict[int, str]:
    """Runs whose C/(6 N D) is orders of magnitude off the table's own."""
    flops, n, d = (rows.numbers(name) for name in ("flops", "n_params", "tokens"))
    if flops is None or n is None or d is None:
        return {}
    with np.errstate(all="ignore"):
        ratio = flops / 6 / n / d
    where, odd, typical = _odd_ones(ratio, ends, _RATIO_GAP, preferred=1.0)
    return {
        int(i): f"flops / (6 n_params tokens) is {ratio[i]:.3g}, in most runs {typical:.3g}: another unit"
        for i in where[odd]
    }


def _counts(rows: Rows, ends: Mask) -> dict[int, str]:
    """Runs whose N, D or both multiplied are a gap apart from most, with counts below 1000 or too good a loss."""
    n, d, loss = (rows.numbers(name) for name in ("n_params", "tokens", "loss"))
    if n is None or d is None or loss is None:
        return {}
    out: dict[int, str] = {}
    with np.errstate(all="ignore"):
        measures = (("n_params", n), ("tokens", d), ("6 n_params tokens", 6 * n * d))
    for name, values in measures:
        where, odd, typical = _odd_ones(values, ends & np.isfinite(loss), _COUNT_GAP)
        if not odd.any():
            continue
        if values[where].min() >= _LEAST:
            ours = loss[where[~odd]]
            odd &= values[where] < typical
            if not odd.any() or np.median(loss[where[odd]]) > np.quantile(ours, _AS_GOOD):
                continue
        for i in where[odd]:
            out.setdefault(int(i), f"{name} is {values[i]:.6g}, in most runs near {typical:.2g}: another unit")
    return out


def _odd_ones(
    values: NDArray[np.float64], ends: Mask, gap: float, preferred: float | None = None
) -> tuple[NDArray[np.intp], Mask, float]:
    """Rows with a usable value, which of them are not among the `usual`, and the median of those that are."""
    (where,) = np.nonzero(ends & (values > 0) & np.isfinite(values))
    if not len(where):
        return where, np.zeros(0, dtype=bool), np.nan
    ours = usual(values[where], gap, preferred)
    return where, ~ours, float(np.exp(np.median(np.log(values[where][ours]))))


def _perplexities(rows: Rows, ends: Mask) -> dict[int, str]:
    """Runs far above those beside them: by the bound of a vocabulary, as most of their file, or as exp of a loss is."""
    n, d, loss = (rows.numbers(name) for name in ("n_params", "tokens", "loss"))
    if n is None or d is None or loss is None:
        return {}
    (where,) = np.nonzero(ends & (n > 0) & (d > 0) & (loss > 0) & np.isfinite(n) & np.isfinite(d) & np.isfinite(loss))
    own = loss[where]
    high = own > MOST_NATS
    if not len(own) or 2 * high.sum() > len(own) or len(own) > _MOST_ENDS or own.max() < _LEAST_PERPLEXITY:
        return {}
    place = np.log(np.column_stack([n[where], d[where]]))
    odd = np.zeros(len(where), dtype=bool)
    if high.any():
        odd[high] = own[high] > _PERPLEXED * own[~high][KDTree(place[~high]).query(place[high])[1]]
        file = rows.file[where]
        odd |= (np.bincount(file, weights=odd) > 0.5 * np.bincount(file))[file]
    if (~odd).sum() >= _ENOUGH:
        # A perplexity that nats might be: far above its neighbours, and its logarithm is not.
        beside = np.median(own[~odd][KDTree(place[~odd]).query(place, k=_ENOUGH)[1]], axis=1)
        odd |= (own > np.maximum(_LEAST_PERPLEXITY, 2 * beside)) & (np.abs(np.log(own) - beside) < _LIKE * beside)
    text = "runs near it in N and D are far below: a perplexity, or diverged"
    return {int(i): f"loss is {loss[i]:.4g}, {text}" for i in where[odd]}


def _losses_of_files(rows: Rows, ends: Mask) -> dict[int, str]:
    """Runs of files whose losses are a common factor off those of the largest file at the same N and D."""
    n, d, loss = (rows.numbers(name) for name in ("n_params", "tokens", "loss"))
    if n is None or d is None or loss is None or rows.n_files < 2:
        return {}
    (where,) = np.nonzero(ends & (n > 0) & (d > 0) & (loss > 0) & (loss <= MOST_NATS))
    file = rows.file[where]
    sizes = np.bincount(file) if len(file) else np.zeros(1)
    largest = int(np.argmax(sizes))
    if sizes[largest] < 2 * _ENOUGH:
        return {}
    plane = np.column_stack([np.ones(len(where)), np.log(n[where]), np.log(d[where])])
    if not np.isfinite(plane).all():
        return {}
    own = file == largest
    fit = np.linalg.lstsq(plane[own], np.log(loss[where][own]), rcond=None)[0]
    off = np.log(loss[where]) - plane @ fit
    low, high = plane[own].min(axis=0), plane[own].max(axis=0)
    out: dict[int, str] = {}
    for other in np.flatnonzero((sizes >= _ENOUGH) & (np.arange(len(sizes)) != largest)):
        mine = file == other
        beside = mine & ((plane >= low - 1e-9) & (plane <= high + 1e-9)).all(axis=1)
        if beside.sum() >= _ENOUGH and abs(float(np.median(off[beside]))) > np.log(_LOSS_FACTOR):
            factor = float(np.exp(np.median(off[beside])))
            text = f"this file's losses are {factor:.2g} times those of the largest at the same N and D: another unit"
            out |= {int(i): text for i in where[mine]}
    return out


def _named_units(rows: Rows, free: Mask) -> Found:
    """Rows whose `loss_unit` is not that of most."""
    if "loss_unit" not in rows.frame:
        return NOTHING
    codes, units = words_of(pd.Series(rows.frame["loss_unit"]))
    plain, names = pd.factorize(pd.Series([unit.casefold() for unit in units], dtype=object))
    codes, units = np.append(plain, -1)[codes], list(names)
    counts = np.bincount(codes[free & (codes >= 0)], minlength=len(units))
    if np.count_nonzero(counts) < 2:
        return NOTHING
    most = int(np.argmax(counts))
    odd = (counts > 0) & (np.arange(len(units)) != most)
    (found,) = np.nonzero(free & (codes >= 0) & odd[codes])
    return found, [f"loss_unit is {units[code]}, in most rows {units[most]}" for code in codes[found]]
