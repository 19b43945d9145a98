"""The token arrays of a corpus, made of its documents in several processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .parallel import in_processes
from .split import Split
from .spool import BUCKETS, Documents
from .store import ValidationInfo, join_parts, token_type
from .tokenizing import AnyTokenizer

_BYTES = np.dtype(np.uint32)  # of text that a token stands for
_Item = tuple[str | None, Documents, int]  # validation set, or None of what is trained on; documents; bucket


def write_tokens(
    split: Split, tokenizer: AnyTokenizer, target: Path, processes: int, done: Callable[[], None]
) -> tuple[int, dict[str, ValidationInfo]]:
    """Write the arrays of a `Corpus` to `target`; returns its training tokens, and the size of each set."""
    sides: dict[str | None, Documents] = {**split.held_out, None: split.train}
    items: list[_Item] = [(name, side, bucket) for name, side in sides.items() for bucket in range(BUCKETS)]
    text_bytes: Counter[str | None] = Counter()
    for (name, _, _), here in zip(
        items, in_processes(_encode, tokenizer, items, processes, split.train.folder), strict=True
    ):
        text_bytes[name] += here
        done()
    dtype = token_type(tokenizer.vocab_size)
    sets = {}
    for name, documents in split.held_out.items():
        folder = target / name
        n_tokens = join_parts(_parts(documents, "tokens"), folder / "tokens", dtype)
        join_parts(_parts(documents, "token_bytes"), folder / "token_bytes", _BYTES)
        lengths = np.concatenate([np.fromfile(part, np.int64) for part in _parts(documents, "lengths")])
        np.save(folder / "starts", np.cumsum(lengths) - lengths)
        sets[name] = ValidationInfo(n_tokens, len(lengths), text_bytes[name])
    return join_parts(_parts(split.train, "tokens"), target / "train", dtype), sets


def _encode(tokenizer: AnyTokenizer, item: _Item) -> int:
    """Write the tokens of one bucket; returns the bytes of text, which are counted for a validation set."""
    name, documents, bucket = item
    if name is not None:
        return _encode_counted(tokenizer, documents, bucket)
    dtype = token_type(tokenizer.vocab_size)
    with open(_part(documents, bucket, "tokens"), "wb") as tokens:
        for batch in documents.batches(bucket):
            tokens.writelines(ids.astype(dtype, copy=False).data for ids in tokenizer.encode(batch))
    return 0


def _encode_counted(tokenizer: AnyTokenizer, documents: Documents, bucket: int) -> int:
    dtype = token_type(tokenizer.vocab_size)
    text_bytes = 0
    with (
        open(_part(documents, bucket, "tokens"), "wb") as tokens,
        open(_part(documents, bucket, "token_bytes"), "wb") as token_bytes,
        open(_part(documents, bucket, "lengths"), "wb") as lengths,
    ):
        for batch in documents.batches(bucket):
            for ids, counts in tokenizer.encode_counted(batch):
                tokens.write(ids.astype(dtype, copy=False).data)
                token_bytes.write(counts.astype(_BYTES).data)
                lengths.write(np.int64(len(ids)).tobytes())
                text_bytes += int(counts.sum())
    return text_bytes


def _parts(documents: Documents, what: str) -> list[Path]:
    return [_part(documents, bucket, what) for bucket in range(BUCKETS)]


def _part(documents: Documents, bucket: int, what: str) -> Path:
    return documents.folder / f"{bucket:02x}.{documents.name}.{what}"
