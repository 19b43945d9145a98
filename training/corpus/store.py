"""A prepared corpus on disk: memory-mapped arrays under its fingerprint, whole or not there."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ...fitting.cache import cache_folder
from ...fitting.errors import InputError
from ..config.data import MAIN

_CHUNK = 1 << 24  # tokens copied at a time


@dataclass(frozen=True)
class ValidationInfo:
    """One validation set: its size, and the share of its n-grams that the training tokens hold too."""

    tokens: int
    n_documents: int
    text_bytes: int  # UTF-8 bytes of its documents; 0 where unknown
    overlap: float | None = None  # None where it was not measured


@dataclass(frozen=True)
class CorpusInfo:
    """What a record says of its corpus. The fingerprint covers documents, split, tokenizer and validation sets."""

    fingerprint: str
    tokenizer: str
    vocab_size: int
    n_documents: int  # after removing exact duplicates, and before near ones
    n_duplicates: int  # exact ones, of each other or of a document of another validation set
    train_tokens: int
    validation: Mapping[str, ValidationInfo]  # MAIN first, then those the config names
    n_near_duplicates: int = 0  # of validation documents, in training; removed unless the config says otherwise
    n_empty: int = 0  # documents without text, left out

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
    token_bytes: NDArray  # UTF-8 bytes of text that each token stands for, 0 for separators and where unknown
    starts: NDArray[np.int64]  # where each document begins


@dataclass(frozen=True)
class Corpus:
    """Tokens on disk, memory-mapped read-only: unsigned integers, one-dimensional."""

    info: CorpusInfo
    train: NDArray
    validation: Mapping[str, ValidationSet]  # MAIN first


def open_corpus(fingerprint: str) -> Corpus:
    """The prepared corpus of that fingerprint. Raises InputError if the cache does not hold it whole."""
    folder = cache_folder() / fingerprint
    try:
        info = CorpusInfo.from_json(json.loads((folder / "info.json").read_text()))
        sets = {
            name: ValidationSet(*(_mapped(folder / name / part) for part in ("tokens", "token_bytes", "starts")))
            for name in info.validation
        }
        return Corpus(info, _mapped(folder / "train"), sets)
    except FileNotFoundError:
        raise InputError(f"{folder}: no prepared corpus there; run scripts/sweep.py to prepare it") from None
    # Cleaned away in part, cut short, or of a version that said other things in info.json.
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder}: is no whole corpus of this version ({error}); run scripts/sweep.py to prepare it again"
        ) from None


def is_prepared(fingerprint: str) -> bool:
    """Whether the cache holds that corpus, whole."""
    try:
        open_corpus(fingerprint)
    except InputError:
        return False
    return True


def token_type(vocab_size: int) -> np.dtype:
    """The narrowest unsigned integers that hold every id."""
    return np.min_scalar_type(vocab_size - 1)


def write_row(path: Path, dtype: DTypeLike, length: int, chunks: Iterable[NDArray]) -> None:
    """A one-dimensional array of `length` on disk, chunk after chunk; `path` is without its suffix."""
    path.parent.mkdir(exist_ok=True)
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": (length,)}
    with open(f"{path}.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for chunk in chunks:
            file.write(chunk.astype(dtype, copy=False).data)
        file.flush()
        os.fsync(file.fileno())


def join_parts(parts: list[Path], target: Path, dtype: DTypeLike) -> int:
    """One array of the raw files `parts`, which are removed; returns its length."""
    length = sum(part.stat().st_size for part in parts) // np.dtype(dtype).itemsize
    write_row(target, dtype, length, _chunks(parts, dtype))
    return length


def _chunks(parts: list[Path], dtype: DTypeLike) -> Iterator[NDArray]:
    for part in parts:
        with open(part, "rb") as file:
            while len(chunk := np.fromfile(file, dtype, _CHUNK)):
                yield chunk
        part.unlink()


def _mapped(path: Path) -> NDArray:
    return np.load(f"{path}.npy", mmap_mode="r")
