"""Data sets through `datasets.load_dataset`, and arrays of tokens made elsewhere."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from isoflop.fitting import InputError
from isoflop.training.config import Data
from isoflop.training.config.data import HfCorpus
from isoflop.training.corpus import MAIN, Corpus, prepare_corpus
from isoflop.training.corpus.datasets import data_set_state


def prepared(corpus: dict[str, Any], **more: Any) -> Corpus:
    return prepare_corpus(Data.model_validate({"corpus": corpus, "validation_fraction": 0.2, **more}))


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty documents in two shards, as JSONL and, in a folder, as Parquet."""
    folder = tmp_path_factory.mktemp("shards")
    generator = random.Random(0)
    texts = [" ".join(generator.choices(["one", "zwei", "trois", "四"], k=40)) for _ in range(60)]
    (folder / "parquet").mkdir()
    for i in range(2):
        rows = pd.DataFrame({"id": range(30), "body": texts[i::2]})
        rows.to_json(folder / f"{i}.jsonl", orient="records", lines=True)
        rows.to_parquet(folder / "parquet" / f"{i}.parquet")
    return folder


def test_a_data_set_is_the_same_however_it_lies(shards: Path) -> None:
    jsonl = {"kind": "hf", "name": "json", "data_files": str(shards / "*.jsonl")}
    parquet = {
        "kind": "hf",
        "name": "parquet",
        "data_files": [str(shards / "parquet" / f"{i}.parquet") for i in (1, 0)],
    }
    folder = {"kind": "hf", "name": str(shards / "parquet")}
    sources = [jsonl, parquet, folder, {**folder, "streaming": False}]
    corpora = [prepared({**source, "text_column": "body"}) for source in sources]
    assert len({corpus.info.fingerprint for corpus in corpora}) == 1
    assert corpora[0].info.n_documents == 60
    text = corpora[0].train.tobytes() + corpora[0].validation[MAIN].tokens.tobytes()
    assert text.count("四".encode()) > 100


def test_a_streamed_data_set_stops_at_max_documents(shards: Path) -> None:
    source = {"kind": "hf", "name": "json", "data_files": str(shards / "0.jsonl"), "text_column": "body"}
    corpus = prepared({**source, "max_documents": 20}, validation_fraction=0.4)
    first = [json.loads(line)["body"] for line in (shards / "0.jsonl").read_text().splitlines()[:20]]
    found = corpus.train.tobytes() + corpus.validation[MAIN].tokens.tobytes()
    assert sorted(found.decode().split("\0")[:-1]) == sorted(set(first))


def test_rows_without_text_are_counted(tmp_path: Path) -> None:
    pd.DataFrame({"text": [f"text {i}" for i in range(40)] + [None, "", " \n"]}).to_parquet(tmp_path / "t.parquet")
    corpus = prepared({"kind": "hf", "name": "parquet", "data_files": str(tmp_path / "t.parquet")})
    assert (corpus.info.n_documents, corpus.info.n_empty) == (40, 3)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (
            {"name": "parquet", "data_files": "{}/parquet/*.parquet"},
            "no column 'text'; set .*text_column to one of 'id', 'body'",
        ),
        ({"name": "json", "data_files": "{}/*.jsonl", "text_column": "id"}, "column 'id' holds int64, not text"),
        (
            {"name": "json", "data_files": "{}/*.jsonl", "split": "test"},
            r"Bad split: test. Available splits: \['train'\]",
        ),
        ({"name": "json", "data_files": "{}/nope.jsonl"}, "nope.jsonl"),
        ({"name": "{}/nowhere"}, "nowhere"),
        (
            {"name": "parquet", "data_files": ["{}/parquet/0.parquet", "{}/torn"], "text_column": "body"},
            "torn: cannot be read",
        ),
    ],
)
def test_a_bad_data_set_is_one_line(shards: Path, source: dict[str, Any], says: str) -> None:
    (shards / "torn").write_bytes((shards / "parquet" / "0.parquet").read_bytes()[:-50])
    filled = json.loads(json.dumps(source).replace("{}", str(shards)))
    with pytest.raises(InputError, match=says) as caught:
        prepared({"kind": "hf", **filled})
    assert "\n" not in str(caught.value)


