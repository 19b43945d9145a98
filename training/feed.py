"""Training tokens to batches: kept on the device where they fit, many steps' batches made by one gather.

Batch t is a function of (seed, t), so the batches of the next steps are known. Made together they cost one look-up
and one operator instead of some each a step: 1.3 to 1.7 us a step instead of 6 to 7, on a CPU at 4 to 8 sequences of
64.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .corpus import BatchOrder, count_sequences

TOKENS_AT_ONCE = 1 << 17  # of the batches made together: a MiB of ids; more was slower on a CPU
SHARE_OF_MEMORY = 0.1  # of a GPU's free memory that the training tokens may take; not measured on a GPU yet

# torch has few operators for unsigned integers wider than a byte: the same bits as signed ones, and a mask.
_SIGNED = {1: np.uint8, 2: np.int16, 4: np.int32, 8: np.int64}


def room_for_tokens(device: torch.device) -> int:
    """Bytes of `device` that a process may keep its training tokens in."""
    if device.type != "cuda":
        return 0  # nothing is copied: the file's pages are the device's memory
    free, _ = torch.cuda.mem_get_info(device)
    return int(SHARE_OF_MEMORY * free)


def make_feed(tokens: NDArray, context: int, device: torch.device) -> Feed:
    """The feed of a process, its tokens kept on the device where there is room for them."""
    return Feed(tokens, context, device, room_for_tokens(device))


class Feed:
    """The training tokens of a process, for all of its cells: `rows` equals `corpus.gather` on the device.

    `tokens` are unsigned integers, one-dimensional, and may be memory-mapped. Up to `room` bytes of them are kept
    on the `device`; more stay on the host, where rows are gathered into pinned memory and sent without waiting.
    """

    def __init__(self, tokens: NDArray, context: int, device: torch.device, room: int = 0) -> None:
        self.n_tokens = len(tokens)
        self.context = context
        self.device = device
        self._mask = (1 << 8 * tokens.itemsize) - 1 if tokens.itemsize in (2, 4) else None
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*not writable")  # nobody writes to it
            on_host = torch.from_numpy(tokens.view(_SIGNED[tokens.itemsize]))
        self.is_resident = device.type == "cpu" or tokens.nbytes <= room
        on_its_place = on_host.to(device) if self.is_resident else on_host
        # Row i is the sequence i and the token after it, which is the next row's first: rows overlap.
        n_rows = count_sequences(len(tokens), context)
        self._rows = on_its_place.as_strided((n_rows, context + 1), (context, 1))

    def rows(self, sequences: NDArray[np.int64]) -> Tensor:
        """Inputs and targets of `sequences` of any shape: theirs x (context + 1), int64, on the device."""
        index = torch.from_numpy(np.ascontiguousarray(sequences).reshape(-1))
        if self.is_resident:
            found = self._rows.index_select(0, self._sent(index))
        else:
            found = self._sent(self._rows.index_select(0, index))
        ids = found.long()
        if self._mask is not None:
            ids &= self._mask
        return ids.view(*sequences.shape, self.context + 1)

    def _sent(self, tensor: Tensor) -> Tensor:
        """On the device; to a GPU from pinned memory, so that nothing waits."""
        return tensor.pin_memory().to(self.device, non_blocking=True) if self.device.type == "cuda" else tensor


class Batches:
    """The batches of one run, or of runs trained as a stack, in the order of their steps.

    A batch has the shape (members, batch, context + 1). With several processes each takes its `rank`'s sequences:
    every `n_ranks`-th of a batch.
    """

    def __init__(self, feed: Feed, orders: Sequence[BatchOrder], rank: int = 0, n_ranks: int = 1) -> None:
        self._feed = feed
        self._orders = orders
        self._mine = slice(rank, None, n_ranks)
        self._first = 0  # step of the first batch that is made
        self._made: Sequence[Tensor] = ()

    def at(self, step: int) -> Tensor:
        """Batch `step` (from 0): a view that is good until the next call."""
        if not self._first <= step < self._first + len(self._made):
            self._first = step
            self._made = self._feed.rows(self._sequences(step)).unbind()
        return self._made[step - self._first]

    def _sequences(self, step: int) -> NDArray[np.int64]:
        """Of this step and as many after it as are made together: (steps, members, batch)."""
        members = len(self._orders)
        size = len(self._orders[0].sequences(step)[self._mine])
        count = max(1, TOKENS_AT_ONCE // (members * size * (self._feed.context + 1)))
        steps = range(step, step + count)
        chosen = [order.sequences(each)[self._mine] for each in steps for order in self._orders]
        return np.concatenate(chosen).reshape(count, members, size)
