"""Documents -> two memory-mapped token files, training and validation, cached by what is in them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...fitting.cache import cache_folder
from ...fitting.errors import InputError
from ...fitting.jsonio import write_json_atomic
from ..config import Data
from .documents import documents

SEPARATOR = 0  # ends each document; a NUL byte is no text, so it takes no place from any token
VOCAB_SIZE = 256  # bytes


MAIN = "validation"  # the name of the validation set that is held out of the training corpus


@dataclass(frozen=True)
class ValidationInfo:
    """One validation set: its size, and the share of its n-grams that the training tokens hold too."""

    tokens: int
    n_documents: int
    text_bytes: int  # UTF-8 bytes of its documents
    overlap: float = 0.0


@dataclass(frozen=True)
class CorpusInfo:
    """What a record says of its corpus. The fingerprint covers the documents, the split and the tokenizer."""

    fingerprint: str
    tokenizer: str
    vocab_size: int
    n_documents: int  # after removing exact duplicates
    n_duplicates: int
    train_tokens: int
    validation: Mapping[str, ValidationInfo]  # MAIN first, then those the config names
    n_near_duplicates: int = 0

    @property
    def validation_tokens(self) -> int:
        """Tokens of the set that is held out of the training corpus."""
        return self.validation[MAIN].tokens

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CorpusInfo:
        """The inverse of `dataclasses.asdict`."""
        sets = {name: ValidationInfo(**entry) for name, entry in data["validation"].items()}
        return cls(**{**data, "validation": sets})


@dataclass(frozen=True)
class ValidationSet:
    """Tokens that are scored and never trained on."""

    tokens: NDArray  # one-dimensional, unsigned, memory-mapped
    token_bytes: NDArray  # UTF-8 bytes of text that each token stands for, 0 for separators
    starts: NDArray[np.int64]  # where each document begins


@dataclass(frozen=True)
class Corpus:
    """Tokens on disk, memory-mapped read-only: unsigned integers, one-dimensional."""

    info: CorpusInfo
    train: NDArray
    validation: Mapping[str, ValidationSet]  # MAIN first


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
        info = CorpusInfo.from_json(json.loads((folder / "info.json").read_text()))
        sides = [np.memmap(folder / f"{side}.bin", dtype=np.uint8, mode="r") for side in ("train", "validation")]
    except FileNotFoundError:
        raise InputError(f"{folder}: no prepared corpus there; run scripts/sweep.py to prepare it") from None
    train, held_out = sides
    ends = np.flatnonzero(held_out == SEPARATOR)
    starts = np.concatenate([[0], ends[:-1] + 1])
    return Corpus(info, train, {MAIN: ValidationSet(held_out, (held_out != SEPARATOR).astype(np.uint8), starts)})


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
    held_out = ValidationInfo(sizes[1], len(sides[1]), sizes[1] - len(sides[1]))
    info = CorpusInfo(fingerprint, "bytes", VOCAB_SIZE, n_documents, n_read - n_documents, sizes[0], {MAIN: held_out})
    write_json_atomic(folder / "info.json", asdict(info))  # last: its presence says that the rest is whole
