"""Training documents that hold much of a validation document, removed or counted; what overlap is left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...fitting.errors import InputError
from ..config.data import NearDuplicates
from .overlap import NGrams, Overlap
from .parallel import in_processes
from .spool import BUCKETS, Documents


@dataclass(frozen=True)
class _Compared:
    train: Documents
    sets: list[NGrams]
    settings: NearDuplicates


def compare_with_validation(
    train: Documents,
    held_out: Mapping[str, Documents],
    settings: NearDuplicates,
    processes: int,
    done: Callable[[], None],
) -> tuple[int, dict[str, float]]:
    """How many documents of `train` are near duplicates, taken out of it if asked for, and what is left.

    A near duplicate has over `threshold` of its n-grams in one validation set. What is left is, by set, the
    share of its n-grams that the documents which stay hold too.
    """
    sets = {name: NGrams(documents, settings.ngram) for name, documents in held_out.items()}
    overlaps = [Overlap(grams) for grams in sets.values()]
    n_near = 0
    shared = _Compared(train, list(sets.values()), settings)
    for here, seen in in_processes(_compare, shared, range(BUCKETS), processes, train.folder):
        n_near += here
        for overlap, mine in zip(overlaps, seen, strict=True):
            overlap.merge(mine)
        done()
    if not len(train):
        raise InputError(
            f"data.near_duplicates: all {n_near:,} training documents are near duplicates of validation documents; "
            f"raise the threshold ({settings.threshold:g}), or set action: report"
        )
    return n_near, dict(zip(sets, (overlap.share for overlap in overlaps), strict=True))


def _compare(shared: _Compared, bucket: int) -> tuple[int, list[NDArray[np.bool_]]]:
    settings = shared.settings
    overlaps = [Overlap(grams) for grams in shared.sets]
    kept: list[NDArray[np.bool_]] = []
    n_near = 0
    for batch in shared.train.batches(bucket):
        found = [grams.find(batch) for grams in shared.sets]
        near = np.any([one.shares > settings.threshold for one in found], axis=0)
        n_near += int(near.sum())
        stays = ~near if settings.action == "remove" else np.ones(len(batch), dtype=bool)
        kept.append(stays)
        for overlap, one in zip(overlaps, found, strict=True):
            overlap.seen[one.places[stays[one.documents]]] = True
    if kept and settings.action == "remove":
        shared.train.choose(bucket, shared.train.spans(bucket)[np.concatenate(kept)])
    return n_near, [overlap.seen for overlap in overlaps]
