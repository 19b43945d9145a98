"""Documents -> two memory-mapped token files, training and validation, cached by what is in them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...fitting.cache import cache_folder
from ...fitting.errors import InputError
from ...fitting.jsonio import write_json_atomic
from ..config import Data
from .documents import documents

SEPARATOR = 0  # ends each document; a NUL byte is no text, so it takes no place from any token
VOCAB_SIZE = 256  # bytes


@dataclass(frozen=True)
class CorpusInfo:
    """What a record says of its corpus. The fingerprint covers the documents, the split and the tokenizer."""

    fingerprint: str
    vocab_size: int
    n_documents: int  # after removing exact duplicates
    n_duplicates: int
    train_tokens: int
    validation_tokens: int


@dataclass(frozen=True)
class Corpus:
    """Tokens on disk: two one-dimensional arrays of unsigned integers, memory-mapped read-only."""

    info: CorpusInfo
    train: NDArray[np.uint8]
    validation: NDArray[np.uint8]


def prepare_corpus(data: Data) -> Corpus:
    """Read, deduplicate, split and tokenise; a corpus seen before is only read and fingerprinted.

    A document goes to validation by a hash of its own bytes, so that the split does not depend on the order
    of files or on what else is in the corpus, and no document is on both sides.

    Raises:
        InputError: a source that cannot be read, or one side left without a document.
    """
    unique: dict[bytes, bytes] = {}
    n_read = 0
    for text in documents(data.corpus):
        unique.setdefault(hashlib.sha256(text).digest(), text)
        n_read += 1
    fingerprint = _fingerprint(unique, data)
    folder = cache_folder() / fingerprint
    if not (folder / "info.json").is_file():
        threshold = int(data.validation_fraction * 2**32)
        held_out = [d for d in sorted(unique) if int.from_bytes(d[:4], "big") < threshold]
        trained = [d for d in sorted(unique) if int.from_bytes(d[:4], "big") >= threshold]
        _write(folder, [[unique[d] for d in side] for side in (trained, held_out)], n_read, fingerprint)
    return open_corpus(fingerprint)


def open_corpus(fingerprint: str) -> Corpus:
    """The prepared corpus of that fingerprint. Raises InputError if the cache does not hold it."""
    folder = cache_folder() / fingerprint
    try:
        info = CorpusInfo(**json.loads((folder / "info.json").read_text()))
        sides = [np.memmap(folder / f"{side}.bin", dtype=np.uint8, mode="r") for side in ("train", "validation")]
    except FileNotFoundError:
        raise InputError(f"{folder}: no prepared corpus there; run scripts/sweep.py to prepare it") from None
    return Corpus(info, *sides)


def _fingerprint(unique: Iterable[bytes], data: Data) -> str:
    split = f"bytes separator={SEPARATOR} validation={data.validation_fraction!r}"
    digest = hashlib.sha256(split.encode())
    for document in sorted(unique):
        digest.update(document)
    return digest.hexdigest()[:16]


def _write(folder: Path, sides: list[list[bytes]], n_read: int, fingerprint: str) -> None:
    if not all(sides):
        side = "training" if not sides[0] else "validation"
        raise InputError(
            f"data.corpus: no document falls to the {side} side of {sum(map(len, sides))}; "
            "give more documents or change data.validation_fraction"
        )
    folder.mkdir(parents=True, exist_ok=True)
    sizes = []
    for name, texts in zip(("train", "validation"), sides, strict=True):
        temporary = folder / f"{name}.bin.{os.getpid()}"
        with temporary.open("wb") as file:
            for text in texts:
                file.write(text.replace(b"\0", b" "))
                file.write(bytes([SEPARATOR]))
            file.flush()
            os.fsync(file.fileno())
        sizes.append(temporary.stat().st_size)
        temporary.replace(folder / f"{name}.bin")
    n_documents = sum(map(len, sides))
    info = CorpusInfo(fingerprint, VOCAB_SIZE, n_documents, n_read - n_documents, *sizes)
    write_json_atomic(folder / "info.json", asdict(info))  # last: its presence says that the rest is whole
