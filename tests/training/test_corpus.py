from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoflop.fitting import InputError
from isoflop.training.config import Data
from isoflop.training.corpus import (
    MAIN,
    BatchOrder,
    Corpus,
    count_sequences,
    evaluation_sequences,
    gather,
    prepare_corpus,
)


def files(*paths: object, **more: object) -> Data:
    corpus = {"kind": "files", "paths": [str(path) for path in paths]}
    return Data.model_validate({"corpus": corpus, "validation_fraction": 0.3, **more})


def documents(tokens: np.ndarray) -> set[bytes]:
    return set(tokens.tobytes().rstrip(b"\0").split(b"\0"))


def test_every_document_lands_on_one_side_once(text_folder: Path, tmp_path: Path) -> None:
    for path in text_folder.glob("*.txt"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "again.txt").write_bytes((text_folder / "0.txt").read_bytes())
    corpus = prepare_corpus(files(tmp_path / "*.txt"))
    train, validation = documents(corpus.train), documents(corpus.validation[MAIN].tokens)
    assert train | validation == {path.read_bytes() for path in text_folder.glob("*.txt")}
    assert not train & validation
    assert (corpus.info.n_documents, corpus.info.n_duplicates) == (40, 1)
    assert corpus.info.train_tokens == len(corpus.train)


def test_the_same_documents_are_the_same_corpus_from_any_file_kind(text_folder: Path, tmp_path: Path) -> None:
    texts = [path.read_text() for path in sorted(text_folder.glob("*.txt"))]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in reversed(texts)))
    pd.DataFrame({"body": texts}).to_parquet(tmp_path / "t.parquet")
    sources = [
        files(text_folder / "*.txt"),
        files(tmp_path / "t.jsonl"),
        Data.model_validate(
            {
                "corpus": {"kind": "files", "paths": [str(tmp_path / "t.parquet")], "text_column": "body"},
                "validation_fraction": 0.3,
            }
        ),
    ]
    corpora = [prepare_corpus(source) for source in sources]
    assert len({corpus.info.fingerprint for corpus in corpora}) == 1
    assert all(np.array_equal(corpus.train, corpora[0].train) for corpus in corpora)


def test_a_changed_document_or_split_is_another_corpus(text_folder: Path, tmp_path: Path) -> None:
    for path in text_folder.glob("*.txt"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    before = prepare_corpus(files(tmp_path / "*.txt")).info.fingerprint
    (tmp_path / "3.txt").write_text("another")
    assert prepare_corpus(files(tmp_path / "*.txt")).info.fingerprint != before
    other_split = files(text_folder / "*.txt", validation_fraction=0.1)
    assert prepare_corpus(other_split).info.fingerprint != before


def test_the_python_corpus_is_this_pythons_library() -> None:
    corpus = prepare_corpus(Data.model_validate({"corpus": {"kind": "python"}}))
    assert corpus.info.train_tokens > 10_000_000
    assert 0.02 < corpus.info.validation_tokens / corpus.info.train_tokens < 0.12
    text = corpus.train.tobytes() + corpus.validation[MAIN].tokens.tobytes()
    assert b"class OrderedDict(dict):" in text
    assert b"HYPOTHESIS_STORAGE_DIRECTORY" not in text  # an installed package's


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.txt", b"", "is empty"),
        ("binary.txt", b"\0\1\2" * 100, "is binary"),
        ("bad.jsonl", b"{not json\n", "bad.jsonl"),
        ("other.jsonl", b'{"body": "x"}\n', "no column 'text'"),
        ("number.jsonl", b'{"text": 3}\n', "not text"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=says) as caught:
        prepare_corpus(files(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_a_pattern_that_matches_nothing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data\.corpus\.paths: no file matches .*nope"):
        prepare_corpus(files(tmp_path / "nope*.txt"))


def test_one_document_cannot_be_split(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("alone")
    with pytest.raises(InputError, match=r"no document falls to the (validation|training) side of 1"):
        prepare_corpus(files(tmp_path / "one.txt"))


@given(st.integers(30, 500), st.integers(1, 9), st.integers(1, 20), st.integers(0, 10))
def test_an_epoch_holds_every_sequence_once(n_tokens: int, context: int, batch: int, seed: int) -> None:
    n = count_sequences(n_tokens, context)
    order = BatchOrder(n_tokens, context, batch, seed)
    drawn = np.concatenate([order.sequences(step) for step in range(-(-3 * n // batch))])
    for epoch in range(3):
        assert sorted(drawn[epoch * n : (epoch + 1) * n]) == list(range(n))


def test_a_batch_depends_on_seed_and_step_only() -> None:
    forward = BatchOrder(10_000, 8, 7, seed=5)
    batches = [forward.sequences(step) for step in range(400)]
    jumping = BatchOrder(10_000, 8, 7, seed=5)
    for step in (399, 3, 250, 0):
        assert np.array_equal(jumping.sequences(step), batches[step])
    assert not np.array_equal(BatchOrder(10_000, 8, 7, seed=6).sequences(0), batches[0])


def test_a_row_holds_inputs_and_the_target_that_follows_the_last() -> None:
    tokens = np.arange(100, dtype=np.uint8)
    rows = gather(tokens, np.array([0, 3]), 8)
    assert rows.tolist() == [list(range(9)), list(range(24, 33))]
    assert count_sequences(17, 8) == 2
    assert count_sequences(16, 8) == 1


def test_validation_is_spread_over_the_whole_file() -> None:
    chosen = evaluation_sequences(64 * 1000 + 1, 64, 100)
    assert len(chosen) == 100
    assert chosen[0] == 0
    assert chosen[-1] == 999
    assert set(np.diff(chosen)) <= {10, 11}
    assert len(evaluation_sequences(64 * 10 + 1, 64, 100)) == 10


def test_tokens_are_read_only(text_folder: Path) -> None:
    corpus: Corpus = prepare_corpus(files(text_folder / "*.txt"))
    with pytest.raises(ValueError, match="read-only"):
        corpus.train[0] = 1
