"""How much of a validation set the training text holds too, by hashed n-grams of words: the leak check.

A word is a run of letters, digits and underscores; a letter of a script without spaces (its UTF-8 begins at 0xE3 or
above: Chinese, Japanese, Korean) is a word of its own. Case, spaces and punctuation do not count, in any script.
GPT-3 (Brown 2020, arXiv:2005.14165, appendix C) looked for n-grams of 8 to 13 such words. A document shorter than n
words is one n-gram.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

N_WORDS = 13
_BLOCK = 1 << 17  # bytes hashed at once: what is made of them stays in a core's cache
_OWN_WORD = 0xE3
_SPACES = (b" ", b"\n", b",")  # a word of over a block without one is cut
_NO_WORD = re.compile(r"\W+")
_BASE = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class Found:
    """What a set of n-grams holds of some documents."""

    n_grams: NDArray[np.int64]  # of each document, repeated ones counted as often as they occur
    documents: NDArray[np.int64]  # of each n-gram that was found: its document's place
    places: NDArray[np.int64]  # and its own in the set

    @property
    def shares(self) -> NDArray[np.float64]:
        """Share of each document's n-grams that are in the set; 0 for a document without a word."""
        return np.bincount(self.documents, minlength=len(self.n_grams)) / np.maximum(self.n_grams, 1)


class NGrams:
    """The distinct n-grams of `documents`: 8 bytes each, and 4 to 8 more for a table that rules most others out."""

    def __init__(self, documents: Iterable[bytes], n: int = N_WORDS) -> None:
        self.n = n
        found = [grams for grams, _ in _grams(documents, n)]
        self._hashes, self.counts = np.unique(np.concatenate(found or [_none()]), return_counts=True)
        bits = max(6, int(4 * len(self._hashes)).bit_length())
        self._shift = np.uint64(64 - bits)
        self._table = np.zeros(1 << bits, dtype=bool)
        self._table[self._hashes >> self._shift] = True

    def find(self, documents: Sequence[bytes]) -> Found:
        """Which n-grams of `documents` are in the set; many at once cost less than one by one."""
        n_grams = np.zeros(len(documents), dtype=np.int64)
        owners, places = [], []
        for grams, owner in _grams(documents, self.n):
            np.add.at(n_grams, *np.unique(owner, return_counts=True))
            (likely,) = np.nonzero(self._table[grams >> self._shift])
            place = np.searchsorted(self._hashes, grams[likely])
            same = self._hashes[np.minimum(place, len(self._hashes) - 1)] == grams[likely]
            owners.append(owner[likely[same]])
            places.append(place[same])
        none = np.zeros(0, dtype=np.int64)
        return Found(n_grams, np.concatenate([none, *owners]), np.concatenate([none, *places]))

    def share(self, document: bytes) -> float:
        """Share of the document's n-grams that are in the set; 0 for a document without a word."""
        return float(self.find([document]).shares[0])


class Overlap:
    """Which n-grams of a validation set have been seen in training documents, whatever their order."""

    def __init__(self, validation: NGrams) -> None:
        self._validation = validation
        self.seen = np.zeros(len(validation.counts), dtype=bool)

    def add(self, documents: Sequence[bytes]) -> None:
        """Take in some training documents."""
        self.seen[self._validation.find(documents).places] = True

    def merge(self, seen: NDArray[np.bool_]) -> None:
        """Take in what another process has `seen` of the same validation set."""
        self.seen |= seen

    @property
    def share(self) -> float:
        """Share of the validation set's n-grams, each as often as it occurs there, that training holds too."""
        counts = self._validation.counts
        return float(counts[self.seen].sum() / counts.sum()) if len(counts) else 0.0


def _grams(documents: Iterable[bytes], n: int) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int64]]]:
    """The hashes of all n-grams, and the documents they are of, block by block; none spans two documents."""
    # One word before those to come tells whether a document begins; the others may begin an n-gram.
    words, owners = _none(), np.zeros(0, dtype=np.int64)
    before = -1
    for more, of in _words(documents):
        words, owners = np.concatenate([words, more]), np.concatenate([owners, of])
        done = max(0, len(words) - n + 1)
        yield _windows(words, owners, before, done, n)
        before = int(owners[done - 1]) if done else before
        words, owners = words[done:], owners[done:]
    yield _windows(words, owners, before, len(words), n)


