"""What a loss is made of: nats, tokens, bytes and documents, on one process and on two."""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from isoflop.training.corpus import ValidationSet
from isoflop.training.evaluate import evaluate, standard_error
from isoflop.training.kernels.head import token_losses
from isoflop.training.memory import LOGITS_AT_ONCE

from . import bigram


def by_hand(held_out: ValidationSet, count: int, context: int) -> dict[str, float]:
    """The same figures, one token at a time."""
    logits = bigram.Bigram().table.detach().double().numpy()
    surprise = -logits + np.log(np.exp(logits).sum(axis=1, keepdims=True))
    available = (len(held_out.tokens) - 1) // context
    chosen = sorted({round(i * (available - 1) / (count - 1)) for i in range(count)}) if count < available else None
    nats: dict[int, list[float]] = {}
    text, size = [], 0
    for sequence in chosen or range(available):
        for place in range(sequence * context + 1, sequence * context + context + 1):
            loss = float(surprise[held_out.tokens[place - 1], held_out.tokens[place]])
            nats.setdefault(int(np.sum(held_out.starts <= place)), []).append(loss)
            if held_out.token_bytes[place]:
                text.append(loss)
                size += int(held_out.token_bytes[place])
    sums, lengths = ([f(each) for each in nats.values()] for f in (sum, len))
    return {
        "loss": sum(sums) / sum(lengths),
        "loss_se": standard_error(np.array(sums), np.array(lengths)),
        "bits_per_byte": sum(text) / math.log(2) / size,
        "n_tokens": sum(lengths),
    }


@pytest.mark.parametrize("count", [60, bigram.SEQUENCES, 10**6])
def test_it_is_what_a_count_by_hand_says(count: int) -> None:
    held_out = bigram.validation()
    found = asdict(evaluate(bigram.Bigram(), held_out, count, bigram.CONTEXT, Accelerator(cpu=True)))
    assert found == pytest.approx(by_hand(held_out, count, bigram.CONTEXT), rel=1e-6)


def test_bytes_that_are_not_known_make_no_bits_per_byte() -> None:
    known = bigram.validation()
    held_out = ValidationSet(known.tokens, np.zeros_like(known.token_bytes), known.starts)
    found = evaluate(bigram.Bigram(), held_out, 50, bigram.CONTEXT, Accelerator(cpu=True))
    assert math.isnan(found.bits_per_byte)
    assert math.isfinite(found.loss)


def test_a_model_in_training_stays_so() -> None:
    model = bigram.Bigram()
    for mode in (True, False):
        model.train(mode)
        evaluate(model, bigram.validation(), 5, bigram.CONTEXT, Accelerator(cpu=True))
        assert model.training is mode


def test_a_large_vocabulary_is_scored_piece_by_piece_to_the_same_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = torch.from_numpy(bigram.validation().tokens[:1001].astype(np.int64)).unfold(0, 17, 16)
    whole = token_losses(bigram.Bigram(), rows)
    monkeypatch.setitem(LOGITS_AT_ONCE, "cpu", bigram.VOCABULARY)
    assert torch.equal(token_losses(bigram.Bigram(), rows), whole)


def test_two_processes_report_what_one_does(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = [sys.executable, "-m", "tests.training.bigram"]
    common = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = [
        subprocess.Popen(
            script,
            env={**os.environ, **common, "RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"},
            cwd=Path(__file__).resolve().parents[2],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    told = [process.communicate(timeout=120) for process in processes]
    assert all(process.returncode == 0 for process in processes), told
    alone = asdict(bigram.scored(Accelerator(cpu=True)))
    for output, _ in told:
        found = json.loads(output)
        assert found.pop("processes") == 2
        assert found == pytest.approx(alone, rel=1e-12)


def sampled(generator: np.random.Generator, documents: int) -> tuple[np.ndarray, np.ndarray]:
    """Nats per token and document of each token: lengths spread as real ones, a shared effect a document."""
    lengths = np.maximum(5, generator.lognormal(5, 1.3, documents)).astype(int)
    document = np.repeat(np.arange(documents), lengths)
    nats = 2 + generator.normal(0, 0.3, documents)[document] + generator.normal(0, 1, len(document))
    return nats, document


def test_the_standard_error_covers_what_other_documents_would_give() -> None:
    generator = np.random.default_rng(0)
    errors, ours, naive = [], [], []
    for _ in range(500):
        nats, document = sampled(generator, 60)
        errors.append(nats.mean() - 2)
        ours.append(standard_error(np.bincount(document, nats).astype(float), np.bincount(document).astype(float)))
        sequences = nats[: len(nats) // 64 * 64].reshape(-1, 64).mean(axis=1)
        naive.append(sequences.std(ddof=1) / np.sqrt(len(sequences)))
    spread = np.std(errors)
    assert np.sqrt(np.mean(np.square(ours))) == pytest.approx(spread, rel=0.15)
    assert np.mean(np.abs(errors) < 1.96 * np.array(ours)) > 0.88
    # Sequences of one document are no independent samples of text.
    assert np.sqrt(np.mean(np.square(naive))) < spread / 3


def test_one_document_has_no_standard_error() -> None:
    assert math.isnan(standard_error(np.array([20.0]), np.array([10.0])))
