"""What is read, how it becomes tokens, and what is held out."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from .parts import Part, Positive, PositiveInt

MAIN = "validation"  # the name of the validation set that is held out of the training corpus
FORMATS = ("arrow", "csv", "json", "parquet", "text", "webdataset", "xml")
_BYTE_TOKENS = 257  # what a byte-level BPE holds before its first merge: the bytes and the separator

Paths = Annotated[list[str], Field(min_length=1)]
TokenType = Literal["uint8", "uint16", "uint32", "int32", "int64"]


class PythonCorpus(Part):
    """The source files of this Python's standard library: real text on every machine."""

    kind: Literal["python"]
    site_packages: bool = False  # add the installed packages' sources


class FilesCorpus(Part):
    """Files by glob: plain text (a document a file), JSONL and Parquet (a document a row)."""

    kind: Literal["files"]
    paths: Paths
    text_column: str = "text"


class HfCorpus(Part):
    """Whatever `datasets.load_dataset` reads: an id on the Hub, a local folder, or a format with `data_files`."""

    kind: Literal["hf"]
    name: str  # HuggingFaceFW/fineweb-edu, ./folder, or json, parquet, csv, text
    config: str | None = None
    split: str = "train"
    text_column: str = "text"
    revision: str | None = None  # a commit's hash needs no request to know that nothing changed
    data_files: str | Paths | None = None
    streaming: bool = True  # false: datasets downloads and converts all of it first
    max_documents: PositiveInt | None = None  # the first ones, in the data set's own order

    @model_validator(mode="after")
    def _consistent(self) -> HfCorpus:
        if self.name in FORMATS and self.data_files is None:
            raise ValueError(f"data_files: is missing; {self.name} is a format, which does not say where its files are")
        return self


class TokensCorpus(Part):
    """Arrays of token ids made elsewhere: .npy, or .bin of `dtype` without a header. They are taken as they are."""

    kind: Literal["tokens"]
    paths: Paths  # to train on, in this order
    validation: Paths
    vocab_size: Annotated[int, Field(ge=2)]
    dtype: TokenType = "uint16"
    separator: Annotated[int, Field(ge=0)] | None = None  # the id between documents
    token_bytes: str | None = None  # .npy: UTF-8 bytes of each id; without it there are no bits per byte

    @model_validator(mode="after")
    def _consistent(self) -> TokensCorpus:
        if self.separator is not None and self.separator >= self.vocab_size:
            raise ValueError(f"separator: {self.separator} is not below vocab_size {self.vocab_size}")
        return self


class TokensSet(Part):
    """A validation set of token ids, with the dtype, vocabulary and separator of `data.corpus`."""

    kind: Literal["tokens"]
    paths: Paths


Corpus = Annotated[PythonCorpus | FilesCorpus | HfCorpus | TokensCorpus, Field(discriminator="kind")]
HeldOut = Annotated[PythonCorpus | FilesCorpus | HfCorpus | TokensSet, Field(discriminator="kind")]


class ByteTokenizer(Part):
    """UTF-8 bytes; 0, which is no text, ends each document."""

    kind: Literal["bytes"]


class BpeTokenizer(Part):
    """Byte-level BPE, trained on the training documents alone."""

    kind: Literal["bpe"]
    vocab_size: Annotated[int, Field(gt=_BYTE_TOKENS, le=1_000_000)]  # with the separator and all 256 bytes


class HfTokenizer(Part):
    """Any fast tokenizer of transformers, by its id on the Hub or a local folder; no code of theirs is run."""

    kind: Literal["hf"]
    name: str
    revision: str | None = None


def _spelt_out(value: object) -> object:
    return {"kind": value} if isinstance(value, str) else value


Tokenizer = Annotated[
    ByteTokenizer | BpeTokenizer | HfTokenizer, Field(discriminator="kind"), BeforeValidator(_spelt_out)
]


class NearDuplicates(Part):
    """Training documents that hold much of what a validation set holds, by n-grams of words."""

    action: Literal["remove", "report", "off"] = "remove"  # off: nothing is compared, and no overlap is known
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5  # share of a document's n-grams found in one validation set
    ngram: Annotated[int, Field(ge=1, le=64)] = 13


class Data(Part):
    """What is read, how it becomes tokens, and what is held out."""

    corpus: Corpus
    tokenizer: Tokenizer = ByteTokenizer(kind="bytes")
    validation_fraction: Annotated[float, Field(gt=0, lt=0.5)] = 0.06  # of documents, by a hash of each
    validation_sequences: PositiveInt = 1024  # a fixed, evenly spaced set of them is scored
    validation: dict[str, HeldOut] = Field(default_factory=dict)  # further sets, by name, each scored on its own
    near_duplicates: NearDuplicates = NearDuplicates()
    max_epochs: Positive = 1.0  # a cell that needs more passes over the training tokens is refused

    @model_validator(mode="after")
    def _consistent(self) -> Data:
        for name, held_out in self.validation.items():
            # A record has loss_NAME beside loss and loss_se; readers take loss_unit for the unit of the losses.
            taken = name in (MAIN, "se", "unit") or name.startswith("se_")
            if taken or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
                raise ValueError(
                    f"validation: {name!r} cannot name a set; use a letter, then letters, digits and _, "
                    f"but neither {MAIN!r}, 'se', 'se_...' nor 'unit'"
                )
            if isinstance(held_out, TokensSet) != isinstance(self.corpus, TokensCorpus):
                raise ValueError(
                    f"validation.{name}.kind: is {held_out.kind}, and the corpus is {self.corpus.kind}; "
                    "text is scored beside text and tokens beside tokens"
                )
        if isinstance(self.corpus, TokensCorpus) and self.tokenizer.kind != "bytes":
            raise ValueError(f"tokenizer: is {self.tokenizer.kind}, and the corpus holds tokens already; leave it out")
        return self
