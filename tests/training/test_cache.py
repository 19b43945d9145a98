"""The folder that corpora are kept in: cleaned in part, of another version, shared, full or not to be written."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest

from isoflop.fitting import InputError
from isoflop.training.config import Data
from isoflop.training.corpus import MAIN, prepare_corpus
from isoflop.training.corpus.publishing import workplace
from isoflop.training.corpus.store import is_prepared

from .helpers import write_text

OLDER = {"fingerprint": "", "vocab_size": 256, "n_documents": 40, "n_duplicates": 0, "validation_tokens": 9}


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    return write_text(tmp_path / "texts", words=20)


@pytest.fixture
def data(texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Data:
    monkeypatch.setenv("ISOFLOP_CACHE", str(tmp_path / "cache"))
    corpus = {"kind": "files", "paths": [str(texts / "*.txt")]}
    return Data.model_validate({"corpus": corpus, "validation_fraction": 0.3})


def test_a_corpus_that_is_not_whole_or_of_another_version_is_prepared_again(data: Data, tmp_path: Path) -> None:
    first = prepare_corpus(data)
    train, folder = np.array(first.train), tmp_path / "cache" / first.info.fingerprint
    array = (folder / "train.npy").read_bytes()
    info = (folder / "info.json").read_bytes()
    for content in (b"", b"{", json.dumps(OLDER).encode()):
        (folder / "info.json").write_bytes(content)
        assert not is_prepared(folder.name)
    (folder / "info.json").write_bytes(info)
    assert is_prepared(folder.name)
    (folder / "train.npy").write_bytes(array[:500])
    for seen in (tmp_path / "cache" / "seen").iterdir():
        seen.write_text("{")
    again = prepare_corpus(data)
    assert again.info == first.info
    assert np.array_equal(again.train, train)


def test_a_cache_that_cannot_be_written_names_its_setting(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ISOFLOP_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"file/preparing: cannot be written: .*; set ISOFLOP_CACHE to"):
        prepare_corpus(data)


def test_a_full_disk_is_named(data: Data) -> None:
    with pytest.raises(OSError, match=r"No space left on device \(.*ISOFLOP_CACHE.*cache/preparing"), workplace():
        raise OSError(errno.ENOSPC, "No space left on device")  # as a write says it: without a name


def test_a_set_may_have_any_name_that_the_folders_at_work_have(data: Data, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("a text of its own")
    other = {"kind": "files", "paths": [str(tmp_path / "other.txt")]}
    names = ["corpus", "train", "info", "shared"]
    more = Data.model_validate(data.model_dump() | {"validation": dict.fromkeys(names, other)})
    assert list(prepare_corpus(more).validation) == [MAIN, *names]


def test_a_file_that_several_ways_lead_to_is_read_once(data: Data, texts: Path, tmp_path: Path) -> None:
    (tmp_path / "linked").symlink_to(texts)
    (texts / "round").symlink_to(texts)
    patterns = [str(texts / "**" / "*.txt"), str(tmp_path / "linked" / "0.txt")]
    corpus = data.corpus.model_copy(update={"paths": patterns})
    info = prepare_corpus(data.model_copy(update={"corpus": corpus})).info
    assert (info.n_documents, info.n_duplicates) == (40, 0)
    assert info == prepare_corpus(data).info
