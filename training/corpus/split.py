"""Which documents are trained on and which are held out: by a hash of each, so that no document is on both sides."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from ...fitting.errors import InputError
from ..config.data import MAIN
from .spool import BUCKETS, Documents, Spooled


@dataclass(frozen=True)
class Split:
    """The documents of each side, and what was counted on the way."""

    train: Documents
    held_out: dict[str, Documents]  # MAIN first
    n_documents: int
    n_duplicates: int
    digest: str  # of the documents and their sides


def split_documents(spools: Mapping[str, Spooled], fraction: float) -> Split:
    """Hold out `fraction` of the documents of the set MAIN; train on the rest, less those of the other sets.

    Raises InputError where one side is left without a document.
    """
    sides = hashlib.sha256(repr(fraction).encode())
    elsewhere: set[bytes] = set()
    others: dict[str, Documents] = {}
    for name, spooled in sorted(spools.items()):
        if name != MAIN:
            sides.update(f"\n{name}\n".encode())
            others[name] = Documents(spooled.folder, "held_out")
            for bucket in range(BUCKETS):
                unique = spooled.unique(bucket)
                others[name].choose(bucket, list(unique.values()))
                elsewhere.update(unique)
                sides.update(b"".join(unique))
            _must_hold(others[name], f"data.validation.{name}: no document with text in it")
    main = spools[MAIN]
    held_out, train = Documents(main.folder, "held_out"), Documents(main.folder, "train")
    threshold = int(fraction * 2**32)
    for bucket in range(BUCKETS):
        unique = main.unique(bucket)
        held_out.choose(bucket, [span for digest, span in unique.items() if _place(digest) < threshold])
        train.choose(
            bucket,
            [span for digest, span in unique.items() if _place(digest) >= threshold and digest not in elsewhere],
        )
        sides.update(b"".join(unique))
    n_documents = len(train) + len(held_out)
    for name, chosen in (("training", train), ("validation", held_out)):
        _must_hold(
            chosen,
            f"data.corpus: no document falls to the {name} side of {n_documents}"
            + (f", with {len(elsewhere):,} documents of data.validation left out" if elsewhere else "")
            + "; give more documents or change data.validation_fraction",
        )
    in_order = {MAIN: held_out} | {name: others[name] for name in spools if name != MAIN}
    return Split(train, in_order, n_documents, main.n_read - n_documents, sides.hexdigest())


def _place(digest: bytes) -> int:
    return int.from_bytes(digest[:4], "big")


def _must_hold(documents: Documents, otherwise: str) -> None:
    if not len(documents):
        raise InputError(otherwise)
