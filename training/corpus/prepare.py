"""Documents -> token arrays, training and validation: read, deduplicated, split, compared, tokenised, cached."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ..config.data import MAIN, BpeTokenizer, Data, HfTokenizer, TokensCorpus, TokensSet
from .arrays import arrays_state, prepare_arrays
from .documents import documents, source_state
from .near import compare_with_validation
from .parallel import usable_cores
from .progress import counted, stage
from .publishing import digest, publish, recall, remember, workplace
from .split import Split, split_documents
from .spool import BUCKETS, Spooled, spool
from .states import file_states, hub_commit
from .store import Corpus, CorpusInfo, open_corpus
from .tokenizing import AnyTokenizer, Bytes, load_hf, train_bpe
from .writing import write_tokens

# Raise it when the same documents would now become other tokens, or another overlap.
PREPARATION_VERSION = 2
_WORTH_PROCESSES = 1 << 26  # bytes of text from which starting processes pays


def prepare_corpus(data: Data, processes: int | None = None) -> Corpus:
    """Read, deduplicate, split and tokenise `data`, in `processes` (default: one a usable core for large corpora).

    A document goes to validation by a hash of its own bytes, so that the split does not depend on the order
    of files or on what else is in the corpus, and no document is on both sides. A corpus prepared before is
    opened without reading its sources where those say that they are unchanged: files by path, size and times,
    the Hub by the commit. Tokens do not depend on the order of files nor on the number of processes.

    Raises:
        InputError: a source that cannot be read, one side left without a document, a tokenizer that does not suit.
    """
    key = _sources_key(data)
    fingerprint = recall(key) if key else None
    if fingerprint is None:
        with workplace() as folder:
            if isinstance(data.corpus, TokensCorpus):
                fingerprint = prepare_arrays(data, data.corpus, folder, processes or usable_cores())
            else:
                fingerprint = _prepare_text(data, folder, processes)
        if key:
            remember(key, fingerprint)
    return open_corpus(fingerprint)


def _sources_key(data: Data) -> str | None:
    """What the sources say of themselves; None where one has to be read to know."""
    states: list[Any] = []
    for key, source in _sources(data).items():
        is_tokens = isinstance(source, TokensCorpus | TokensSet)
        states.append(arrays_state(source, key) if is_tokens else source_state(source, key))
    if isinstance(data.tokenizer, HfTokenizer):
        folder = Path(data.tokenizer.name).expanduser()
        local = file_states(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else None
        states.append(local or hub_commit(data.tokenizer.name, data.tokenizer.revision, "model"))
    if None in states:
        return None
    asked = data.model_dump(mode="json", exclude={"validation_sequences", "max_epochs"})
    return digest(["sources", PREPARATION_VERSION, asked, states])


def _sources(data: Data) -> dict[str, Any]:
    """By their place in the config."""
    return {"data.corpus": data.corpus} | {f"data.validation.{name}": one for name, one in data.validation.items()}


def _prepare_text(data: Data, folder: Path, processes: int | None) -> str:
    tokenizer = _given_tokenizer(data)
    spools: dict[str, Spooled] = {}
    for name, (key, source) in zip((MAIN, *data.validation), _sources(data).items(), strict=True):
        spools[name] = spool(counted(f"reading {key}", documents(source, key)), folder / f"read-{name}")
    if processes is None:
        processes = usable_cores() if sum(one.size for one in spools.values()) > _WORTH_PROCESSES else 1
    split = split_documents(spools, data.validation_fraction)

    # A source may say that it changed and hold the same documents.
    content = [PREPARATION_VERSION, data.near_duplicates.model_dump(), split.digest]
    known = digest(["documents", content, tokenizer.identity if tokenizer else _bpe_identity(data)])
    if (fingerprint := recall(known)) is None:
        info = _tokenised(data, split, tokenizer, content, folder / "corpus", processes)
        info = replace(info, n_empty=sum(one.n_empty for one in spools.values()))
        publish(folder / "corpus", info)
        fingerprint = info.fingerprint
        remember(known, fingerprint)
    return fingerprint


def _tokenised(
    data: Data, split: Split, tokenizer: AnyTokenizer | None, content: list[Any], target: Path, processes: int
) -> CorpusInfo:
    near = data.near_duplicates
    n_near, overlaps = 0, dict.fromkeys(split.held_out)
    if near.action != "off":
        with stage("comparing with validation", BUCKETS) as done:
            n_near, overlaps = compare_with_validation(split.train, split.held_out, near, processes, done)
    if tokenizer is None:
        assert isinstance(data.tokenizer, BpeTokenizer)
        tokenizer = train_bpe(data.tokenizer, counted("training the tokenizer", split.train))
    target.mkdir()
    tokenizer.save(target)
    with stage("tokenising", BUCKETS * (1 + len(split.held_out))) as done:
        n_train, sets = write_tokens(split, tokenizer, target, processes, done)
    return CorpusInfo(
        fingerprint=digest([content, tokenizer.identity]),
        tokenizer=tokenizer.name,
        vocab_size=tokenizer.vocab_size,
        n_documents=split.n_documents,
        n_duplicates=split.n_duplicates,
        train_tokens=n_train,
        validation={name: replace(one, overlap=overlaps[name]) for name, one in sets.items()},
        n_near_duplicates=n_near,
    )


def _given_tokenizer(data: Data) -> AnyTokenizer | None:
    """None where it is yet to be trained."""
    if isinstance(data.tokenizer, BpeTokenizer):
        return None
    return load_hf(data.tokenizer) if isinstance(data.tokenizer, HfTokenizer) else Bytes()


def _bpe_identity(data: Data) -> list[Any]:
    """Another version of the library may train another."""
    from tokenizers import __version__

    return [data.tokenizer.model_dump(), __version__]