@pytest.fixture
def arrays(tmp_path: Path) -> Path:
    """Documents of ids 1 to 999 between zeros; the held-out array repeats a twentieth of the other."""
    generator = np.random.default_rng(0)
    train, held = (generator.integers(1, 1000, n).astype(np.uint16) for n in (40_000, 4_000))
    held[1000:1212] = train[5000:5212]  # 200 n-grams of 13
    for tokens in (train, held):
        tokens[99::100] = 0
    np.split(train, [25_000])[0].tofile(tmp_path / "a.bin")
    np.split(train, [25_000])[1].tofile(tmp_path / "b.bin")
    np.save(tmp_path / "held.npy", held)
    np.save(tmp_path / "bytes.npy", np.arange(1000) % 7)
    return tmp_path


def tokens_corpus(folder: Path, **more: Any) -> dict[str, Any]:
    paths = {"paths": [str(folder / "[ab].bin")], "validation": [str(folder / "held.npy")]}
    return {"kind": "tokens", **paths, "vocab_size": 1000, "separator": 0, **more}


def test_arrays_of_tokens_are_taken_as_they_are(arrays: Path) -> None:
    corpus = prepared(tokens_corpus(arrays, token_bytes=str(arrays / "bytes.npy")))
    held, tokens = corpus.validation[MAIN], np.load(arrays / "held.npy")
    assert np.array_equal(corpus.train, np.concatenate([np.fromfile(arrays / f"{x}.bin", np.uint16) for x in "ab"]))
    assert np.array_equal(held.tokens, tokens)
    assert np.array_equal(held.token_bytes, tokens % 7)
    assert held.starts.tolist() == list(range(0, 4000, 100))
    info = corpus.info.validation[MAIN]
    assert (info.tokens, info.n_documents, info.text_bytes) == (4000, 40, int((tokens % 7).sum()))
    assert info.overlap == pytest.approx(0.05, abs=0.002)


def test_repositories_files_are_those_of_the_hub_and_addresses_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("")
    commit = "0123456789abcdef0123456789abcdef01234567"

    def state(name: str, *data_files: str) -> Any:
        return data_set_state(HfCorpus(kind="hf", name=name, revision=commit, data_files=list(data_files)))

    here = str(tmp_path / "*.jsonl")
    assert state("owner/name", here) == commit
    assert [file[0] for file in state("json", here)] == [str(tmp_path / "a.jsonl")]
    assert state("json", here, "https://example.org/b.jsonl") is None


def test_bytes_of_arrays_are_unknown_unless_given_and_other_sets_are_scored_too(arrays: Path) -> None:
    other = {"other": {"kind": "tokens", "paths": [str(arrays / "b.bin")]}}
    corpus = prepared(tokens_corpus(arrays), validation=other)
    assert not corpus.validation[MAIN].token_bytes.any()
    assert len(corpus.validation["other"].tokens) == 15_000
    assert corpus.info.validation["other"].overlap == 1


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"vocab_size": 900}, r"a.bin: token [\d,]+ is 9\d\d, and data.corpus.vocab_size is 900"),
        ({"token_bytes": "{}/held.npy"}, "held.npy holds 4,000 numbers for the 1,000 ids"),
        ({"validation": ["{}/text.npy"]}, "text.npy: cannot be read"),
        ({"paths": ["{}/c*.bin"]}, r"data.corpus.paths: no file matches"),
    ],
)
def test_bad_arrays_are_one_line(arrays: Path, more: dict[str, Any], says: str) -> None:
    (arrays / "text.npy").write_text("not an array")
    filled = json.loads(json.dumps(more).replace("{}", str(arrays)))
    with pytest.raises(InputError, match=says) as caught:
        prepared(tokens_corpus(arrays, **filled))
    assert "\n" not in str(caught.value)
