"""No document is on both sides, no near copy trains, what overlap is left is measured; nothing half-made is found."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isoflop.fitting import InputError
from isoflop.training.config import Data
from isoflop.training.corpus import MAIN, Corpus, open_corpus, prepare, prepare_corpus

FRACTION = 0.3


def prepared(paths: list[Path], processes: int = 1, **more: Any) -> Corpus:
    corpus = {"kind": "files", "paths": [str(path) for path in paths]}
    return prepare_corpus(Data.model_validate({"corpus": corpus, "validation_fraction": FRACTION, **more}), processes)


def is_held_out(text: str) -> bool:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") < FRACTION * 2**32


def documents(tokens: np.ndarray) -> list[str]:
    return [text.decode() for text in tokens.tobytes().split(b"\0")[:-1]]


def made_up(seed: int, words: int) -> list[str]:
    generator = random.Random(seed)
    return [f"w{generator.randrange(10**9)}" for _ in range(words)]


def write_jsonl(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [" ".join(made_up(i, 1000)) for i in range(60)]


def planted(texts: list[str], passage: int) -> list[str]:
    """Training documents that each quote `passage` words of a held-out one in five times as many words of their own."""
    carriers = []
    for i, text in enumerate(filter(is_held_out, texts)):
        quoted = text.split()[100 : 100 + passage]
        more = (" ".join([*made_up(1000 * i + k, 5 * passage), *quoted]) for k in range(100))
        carriers.append(next(carrier for carrier in more if not is_held_out(carrier)))
    return carriers


def test_a_planted_overlap_is_reported_as_it_is(texts: list[str], tmp_path: Path) -> None:
    clean = prepared([write_jsonl(tmp_path / "clean.jsonl", texts)])
    assert clean.info.validation[MAIN].overlap == 0
    # A passage of w words holds w - 12 n-grams of 13 words; 61 of them in documents of 988 are 5 %.
    leaky = prepared([write_jsonl(tmp_path / "leaky.jsonl", [*texts, *planted(texts, 61)])])
    assert leaky.info.validation[MAIN].overlap == pytest.approx(0.05, abs=0.005)
    assert leaky.info.n_near_duplicates == 0


def test_a_planted_overlap_of_a_named_set_is_its_own(texts: list[str], tmp_path: Path) -> None:
    other = [" ".join(made_up(500 + i, 1000)) for i in range(20)]
    quoting = [" ".join([*made_up(10**6 + i, 400), *text.split()[:61]]) for i, text in enumerate(other)]
    corpus = prepared(
        [write_jsonl(tmp_path / "t.jsonl", [*texts, *(text for text in quoting if not is_held_out(text))])],
        validation={"other": {"kind": "files", "paths": [str(write_jsonl(tmp_path / "o.jsonl", other))]}},
    )
    carried = sum(not is_held_out(text) for text in quoting) / len(other)
    assert list(corpus.validation) == [MAIN, "other"]
    assert corpus.info.validation["other"].overlap == pytest.approx(0.05 * carried, abs=0.002)
    assert corpus.info.validation[MAIN].overlap == 0


def test_planted_duplicates_never_straddle_the_split(texts: list[str], tmp_path: Path) -> None:
    other = [" ".join(made_up(500 + i, 200)) for i in range(10)]
    write_jsonl(tmp_path / "other.jsonl", other)
    first = write_jsonl(tmp_path / "a.jsonl", [*texts, *texts[:20], *other])
    second = write_jsonl(tmp_path / "b.jsonl", [*reversed(texts), *other[:3]])
    corpus = prepared(
        [first, second],
        validation={"other": {"kind": "files", "paths": [str(tmp_path / "other.jsonl")]}},
    )
    train = documents(corpus.train)
    main, named = documents(corpus.validation[MAIN].tokens), documents(corpus.validation["other"].tokens)
    assert len(set(train)) == len(train)
    assert not set(train) & (set(main) | set(named))
    assert sorted(named) == sorted(other)
    assert set(train) | set(main) >= set(texts)
    in_both = [text for text in other if is_held_out(text)]  # held out twice, which is no leak
    assert corpus.info.n_documents == len(texts) + len(in_both)
    assert corpus.info.n_duplicates == 20 + 60 + 13 - len(in_both)


def nearly(text: str) -> str:
    """The same words but for ten, on the training side."""
    for i in range(100):
        words = text.split()
        words[500:510] = made_up(i, 10)
        if not is_held_out(changed := " ".join(words)):
            return changed
    raise AssertionError


@pytest.mark.parametrize(("action", "stay", "n_near"), [("remove", 0, 5), ("report", 5, 5), ("off", 5, 0)])
def test_near_duplicates_of_validation_documents_are_as_asked(
    texts: list[str], tmp_path: Path, action: str, stay: int, n_near: int
) -> None:
    copies = [nearly(text) for text in texts if is_held_out(text)][:5]
    corpus = prepared([write_jsonl(tmp_path / "t.jsonl", [*texts, *copies])], near_duplicates={"action": action})
    assert len(set(documents(corpus.train)) & set(copies)) == stay
    assert corpus.info.n_near_duplicates == n_near
    overlap = corpus.info.validation[MAIN].overlap
    assert overlap is None if action == "off" else (overlap == 0) == (action == "remove")


def test_training_text_that_is_all_near_duplicates_is_refused(texts: list[str], tmp_path: Path) -> None:
    held = [text for text in texts if is_held_out(text)]
    with pytest.raises(InputError, match=r"all \d+ training documents are near duplicates.*raise the threshold"):
        prepared([write_jsonl(tmp_path / "t.jsonl", [*held, *map(nearly, held)])])


def test_tokens_do_not_depend_on_processes_nor_on_the_order_of_files(texts: list[str], tmp_path: Path) -> None:
    files = [write_jsonl(tmp_path / f"{i}.jsonl", texts[i::3]) for i in range(3)]
    tokenizer = {"kind": "bpe", "vocab_size": 300}
    one = prepared(files, processes=1, tokenizer=tokenizer)
    train, held = np.array(one.train), np.array(one.validation[MAIN].token_bytes)
    (folder := Path(one.train.filename).parent).joinpath("info.json").unlink()  # type: ignore[attr-defined]
    other = prepared(files[::-1], processes=2, tokenizer=tokenizer)
    assert Path(other.train.filename).parent == folder  # type: ignore[attr-defined]
    assert np.array_equal(other.train, train)
    assert np.array_equal(other.validation[MAIN].token_bytes, held)
    assert other.info == one.info


def test_unchanged_files_are_not_read_again(texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_jsonl(tmp_path / "t.jsonl", texts)
    first = prepared([path])

    def must_not_read(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(prepare, "documents", must_not_read)
    assert prepared([path]).info == first.info
    write_jsonl(path, texts[:-1])
    with pytest.raises(AssertionError):
        prepared([path])


def test_a_killed_preparation_leaves_nothing_half_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOFLOP_CACHE", str(tmp_path / "cache"))
    path = write_jsonl(tmp_path / "t.jsonl", [" ".join(made_up(i, 500)) for i in range(60)])
    data = {"corpus": {"kind": "files", "paths": [str(path)]}, "validation_fraction": FRACTION}
    code = (
        "import json, sys; from isoflop.training import config, corpus; "
        "corpus.prepare_corpus(config.Data.model_validate(json.loads(sys.argv[1])), 2)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, json.dumps(data)], env=os.environ)
    while child.poll() is None and not list(tmp_path.glob("cache/preparing/*/*/*.npy")):
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert not list(tmp_path.glob("cache/*/info.json"))
    corpus = prepare_corpus(Data.model_validate(data))
    assert open_corpus(corpus.info.fingerprint).info == corpus.info
    assert not list(tmp_path.glob("cache/preparing/*"))
