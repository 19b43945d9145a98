"""True byte counts: bits per byte is the same text's, whatever the tokens."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from isoflop.fitting import InputError
from isoflop.fitting.cache import cache_folder
from isoflop.training.config import Data
from isoflop.training.corpus import MAIN, Corpus, prepare_corpus
from isoflop.training.evaluate import evaluate

WORDS = [
    "naïve",
    "größe",
    "日本語",
    "текст",
    "plain",
    "ascii",
    "e\u0301lan",
    "㎏",
    "👩‍👩‍👧",
    "🏳️‍🌈",
    "</s>",
    "<|endoftext|>",
    "\tx\n\n",
]


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Documents of many scripts; each begins with a character of one byte that is a token of its own."""
    generator = random.Random(1)
    return ["=" + " ".join(generator.choices(WORDS, k=60)) for _ in range(60)]


@pytest.fixture(scope="module")
def folder(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scripts")
    for i, text in enumerate(texts):
        (folder / f"{i}.txt").write_bytes(text.encode())
    return folder


def byte_level(texts: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["</s>"], initial_alphabet=sorted(alphabet), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def normalising(texts: list[str]) -> Tokenizer:
    """Byte-level, with composed letters and a space put before the text: its tokens' bytes are not the text's."""
    tokenizer = byte_level(texts)
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    return tokenizer


def sentencepiece_like(texts: list[str]) -> Tokenizer:
    """Words that begin with a mark, a dummy one first; what it does not know falls to bytes, as in Llama 2."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    special = ["<unk>", "</s>", *(f"<0x{i:02X}>" for i in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=290, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(["plain ascii text"], trainer)
    return tokenizer


def saved(tokenizer: Tokenizer, folder: Path, **special: str) -> dict[str, Any]:
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    return {"kind": "hf", "name": str(folder)}


def corpus_of(folder: Path, tokenizer: Any, **more: Any) -> Corpus:
    files = {"kind": "files", "paths": [str(folder / "*.txt")]}
    data = {"corpus": files, "tokenizer": tokenizer, "validation_fraction": 0.3, **more}
    return prepare_corpus(Data.model_validate(data))


def is_held_out(text: str) -> bool:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") < 0.3 * 2**32


def held_out(texts: list[str]) -> list[bytes]:
    """The validation documents, in their order on disk."""
    return sorted(
        (text.encode() for text in texts if is_held_out(text)), key=lambda text: hashlib.sha256(text).digest()
    )


def by_document(corpus: Corpus) -> tuple[list[np.ndarray], list[np.ndarray]]:
    held = corpus.validation[MAIN]
    return tuple(np.split(array, held.starts[1:]) for array in (held.tokens, held.token_bytes))  # type: ignore[return-value]


KINDS: dict[str, Callable[[list[str]], Tokenizer] | str | dict[str, Any]] = {
    "bytes": "bytes",
    "bpe": {"kind": "bpe", "vocab_size": 290},
    "hf byte-level": byte_level,
    "hf normalising": normalising,
    "hf sentencepiece-like": sentencepiece_like,
}


@pytest.mark.parametrize("kind", KINDS)
def test_bits_per_byte_equal_a_hand_count_on_many_scripts(
    kind: str, texts: list[str], folder: Path, tmp_path: Path
) -> None:
    made = KINDS[kind]
    corpus = corpus_of(folder, saved(made(texts), tmp_path, eos_token="</s>") if callable(made) else made)
    held, documents = corpus.validation[MAIN], held_out(texts)
    _, counts = by_document(corpus)
    assert [int(count.sum()) for count in counts] == [len(text) for text in documents]
    assert corpus.info.validation[MAIN].text_bytes == sum(map(len, documents))
    assert all(count[-1] == 0 and (count[:-1] > 0).all() for count in counts)

    # All logits of a model of zeros are 0: every token costs ln V. In sequences of one, all but the first are scored.
    config = LlamaConfig(
        vocab_size=corpus.info.vocab_size,
        hidden_size=4,
        intermediate_size=4,
        num_hidden_layers=1,
        num_attention_heads=1,
    )
    model = LlamaForCausalLM(config)
    torch.nn.init.zeros_(model.lm_head.weight)
    score = evaluate(model, held, len(held.tokens), 1, Accelerator(cpu=True))
    n_text = len(held.tokens) - len(documents) - 1
    by_hand = n_text * math.log2(corpus.info.vocab_size) / (sum(map(len, documents)) - 1)
    assert score.bits_per_byte == pytest.approx(by_hand, rel=1e-6)


def test_the_tokens_are_the_text(texts: list[str], folder: Path, tmp_path: Path) -> None:
    tokenizer = byte_level(texts)
    corpus = corpus_of(folder, saved(tokenizer, tmp_path, eos_token="</s>"))
    tokens, counts = by_document(corpus)
    assert [tokenizer.decode(ids[:-1].tolist()) for ids in tokens] == [text.decode() for text in held_out(texts)]
    assert all(ids[-1] == tokenizer.token_to_id("</s>") for ids in tokens)
    # A character cut in two is one token's first bytes and another's last.
    assert all(
        len(tokenizer.id_to_token(int(number)) or "") == count
        for ids, mine in zip(tokens, counts, strict=True)
        for number, count in zip(ids[:-1], mine[:-1], strict=True)
    )


def test_bpe_is_trained_on_the_training_documents_alone(tmp_path: Path) -> None:
    generator = random.Random(2)
    for i in range(200):
        text = " ".join(generator.choices(["alpha", "beta", "gamma"], k=30)) + f" {i}"
        only_there = text.replace("alpha", "zyxwvut")
        (tmp_path / f"{i}.txt").write_text(only_there if is_held_out(only_there) else text)
    corpus = corpus_of(tmp_path, {"kind": "bpe", "vocab_size": 275})
    text = corpus.validation[MAIN].tokens
    tokenizer = Tokenizer.from_file(str(cache_folder() / corpus.info.fingerprint / "tokenizer.json"))
    assert tokenizer.decode(text.tolist()).count("zyxwvut") > 100
    assert any("alph" in token for token in tokenizer.get_vocab())
    assert not any("zy" in token for token in tokenizer.get_vocab())


@pytest.mark.parametrize(
    ("tokenizer", "says"),
    [
        ({"kind": "bpe", "vocab_size": 50_000}, r"vocab_size: the training text has pairs for [\d,]+ tokens"),
        ({"kind": "hf", "name": "nowhere/at/all"}, "'nowhere/at/all' gives no tokenizer"),
    ],
)
def test_a_tokenizer_that_cannot_be_is_one_line(folder: Path, tokenizer: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        corpus_of(folder, tokenizer)
    assert "\n" not in str(caught.value)


def test_a_tokenizer_without_an_end_is_refused(texts: list[str], folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither an eos nor a sep token"):
        corpus_of(folder, saved(byte_level(texts), tmp_path))