def _windows(
    words: NDArray[np.uint64], owners: NDArray[np.int64], before: int, count: int, n: int
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The n-grams that begin at the first `count` words, where n words follow or a shorter document begins.

    An n-gram's hash is the sum of its words' times powers of one base, from the 0th: a difference of running sums,
    whatever n is.
    """
    first = np.arange(count)
    last = np.append(owners, np.full(n, -1))[n - 1 : n - 1 + count]
    whole, begins = last == owners[:count], np.diff(owners[:count], prepend=before) != 0
    first = first[whole | begins]
    ends = first + n
    short = ~whole[first]
    ends[short] = np.searchsorted(owners, owners[first[short]], side="right")
    powers, inverses = _powers(len(words) + 1)
    sums = np.zeros(len(words) + 1, dtype=np.uint64)
    np.cumsum(words * powers[: len(words)], out=sums[1:])
    return _mixed((sums[ends] - sums[first]) * inverses[first]), owners[first]


def _words(documents: Iterable[bytes]) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int64]]]:
    """The hashes of all words, and the documents they are of, block by block."""
    for block, starts, owners in _blocks(documents):
        values, begins = _tables()
        data = np.frombuffer(block, dtype=np.uint8)
        powers, inverses = _powers(len(data))
        kind = begins[data]
        (first,) = np.nonzero((kind == 2) | ((kind == 1) & (np.concatenate([[0], kind[:-1]]) == 0)))
        if len(first):
            sums = np.add.reduceat(values[data] * powers[: len(data)], first)  # what is no word adds 0
            place = np.searchsorted(first, starts)
            yield _mixed(sums * inverses[first]), np.repeat(owners, np.diff(np.append(place, len(first))))


def _blocks(documents: Iterable[bytes]) -> Iterator[tuple[bytes, NDArray[np.int64], NDArray[np.int64]]]:
    """The documents joined to blocks; where in each its pieces begin, and which documents they are of."""
    pieces: list[bytes] = []
    owners: list[int] = []
    size = 0
    for owner, document in enumerate(documents):
        for piece in _pieces(_plain(document)):
            pieces.append(piece)
            owners.append(owner)
            size += len(piece) + 1
            if size >= _BLOCK:
                yield _joined(pieces, owners)
                pieces, owners, size = [], [], 0
    if pieces:
        yield _joined(pieces, owners)


def _plain(document: bytes) -> bytes:
    """A document whose case and punctuation the table of bytes can tell: beyond ASCII they span several bytes."""
    if document.isascii():
        return document
    return _NO_WORD.sub(" ", document.decode(errors="replace").casefold()).encode()


def _joined(pieces: list[bytes], owners: list[int]) -> tuple[bytes, NDArray[np.int64], NDArray[np.int64]]:
    lengths = np.array([0, *(len(piece) + 1 for piece in pieces[:-1])], dtype=np.int64)
    return b"\0".join(pieces), np.cumsum(lengths), np.array(owners, dtype=np.int64)


def _pieces(document: bytes) -> Iterator[bytes]:
    """The document, cut after a space where it is longer than a block."""
    start = 0
    while len(document) - start > _BLOCK:
        cut = max(document.rfind(space, start, start + _BLOCK) for space in _SPACES) + 1
        cut = cut if cut > start else start + _BLOCK
        yield document[start:cut]
        start = cut
    yield document[start:] if start else document


def _mixed(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Every bit made to depend on every other (the finaliser of splitmix64)."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        hashes = (hashes ^ (hashes >> np.uint64(shift))) * np.uint64(factor)
    return hashes ^ (hashes >> np.uint64(31))


@cache
def _tables() -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    """Of each byte, its value in a hash; and 0 where it is of no word, 1 in one, 2 where it always begins one."""
    values = np.random.Philox(key=1).random_raw(256)
    kind = np.array([b >= 0x80 or chr(b).isalnum() or b == ord("_") for b in range(256)], dtype=np.uint8)
    kind[_OWN_WORD:] = 2
    values[ord("A") : ord("Z") + 1] = values[ord("a") : ord("z") + 1]
    return values * kind.astype(bool), kind


def _powers(count: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """`count` or more powers of an odd number modulo 2^64, and of its inverse."""
    return _made_powers(max(2 * _BLOCK, 1 << count.bit_length()))


@cache
def _made_powers(count: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    inverse = pow(_BASE, -1, 1 << 64)
    one, two = (np.full(count, base, dtype=np.uint64) for base in (_BASE, inverse))
    one[0] = two[0] = 1
    return np.cumprod(one), np.cumprod(two)


def _none() -> NDArray[np.uint64]:
    return np.zeros(0, dtype=np.uint64)
