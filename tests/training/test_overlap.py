"""The leak check: which share of a validation set's n-grams the training documents hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoflop.training.corpus import overlap
from isoflop.training.corpus.overlap import NGrams, Overlap


def texts(count: int, words: int, seed: int) -> list[bytes]:
    """Documents of random words, any 13 of which occur once."""
    chosen = np.random.default_rng(seed).integers(0, 5000, (count, words))
    return [" ".join(f"word{number}" for number in row).encode() for row in chosen]


def share(validation: list[bytes], training: list[bytes], n: int = 13) -> float:
    seen = Overlap(NGrams(validation, n))
    seen.add(training)
    return seen.share


def test_none_and_all() -> None:
    validation, training = texts(50, 200, 1), texts(100, 200, 2)
    assert share(validation, training) == 0.0
    assert share(validation, [*training, *validation]) == 1.0
    assert share(validation, []) == 0.0
    assert share([], training) == 0.0


def test_planted_documents_are_found_at_their_share() -> None:
    validation, training = texts(400, 150, 1), texts(1000, 300, 2)
    assert share(validation, [*training, *validation[:20]]) == pytest.approx(0.05, abs=0.005)


def test_planted_passages_are_found_inside_other_documents() -> None:
    validation, training = texts(100, 400, 1), texts(300, 300, 2)
    # A passage of 60 words holds 48 n-grams; 38 of them are 5 % of 100 documents of 388 n-grams.
    leaky = training.copy()
    for number in range(40):
        passage = b" ".join(validation[number].split()[100:160])
        leaky[number] = leaky[number][:500] + b" " + passage + b"\n" + leaky[number][500:]
    assert share(validation, leaky) == pytest.approx(40 * 48 / (100 * 388), abs=1e-9)


def test_case_spaces_and_punctuation_hide_no_copy() -> None:
    (document,) = texts(1, 50, 1)
    shouted = document.upper().replace(b" ", b" ,\n -- ")
    assert share([document], [shouted]) == 1.0


def test_text_without_spaces_has_n_grams_of_letters() -> None:
    letters = "".join(chr(0x4E00 + i) for i in range(100))
    assert share([letters.encode()], [("前" + letters[40:80] + "後").encode()]) == pytest.approx((40 - 12) / (100 - 12))


def test_a_short_document_is_one_n_gram() -> None:
    assert share([b"a short text"], [b"A SHORT text."]) == 1.0
    assert share([b"a short text"], [b"this is a short text"]) == 0.0
    assert NGrams([b"a short text"], 13).share(b" ") == 0.0


def test_shares_are_those_of_each_document() -> None:
    validation = texts(20, 100, 1)
    (stranger,) = texts(1, 100, 2)
    n_grams = NGrams(validation, 13)
    half = validation[3] + b" " + stranger
    found = n_grams.find([stranger, validation[3], b"", half])
    assert found.shares[:3].tolist() == [0.0, 1.0, 0.0]
    assert found.shares[3] == n_grams.share(half) == pytest.approx(88 / 188)
    assert found.n_grams.tolist() == [88, 88, 0, 188]


def test_repeated_n_grams_of_the_validation_set_count_as_often_as_they_occur() -> None:
    licence, *others = texts(4, 50, 1)
    validation = [licence + b" " + other for other in others]
    # In each of the 3 documents of 88 n-grams 38 are the licence's.
    assert share(validation, [licence]) == pytest.approx(38 / 88)


word = st.sampled_from([b"a", b"B", b"c_1", "é".encode(), "中".encode(), b"word"])
document = st.lists(word, max_size=30).map(b" ".join)
documents = st.lists(document, max_size=12)


@given(documents, documents, st.integers(1, 5), st.randoms())
def test_order_and_processes_do_not_matter(validation, training, n, random) -> None:
    n_grams = NGrams(validation, n)
    whole = Overlap(n_grams)
    whole.add(training)
    shuffled = random.sample(training, len(training))
    parts = [Overlap(n_grams), Overlap(n_grams)]
    parts[0].add(shuffled[::2])
    parts[1].add(shuffled[1::2])
    parts[0].merge(parts[1].seen)
    assert parts[0].share == whole.share
    assert share(random.sample(validation, len(validation)), training, n) == whole.share


@given(documents, documents, st.integers(1, 5))
def test_it_is_what_sets_of_words_say(validation, training, n) -> None:
    def grams(text: bytes) -> list[tuple[bytes, ...]]:
        words = text.lower().split()
        return [tuple(words[i : i + n]) for i in range(max(1, len(words) - n + 1))] if words else []

    wanted, held = [g for text in validation for g in grams(text)], {g for text in training for g in grams(text)}
    expected = sum(g in held for g in wanted) / len(wanted) if wanted else 0.0
    assert share(validation, training, n) == pytest.approx(expected)


def test_long_documents_are_cut_into_blocks_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    validation, training = texts(30, 300, 1), texts(30, 300, 2)
    training[0] += b" " + validation[0]
    whole = share(validation, [b" ".join(training)])
    monkeypatch.setattr(overlap, "_BLOCK", 700)
    assert share(validation, [b" ".join(training)]) == whole == pytest.approx(1 / 30)


def test_case_spaces_and_punctuation_of_no_script_hide_a_copy() -> None:
    text = "Zwölf Boxkämpfer jagen “Eva” quer über den großen Sylter Deich — für Ökologie, œuvre und Ärger"
    other = "zwölf boxkämpfer jagen 'eva' quer\u00a0über den GROSSEN sylter deich: FÜR ökologie; Œuvre und ärger!"
    assert NGrams([text.encode()], 5).share(other.encode()) == 1
    assert NGrams([text.encode()], 5).share(text.replace("Eva", "Ada").encode()) < 1
