"""Documents to token ids, and how many bytes of text each token stands for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...fitting.errors import InputError
from ..config.data import BpeTokenizer, HfTokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_SEPARATOR = 0  # of bytes: a NUL byte is no text, so it takes no place from any token
_END = "<|endoftext|>"  # BPE's separator; the same characters in a text are encoded as text
_BPE_TEXT = 1 << 26  # bytes of text that a BPE is trained on at most
_PIECE = 1 << 20  # characters encoded at once


@dataclass(frozen=True)
class Bytes:
    """A token a byte."""

    name = "bytes"
    vocab_size = 256
    identity = "bytes"

    def encode(self, documents: Sequence[bytes]) -> list[NDArray]:
        """The tokens of each document, its separator last."""
        return [np.frombuffer(text.replace(b"\0", b" ") + b"\0", dtype=np.uint8) for text in documents]

    def encode_counted(self, documents: Sequence[bytes]) -> list[tuple[NDArray, NDArray]]:
        """The same, and the UTF-8 bytes of text that each token stands for."""
        return [(tokens, (tokens != _SEPARATOR).astype(np.uint8)) for tokens in self.encode(documents)]

    def save(self, folder: Path) -> None:
        """Nothing to keep."""


@dataclass(frozen=True)
class Subwords:
    """A tokenizer of the `tokenizers` library, from its JSON: processes are sent that, and run no other code.

    Text is UTF-8; a byte that is not becomes U+FFFD and counts as its three bytes. Documents of over 2^20
    characters are encoded in pieces, cut after a line. Special tokens in a text are encoded as text.
    """

    name: str
    text: str  # tokenizer.json
    separator: int

    @cached_property
    def _fast(self) -> Tokenizer:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_str(self.text)
        tokenizer.no_padding()
        tokenizer.no_truncation()
        tokenizer.encode_special_tokens = True
        return tokenizer

    @cached_property
    def vocab_size(self) -> int:
        """Rows an embedding needs: the highest id and one."""
        return max(self._fast.get_vocab(with_added_tokens=True).values()) + 1

    @property
    def identity(self) -> str:
        return f"{hashlib.sha256(self.text.encode()).hexdigest()} separator={self.separator}"

    def encode(self, documents: Sequence[bytes]) -> list[NDArray]:
        """The tokens of each document, its separator last."""
        pieces = [_pieces(text.decode("utf-8", "replace")) for text in documents]
        found = iter(self._fast.encode_batch_fast(list(chain(*pieces)), add_special_tokens=False))
        return [np.array([*chain(*(next(found).ids for _ in mine)), self.separator], dtype=np.int64) for mine in pieces]

    def encode_counted(self, documents: Sequence[bytes]) -> list[tuple[NDArray, NDArray]]:
        """The same, and the UTF-8 bytes of text that each token stands for: 0 for the separator.

        A byte-level token's bytes are its own. Where those do not add up to the text's (a normaliser changed
        it) and for other tokenizers, a token stands for the text from the end of the one before to its own
        end, so that dropped spaces are counted; tokens that share a character share its bytes.
        """
        return [self._counted(_pieces(text.decode("utf-8", "replace"))) for text in documents]

    def _counted(self, pieces: list[str]) -> tuple[NDArray, NDArray]:
        tokens, counts = [], []
        for piece in pieces:
            encoding = self._fast.encode(piece, add_special_tokens=False)
            ids = np.array(encoding.ids, dtype=np.int64)
            bytes_before = _bytes_before(piece)
            own = self._own_bytes[ids] if self._own_bytes is not None else None
            if own is None or own.sum() != bytes_before[-1]:
                own = _shared_out(np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)[:, 1], bytes_before)
            tokens.append(ids)
            counts.append(own)
        return np.concatenate([*tokens, [self.separator]]), np.concatenate([*counts, [0]])

    @cached_property
    def _own_bytes(self) -> NDArray[np.int64] | None:
        """Of a byte-level tokenizer, the bytes of each token."""
        from tokenizers.pre_tokenizers import ByteLevel

        if '"ByteLevel"' not in json.dumps(json.loads(self.text)["decoder"]):
            return None
        alphabet = set(ByteLevel.alphabet())
        own = np.zeros(self.vocab_size, dtype=np.int64)
        for token, number in self._fast.get_vocab(with_added_tokens=False).items():
            own[number] = len(token) if alphabet.issuperset(token) else len(token.encode())
        for number, added in self._fast.get_added_tokens_decoder().items():
            own[number] = 0 if added.special else len(added.content.encode())
        return own

    def save(self, folder: Path) -> None:
        """Keep it beside the tokens that it made."""
        (folder / "tokenizer.json").write_text(self.text, encoding="utf-8")


AnyTokenizer = Bytes | Subwords


def train_bpe(config: BpeTokenizer, documents: Iterable[bytes]) -> Subwords:
    """Byte-level BPE (GPT-2's words) of `documents`, the first 2^26 bytes of them in the order of their hashes.

    Raises InputError where the text has too few pairs that repeat to fill the vocabulary.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size,
        min_frequency=2,
        special_tokens=[_END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_sample(documents), trainer)
    if tokenizer.get_vocab_size() < config.vocab_size:
        raise InputError(
            f"data.tokenizer.vocab_size: the training text has pairs for {tokenizer.get_vocab_size():,} tokens, not "
            f"for {config.vocab_size:,}; lower it, or give more text"
        )
    return Subwords(f"bpe {config.vocab_size}", tokenizer.to_str(), separator=0)  # special tokens come first


def load_hf(config: HfTokenizer) -> Subwords:
    """The tokenizer that AutoTokenizer finds; its end-of-sequence token, else its sep token, ends documents.

    Raises InputError where there is none of that name, it has no fast form, or no token to end documents.
    """
    from transformers import AutoTokenizer

    folder = Path(config.name).expanduser()
    name = str(folder) if folder.is_dir() else config.name
    try:
        found: Any = AutoTokenizer.from_pretrained(name, revision=config.revision, trust_remote_code=False)
    # A missing file, a broken one, no network and no access each have their own kind of error.
    except Exception as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise InputError(
            f"data.tokenizer.name: {config.name!r} gives no tokenizer: {reason} "
            "(an id on the Hub, or a folder with tokenizer.json)"
        ) from None
    if not found.is_fast:
        raise InputError(f"data.tokenizer.name: {config.name!r} has no fast form (tokenizer.json); choose another")
    separator = found.eos_token_id if found.eos_token_id is not None else found.sep_token_id
    if separator is None:
        raise InputError(
            f"data.tokenizer.name: {config.name!r} has neither an eos nor a sep token to end documents with; set "
            "eos_token in its tokenizer_config.json"
        )
    return Subwords(f"hf {config.name}", found.backend_tokenizer.to_str(), separator)


def _sample(documents: Iterable[bytes]) -> Iterator[str]:
    left = _BPE_TEXT
    for text in documents:
        yield from _pieces(text[:left].decode("utf-8", "replace"))
        left -= len(text)
        if left <= 0:
            return


def _pieces(text: str) -> list[str]:
    """`text` cut after a line, else after a space, where it is longer than 2^20 characters."""
    pieces, start = [], 0
    while len(text) - start > _PIECE:
        end = start + _PIECE
        cut = text.rfind("\n", start, end) + 1 or text.rfind(" ", start, end) + 1 or end
        pieces.append(text[start:cut])
        start = cut
    return [*pieces, text[start:]]


def _bytes_before(text: str) -> NDArray[np.int64]:
    """UTF-8 bytes before each character, and of the whole."""
    points = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
    widths = 1 + (points >= 0x80).astype(np.int64) + (points >= 0x800) + (points >= 0x10000)
    return np.concatenate([[0], np.cumsum(widths)])


def _shared_out(ends: NDArray[np.int64], bytes_before: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bytes of tokens that end at these characters: at least one each, where there are as many bytes as tokens."""
    if not len(ends):
        return ends
    total, places = int(bytes_before[-1]), np.arange(len(ends))
    reached = bytes_before[np.maximum.accumulate(ends)]
    reached[-1] = total
    # The most that leaves a byte to each later token that ends at the same character; then one for every token so far.
    reached = np.minimum.accumulate((reached - places)[::-1])[::-1] + places
    reached = np.minimum(np.maximum(reached, places + 1), total)
    return np.diff(reached, prepend=0)
