"""Documents on disk in buckets by the first bits of their SHA-256: sorted, each once, never all in memory."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

BUCKETS = 64  # in the order of their hashes; the result does not depend on their number
_HELD = 1 << 25  # bytes of documents that wait for the disk
_BATCH = 1 << 20  # bytes of documents worked on at a time


@dataclass(frozen=True)
class Documents:
    """Some of the spool's documents, by bucket in the order of their hashes. Processes are sent this, not the text."""

    folder: Path
    name: str

    def choose(self, bucket: int, spans: Sequence[tuple[int, int]] | NDArray[np.int64]) -> None:
        """Say which documents of `bucket` these are: rows of first byte and length."""
        np.save(self._spans(bucket), np.array(spans, dtype=np.int64).reshape(-1, 2))

    def spans(self, bucket: int) -> NDArray[np.int64]:
        """The documents of `bucket`: rows of first byte and length."""
        return np.load(self._spans(bucket))

    def texts(self, bucket: int) -> Iterator[bytes]:
        """The documents of `bucket`."""
        spans = self.spans(bucket)
        if not len(spans):
            return
        with open(_text_file(self.folder, bucket), "rb") as file:
            for start, length in spans.tolist():
                file.seek(start)
                yield file.read(length)

    def batches(self, bucket: int) -> Iterator[list[bytes]]:
        """The same, some at a time."""
        batch: list[bytes] = []
        size = 0
        for text in self.texts(bucket):
            batch.append(text)
            size += len(text)
            if size >= _BATCH:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def __iter__(self) -> Iterator[bytes]:
        for bucket in range(BUCKETS):
            yield from self.texts(bucket)

    def __len__(self) -> int:
        return sum(len(self.spans(bucket)) for bucket in range(BUCKETS))

    def _spans(self, bucket: int) -> Path:
        return self.folder / f"{bucket:02x}.{self.name}.npy"


@dataclass(frozen=True)
class Spooled:
    """What was read."""

    folder: Path
    n_read: int  # documents with text
    n_empty: int
    size: int  # bytes

    def unique(self, bucket: int) -> dict[bytes, tuple[int, int]]:
        """The hashes of `bucket` in order, and where the first document of each lies."""
        try:
            index = np.fromfile(_index_file(self.folder, bucket), dtype=_ENTRY)
        except FileNotFoundError:
            return {}
        lengths = index["length"].astype(np.int64)
        starts = np.cumsum(lengths) - lengths
        digests = index["digest"].tobytes()
        found: dict[bytes, tuple[int, int]] = {}
        for place, span in enumerate(zip(starts.tolist(), lengths.tolist(), strict=True)):
            found.setdefault(digests[32 * place : 32 * place + 32], span)
        return dict(sorted(found.items()))


_ENTRY = np.dtype([("digest", "u1", 32), ("length", "<u8")])


def spool(documents: Iterable[bytes], folder: Path) -> Spooled:
    """Write `documents` to buckets in `folder`, those without text left out and counted."""
    folder.mkdir(parents=True)
    texts: dict[int, list[bytes]] = defaultdict(list)
    digests: dict[int, list[bytes]] = defaultdict(list)
    n_read = n_empty = size = held = 0
    for text in documents:
        if not text or text.isspace():
            n_empty += 1
            continue
        digest = hashlib.sha256(text).digest()
        bucket = digest[0] * BUCKETS // 256
        texts[bucket].append(text)
        digests[bucket].append(digest)
        n_read += 1
        size += len(text)
        held += len(text)
        if held >= _HELD:
            _write(folder, texts, digests)
            held = 0
    _write(folder, texts, digests)
    return Spooled(folder, n_read, n_empty, size)


def _write(folder: Path, texts: dict[int, list[bytes]], digests: dict[int, list[bytes]]) -> None:
    for bucket, waiting in texts.items():
        entries = np.zeros(len(waiting), dtype=_ENTRY)
        entries["digest"] = np.frombuffer(b"".join(digests[bucket]), dtype=np.uint8).reshape(-1, 32)
        entries["length"] = [len(text) for text in waiting]
        with open(_index_file(folder, bucket), "ab") as file:
            file.write(entries.tobytes())
        with open(_text_file(folder, bucket), "ab") as file:
            file.writelines(waiting)
    texts.clear()
    digests.clear()


def _text_file(folder: Path, bucket: int) -> Path:
    return folder / f"{bucket:02x}.text"


def _index_file(folder: Path, bucket: int) -> Path:
    return folder / f"{bucket:02x}.index"
