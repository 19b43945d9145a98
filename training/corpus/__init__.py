"""Text to tokens on disk, and from there to batches."""

from ..config.data import MAIN
from .batches import BatchOrder, count_sequences, evaluation_sequences, gather
from .prepare import prepare_corpus
from .store import Corpus, CorpusInfo, ValidationInfo, ValidationSet, open_corpus

__all__ = [
    "MAIN",
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
