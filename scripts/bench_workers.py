"""The processes of `bench.py train`: each trains a cell by one way, and answers with what it measured."""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from isoflop.training.config import Execution
from isoflop.training.launch.devices import visible_gpus, worker_environment


@dataclass(frozen=True)
class Round:
    """One training to be timed: `steps` of `cell`, of which the first `warmup` are not."""

    cell: str  # run id
    way: str
    steps: int
    warmup: int
    every: int  # steps between two looks at the losses
    members: int = 1  # cells of a stack
    execution: dict[str, Any] = field(default_factory=dict)  # keys that differ from the config's


@dataclass(frozen=True)
class Timing:
    """What a round came to."""

    tokens: int
    begun: float  # seconds of the machine's clock
    ended: float
    loss: float  # mean over the last `every` steps; of a stack, its first cell's
    start_bytes: int  # the most that the process had had before its first round (a GPU: 0)
    peak_bytes: int  # of the process so far; of a GPU, in this round

    @property
    def rate(self) -> float:
        """Tokens a second."""
        return self.tokens / (self.ended - self.begun)


@dataclass(frozen=True)
class NoMemory:
    """What torch said when a round did not fit its device."""

    words: str


class Worker:
    """A process that trains what it is told, one round after another."""

    def __init__(self, folder: Path, execution: Execution) -> None:
        gpus = visible_gpus(execution)
        self._log = (folder / "bench.log").open("a")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "isoflop.scripts.bench_loops", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=worker_environment(execution, gpus[:1], 0),
        )

    def order(self, order: Round | str) -> None:
        """Have it train a round, or measure `peak`, or describe its `machine`; `answer` waits for it."""
        assert self._process.stdin is not None
        words = {"way": order} if isinstance(order, str) else asdict(order)
        with contextlib.suppress(BrokenPipeError):  # it has died; its answer tells
            self._process.stdin.write(json.dumps(words) + "\n")
            self._process.stdin.flush()

    def answer(self) -> Any:
        """The answer to the oldest order. Raises RuntimeError where the process has died."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            said = Path(self._log.name).read_text().strip().splitlines()
            raise RuntimeError(f"a benchmark's process ended: {said[-1] if said else 'it said nothing'}")
        return json.loads(line)

    def ask(self, order: Round | str) -> Any:
        """`order`, then `answer`."""
        self.order(order)
        return self.answer()

    def measure(self, order: Round) -> Timing | NoMemory:
        """Train a round."""
        return timed(self.ask(order))

    def end(self) -> None:
        """Send it home, or kill it where it is at work."""
        self._process.kill()
        self._process.communicate()
        self._log.close()


def timed(answer: dict[str, Any]) -> Timing | NoMemory:
    """What a worker's answer to a round says."""
    return NoMemory(answer["error"]) if "error" in answer else Timing(**answer)


class Pool:
    """Processes started as they are asked for, and gone when the block ends."""

    def __init__(self, folder: Path, execution: Execution) -> None:
        self._folder, self._execution = folder, execution
        self._workers: list[Worker] = []

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.end()

    def first(self, count: int) -> list[Worker]:
        """The first `count`, ready and idle: nothing is measured beside a process that still imports."""
        fresh = [Worker(self._folder, self._execution) for _ in range(count - len(self._workers))]
        self._workers += fresh
        for worker in fresh:
            worker.ask("machine")
        return self._workers[:count]


def rate_together(timings: Sequence[Timing]) -> float:
    """Tokens a second of processes side by side, from when the first begins to when the last ends."""
    return sum(t.tokens for t in timings) / (max(t.ended for t in timings) - min(t.begun for t in timings))


def times(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """How many times theirs ours is, round by round: median, least and most."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}


def ratio_text(ratio: dict[str, float]) -> str:
    """1.62 x (1.55 to 1.70)."""
    return f"{ratio['median']:.2f} x ({ratio['low']:.2f} to {ratio['high']:.2f})"
