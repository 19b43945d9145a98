"""What is read, how it becomes tokens, and what is held out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .parts import Part, Positive, PositiveInt


class PythonCorpus(Part):
    """The source files of this Python's standard library: real text on every machine."""

    kind: Literal["python"]
    site_packages: bool = False  # add the installed packages' sources


class FilesCorpus(Part):
    """Files by glob: plain text (a document a file), JSONL and Parquet (a document a row)."""

    kind: Literal["files"]
    paths: Annotated[list[str], Field(min_length=1)]
    text_column: str = "text"


Corpus = Annotated[PythonCorpus | FilesCorpus, Field(discriminator="kind")]


class Data(Part):
    """What is read, how it becomes tokens, and what is held out."""

    corpus: Corpus
    tokenizer: Literal["bytes"] = "bytes"
    validation_fraction: Annotated[float, Field(gt=0, lt=0.5)] = 0.06  # of documents, by a hash of each
    validation_sequences: PositiveInt = 1024  # a fixed, evenly spaced set of them is scored
    max_epochs: Positive = 1.0  # a cell that needs more passes over the training tokens is refused
