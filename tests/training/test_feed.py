"""Batches come from the feed as the corpus has them, wherever the tokens lie and however many are made at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from isoflop.training import feed as feeding
from isoflop.training.corpus import BatchOrder, gather
from isoflop.training.feed import Batches, Feed, room_for_tokens

CPU = torch.device("cpu")
WIDEST = {"uint8": 2**8, "uint16": 2**16, "uint32": 2**31, "uint64": 2**40}


def tokens_of(dtype: str, count: int = 1000) -> np.ndarray:
    """Ids over the whole range of the type, the largest among them."""
    ids = np.random.default_rng(0).integers(0, WIDEST[dtype], count, dtype=np.uint64)
    ids[7] = WIDEST[dtype] - 1
    return ids.astype(dtype)


@pytest.mark.parametrize("dtype", list(WIDEST))
def test_rows_are_those_of_the_corpus_for_every_type_of_tokens(dtype: str, tmp_path: Path) -> None:
    np.save(tmp_path / "tokens.npy", tokens_of(dtype))
    tokens = np.load(tmp_path / "tokens.npy", mmap_mode="r")  # read-only, as a corpus is
    sequences = np.array([0, 61, 3, 61])  # the last that is whole, and one twice
    rows = Feed(tokens, 16, CPU).rows(sequences)
    assert rows.dtype == torch.int64
    assert np.array_equal(rows.numpy(), gather(tokens, sequences, 16))


def test_rows_of_a_stack_keep_its_shape_and_are_not_the_corpus_itself() -> None:
    tokens = tokens_of("uint8")
    feed = Feed(tokens, 16, CPU)
    sequences = np.arange(12).reshape(3, 4)
    rows = feed.rows(sequences)
    assert rows.shape == (3, 4, 17)
    assert np.array_equal(rows[2, 1].numpy(), gather(tokens, sequences[2, 1:2], 16)[0])
    rows.zero_()
    assert np.array_equal(feed.rows(sequences)[0].numpy(), gather(tokens, sequences[0], 16))


def test_a_sequence_beyond_the_corpus_is_refused() -> None:
    feed = Feed(tokens_of("uint8"), 16, CPU)  # 1000 tokens: 62 whole sequences
    with pytest.raises((IndexError, RuntimeError), match="out of range"):
        feed.rows(np.array([62]))


@pytest.mark.parametrize("at_once", [1, 17 * 10, 10**6])
def test_batches_are_those_of_each_step_whatever_is_made_at_once(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeding, "TOKENS_AT_ONCE", at_once)
    tokens = tokens_of("uint16")
    orders = [BatchOrder(len(tokens), 16, 5, seed) for seed in (0, 1)]
    batches = Batches(Feed(tokens, 16, CPU), orders)
    # Over the end of an epoch (62 sequences, 12.4 batches), and back, as a run resumed from a checkpoint goes.
    for step in (*range(30), 3, 4, 200):
        batch = batches.at(step)
        for member, seed in zip(batch, (0, 1), strict=True):
            alone = BatchOrder(len(tokens), 16, 5, seed).sequences(step)
            assert np.array_equal(member.numpy(), gather(tokens, alone, 16)), step


def test_processes_share_a_batch_without_rest() -> None:
    tokens = tokens_of("uint8")
    feed = Feed(tokens, 16, CPU)
    whole, *parts = (
        Batches(feed, [BatchOrder(len(tokens), 16, 7, 0)], rank, n).at(4)[0] for rank, n in ((0, 1), (0, 2), (1, 2))
    )
    assert torch.equal(whole[0::2], parts[0])
    assert torch.equal(whole[1::2], parts[1])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize("dtype", list(WIDEST))
def test_a_gpu_gets_the_same_rows(dtype: str, resident: bool) -> None:
    tokens, device = tokens_of(dtype), torch.device("cuda")
    feed = Feed(tokens, 16, device, room_for_tokens(device) if resident else 0)
    assert feed.is_resident == resident
    sequences = np.arange(12).reshape(3, 4)
    rows = feed.rows(sequences)
    assert rows.device.type == "cuda"
    assert np.array_equal(rows.cpu().numpy(), Feed(tokens, 16, CPU).rows(sequences).numpy())
