"""Text to tokens on disk, and from there to batches."""

from .batches import BatchOrder, count_sequences, evaluation_sequences, gather
from .tokens import (
    MAIN,
    SEPARATOR,
    Corpus,
    CorpusInfo,
    ValidationInfo,
    ValidationSet,
    open_corpus,
    prepare_corpus,
)

__all__ = [
    "MAIN",
    "SEPARATOR",
    "BatchOrder",
    "Corpus",
    "CorpusInfo",
    "ValidationInfo",
    "ValidationSet",
    "count_sequences",
    "evaluation_sequences",
    "gather",
    "open_corpus",
    "prepare_corpus",
]
