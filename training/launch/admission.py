"""Which orders a device has the memory for, by formula: before anything starts, and while others run on it."""

from __future__ import annotations

from collections.abc import Sequence

from ...fitting.errors import InputError
from ..corpus.store import token_type
from ..memory import PROCESS_BYTES, cell_memory, micro_batch_for, process_memory
from ..plan import Plan, RunPlan
from ..stacking import Order
from .devices import machine_memory, total_memory
from .sharing import PROCESS_BYTES as GPU_PROCESS_BYTES
from .sharing import SHARE_OF_MEMORY

CPU = "cpu"


class Memory:
    """What each device here has, in bytes, and what orders take of it; None where that cannot be known."""

    def __init__(self, plan: Plan, gpus: Sequence[str]) -> None:
        self._plan, self._gpus = plan, gpus
        self._needs: dict[tuple[str, int, int | None], int] = {}
        self.rooms: dict[str, int | None]
        if gpus:
            self.rooms = dict(zip(gpus, total_memory(gpus), strict=True))
        else:
            asked, there = plan.config.execution.memory_gib, machine_memory()
            self.rooms = {CPU: there if asked is None else min(there, int(asked * 2**30))}

    def device(self, index: int) -> str:
        """The device of worker number `index`."""
        return self._gpus[index % len(self._gpus)] if self._gpus else CPU

    def refuse_too_large(self, orders: Sequence[Order]) -> None:
        """Raises InputError for the largest cell that no device holds, even one sequence at a time and alone."""
        known = [room for room in self.rooms.values() if room is not None]
        if len(known) < len(self.rooms):
            return
        least, cell = max(((self._least(cell), cell) for order in orders for cell in order), key=lambda pair: pair[0])
        if least > max(known):
            where = "the largest GPU here" if self._gpus else "this machine"
            raise InputError(
                f"{_named(cell)}: needs about {_gib(least)} GiB of memory with one sequence at a time, and {where} has "
                f"{_gib(max(known))}; leave that size out of the grid, or train where there is more memory"
            )

    def advice(self, orders: Sequence[Order]) -> str:
        """A line on cells that the whole CPU holds in parts of their batch only; empty where there are none.

        On a GPU the parts are found by themselves.
        """
        room = self.rooms.get(CPU)
        tight = [order for order in orders if room is not None and self.need(order, CPU) > room]
        if room is None or not tight:
            return ""
        cell = max(tight, key=lambda order: self.need(order, CPU))[0]
        left = room - process_memory(cell, self._plan.config, self._plan.corpus)
        at_once = micro_batch_for(cell, self._plan.config, device="cpu", room=left)
        return (
            f"{_named(cell)}: needs about {_gib(self.need((cell,), CPU))} GiB of memory, and this machine has "
            f"{_gib(room)}; execution.micro_batch={at_once} would fit"
        )

    def most_workers(self, orders: Sequence[Order]) -> int | None:
        """How many processes can be at work at once on the CPU at most, whichever orders they have; None on GPUs."""
        room = self.rooms.get(CPU)
        if room is None:
            return None
        return max(1, int(SHARE_OF_MEMORY * room / min(self.need(order, CPU) for order in orders)))

    def fits(self, order: Order, device: str, running: Sequence[Order], idle: int) -> bool:
        """Whether `order` may start beside what is `running` on its device; alone there it always may.

        `idle` other workers of the device have no cell, but take what a process takes.
        """
        room = self.rooms[device]
        if room is None or not running:
            return True
        together = sum(self.need(each, device) for each in (order, *running)) + idle * self._process(None)
        return together <= SHARE_OF_MEMORY * room

    def need(self, order: Order, device: str) -> int:
        """Bytes that a worker with `order` takes of the device at most, at the micro-batch it would begin with."""
        cell, room = order[0], self.rooms[device]
        key = (cell.run_id, len(order), room if self._gpus else None)
        if key not in self._needs:
            config, sequences = self._plan.config, self._plan.config.execution.micro_batch
            kind = "cuda" if self._gpus else "cpu"
            if self._gpus and sequences is None and room is not None:  # as device.first_micro_batch chooses
                share = int(SHARE_OF_MEMORY * room)
                sequences = micro_batch_for(cell, config, device=kind, room=share, members=len(order))
            took = cell_memory(cell, config, device=kind, sequences=sequences, members=len(order))
            self._needs[key] = self._process(cell) + took
        return self._needs[key]

    def _least(self, cell: RunPlan) -> int:
        device = "cuda" if self._gpus else "cpu"
        return self._process(cell) + cell_memory(cell, self._plan.config, device=device, sequences=1)

    def _process(self, cell: RunPlan | None) -> int:
        """What a process takes beside a cell's tensors."""
        corpus = self._plan.corpus
        if self._gpus:  # each keeps the corpus' tokens there
            return GPU_PROCESS_BYTES + corpus.train_tokens * token_type(corpus.vocab_size).itemsize
        return PROCESS_BYTES if cell is None else process_memory(cell, self._plan.config, corpus)


def _named(cell: RunPlan) -> str:
    n_params = cell.counts.params.n_params
    return f"cell {cell.run_id} (budget {cell.budget:g}, width {cell.shape.width}, N = {n_params:,})"


def _gib(n_bytes: float) -> str:
    return f"{n_bytes / 2**30:,.1f}"
