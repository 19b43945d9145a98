"""Token ids made elsewhere: checked, hashed and copied as they are; their overlap is reported."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...fitting.errors import InputError
from ..config.data import MAIN, Data, TokensCorpus, TokensSet
from .documents import matching_files
from .overlap import NGrams, Overlap
from .parallel import in_processes
from .progress import stage
from .publishing import digest, publish
from .states import file_states
from .store import CorpusInfo, ValidationInfo, token_type, write_row

_CHUNK = 1 << 24  # tokens at a time
_PIECE = 1 << 16  # tokens compared at a time


def arrays_state(source: TokensCorpus | TokensSet, key: str) -> list[Any]:
    """Sizes and times of the files. Raises InputError for a pattern that matches none."""
    patterns = {"paths": source.paths}
    if isinstance(source, TokensCorpus):
        patterns |= {"validation": source.validation}
        patterns |= {"token_bytes": [source.token_bytes]} if source.token_bytes else {}
    return [[name, file_states(matching_files(given, f"{key}.{name}"))] for name, given in patterns.items()]


def prepare_arrays(data: Data, corpus: TokensCorpus, folder: Path, processes: int) -> str:
    """Copy the arrays of `corpus` and its validation sets to the cache; returns the fingerprint.

    Raises:
        InputError: a file that is no array of whole numbers, or an id that the vocabulary lacks.
    """
    target, hashed = folder / "corpus", hashlib.sha256()
    target.mkdir()
    table = _token_bytes(corpus)
    n_train = _copy(corpus, corpus.paths, "data.corpus.paths", target / "train", hashed.update)
    sets: dict[str, ValidationInfo] = {}
    named = {name: held_out for name, held_out in data.validation.items() if isinstance(held_out, TokensSet)}
    patterns = {MAIN: ("data.corpus.validation", corpus.validation)} | {
        name: (f"data.validation.{name}.paths", held_out.paths) for name, held_out in named.items()
    }
    for name, (key, paths) in patterns.items():
        hashed.update(f"\n{name}\n".encode())
        _copy(corpus, paths, key, target / name / "tokens", hashed.update)
        sets[name] = _describe(target / name, corpus.separator, table)
    hashed.update(table.tobytes())
    if data.near_duplicates.action != "off":
        for name, share in _overlaps(target, list(sets), data.near_duplicates.ngram, processes).items():
            sets[name] = replace(sets[name], overlap=share)
    asked = [corpus.vocab_size, corpus.separator, data.near_duplicates.model_dump()]
    info = CorpusInfo(
        fingerprint=digest(["tokens", asked, hashed.hexdigest()]),
        tokenizer=f"tokens {corpus.vocab_size}",
        vocab_size=corpus.vocab_size,
        n_documents=_count(target / "train", corpus.separator) + sum(one.n_documents for one in sets.values()),
        n_duplicates=0,
        train_tokens=n_train,
        validation=sets,
    )
    publish(target, info)
    return info.fingerprint


def _copy(corpus: TokensCorpus, patterns: list[str], key: str, target: Path, hashed: Callable[[Any], None]) -> int:
    """The arrays of all files in one; returns its length."""
    arrays = {path: _array(path, corpus.dtype) for path in matching_files(patterns, key)}
    length = sum(map(len, arrays.values()))
    write_row(target, token_type(corpus.vocab_size), length, _checked(corpus, arrays, hashed))
    return length


def _checked(corpus: TokensCorpus, arrays: dict[Path, NDArray], hashed: Callable[[Any], None]) -> Iterator[NDArray]:
    dtype = token_type(corpus.vocab_size)
    for path, array in arrays.items():
        for start in range(0, len(array), _CHUNK):
            chunk = array[start : start + _CHUNK]
            wrong = np.flatnonzero((chunk < 0) | (chunk >= corpus.vocab_size))
            if len(wrong):
                raise InputError(
                    f"{path}: token {start + wrong[0]:,} is {chunk[wrong[0]]}, and data.corpus.vocab_size is "
                    f"{corpus.vocab_size:,}; raise it, or correct data.corpus.dtype ({corpus.dtype})"
                )
            narrow = np.ascontiguousarray(chunk, dtype)
            hashed(narrow.data)
            yield narrow


def _array(path: Path, dtype: str) -> NDArray:
    try:
        array = np.load(path, mmap_mode="r") if path.suffix == ".npy" else np.memmap(path, dtype=dtype, mode="r")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None
    if array.ndim != 1 or array.dtype.kind not in "iu" or not len(array):
        raise InputError(f"{path}: holds {array.dtype} of shape {array.shape}, not a row of token ids")
    return array


def _token_bytes(corpus: TokensCorpus) -> NDArray[np.uint32]:
    if corpus.token_bytes is None:
        return np.zeros(corpus.vocab_size, dtype=np.uint32)
    table = _array(Path(corpus.token_bytes).expanduser(), "uint32")
    if len(table) != corpus.vocab_size:
        raise InputError(
            f"data.corpus.token_bytes: {corpus.token_bytes} holds {len(table):,} numbers for the "
            f"{corpus.vocab_size:,} ids of vocab_size"
        )
    table = table.astype(np.uint32)
    if corpus.separator is not None:
        table[corpus.separator] = 0
    return table


def _describe(folder: Path, separator: int | None, table: NDArray[np.uint32]) -> ValidationInfo:
    """Write where documents begin and how many bytes each token is; without a separator it is all one document."""
    tokens = np.load(folder / "tokens.npy", mmap_mode="r")
    counts = table[tokens]
    write_row(folder / "token_bytes", counts.dtype, len(tokens), [counts])
    ends = np.flatnonzero(tokens == separator) if separator is not None else np.zeros(0, dtype=np.int64)
    starts = np.concatenate([[0], ends + 1])
    starts = starts[starts < len(tokens)]
    np.save(folder / "starts", starts)
    return ValidationInfo(len(tokens), len(starts), int(counts.sum(dtype=np.int64)))


def _count(path: Path, separator: int | None) -> int:
    tokens = np.load(f"{path}.npy", mmap_mode="r")
    if separator is None:
        return 1
    chunks = range(0, len(tokens), _CHUNK)
    return sum(int((tokens[start : start + _CHUNK] == separator).sum()) for start in chunks)


def _overlaps(folder: Path, names: list[str], n: int, processes: int) -> dict[str, float]:
    """By set, the share of its n-grams of tokens that training holds too."""
    length = len(np.load(folder / "train.npy", mmap_mode="r"))
    sets = []
    for name in names:
        tokens = np.load(folder / name / "tokens.npy", mmap_mode="r")
        sets.append(NGrams((_words(tokens, start, n) for start in range(0, _n_grams(len(tokens), n), _PIECE)), n))
    overlaps = [Overlap(grams) for grams in sets]
    processes = processes if length > _CHUNK else 1
    starts = range(0, _n_grams(length, n), _CHUNK)
    with stage("comparing with validation", len(starts)) as done:
        for seen in in_processes(_seen, (folder / "train.npy", sets, n), starts, processes, folder.parent):
            for overlap, mine in zip(overlaps, seen, strict=True):
                overlap.merge(mine)
            done()
    return dict(zip(names, (overlap.share for overlap in overlaps), strict=True))


def _seen(shared: tuple[Path, list[NGrams], int], start: int) -> list[NDArray[np.bool_]]:
    path, sets, n = shared
    tokens = np.load(path, mmap_mode="r")
    overlaps = [Overlap(grams) for grams in sets]
    for piece in range(start, min(start + _CHUNK, _n_grams(len(tokens), n)), _PIECE):
        for overlap in overlaps:
            overlap.add([_words(tokens, piece, n)])
    return [overlap.seen for overlap in overlaps]


def _n_grams(length: int, n: int) -> int:
    """What is shorter than n tokens is one n-gram, as in text."""
    return max(1, length - n + 1)


def _words(tokens: NDArray, start: int, n: int) -> bytes:
    """Ids as words; a piece goes on by n - 1 tokens, so that each n-gram is whole in one piece."""
    return " ".join(map(str, tokens[start : start + _PIECE + n - 1].tolist())).encode()
